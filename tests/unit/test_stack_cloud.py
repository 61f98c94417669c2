"""The cloud pool follows its queue as KEDA's scaled jobs do."""

from __future__ import annotations

import pytest

from localdev.stack.cloud import workers_to_start


@pytest.mark.parametrize(
    ("messages", "present", "limit", "expected"),
    [(0, 0, 3, 0), (1, 0, 3, 1), (5, 0, 3, 3), (5, 2, 3, 1), (2, 2, 3, 0), (1, 3, 3, 0), (4, 0, 0, 0)],
)
def test_as_many_workers_as_messages_up_to_the_limit(messages: int, present: int, limit: int, expected: int) -> None:
    assert workers_to_start(messages, present, limit) == expected
