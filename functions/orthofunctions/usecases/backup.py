"""Rows that follow from nothing else, as blobs beside the tables: a copy a day, for whoever has to rebuild.

Tables have no backup of their own in Azure. Jobs, outputs, tasks, digests and indexes are not copied: plans and the
catalogue say them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from orthocontracts import names
from orthofunctions.ports import Ports, Row, RowExistsError, Value
from orthofunctions.usecases.raw_state import KEPT_PRODUCTS

logger = logging.getLogger(__name__)

KEPT: Final = timedelta(days=14)
DERIVED: Final = frozenset(
    {
        names.TABLE_JOBS,
        names.TABLE_OUTPUTS,
        names.TABLE_TASKS,
        names.TABLE_ACTIVE,
        names.TABLE_DIGESTS,
        names.TABLE_HOLDERS,
        names.TABLE_AGENTS,
        names.TABLE_PENDING,
        names.TABLE_SHARES,
        names.TABLE_OWNERS,
        names.TABLE_ITEMS,
        names.TABLE_LOADS,
        names.TABLE_INVENTORY,
        names.TABLE_CALLBACKS,
        names.TABLE_WANTED,
        names.TABLE_REDOS,
    }
)
"""Tables that `rebuild` makes again, or whose rows mean nothing after a day."""
PARTS: Final = {names.TABLE_ARCHIVE: KEPT_PRODUCTS}
"""Of a table only one partition: the others are as large as the archive, and a check of it makes them again."""
_FOLDER: Final = "backup/"
_COMPLETE: Final = "complete"
_TIME: Final = "$time"


def back_up(ports: Ports) -> int:
    """Copy today's rows, unless that has been done. Returns how many; copies older than `KEPT` go."""
    now = ports.clock.now()
    day = f"{_FOLDER}{now:%Y-%m-%d}/"
    if ports.blobs.facts(names.CONTAINER_CONTROL, day + _COMPLETE) is not None:
        return 0
    n_rows = 0
    for table in sorted(frozenset(names.TABLES) - DERIVED):
        lines = [_line(row) for row in ports.tables.query(table, partition=PARTS.get(table))]
        ports.blobs.write(names.CONTAINER_CONTROL, f"{day}{table}.jsonl", "".join(lines).encode())
        n_rows += len(lines)
    ports.blobs.write(names.CONTAINER_CONTROL, day + _COMPLETE, str(n_rows).encode())
    oldest = f"{_FOLDER}{now - KEPT:%Y-%m-%d}/"
    for blob in ports.blobs.list(names.CONTAINER_CONTROL, _FOLDER):
        if blob.name < oldest:
            ports.blobs.delete(names.CONTAINER_CONTROL, blob.name)
    logger.info("%d rows", n_rows, extra={"action": "backed_up", "rows": n_rows})
    return n_rows


def restore(ports: Ports) -> tuple[int, datetime | None]:
    """Insert the rows of the latest complete copy that are not there. Returns how many, and when the copy was made."""
    complete = [
        blob for blob in ports.blobs.list(names.CONTAINER_CONTROL, _FOLDER) if blob.name.endswith(f"/{_COMPLETE}")
    ]
    if not complete:
        return 0, None
    latest = max(complete, key=lambda blob: blob.name)
    n_rows = 0
    for blob in list(ports.blobs.list(names.CONTAINER_CONTROL, latest.name.removesuffix(_COMPLETE))):
        table = blob.name.rpartition("/")[2].removesuffix(".jsonl")
        if table not in names.TABLES or table in DERIVED:
            continue
        for row in _rows(ports.blobs.read(names.CONTAINER_CONTROL, blob.name)):
            try:
                ports.tables.insert(table, row)
            except RowExistsError:
                continue
            n_rows += 1
    return n_rows, latest.last_modified


def _line(row: Row) -> str:
    values = {
        name: {_TIME: value.isoformat()} if isinstance(value, datetime) else value for name, value in row.values.items()
    }
    return json.dumps([row.partition, row.key, values], separators=(",", ":")) + "\n"


def _rows(data: bytes) -> Iterator[Row]:
    for line in data.splitlines():
        partition, key, values = json.loads(line)
        yield Row(partition, key, {name: _value(value) for name, value in values.items()})


def _value(value: Value | dict[str, str]) -> Value:
    return datetime.fromisoformat(value[_TIME]) if isinstance(value, dict) else value
