"""Rows of the inventory that are counted: each changes in one transaction with the tally of its kind.

So the tallies are what a scan would find, whoever died, and nobody scans. Where two change one tally at once, the loser
takes the next of its shards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orthofunctions.domain.records import InventoryRecord, TallyRecord
from orthofunctions.ports import Change, Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.jobs import BusyRowError
from orthofunctions.usecases.rows import load

PRODUCTS_BELOW: Final = ":"
"""Keys of products begin with digits, those of tallies do not."""
_SHARDS: Final = 16
_TRIES: Final = 48


def put_counted(ports: Ports, record: InventoryRecord) -> None:
    """Write a product's row into its partition, whatever is there, and count it once."""
    for number in range(_TRIES):
        before = load(ports.tables, InventoryRecord, record.cell, record.key)
        after = record.changed(counted=True, etag=before.etag if before else "")
        changes = [Change("replace" if before else "insert", after.to_row())]
        gone = [before] if before and before.counted else []
        if _transacted(ports, [*changes, *_tallied(ports, number % _SHARDS, [after], gone)]):
            return
    raise BusyRowError(f"product {record.ref}")


def remove_counted(ports: Ports, record: InventoryRecord) -> bool:
    """Delete a row as it was read. False where it was written again meanwhile, and stays."""
    for number in range(_TRIES):
        now = load(ports.tables, InventoryRecord, record.cell, record.key)
        if now is None or now.etag != record.etag:
            return now is None
        gone = [record] if record.counted else []
        if _transacted(ports, [Change("delete", record.to_row()), *_tallied(ports, number % _SHARDS, [], gone)]):
            return True
    raise BusyRowError(f"product {record.ref}")


def tallies(ports: Ports, cell: str) -> Iterator[TallyRecord]:
    """Sums of a partition by kind; several rows of one kind are to be added up."""
    rows = ports.tables.query(TallyRecord.TABLE, partition=cell, key_from="tally-", key_below="tally.")
    yield from map(TallyRecord.from_row, rows)


def _tallied(ports: Ports, shard: int, come: list[InventoryRecord], gone: list[InventoryRecord]) -> Iterator[Change]:
    deltas: dict[str, TallyRecord] = {}
    for sign, records in ((1, come), (-1, gone)):
        for one in records:
            empty = _tally_of(one, shard)
            so_far = deltas.get(empty.key, empty)
            deltas[empty.key] = so_far.changed(
                n_products=so_far.n_products + sign, n_bytes=so_far.n_bytes + sign * one.size_bytes
            )
    for key, delta in deltas.items():
        if not delta.n_products and not delta.n_bytes:
            continue
        before = load(ports.tables, TallyRecord, delta.cell, key)
        if before is None:
            yield Change("insert", delta.to_row())
            continue
        summed = before.changed(n_products=before.n_products + delta.n_products, n_bytes=before.n_bytes + delta.n_bytes)
        yield Change("replace", summed.to_row())


def _tally_of(record: InventoryRecord, shard: int) -> TallyRecord:
    month = f"{record.start:%Y-%m}"
    kind = "|".join((record.mission, record.product_type, month, record.where.replace("/", ":"), str(shard)))
    return TallyRecord(
        cell=record.cell,
        key=f"tally-{kind}",
        mission=record.mission,
        product_type=record.product_type,
        month=month,
        where=record.where,
        n_products=0,
        n_bytes=0,
    )


def _transacted(ports: Ports, changes: list[Change]) -> bool:
    try:
        ports.tables.transact(InventoryRecord.TABLE, changes)
    except (RowChangedError, RowExistsError):
        return False
    return True
