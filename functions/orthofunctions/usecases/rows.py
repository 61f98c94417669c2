"""Records in and out of their tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from orthofunctions.domain.records import ActiveRecord, Record, TaskRecord
from orthofunctions.ports import RowChangedError, Tables, Value

R = TypeVar("R", bound=Record)


def load(tables: Tables, kind: type[R], partition: str, key: str) -> R | None:
    row = tables.get(kind.TABLE, partition, key)
    return kind.from_row(row) if row else None


def find(tables: Tables, kind: type[R], *, partition: str | None = None, **equal: Value) -> Iterator[R]:
    """Records of a table, or of one partition, whose fields have the given values."""
    for row in tables.query(kind.TABLE, partition=partition, equal=equal or None):
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


def release_key(task_id: str, release: int) -> str:
    return f"{task_id}-{release}"


def close_release(tables: Tables, task: TaskRecord, release: int) -> None:
    """Delete the active row of a release that has ended."""
    tables.delete(ActiveRecord.TABLE, task.job_id, release_key(task.task_id, release))
