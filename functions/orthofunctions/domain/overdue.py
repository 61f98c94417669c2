"""Why a release should be recalled, if it should. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orthocontracts.states import TaskState
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.rules import Rules


@dataclass(frozen=True)
class Surroundings:
    """What was seen around a release: its queue's length first, then queue ``results``, then the task's row.

    In this order an empty pool queue proves something, where ``results`` is empty too: a worker reports before it
    deletes its message, so a release whose message is gone and whose report is not waiting either will never be heard
    of again. Under load some reports always wait.
    """

    pool: PoolSpec | None
    pool_gone: bool
    messages: int
    ticket_there: bool
    start_limit_s: float
    n_reports: int


def is_unclaimed(task: TaskRecord, limit_s: float, now: datetime) -> bool:
    """Whether nobody has taken a release within the limit."""
    waited = None if task.released_at is None else now - task.released_at
    return task.state is TaskState.RELEASED and waited is not None and waited > timedelta(seconds=limit_s)


def why_unpaid(active: ActiveRecord, now: datetime, rules: Rules) -> str | None:
    """The reason to recall a release that costs money, where what it may cost is used up.

    It is paid for until one run would have ended, however many deliveries began one.
    """
    if active.paid_s is None or active.started_at is None:
        return None
    if now <= active.started_at + timedelta(seconds=active.paid_s):
        return None
    if active.campaign:
        return f"campaign {active.campaign} pays for one run of it, which would be over"
    if active.is_cut_short(rules):
        return f"its run was ended after {active.paid_s:.0f} s: there was no money for more"
    return f"one run of it is paid for, which would be over after {active.paid_s:.0f} s"


def why_recall(task: TaskRecord, around: Surroundings, now: datetime, rules: Rules) -> str | None:
    """The reason to recall a released or running task, or None."""
    if around.pool is None:
        return f"pool {task.pool} is no longer configured"
    if task.released_at is None:
        return "its row does not say when it was released"
    since_release = now - task.released_at
    # The round that released it may still be writing its ticket and message.
    if around.n_reports == 0 and since_release > timedelta(seconds=rules.write_grace_s):
        if not around.ticket_there:
            return "its ticket was never written, or is lost"
        if around.messages == 0:
            return "its queue message was never sent, or is lost"
    if around.pool_gone:
        return f"every worker of pool {around.pool.name} has gone"
    if is_unclaimed(task, around.start_limit_s, now):
        return f"no worker of pool {around.pool.name} took it within {around.start_limit_s:.0f} s"
    if task.state is TaskState.RUNNING and task.started_at is not None:
        limit_s = rules.longest_run_s
        if now - task.started_at > timedelta(seconds=limit_s):
            return f"{task.agent} was not heard from within {limit_s:g} s of starting it"
    return None
