"""The pending index, and waking the dispatcher."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from orthocontracts import names
from orthocontracts.messages import Wake
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.domain.offers import PendingTask
from orthofunctions.domain.pending_index import (
    Range,
    Standing,
    background,
    index_rows,
    pending_task,
    runnable,
    standing,
    waiting,
)
from orthofunctions.domain.records import TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases.rows import delete_all, load

logger = logging.getLogger(__name__)

MOST_COUNTED: Final = 1000


def enqueue(ports: Ports, task: TaskRecord) -> None:
    """Put a task into the index. Called *before* its row turns pending (or is inserted), with the row as it will be.

    A crash in between leaves index rows that the next round finds to mean nothing; the other order would leave a
    task nobody ever looks at.
    """
    for row in index_rows(task):
        ports.tables.put(names.TABLE_PENDING, row)


def leave(ports: Ports, before: TaskRecord, after: TaskRecord) -> None:
    """Delete the rows of a task that has a new place in the index. One that is left says less than the new one."""
    kept = {(row.partition, row.key) for row in index_rows(after)}
    for row in index_rows(before):
        if (row.partition, row.key) not in kept:
            ports.tables.delete(names.TABLE_PENDING, row.partition, row.key)


def wake(ports: Ports, reason: str) -> None:
    """Ask for a round."""
    ports.queues.send(names.QUEUE_DISPATCH, Wake(reason=reason[:100]).to_json())


def is_wake(body: str) -> bool:
    """Whether a message of queue ``dispatch`` is one of ours. Any other is dropped: the timer goes on."""
    try:
        read_message(Wake, body)
    except NotUnderstoodError as error:
        about = {"action": "message_not_understood", "queue": names.QUEUE_DISPATCH}
        logger.warning("refused a wake: %s", error, extra=about)
        return False
    return True


@dataclass(frozen=True)
class Candidate:
    """A task that the index says may be released now. `current_task` asks whether that is still so."""

    pending: PendingTask
    index: Row

    @property
    def job_id(self) -> str:
        return str(self.index.values["job_id"])

    @property
    def fair_tag_s(self) -> float:
        return float(str(self.index.values.get("fair_tag_s", 0.0)))


def candidates(ports: Ports, rules: Rules, result_version: int, now: datetime, limit: int) -> dict[str, Candidate]:
    """Tasks of a result version that may run now, by id: so many of the most urgent, and of those who are next."""
    return _candidates(ports, rules, runnable(result_version, now), limit)


def background_candidates(
    ports: Ports, rules: Rules, result_version: int, now: datetime, limit: int
) -> dict[str, Candidate]:
    """The same of what works for campaigns: so many of the oldest."""
    return _candidates(ports, rules, background(result_version, now), limit)


def _candidates(ports: Ports, rules: Rules, ranges: Iterable[Range], limit: int) -> dict[str, Candidate]:
    found: dict[str, Candidate] = {}
    for part in ranges:
        rows = ports.tables.query(
            names.TABLE_PENDING,
            partition_from=part.partition_from,
            partition_below=part.partition_below,
            key_below=part.key_below,
            limit=limit,
        )
        for row in rows:
            one = Candidate(pending_task(row, rules.patience_s), row)
            known = found.get(one.pending.task_id)
            if known is None or _says_more(one, known):
                found[one.pending.task_id] = one
    return found


@dataclass(frozen=True)
class Backlog:
    """How many tasks wait, and since when the oldest of those that were looked at."""

    n: int
    oldest: datetime | None
    n_of_campaigns: int = 0


def backlog(ports: Ports, result_versions: Iterable[int]) -> Backlog:
    """Tasks that wait for a decision, those that back off included; beyond `MOST_COUNTED` no more are looked at."""
    n, n_of_campaigns, oldest = 0, 0, None
    for part in (part for version in result_versions for part in waiting(version)):
        rows = ports.tables.query(
            names.TABLE_PENDING,
            partition_from=part.partition_from,
            partition_below=part.partition_below,
            limit=MOST_COUNTED,
        )
        for row in rows:
            since = row.values["created_at"]
            assert isinstance(since, datetime)
            n, oldest = n + 1, since if oldest is None else min(oldest, since)
            n_of_campaigns += bool(row.values.get("campaign"))
    return Backlog(min(MOST_COUNTED, n), oldest, n_of_campaigns)


def current_tasks(ports: Ports, of_a_job: Sequence[Candidate], now: datetime) -> dict[str, TaskRecord]:
    """Those tasks of one job, by id, that are pending as their index rows say; leftovers are deleted."""
    found = ((one, _current_task(ports, one, task, now)) for one, task in _with_rows(ports, of_a_job))
    return {one.pending.task_id: task for one, task in found if task is not None}


def _with_rows(ports: Ports, of_a_job: Sequence[Candidate]) -> Iterator[tuple[Candidate, TaskRecord | None]]:
    """Each with its task. A job's tasks are numbered, and those that wait are mostly neighbours: one request."""
    job_id, ids = of_a_job[0].job_id, [one.pending.task_id for one in of_a_job]
    if len(ids) == 1:
        yield of_a_job[0], load(ports.tables, TaskRecord, job_id, ids[0])
        return
    rows = ports.tables.query(names.TABLE_TASKS, partition=job_id, key_from=min(ids), key_below=max(ids) + "~")
    tasks = {row.key: row for row in rows}
    for one in of_a_job:
        row = tasks.get(one.pending.task_id)
        yield one, TaskRecord.from_row(row) if row else None


def _current_task(ports: Ports, candidate: Candidate, task: TaskRecord | None, now: datetime) -> TaskRecord | None:
    if task is None:
        return None
    if task.result_version != candidate.pending.result_version:
        return None  # it was planned anew, for other workers
    match standing(_release(candidate.index), task):
        case Standing.LEFTOVER:
            ports.tables.delete(names.TABLE_PENDING, candidate.index.partition, candidate.index.key)
        case Standing.CANDIDATE if task.not_before is None or task.not_before <= now:
            return task
        case _:
            pass
    return None


def _says_more(one: Candidate, known: Candidate) -> bool:
    """Of two rows of a task that of the later release; of one release that written after someone more urgent joined."""
    releases = _release(one.index), _release(known.index)
    if releases[0] != releases[1]:
        return releases[0] > releases[1]
    return one.pending.due_s < known.pending.due_s


def _release(row: Row) -> int:
    return int(str(row.values["release"]))


def forget(ports: Ports, found: Iterable[tuple[Candidate, TaskRecord]]) -> None:
    """Delete the index rows of tasks, each as it was when it was pending."""
    rows = (row for candidate, task in found for row in (candidate.index, *index_rows(task)))
    delete_all(ports.tables, names.TABLE_PENDING, ((row.partition, row.key) for row in rows))
