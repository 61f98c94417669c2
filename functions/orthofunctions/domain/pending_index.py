"""Where a pending task lies in the index: by urgency and by its user's turn, and blocked ones apart.

A row's place follows from the task's row alone, the release number included. So a row for release 2 can be told from
one left over from release 1 without asking when either was written, and a leftover can be deleted at any time without
taking the place of a task that has just become pending again.

Partitions are ``r<version>-<class>-<hour>``: class ``a`` may run now and is ordered by the moment its patience or
deadline ends; class ``t`` are the same tasks in the order of their turns; class ``b`` is parked until its back-off ends
and ordered by that moment. What works for a campaign has classes of its own, ``c`` by creation and ``d`` parked: a
round's look at users' tasks does not see it, however much there is. Rows carry what the policy wants to know: a round
reads a thousand of them in one request, and of the tasks' own rows only those that it is about to release.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from orthocontracts.states import TaskState
from orthofunctions.domain.offers import PendingTask
from orthofunctions.domain.pools import BLOB_STORE, REMOTE_STORE
from orthofunctions.domain.records import TaskRecord
from orthofunctions.ports import Row, Value

READY = "a"
BY_TURN = "t"
PARKED = "b"
BACKGROUND = "c"
BACKGROUND_PARKED = "d"
_HOUR = "%Y%m%d%H"
_MOMENT = "%Y%m%dT%H%M%S%f"
_NO_PATIENCE_SET = timedelta(0)
BYTES_PER_PIXEL = 3.0
"""Of an image with what is beside it, roughly: one band of float32, compressed."""


def due_at(task: TaskRecord, patience_s: float) -> datetime:
    """When the task will no longer wait: its deadline, or the end of its patience."""
    if task.deadline is not None:
        return task.deadline
    return task.created_at + timedelta(seconds=patience_s if task.patience_s is None else task.patience_s)


def index_rows(task: TaskRecord) -> tuple[Row, ...]:
    """The rows of a task that is pending, or about to be, after its release number ``task.release``.

    A task without a patience of its own is ordered by its creation: the site's patience may change, a row's place not.
    """
    if task.not_before is not None:
        return (_row(task, BACKGROUND_PARKED if task.campaign else PARKED, task.not_before),)
    if task.campaign:
        return (_row(task, BACKGROUND, task.created_at),)
    return (
        _row(task, READY, due_at(task, _NO_PATIENCE_SET.total_seconds())),
        _row(task, BY_TURN, task.turn_at or task.created_at),
    )


def _row(task: TaskRecord, cls: str, moment: datetime) -> Row:
    moment = moment.astimezone(UTC)
    values: dict[str, Value | None] = {
        "job_id": task.job_id,
        "task_id": task.task_id,
        "release": task.release,
        "user": task.user,
        "created_at": task.created_at,
        "deadline": task.deadline,
        "patience_s": task.patience_s,
        "turn_at": task.turn_at,
        "fair_tag_s": task.fair_tag_s,
        "process": task.process,
        "megapixels": task.megapixels,
        "input_bytes": task.input_bytes,
        "input_bytes_at": task.input_bytes_at or None,
        "result_version": task.result_version,
        "urgent": task.urgent,
        "cut_short": task.cut_short or None,
        "campaign": task.campaign or None,
    }
    return Row(
        partition=f"{_prefix(task.result_version, cls)}{moment.strftime(_HOUR)}",
        key=f"{moment.strftime(_MOMENT)}-{task.task_id}-{task.release}",
        values={name: value for name, value in values.items() if value is not None},
    )


def pending_task(row: Row, patience_s: float) -> PendingTask:
    """What an index row says of its task, as the policy wants it; ``patience_s`` is the site's."""
    values = row.values

    def moment_s(name: str) -> float | None:
        value = values.get(name)
        return value.timestamp() if isinstance(value, datetime) else None

    def number(name: str, default: float = 0.0) -> float:
        return float(str(values.get(name, default)))

    there: dict[str, int] = json.loads(str(values.get("input_bytes_at", "{}")))
    in_blobs = int(number("input_bytes")) - sum(there.values())
    megapixels = number("megapixels")
    return PendingTask(
        task_id=str(values["task_id"]),
        user=str(values.get("user", "")),
        created_s=moment_s("created_at") or 0.0,
        patience_s=number("patience_s", patience_s),
        deadline_s=moment_s("deadline"),
        turn_s=moment_s("turn_at"),
        process=str(values.get("process", "")),
        megapixels=megapixels,
        inputs=((BLOB_STORE, in_blobs), *there.items()),
        sites=frozenset(there) - {REMOTE_STORE},
        output_bytes=int(megapixels * 1e6 * BYTES_PER_PIXEL),
        result_version=int(number("result_version")),
        urgent=bool(values.get("urgent", False)),
        cut_short=bool(values.get("cut_short", False)),
        campaign=str(values.get("campaign", "")),
    )


@dataclass(frozen=True)
class Range:
    """Part of the index, in the order in which it is read."""

    partition_from: str
    partition_below: str
    key_below: str | None = None


def runnable(result_version: int, now: datetime) -> tuple[Range, ...]:
    """The ranges that hold what users' work may run now: by urgency, by turn, and what was parked and is no longer."""
    ready, by_turn = (_prefix(result_version, cls) for cls in (READY, BY_TURN))
    return (Range(ready, f"{ready}~"), Range(by_turn, f"{by_turn}~"), _unparked(result_version, PARKED, now))


def background(result_version: int, now: datetime) -> tuple[Range, ...]:
    """The same of campaigns' work: the oldest first."""
    ready = _prefix(result_version, BACKGROUND)
    return (Range(ready, f"{ready}~"), _unparked(result_version, BACKGROUND_PARKED, now))


def _unparked(result_version: int, cls: str, now: datetime) -> Range:
    parked = _prefix(result_version, cls)
    next_hour = (now.astimezone(UTC) + timedelta(hours=1)).strftime(_HOUR)
    return Range(parked, f"{parked}{next_hour}", key_below=now.astimezone(UTC).strftime(_MOMENT))


def waiting(result_version: int) -> tuple[Range, ...]:
    """The ranges that hold every task that waits, once: by urgency, campaigns', and the parked ones."""
    prefixes = (_prefix(result_version, cls) for cls in (READY, PARKED, BACKGROUND, BACKGROUND_PARKED))
    return tuple(Range(prefix, f"{prefix}~") for prefix in prefixes)


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
