"""Records in and out of their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from orthofunctions.domain.records import ActiveRecord, Record, TaskRecord
from orthofunctions.ports import ANY_ETAG, Change, Row, RowChangedError, Tables, Value

R = TypeVar("R", bound=Record)
T = TypeVar("T")

MOST_CHANGES: Final = 100
"""In one transaction."""


def load(tables: Tables, kind: type[R], partition: str, key: str) -> R | None:
    row = tables.get(kind.TABLE, partition, key)
    return kind.from_row(row) if row else None


Range = tuple[str | None, str | None]
"""From, and below; None where there is no end."""


def find(
    tables: Tables, kind: type[R], *, partition: str | None = None, partitions: Range = (None, None), **equal: Value
) -> Iterator[R]:
    """Records of a table, of one partition, or of a range of them, whose fields have the given values."""
    start, below = partitions
    rows = tables.query(
        kind.TABLE, partition=partition, partition_from=start, partition_below=below, equal=equal or None
    )
    for row in rows:
        yield kind.from_row(row)


def swap(tables: Tables, record: R) -> R:
    """Compare and swap: the record with its new ETag. Raises RowChangedError where it was changed meanwhile."""
    row = tables.replace(record.TABLE, record.to_row())
    return record.changed(etag=row.etag)


def store(tables: Tables, record: Record) -> None:
    """Insert a record that was never stored, else compare and swap. Raises RowExistsError or RowChangedError."""
    if record.etag:
        swap(tables, record)
    else:
        tables.insert(record.TABLE, record.to_row())


def remove(tables: Tables, record: Record) -> bool:
    """Delete a record as it was read. False where it was changed meanwhile, and stays."""
    row = record.to_row()
    try:
        tables.delete(record.TABLE, row.partition, row.key, etag=record.etag)
    except RowChangedError:
        return False
    return True


def put_all(tables: Tables, table: str, rows: Sequence[Row]) -> None:
    """Write rows of one partition whatever is there: at most as many as a transaction holds."""
    if len(rows) == 1:
        tables.put(table, rows[0])
    else:
        tables.transact(table, [Change("put", row) for row in rows])


def delete_all(tables: Tables, table: str, places: Iterable[tuple[str, str]]) -> None:
    """Delete rows by partition and key, so many at once as share a partition; absent is no error."""
    by_partition: dict[str, list[str]] = {}
    for partition, key in sorted(set(places)):
        by_partition.setdefault(partition, []).append(key)
    for partition, keys in by_partition.items():
        for part in parts(keys, MOST_CHANGES):
            if len(part) == 1 or not _deleted_at_once(tables, table, partition, part):
                for key in part:
                    tables.delete(table, partition, key)


def _deleted_at_once(tables: Tables, table: str, partition: str, keys: Sequence[str]) -> bool:
    """False where one of them is gone: then all the others are still there."""
    try:
        tables.transact(table, [Change("delete", Row(partition, key, {}, ANY_ETAG)) for key in keys])
    except RowChangedError:
        return False
    return True


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """So many items at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def release_key(task_id: str, release: int) -> str:
    return f"{task_id}-{release}"


def close_release(tables: Tables, task: TaskRecord, release: int) -> None:
    """Delete the active row of a release that has ended."""
    tables.delete(ActiveRecord.TABLE, task.job_id, release_key(task.task_id, release))
