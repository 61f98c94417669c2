"""Trying again while the other side is silent."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from orthoagent.errors import StorageSilentError
from orthoagent.logs import log

T = TypeVar("T")

LONGEST_PAUSE_S = 10.0


def pauses_s(first_s: float = 0.5, longest_s: float = LONGEST_PAUSE_S) -> Iterator[float]:
    """Pauses that double up to a limit, each shortened at random so that workers do not come back in step."""
    pause = first_s
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(longest_s, pause * 2)


async def patiently(call: Callable[[], Awaitable[T]], what: str, **ids: str | int) -> T:
    """The result of a call to storage, however long storage stays silent: the caller's lease or limit ends it."""
    for pause in pauses_s():
        try:
            return await call()
        except StorageSilentError as error:
            log("storage_silent", level=logging.WARNING, doing=what, error=str(error), **ids)
        await asyncio.sleep(pause)
    raise AssertionError("pauses never end")
