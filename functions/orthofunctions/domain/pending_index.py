"""Where a pending task lies in the index: the most urgent first, and blocked ones apart.

A row's place follows from the task's row alone, the release number included. So a row for release 2 can be told from
one left over from release 1 without asking when either was written, and a leftover can be deleted at any time without
taking the place of a task that has just become pending again.

Partitions are ``r<version>-<class>-<hour>``: class ``a`` may run now and is ordered by the moment its patience or
deadline ends; class ``b`` is parked until its back-off ends and ordered by that moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from orthocontracts.states import TaskState
from orthofunctions.domain.records import TaskRecord
from orthofunctions.ports import Row

READY = "a"
PARKED = "b"
_HOUR = "%Y%m%d%H"
_MOMENT = "%Y%m%dT%H%M%S%f"
_NO_PATIENCE_SET = timedelta(0)


def due_at(task: TaskRecord, patience_s: float) -> datetime:
    """When the task will no longer wait: its deadline, or the end of its patience."""
    if task.deadline is not None:
        return task.deadline
    return task.created_at + timedelta(seconds=patience_s if task.patience_s is None else task.patience_s)


def index_row(task: TaskRecord) -> Row:
    """The row of a task that is pending, or about to be, after its release number ``task.release``.

    A task without a patience of its own is ordered by its creation: the site's patience may change, a row's place not.
    """
    parked = task.not_before is not None
    moment = (task.not_before or due_at(task, _NO_PATIENCE_SET.total_seconds())).astimezone(UTC)
    cls = PARKED if parked else READY
    return Row(
        partition=f"{_prefix(task.result_version, cls)}{moment.strftime(_HOUR)}",
        key=f"{moment.strftime(_MOMENT)}-{task.task_id}-{task.release}",
        values={"job_id": task.job_id, "task_id": task.task_id, "release": task.release},
    )


@dataclass(frozen=True)
class Range:
    """Part of the index, in the order in which it is read."""

    partition_from: str
    partition_below: str
    key_below: str | None = None


def runnable(result_version: int, now: datetime) -> tuple[Range, Range]:
    """The two ranges that hold what may run now: all ready tasks, and the parked ones whose back-off has ended."""
    ready, parked = _prefix(result_version, READY), _prefix(result_version, PARKED)
    next_hour = (now.astimezone(UTC) + timedelta(hours=1)).strftime(_HOUR)
    return (
        Range(ready, f"{ready}~"),
        Range(parked, f"{parked}{next_hour}", key_below=now.astimezone(UTC).strftime(_MOMENT)),
    )


def _prefix(result_version: int, cls: str) -> str:
    return f"r{result_version}-{cls}-"


class Standing(StrEnum):
    CANDIDATE = "candidate"  # the task waits: it may be released
    EARLY = "early"  # written ahead of a task that is about to turn pending: leave it
    LEFTOVER = "leftover"  # nobody will ever need it: delete it


def standing(release: int, task: TaskRecord) -> Standing:
    """What an index row for ``release`` means beside the task's row as it is now."""
    if task.state.is_final or task.release > release:
        return Standing.LEFTOVER
    if task.release == release and task.state is TaskState.PENDING:
        return Standing.CANDIDATE
    return Standing.EARLY
