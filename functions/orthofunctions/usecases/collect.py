"""Reports of workers: what they started, finished or handed back.

No order between reports is assumed and each may come twice. One without the token of its release's ticket, or on a
release that the row does not know, is refused. Success counts from any delivery of any release, failure only from the
latest started delivery of the current one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection
from datetime import timedelta

from orthocontracts import names
from orthocontracts.messages import TIME_LIMIT, Control, Fault, Report
from orthocontracts.states import TaskState, move
from orthocontracts.tasks import job_of_task
from orthocontracts.tickets import NOT_UNDERSTOOD
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.domain.attempts import used_up
from orthofunctions.domain.callbacks import CallbackKind
from orthofunctions.domain.history import HANDED_BACK, RECALLED, SILENT, Ending
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.remembering import Told, delivery_lost, delivery_over
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.telemetry import About
from orthofunctions.usecases.commit import BAD_DELIVERY, adopt, commit
from orthofunctions.usecases.digests import Outcome, fail_digest, outcomes
from orthofunctions.usecases.events import tell_task
from orthofunctions.usecases.figures import measure_run
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.learning import machine_of, note_run, note_startup
from orthofunctions.usecases.plans import PlanLostError, PlanNotUnderstoodError, planned_task
from orthofunctions.usecases.rows import load, release_key, swap
from orthofunctions.usecases.seals import is_sealed
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.subscribers import tell_subscriber
from orthofunctions.usecases.tasks import (
    UNDER_RELEASE,
    count_silence,
    delivery_name,
    give_up,
    load_task,
    log_fields,
    requeue,
    settle,
)

logger = logging.getLogger(__name__)

SILENT_STORAGE = frozenset({"InputUnreachable", "DeliveryFailed"})
"""Faults of storage that gave no answer for as long as a worker waits for one: no attempt of the task."""


def collect(ports: Ports, rules: Rules, body: str) -> None:
    """Take in one message of queue ``results``.

    Raises
    ------
    RowChangedError, PlanNotUnderstoodError
        Where a row kept changing under us, or other functions must take it: the message is delivered again.
    """
    try:
        report = read_message(Report, body)
    except NotUnderstoodError as error:
        keep_for_operators(ports, names.QUEUE_RESULTS, body, str(error))
        return
    if not is_sealed(ports, report):
        _refuse(report, "it does not carry its ticket's token")
        return
    task = load_task(ports, job_of_task(report.task_id), report.task_id)
    if task is None:
        keep_for_operators(ports, names.QUEUE_RESULTS, body, "there is no such task")
        return
    about: dict[str, About] = {
        "job": task.job_id,
        "task": task.task_id,
        "release": report.release,
        "delivery": report.delivery,
        "pool": report.pool,
        "agent": report.agent,
        "report": report.kind,
    }
    with ports.tracer.span("collect", report.traceparent or task.traceparent, **about):
        _take_in(ports, rules, report, task)


def _take_in(ports: Ports, rules: Rules, report: Report, found: TaskRecord) -> None:
    handle = {"started": _started, "returned": _returned, "finished": _finished, "lost": _lost}[report.kind]
    task: TaskRecord | None = found
    for _ in range(10):
        if task is None:  # it has expired just now
            return
        if report.release > task.release:
            _refuse(report, f"the task's last release is {task.release}")
            return
        if handle(ports, rules, report, task):
            return
        task = load_task(ports, task.job_id, task.task_id)
    raise RowChangedError(f"task {report.task_id} kept changing while its report was read")


def _refuse(report: Report, why: str) -> None:
    """Dropped, not kept: whoever forges one can forge many. Nothing of it is believed, the log quotes ids only."""
    about = {"task": report.task_id, "release": report.release, "pool": report.pool, "agent": report.agent}
    logger.warning("refused a report: %s", why, extra={"action": "report_refused", **about})


def is_current(report: Report, task: TaskRecord) -> bool:
    """Whether the report is of the delivery that holds the task now, or of a later one not yet heard of."""
    return report.release == task.release and task.state in UNDER_RELEASE and report.delivery >= task.delivery


def _started(ports: Ports, rules: Rules, report: Report, task: TaskRecord) -> bool:
    if not is_current(report, task):
        _stop_useless(ports, report, task)
        return True
    running = task.state is TaskState.RUNNING
    if running and report.delivery == task.delivery:
        _note_start(ports, rules, task)  # whoever took in the report first may have died before that
        return True
    # The delivery before this one lost its message and never said how it ended, or said that storage was silent.
    excused = task.excused == delivery_name(task.release, task.delivery)
    counted = count_silence(task) if running and not excused else task
    if running and used_up(counted, rules):
        fault = Fault(kind=SILENT, message=f"{counted.silences} deliveries ended in silence, the last on {task.agent}")
        return give_up(ports, counted, fault)
    now = ports.clock.now()
    how = Ending.LOST if excused else Ending.SILENT
    changed = counted.changed(
        history=delivery_over(task, how, now) if running else task.history,
        state=TaskState.RUNNING if running else move(task.task_id, task.state, TaskState.RUNNING),
        delivery=report.delivery,
        agent=report.agent,
        started_at=now,
    )
    try:
        changed = swap(ports.tables, changed)
    except RowChangedError:
        return False
    _note_start(ports, rules, changed)
    if task.started_at is None and (job := find_job(ports, task.user, task.job_id)) is not None:
        tell_subscriber(ports, job, CallbackKind.IN_PROGRESS)
    logger.info("started on %s", report.agent, extra=log_fields("started", changed))
    if not running and task.released_at is not None:
        waited_s = (task.released_at - task.waits_since).total_seconds()
        ports.meter.record("orthoburst.task.wait", max(0.0, waited_s), "s", pool=report.pool)
    tell_task(ports, changed)
    return True


def _note_start(ports: Ports, rules: Rules, task: TaskRecord) -> None:
    """In the active row, once: for the doorbell's count, and because a slot is paid for since then."""
    active = load(ports.tables, ActiveRecord, task.job_id, release_key(task.task_id, task.release))
    if active is None or active.started_at is not None or task.started_at is None:
        return
    paid_s = rules.longest_run_s if active.paid_s is None else min(active.paid_s, rules.longest_run_s)
    end_by = task.started_at + timedelta(seconds=paid_s)
    if active.starts_worker and task.released_at is not None:
        spec = load_site(ports).pool(task.pool)
        if spec is not None:
            note_startup(ports, spec, (task.started_at - task.released_at).total_seconds())
    with contextlib.suppress(RowChangedError):
        swap(ports.tables, active.changed(started_at=task.started_at, end_by=end_by))


def _stop_useless(ports: Ports, report: Report, task: TaskRecord) -> None:
    """Stop a worker that began on a release which has ended."""
    if task.state.is_final or report.release < task.release or task.state is TaskState.PENDING:
        ports.blobs.delete(names.ticket_container(report.pool), names.ticket_blob(report.task_id, report.release))
        traceparent = report.traceparent or task.traceparent
        control = Control(action="cancel", task_id=report.task_id, release=report.release, traceparent=traceparent)
        ports.bell.publish(names.topic_control(report.agent), control.to_json())


def _lost(ports: Ports, rules: Rules, report: Report, task: TaskRecord) -> bool:
    """Take back the silence that was counted, or will be when its next delivery starts. The message comes by itself.

    Of a task that has ended its past is put right, nothing else.
    """
    name = delivery_name(report.release, report.delivery)
    if task.excused == name or (task.state.is_final and task.silent != name):
        return True
    counted = task.silences - 1 if task.silent == name else task.silences
    try:
        history = delivery_lost(task, report, ports.clock.now())
        changed = swap(ports.tables, task.changed(excused=name, silences=counted, history=history))
    except RowChangedError:
        return False
    logger.info("%s lost it while storage was silent", report.agent, extra=log_fields("excused", changed))
    return True


def _returned(ports: Ports, rules: Rules, report: Report, task: TaskRecord) -> bool:
    if not is_current(report, task):
        return True
    message = f"{report.agent} handed the task back: {report.reason or 'no reason given'}"
    # Refused before it began: the same worker would refuse it again a moment later, round and round.
    refused = task.state is TaskState.RELEASED
    told = Told(report, ports.clock.now())
    handed_back = Fault(kind=HANDED_BACK, message=message)
    return requeue(ports, rules, task, fault=handed_back, put_off=refused, told=told)


def _finished(ports: Ports, rules: Rules, report: Report, task: TaskRecord) -> bool:
    if not report.verdicts and (report.reason or "").startswith(NOT_UNDERSTOOD):
        return _returned(ports, rules, report, task)  # so workers of the release before hand back what is new to them
    told = Told(report, ports.clock.now())
    try:
        planned = planned_task(ports, task.job_id, task.task_id)
    except PlanNotUnderstoodError:
        raise  # the report comes again, until functions of the release that wrote it take it
    except PlanLostError as error:
        lost = Fault(kind="PlanLost", message=str(error), permanent=True)
        return task.state.is_final or give_up(ports, task, lost, told)
    faults: dict[str, Fault] = {}
    for verdict in report.verdicts:
        if verdict.digest not in planned.digests:
            logger.warning("report on an output the task does not make", extra=log_fields("foreign_verdict", task))
        elif verdict.files:
            fault = commit(ports, planned, report, verdict)
            if fault is not None:
                faults[verdict.digest] = fault
        else:
            faults[verdict.digest] = verdict.fault or Fault(kind=BAD_DELIVERY, message="neither files nor a reason")
    wanted = still_open(ports, task, planned.digests)
    if not wanted:
        _learn(ports, report, task, well=True, refused=faults)
        return settle(ports, task.job_id, task.task_id, planned.digests, fault=_first(faults), told=told)
    if not is_current(report, task):
        return True
    silent = Fault(kind=BAD_DELIVERY, message=report.reason or "the report has no verdict on this output")
    for digest in wanted:
        fault = faults.setdefault(digest, silent)
        if fault.permanent:
            fail_digest(ports, task.task_id, digest, fault)
    again = [digest for digest in wanted if not faults[digest].permanent]
    if again:
        if any(faults[digest].kind == TIME_LIMIT for digest in again) and (why := _why_cut_short(ports, rules, task)):
            return requeue(ports, rules, task, fault=Fault(kind=RECALLED, message=why), cut_short=True, told=told)
        _learn(ports, report, task, well=False, refused=faults)
        blameless = all(faults[digest].kind in SILENT_STORAGE for digest in again)
        failures = 0 if blameless else 1
        return requeue(ports, rules, task, fault=faults[again[0]], failures=failures, put_off=blameless, told=told)
    return settle(ports, task.job_id, task.task_id, planned.digests, fault=faults[wanted[0]], told=told)


def _why_cut_short(ports: Ports, rules: Rules, task: TaskRecord) -> str | None:
    """Of a run that came to its time limit: why that was short, where it was."""
    active = load(ports.tables, ActiveRecord, task.job_id, release_key(task.task_id, task.release))
    if active is None or not active.is_cut_short(rules):
        return None
    return f"{task.agent} ended its run after {active.paid_s:.0f} s at most: there was no money for more"


def _learn(ports: Ports, report: Report, task: TaskRecord, *, well: bool, refused: Collection[str]) -> None:
    """Keep how long the run took, or that it failed. What failed for good, on a bad product, teaches nothing."""
    if not is_current(report, task):
        return
    spec = load_site(ports).pool(task.pool)
    if spec is not None:
        now = ports.clock.now()
        note_run(ports, task, spec, now, well=well)
        measure_run(ports, report, task, machine_of(spec), now, well=well, refused=refused)


def still_open(ports: Ports, task: TaskRecord, digests: tuple[str, ...]) -> list[str]:
    """Outputs the task must still make. The catalogue is asked first: a commit may have died half way."""
    became = outcomes(ports, task.task_id, digests)
    return [digest for digest in digests if became[digest] is Outcome.OPEN and not adopt(ports, digest)]


def _first(faults: dict[str, Fault]) -> Fault | None:
    return next(iter(faults.values()), None)
