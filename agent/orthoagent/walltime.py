"""How long this process may still run: a batch job ends at a moment that its scheduler knows."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Walltime:
    """The end of the batch job, in seconds of ``time.monotonic``; None: there is no such end."""

    ends_at_s: float | None = None

    @classmethod
    def lasting(cls, left_s: float | None) -> Walltime:
        return cls(None if left_s is None else time.monotonic() + left_s)

    def left_s(self) -> float | None:
        """Seconds until the end, 0 after it."""
        return None if self.ends_at_s is None else max(0.0, self.ends_at_s - time.monotonic())

    def unfit_for(self, expected_s: float | None) -> str | None:
        """Why a task that may take so long should not begin here; None: it may."""
        left_s = self.left_s()
        if left_s is None or expected_s is None or expected_s <= left_s:
            return None
        return f"it may take {expected_s:.0f} s, and this worker's batch job ends in {left_s:.0f} s"
