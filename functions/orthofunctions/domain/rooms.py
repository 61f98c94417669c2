"""What is left of a pool's slots while a round decides."""

from __future__ import annotations

from orthofunctions.domain.pool_state import PoolState


class Room:
    """Slots of one pool that are left, by result version and in all."""

    def __init__(self, k: int, pool: PoolState) -> None:
        self.k, self.pool, self.spec, self.basis = k, pool, pool.spec, pool.basis
        self.name, self.startup_s, self.queue_ahead = pool.spec.name, pool.spec.startup_s, pool.spec.queue_ahead
        self.ends = bool(pool.lasts_s)
        has_workers = any(slots > 0 for slots in pool.slots.values())
        self.in_all = pool.spec.max_slots + pool.spec.queue_ahead - sum(pool.busy.values()) if has_workers else 0
        self._idle = dict(pool.idle)
        self._left: dict[int, int] = {}

    def left(self, version: int) -> int:
        """Releases of a result version that still fit."""
        left = self._left.get(version)
        if left is None:
            left = self._left[version] = max(0, min(self.pool.free(version), self.in_all))
        return left

    def lingers(self, version: int) -> bool:
        """Whether a worker is there that would take a release at once."""
        return bool(self._idle) and self._idle.get(version, 0) > 0

    def start_s(self, version: int) -> float:
        """Until the run of a released task begins."""
        return 0.0 if self.lingers(version) else self.startup_s

    def take(self, version: int) -> None:
        """One fewer."""
        self._left[version] = self.left(version) - 1
        self.in_all -= 1
        for other, left in self._left.items():
            self._left[other] = min(left, self.in_all)
        if self.lingers(version):
            self._idle[version] -= 1
