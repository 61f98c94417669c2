"""Waits that a stop ends early, and the back-off of an idle poll."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but not beyond the stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


async def either(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when the first of several waits ends; the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class Backoff:
    """Delays that double from 100 ms up to a limit, each varied by a fifth so that hosts do not poll in step."""

    LEAST_S = 0.1
    SPREAD = 0.2

    def __init__(self, most_s: float) -> None:
        self._most_s = max(most_s, self.LEAST_S)
        self._next_s = self.LEAST_S

    def reset(self) -> None:
        """Begin again at the shortest delay."""
        self._next_s = self.LEAST_S

    def next_s(self) -> float:
        """The delay to wait now, in seconds."""
        delay = self._next_s
        self._next_s = min(2 * delay, self._most_s)
        return min(delay * random.uniform(1 - self.SPREAD, 1 + self.SPREAD), self._most_s)
