"""Pilots that end before they can have worked: a broken installation would else be submitted again for ever. Pure."""

from __future__ import annotations

FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 900.0


class ShortLives:
    """After each pilot that ended too soon a pause, twice as long as the last; one that lived ends that.

    A worker stays at least its linger time; one that was there for less than half of it has not worked.
    """

    def __init__(self, linger_s: float) -> None:
        self._least_s = linger_s / 2
        self._pause_s = 0.0
        self._until_s = 0.0

    def ended(self, ran_s: float | None, now_s: float) -> bool:
        """Note an end; ``ran_s`` None: it was never seen to run. Whether it was too soon."""
        if ran_s is not None and ran_s >= self._least_s:
            self._pause_s = self._until_s = 0.0
            return False
        if now_s >= self._until_s:  # those that end together count once
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s or FIRST_PAUSE_S)
            self._until_s = now_s + self._pause_s
        return True

    def pause_left_s(self, now_s: float) -> float:
        return max(0.0, self._until_s - now_s)
