"""How much all transfers of a worker together may take of its line."""

from __future__ import annotations

import asyncio
import time


class Throttle:
    """At most ``bytes_per_s``, over a second or so; None: no limit."""

    def __init__(self, bytes_per_s: float | None = None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at_s = 0.0

    async def passed(self, n_bytes: int) -> None:
        """Called for what has arrived: returns when more may be read."""
        if self._bytes_per_s is None:
            return
        now_s = time.monotonic()
        self._free_at_s = max(now_s, self._free_at_s) + n_bytes / self._bytes_per_s
        await asyncio.sleep(self._free_at_s - now_s)
