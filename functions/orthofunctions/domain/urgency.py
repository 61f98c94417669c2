"""A task that several requests wait for is as urgent as the most urgent of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from orthofunctions.domain.pending_index import due_at
from orthofunctions.domain.records import TaskRecord


def hastened(
    task: TaskRecord, *, deadline: datetime | None, patience_s: float | None, asked_at: datetime, site_patience_s: float
) -> TaskRecord:
    """The task as it must be once a request with this deadline or patience has joined it; itself where it is as urgent.

    Patience counts from the request that has it. A task that others want by a deadline keeps having one.
    """
    if task.campaign:  # from now on it is a user's, whose turn and patience begin here
        patience_s = site_patience_s if patience_s is None else patience_s
        waits_s = (asked_at - task.created_at).total_seconds() + patience_s
        return task.changed(campaign="", deadline=deadline, patience_s=max(0.0, waits_s))
    patience = timedelta(seconds=site_patience_s if patience_s is None else patience_s)
    due = deadline if deadline is not None else asked_at + patience
    if due >= due_at(task, site_patience_s):
        return task
    if deadline is None and task.deadline is None:
        return task.changed(patience_s=max(0.0, (due - task.created_at).total_seconds()))
    return task.changed(deadline=due)
