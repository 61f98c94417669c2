"""What happens when: the clock jumps from one event to the next, so that a day takes minutes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from localdev.memory_ports import ManualClock

Action = Callable[[], None]

LOOK_EVERY = timedelta(minutes=10)


class Agenda:
    """Events in virtual time. Whatever is done at a moment takes none of it."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self._events: list[tuple[datetime, int, Action]] = []
        self._numbers = itertools.count()

    def at(self, moment: datetime, action: Action) -> None:
        """Not before now: what is past is done next."""
        heapq.heappush(self._events, (max(moment, self.clock.moment), next(self._numbers), action))

    def after(self, seconds: float, action: Action) -> None:
        self.at(self.clock.moment + timedelta(seconds=seconds), action)

    def run(self, until: datetime, is_over: Callable[[], bool]) -> None:
        """Go on until a moment, or until it is over: that is asked every ten minutes."""
        next_look = self.clock.moment + LOOK_EVERY
        while self._events and self._events[0][0] <= until:
            moment, _, action = heapq.heappop(self._events)
            self.clock.moment = moment
            action()
            if moment >= next_look:
                if is_over():
                    return
                next_look = moment + LOOK_EVERY
