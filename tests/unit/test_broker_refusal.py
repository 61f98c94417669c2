"""What a worker makes of errors that break a connection together."""

from __future__ import annotations

import aiomqtt
import pytest

from orthoagent.adapters.mqtt import first_and_refusal
from orthoagent.errors import RightsError

LOST = aiomqtt.MqttError("Operation timed out")
NO_RIGHTS = RightsError("it does not come back")


@pytest.mark.parametrize(
    ("error", "first", "refusal"),
    [
        (LOST, LOST, None),
        (NO_RIGHTS, NO_RIGHTS, NO_RIGHTS),
        (ExceptionGroup("", [LOST, NO_RIGHTS]), LOST, NO_RIGHTS),
        (ExceptionGroup("", [ExceptionGroup("", [LOST]), ExceptionGroup("", [LOST, NO_RIGHTS])]), LOST, NO_RIGHTS),
        (ExceptionGroup("", [ExceptionGroup("", [LOST])]), LOST, None),
    ],
    ids=["lost", "refused", "lost, and refused", "deep", "lost twice"],
)
def test_a_refusal_is_one_whatever_broke_before_it(
    error: Exception, first: Exception, refusal: Exception | None
) -> None:
    assert first_and_refusal(error) == (first, refusal)
