"""Whether a product that was uploaded can be had: its row in table ``archive``, changed by compare and swap."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from orthofunctions.domain.records import ArchiveRecord
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.inventory import inventory_key
from orthofunctions.usecases.jobs import BusyRowError
from orthofunctions.usecases.rows import load, swap

STATE: Final = "state"
TRIES: Final = 20
KEPT_PRODUCTS: Final = "kept"
"""The partition of what operators keep, beside the products' own: it is small, and copied every day."""


def product_key(ref: str) -> str:
    """The partition of a product's rows."""
    return hashlib.sha256(ref.encode()).hexdigest()[:32]


def state_of(ports: Ports, ref: str) -> ArchiveRecord | None:
    """None of a product of which nothing was ever noted: it is here if its blobs are."""
    return load(ports.tables, ArchiveRecord, product_key(ref), STATE)


def new_state(ref: str, blob: str, at: datetime) -> ArchiveRecord:
    """The row of a product that arrived at a time. It is not stored."""
    name = ref.rpartition("/")[2].rpartition(".")[0]
    return ArchiveRecord(product=product_key(ref), row=STATE, ref=ref, key=inventory_key(ref, name, at), blob=blob)


def change_state(
    ports: Ports, first: ArchiveRecord, change: Callable[[ArchiveRecord], ArchiveRecord | None]
) -> ArchiveRecord:
    """Apply a change to the row as it is now, or to ``first`` where there is none; None leaves it as it is."""
    for _ in range(TRIES):
        now = load(ports.tables, ArchiveRecord, first.product, STATE) or first
        changed = change(now)
        if changed is None:
            return now
        stored = try_store(ports, changed)
        if stored is not None:
            return stored
    raise BusyRowError(f"product {first.ref}")


def try_store(ports: Ports, record: ArchiveRecord) -> ArchiveRecord | None:
    """Insert a row that was never stored, else compare and swap. None where another was faster."""
    try:
        if record.etag:
            return swap(ports.tables, record)
        return record.changed(etag=ports.tables.insert(ArchiveRecord.TABLE, record.to_row()).etag)
    except (RowChangedError, RowExistsError):
        return None
