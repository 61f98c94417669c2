"""The dispatcher's lease. It only keeps rounds from colliding: the fence is the compare-and-swap of each task's row."""

from __future__ import annotations

import threading
from datetime import datetime

from orthocontracts import names
from orthofunctions.ports import LeaseLostError, Ports

LEASE_S = 20
"""Short, because nobody dispatches for so long after a round has died."""
RENEW_AFTER_S = 5.0
STOP_AFTER_S = 14.0


class RoundLease:
    """Held for a round. ``keep`` is called before every write, by whichever thread writes."""

    def __init__(self, ports: Ports) -> None:
        """Raises LeaseHeldError where another round is under way."""
        self._lock = threading.Lock()
        self._ports = ports
        self._renewed_at = ports.clock.now()
        self._id = ports.blobs.acquire_lease(names.CONTAINER_CONTROL, names.BLOB_DISPATCH_LEASE, LEASE_S)

    def keep(self) -> None:
        """Renew the lease where that is due.

        Raises
        ------
        LeaseLostError
            Where it is lost, or was last renewed so long ago that another round may soon hold it: write nothing more.
        """
        with self._lock:
            now = self._ports.clock.now()
            if self._age_s(now) >= RENEW_AFTER_S:
                if self._age_s(now) >= STOP_AFTER_S:
                    raise LeaseLostError(f"last renewed {self._age_s(now):.0f} s ago")
                self._ports.blobs.renew_lease(names.CONTAINER_CONTROL, names.BLOB_DISPATCH_LEASE, self._id)
                self._renewed_at = now  # the moment before the renewal: it holds for at least LEASE_S from then
                if self._age_s(self._ports.clock.now()) >= STOP_AFTER_S:
                    raise LeaseLostError("its renewal took too long")

    def release(self) -> None:
        self._ports.blobs.release_lease(names.CONTAINER_CONTROL, names.BLOB_DISPATCH_LEASE, self._id)

    def _age_s(self, now: datetime) -> float:
        return (now - self._renewed_at).total_seconds()
