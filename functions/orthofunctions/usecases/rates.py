"""Buckets of those who call this process. Another instance has its own."""

from __future__ import annotations

import threading
from collections import OrderedDict

from orthofunctions.domain.rates import Bucket, Taken, take

_MOST_KEPT = 10_000


class Rates:
    """One bucket a name, those of the latest ten thousand callers: who has not called for so long has a full one."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, per_minute: int, now_s: float, calls: int = 1) -> Taken:
        with self._lock:
            taken = take(self._buckets.get(name), per_minute, now_s, calls)
            if calls:
                self._buckets[name] = taken.bucket
                self._buckets.move_to_end(name)
                if len(self._buckets) > _MOST_KEPT:
                    self._buckets.popitem(last=False)
            return taken
