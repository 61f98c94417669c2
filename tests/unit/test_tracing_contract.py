"""What messages say of their trace: carried where it is one, dropped where it is not, and never a reason to refuse."""

from __future__ import annotations

import pytest

from orthocontracts.messages import Release
from orthocontracts.tracing import trace_id_of
from orthocontracts.wire import read_message

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_message_carries_it() -> None:
    sent = Release(task_id="t", release=1, traceparent=TRACEPARENT).to_json()
    assert read_message(Release, sent).traceparent == TRACEPARENT
    assert trace_id_of(TRACEPARENT) == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "found",
    ["", "nonsense", 7, None, {"a": 1}, TRACEPARENT.upper(), "01" + TRACEPARENT[2:], TRACEPARENT + "-x",
     "00-" + 32 * "0" + "-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-" + 16 * "0" + "-01",
     TRACEPARENT + "\n"],
)  # fmt: skip
def test_what_is_none_is_dropped_and_the_message_counts(found: object) -> None:
    assert Release.model_validate({"v": 1, "task_id": "t", "release": 2, "traceparent": found}).traceparent is None
    assert trace_id_of(found if isinstance(found, str) else None) is None


def test_a_message_without_says_nothing_of_it() -> None:
    assert "traceparent" not in Release(task_id="t", release=1).to_json()
