"""The pending index, and waking the dispatcher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from orthocontracts import names
from orthocontracts.messages import Wake
from orthofunctions.domain.pending_index import Standing, index_row, runnable, standing
from orthofunctions.domain.records import TaskRecord
from orthofunctions.ports import Ports, Row


def enqueue(ports: Ports, task: TaskRecord) -> None:
    """Put a task into the index. Called *before* its row turns pending (or is inserted), with the row as it will be.

    A crash in between leaves an index row that the next round finds to mean nothing; the other order would leave a
    task nobody ever looks at.
    """
    ports.tables.put(names.TABLE_PENDING, index_row(task))


def wake(ports: Ports, reason: str) -> None:
    """Ask for a round."""
    ports.queues.send(names.QUEUE_DISPATCH, Wake(reason=reason[:100]).to_json())


@dataclass(frozen=True)
class Candidate:
    """A task that may be released now, with the index row that says so."""

    task: TaskRecord
    index: Row


def candidates(ports: Ports, result_version: int, now: datetime, limit: int) -> Iterator[Candidate]:
    """Tasks of a result version that may run now, the most urgent first; leftovers met on the way are deleted."""
    seen: set[str] = set()
    for part in runnable(result_version, now):
        rows = ports.tables.query(
            names.TABLE_PENDING,
            partition_from=part.partition_from,
            partition_below=part.partition_below,
            key_below=part.key_below,
            limit=limit,
        )
        for row in rows:
            task = _task_of(ports, row)
            if task is None:
                continue
            match standing(int(str(row.values["release"])), task):
                case Standing.LEFTOVER:
                    forget(ports, row)
                case Standing.CANDIDATE if task.task_id not in seen and not _backs_off(task, now):
                    seen.add(task.task_id)
                    yield Candidate(task, row)
                case _:
                    pass


def forget(ports: Ports, index: Row) -> None:
    ports.tables.delete(names.TABLE_PENDING, index.partition, index.key)


def _task_of(ports: Ports, index: Row) -> TaskRecord | None:
    row = ports.tables.get(names.TABLE_TASKS, str(index.values["job_id"]), str(index.values["task_id"]))
    return TaskRecord.from_row(row) if row else None


def _backs_off(task: TaskRecord, now: datetime) -> bool:
    return task.not_before is not None and task.not_before > now
