"""What was heard of a pool's demand, and what it means now. Pure; moments are seconds since the epoch."""

from __future__ import annotations

from collections import deque

from orthocontracts.messages import Demand

SETTLE_S = 5.0
"""After a connection the retained demand comes within moments; until then silence says nothing."""


class DemandHeard:
    """The latest demand. One that is over counts as none while the broker is there, and as unknown while it is not."""

    def __init__(self, *, keep_s: float) -> None:
        self._keep_s = keep_s
        self._last: Demand | None = None
        self._connected_at_s: float | None = None
        self._lately: deque[tuple[float, int]] = deque()

    def note(self, demand: Demand) -> None:
        self._last = demand

    def connected(self, now_s: float) -> None:
        self._connected_at_s = now_s

    def disconnected(self) -> None:
        self._connected_at_s = None

    def slots(self, now_s: float) -> int | None:
        """Slots that are wanted now; None: nobody knows, so that what is there should stay as it is."""
        slots = self._now(now_s)
        if slots is not None:
            self._lately.append((now_s, slots))
        return slots

    def most_lately(self, now_s: float) -> int:
        """The most slots that were wanted at any look of the last ``keep_s``, this one included."""
        while self._lately and self._lately[0][0] < now_s - self._keep_s:
            self._lately.popleft()
        return max((slots for _, slots in self._lately), default=0)

    def _now(self, now_s: float) -> int | None:
        if self._last is not None and self._last.until.timestamp() > now_s:
            return self._last.slots
        if self._connected_at_s is not None and now_s - self._connected_at_s >= SETTLE_S:
            return 0
        return None
