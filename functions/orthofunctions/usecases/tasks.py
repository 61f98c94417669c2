"""The moves of a task's row after its release: back to pending, or to its end.

Each move is one compare-and-swap. What must be there before it (the index row, the closed digests) is written before
it, what it makes superfluous (ticket, active row) is deleted after it: whoever dies in between leaves only what the
next report, round or sweep completes.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Literal

from orthocontracts import names
from orthocontracts.messages import Fault
from orthocontracts.states import TaskState, move
from orthofunctions.domain.attempts import not_before, used_up
from orthofunctions.domain.history import Ending, ending_of, phases_in
from orthofunctions.domain.records import ActiveRecord, OutputRecord, TaskRecord
from orthofunctions.domain.remembering import Told, release_over
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.digests import Outcome, fail_digest, outcomes
from orthofunctions.usecases.events import tell_agent_to_stop, tell_task
from orthofunctions.usecases.ledger import settle_release
from orthofunctions.usecases.pending import enqueue, wake
from orthofunctions.usecases.plans import PlanLostError, planned_task
from orthofunctions.usecases.rows import close_release, find, load, release_key, swap

logger = logging.getLogger(__name__)

UNDER_RELEASE = (TaskState.RELEASED, TaskState.RUNNING)


def load_task(ports: Ports, job_id: str, task_id: str) -> TaskRecord | None:
    return load(ports.tables, TaskRecord, job_id, task_id)


def log_fields(action: str, task: TaskRecord) -> dict[str, object]:
    return {"action": action, "job": task.job_id, "task": task.task_id, "release": task.release}


def delivery_name(release: int, delivery: int) -> str:
    return f"{release}-{delivery}"


def count_silence(task: TaskRecord) -> TaskRecord:
    """One more attempt of which nothing was heard: the task's latest delivery."""
    return task.changed(silences=task.silences + 1, silent=delivery_name(task.release, task.delivery))


def requeue(
    ports: Ports,
    rules: Rules,
    task: TaskRecord,
    *,
    fault: Fault,
    failures: int = 0,
    silences: Literal[0, 1] = 0,
    put_off: bool = False,
    stop_agent: bool = False,
    cut_short: bool = False,
    told: Told | None = None,
) -> bool:
    """End the current release and let the task wait again, or fail it where its attempts are used up.

    A release that ends without an attempt (handed back, never started) waits again at once, unless ``put_off``; others
    back off first. ``cut_short``: there was no money for more of its run. ``told`` is what this follows from, if
    anything.

    Returns
    -------
    bool
        False where the row was changed meanwhile: then nothing happened.
    """
    counted = task.changed(failures=task.failures + failures, cut_short=task.cut_short or cut_short)
    if silences and task.excused != delivery_name(task.release, task.delivery):
        counted = count_silence(counted)
    tried = failures > 0 or counted.silences > task.silences
    if tried and used_up(counted, rules):
        return give_up(ports, counted, fault, told)
    now = ports.clock.now()
    until = not_before(counted, rules, now) if tried or put_off else None
    pending = counted.changed(
        state=move(task.task_id, task.state, TaskState.PENDING),
        not_before=until,
        ready_at=until or now,
        history=release_over(task, ending_of(fault.kind), now, why=fault.message, until=until, told=told),
        fault_kind=fault.kind,
        fault_message=fault.message,
    )
    enqueue(ports, pending)
    try:
        pending = swap(ports.tables, pending)
    except RowChangedError:
        return False
    logger.info("waits again: %s", fault.message, extra=log_fields("requeued", pending))
    ports.meter.count("orthoburst.task.retries", pool=task.pool or "none", reason=fault.kind)
    if stop_agent:
        tell_agent_to_stop(ports, task)
    end_release(ports, task, told)
    tell_task(ports, pending)
    wake(ports, "a task waits again")
    return True


def give_up(ports: Ports, task: TaskRecord, fault: Fault, told: Told | None = None) -> bool:
    """Fail a task and every output that is still wanted from it.

    ``task`` carries the new counts of attempts and the ETag it was read with. False where the row was changed.
    """
    digests = digests_of(ports, task)
    for digest in digests:
        fail_digest(ports, task.task_id, digest, fault)
    became = outcomes(ports, task.task_id, digests)
    return end_task(ports, task, _final_state(became.values(), fault), fault, told)


def digests_of(ports: Ports, task: TaskRecord) -> tuple[str, ...]:
    """What a task makes: by its plan, or where that is lost by the outputs of its job that name it."""
    try:
        return planned_task(ports, task.job_id, task.task_id).digests
    except PlanLostError:
        outputs = find(ports.tables, OutputRecord, partition=task.job_id, task_id=task.task_id)
        return tuple(output.digest for output in outputs)


def settle(
    ports: Ports,
    job_id: str,
    task_id: str,
    digests: Collection[str],
    *,
    fault: Fault | None = None,
    told: Told | None = None,
) -> bool:
    """End the task if none of its outputs is open any longer: its state follows from theirs. Any number of times.

    ``told`` is what this follows from, if anything: its agent has stopped already.

    Returns
    -------
    bool
        Whether the task has ended.
    """
    became = outcomes(ports, task_id, digests)
    if Outcome.OPEN in became.values():
        return False
    while True:
        task = load_task(ports, job_id, task_id)
        if task is None:
            return True
        if task.state.is_final:
            end_release(ports, task)
            return True
        if end_task(ports, task, _final_state(became.values(), fault), fault, told):
            return True


def end_task(ports: Ports, task: TaskRecord, state: TaskState, fault: Fault | None, told: Told | None = None) -> bool:
    """One move to a final state, and what follows from it. False where the row was changed meanwhile."""
    reason: tuple[str | None, str | None] = (None, None)
    if state is TaskState.FAILED:
        reason = (fault.kind, fault.message) if fault else (task.fault_kind, task.fault_message)
    now = ports.clock.now()
    ended = task.changed(
        state=move(task.task_id, task.state, state),
        ended_at=now,
        history=release_over(task, _ending(state, fault, told), now, why=reason[1] or "", told=told),
        fault_kind=reason[0],
        fault_message=reason[1],
    )
    try:
        ended = swap(ports.tables, ended)
    except RowChangedError:
        return False
    logger.info("task %s", ended.state, extra=log_fields("ended", ended))
    ports.meter.count("orthoburst.task.ends", pool=task.pool or "none", outcome=str(ended.state))
    if task.state in UNDER_RELEASE and (told is None or task.agent != told.report.agent):
        tell_agent_to_stop(ports, task)
    end_release(ports, ended, told)
    tell_task(ports, ended)
    wake(ports, "a task ended")
    return True


def end_release(ports: Ports, task: TaskRecord, told: Told | None = None) -> None:
    """Take away what let the current release run, and settle what it cost. Its worker finds the ticket gone.

    ``told`` is what this follows from, if anything.
    """
    if task.release == 0 or task.pool is None:
        return
    ports.blobs.delete(names.ticket_container(task.pool), names.ticket_blob(task.task_id, task.release))
    active = load(ports.tables, ActiveRecord, task.job_id, release_key(task.task_id, task.release))
    if active is not None:
        # whoever heard of its start may have died before that was noted
        begun = active.changed(started_at=active.started_at or task.started_at)
        settle_release(ports, begun, ports.clock.now(), _ran_s(task, told))
        close_release(ports.tables, task, task.release)


def _ran_s(task: TaskRecord, told: Told | None) -> float:
    """What the delivery took that ended a release, as its worker has it; 0: nobody said."""
    if told is None or told.report.release != task.release:
        return 0.0
    return sum(one_s or 0.0 for one_s in phases_in(told.report.figures))


def _ending(state: TaskState, fault: Fault | None, told: Told | None) -> Ending:
    if state is TaskState.CANCELLED:
        return Ending.CANCELLED
    if state is TaskState.SUCCEEDED:
        made = told is not None and any(verdict.files for verdict in told.report.verdicts)
        return Ending.DELIVERED if made else Ending.FOUND
    return ending_of(fault.kind) if fault is not None else Ending.FAILED


def _final_state(became: Collection[Outcome], fault: Fault | None) -> TaskState:
    if Outcome.FAILED in became:
        return TaskState.FAILED
    if Outcome.COMMITTED in became:
        return TaskState.SUCCEEDED
    return TaskState.FAILED if fault is not None else TaskState.CANCELLED
