"""What all files of one fetch share: its connections, its speed, how long it may be silent, and whom it tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Line:
    """Shared by threads.

    Parameters
    ----------
    streams : int
        Connections at a time.
    part_bytes : int
        Of a file with more than twice as many, parts are fetched side by side.
    mb_per_s : float or None
        Of all of it together.
    silence_s : float
        For which a file may make no progress.
    tell : callable
        Takes the name of an event and what belongs to it.
    """

    def __init__(
        self, *, streams: int, part_bytes: int, mb_per_s: float | None, silence_s: float, tell: Callable[..., None]
    ) -> None:
        self.part_bytes, self.silence_s, self.tell = part_bytes, silence_s, tell
        self.connections = threading.Semaphore(streams)
        self._bytes_per_s = None if mb_per_s is None else mb_per_s * 1e6
        self._lock, self._free_at_s = threading.Lock(), 0.0

    def passed(self, n_bytes: int) -> None:
        """Called for what has arrived: returns when more may be read."""
        if self._bytes_per_s is None:
            return
        with self._lock:
            now_s = time.monotonic()
            self._free_at_s = max(now_s, self._free_at_s) + n_bytes / self._bytes_per_s
            wait_s = self._free_at_s - now_s
        time.sleep(wait_s)
