"""Pausing a pool: nothing more is released to it. What runs there goes on."""

from __future__ import annotations

from orthocontracts import names
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases.pending import wake

_PARTITION = "paused"


def paused_pools(ports: Ports) -> frozenset[str]:
    """Names of the pools that operators have paused."""
    return frozenset(row.key for row in ports.tables.query(names.TABLE_SHARES, partition=_PARTITION))


def pause(ports: Ports, pool: str, user: str) -> None:
    """Release nothing more to a pool. Any number of times."""
    ports.tables.put(names.TABLE_SHARES, Row(_PARTITION, pool, {"by": user, "at": ports.clock.now()}))


def resume(ports: Ports, pool: str) -> None:
    """Undo `pause`. Any number of times."""
    ports.tables.delete(names.TABLE_SHARES, _PARTITION, pool)
    wake(ports, f"{pool} was resumed")
