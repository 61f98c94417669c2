"""The states of tasks, outputs and jobs, and the moves between them. One table; whatever is not in it is an error."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class TaskState(StrEnum):
    PENDING = "pending"
    RELEASED = "released"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return not _TASK_MOVES[self]


_TASK_MOVES: dict[TaskState, frozenset[TaskState]] = {
    # A pending task may succeed or fail without a release: another release's late delivery was committed, or its
    # last allowed attempt ended.
    TaskState.PENDING: frozenset({TaskState.RELEASED, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED}),
    TaskState.RELEASED: frozenset(
        {TaskState.RUNNING, TaskState.PENDING, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED}
    ),
    TaskState.RUNNING: frozenset({TaskState.PENDING, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED}),
    TaskState.SUCCEEDED: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}


class IllegalMoveError(Exception):
    """A state change the table does not allow. Nothing was changed."""

    def __init__(self, task_id: str, current: TaskState, wanted: TaskState) -> None:
        allowed = ", ".join(sorted(_TASK_MOVES[current])) or "nothing: it is final"
        super().__init__(f"task {task_id} is {current} and cannot become {wanted}; it may become {allowed}")
        self.task_id = task_id
        self.current = current
        self.wanted = wanted


def move(task_id: str, current: TaskState, wanted: TaskState) -> TaskState:
    """The wanted state, if the table allows it from the current one.

    Raises
    ------
    IllegalMoveError
        Where it does not.
    """
    if wanted not in _TASK_MOVES[current]:
        raise IllegalMoveError(task_id, current, wanted)
    return wanted


class OutputState(StrEnum):
    WANTED = "wanted"
    COMMITTED = "committed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobState(StrEnum):
    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    DISMISSED = "dismissed"


def job_state(outputs: Iterable[OutputState], *, any_started: bool) -> JobState:
    """A job's state, derived from its outputs each time it is asked for: never counted, so never miscounted."""
    states = set(outputs)
    if OutputState.WANTED in states:
        return JobState.RUNNING if any_started or len(states) > 1 else JobState.ACCEPTED
    if OutputState.FAILED in states or not states:
        return JobState.FAILED
    if OutputState.CANCELLED in states:
        return JobState.DISMISSED
    return JobState.SUCCESSFUL
