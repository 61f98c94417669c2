"""Releases: active row → task row → ticket → queue message → index rows.

Only the second step decides: a compare-and-swap of the task's row, which raises its release number. A round that dies
before it leaves an active row that means nothing; one that dies after it leaves a release that never starts, which the
sweep recalls. The message is sent once at most under a release number, so there is never a second lease on one.

Tasks of one job share their partitions and its plan: their rows are written in one transaction each, where there are
several, and the plan is read once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from orthocontracts import names
from orthocontracts.messages import Fault, Release
from orthocontracts.outputs import FileKind, file_kinds
from orthocontracts.states import TaskState, move
from orthocontracts.stores import site_url
from orthocontracts.tasks import TaskSpec
from orthocontracts.tickets import MAX_DELIVERIES, Delivery, OutputFile, Ticket
from orthofunctions.domain.copies import stays_on_site
from orthofunctions.domain.decisions import Decision
from orthofunctions.domain.offers import Market
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Change, Ports, RowChangedError
from orthofunctions.telemetry import About
from orthofunctions.usecases.collect import still_open
from orthofunctions.usecases.events import tell_task
from orthofunctions.usecases.inputs import InputMissingError, InputReplacedError, Known, input_files
from orthofunctions.usecases.lease import RoundLease
from orthofunctions.usecases.ledger import month_of
from orthofunctions.usecases.pending import Candidate, forget
from orthofunctions.usecases.plans import PlanLostError, PlanNotUnderstoodError, StoredPlan, spec_in_row
from orthofunctions.usecases.rows import MOST_CHANGES, parts, put_all, release_key, swap
from orthofunctions.usecases.seals import seal
from orthofunctions.usecases.tasks import give_up, log_fields, settle

logger = logging.getLogger(__name__)

_LEAST_S = 1.0


@dataclass(frozen=True)
class Chosen:
    """A decision of the round, the pending task it is about, its pool, how long it may take there, what carrying its
    data costs, and the month whose money was reserved for it (a campaign's money is no month's)."""

    decision: Decision
    candidate: Candidate
    task: TaskRecord
    pool: PoolSpec
    expected_s: float
    egress_eur: float = 0.0
    month: str = ""


def chosen_for(
    decision: Decision, candidate: Candidate, task: TaskRecord, market: Market, k: int, month: str = ""
) -> Chosen:
    """A decision for the pool at place ``k`` of the market."""
    pending, pool = candidate.pending, market.pools[k]
    run_s = pool.expected_run_s(pending.process, pending.megapixels)
    expected_s = decision.figures[decision.pool].transfer_s + run_s
    return Chosen(decision, candidate, task, pool.spec, expected_s, market.egress_eur(k, pending), month)


@dataclass(frozen=True)
class _Prepared:
    chosen: Chosen
    ticket: Ticket
    active: ActiveRecord
    released: TaskRecord


def bundles(chosen: Iterable[Chosen], size: int) -> list[Sequence[Chosen]]:
    """So many at a time, as one thread carries them out: in order, but the tasks of a job side by side."""
    by_job: dict[str, list[Chosen]] = {}
    for one in chosen:
        by_job.setdefault(one.task.job_id, []).append(one)
    return list(parts([one for of_a_job in by_job.values() for one in of_a_job], size))


def release(
    ports: Ports, rules: Rules, lease: RoundLease, bundle: Sequence[Chosen], known: Known
) -> list[ActiveRecord]:
    """Carry out decisions on pending tasks. Those that turned out to need no run, or changed meanwhile, are left out.

    Raises
    ------
    LeaseLostError
        Where the round must not write any longer.
    """
    done: list[_Prepared] = []
    for of_a_job in _by_job(bundle):
        prepared = list(_prepared(ports, rules, lease, of_a_job, known))
        for one in _turned_released(ports, lease, prepared):
            _send(ports, lease, one)
            done.append(one)
    forget(ports, ((one.chosen.candidate, one.chosen.task) for one in done))
    return [one.active for one in done]


def _by_job(bundle: Sequence[Chosen]) -> Iterator[Sequence[Chosen]]:
    for _, of_a_job in groupby(bundle, lambda one: one.task.job_id):
        yield from parts(list(of_a_job), MOST_CHANGES)


def _prepared(
    ports: Ports, rules: Rules, lease: RoundLease, of_a_job: Sequence[Chosen], known: Known
) -> Iterator[_Prepared]:
    """What the releases of a job's tasks need. A task whose outputs are all there ends, and so does a hopeless one."""
    plan: StoredPlan | None = None
    for chosen in of_a_job:
        task = chosen.task
        try:
            spec = spec_in_row(task)
            if spec is None:
                plan = plan or StoredPlan.read(ports, task.job_id)
                spec = plan.task(task.task_id).spec
            wanted = _wanted(ports, task, spec)
            if not wanted:
                lease.keep()
                if settle(ports, task.job_id, task.task_id, spec.digests):
                    forget(ports, [(chosen.candidate, task)])
                continue
            now = ports.clock.now()
            if chosen.month and chosen.decision.cost_eur > 0 and month_of(now) != chosen.month:
                continue  # the month has ended since its money was reserved: the next round takes the next month's
            yield _prepare(ports, rules, chosen, spec, wanted, known, now)
        except PlanNotUnderstoodError as error:
            # other functions, of the release that wrote it, will release it
            logger.warning("left waiting: %s", error, extra=log_fields("plan_not_understood", task))
        except (PlanLostError, InputMissingError, InputReplacedError) as error:
            lease.keep()
            give_up(ports, task, Fault(kind=type(error).__name__, message=str(error)[:2000], permanent=True))


def _wanted(ports: Ports, task: TaskRecord, spec: TaskSpec) -> Sequence[str]:
    """The outputs to make. Before the first run of a task that makes all nobody can have made one: no need to look."""
    if task.makes_all and task.release == 0:
        return spec.digests
    return still_open(ports, task, spec.digests)


def _prepare(
    ports: Ports,
    rules: Rules,
    chosen: Chosen,
    spec: TaskSpec,
    wanted: Sequence[str],
    known: Known,
    now: datetime,
) -> _Prepared:
    task, pool, decision = chosen.task, chosen.pool, chosen.decision
    start_by = now + timedelta(seconds=pool.start_limit_s)
    number = task.release + 1
    active = ActiveRecord(
        job_id=task.job_id,
        release_key=release_key(task.task_id, number),
        task_id=task.task_id,
        release=number,
        pool=pool.name,
        result_version=task.result_version,
        released_at=now,
        start_by=start_by,
        user=task.user,
        campaign=task.campaign,
        is_cloud=pool.kind == "cloud",
        starts_worker=bool(pool.kind == "cloud" and decision.figures[pool.name].start_in_s),
        reserved_eur=decision.cost_eur,
        eur_per_slot_s=pool.run_cost_eur(1.0),
        startup_s=pool.startup_s,
        egress_eur=chosen.egress_eur,
        contingency_eur=decision.contingency_eur,
    )
    ticket = _ticket(
        ports,
        rules,
        spec=spec,
        active=active,
        chosen=chosen,
        wanted=wanted,
        known=known,
    )
    return _Prepared(chosen, ticket, active, _as_released(task, decision, ticket, now))


def _turned_released(ports: Ports, lease: RoundLease, prepared: Sequence[_Prepared]) -> Iterator[_Prepared]:
    """Write the active rows, then turn the tasks' rows released. Yields those whose row had not changed meanwhile.

    In one transaction each where there are several; where one of the rows has changed, one after the other.
    """
    if not prepared:
        return
    lease.keep()
    put_all(ports.tables, names.TABLE_ACTIVE, [one.active.to_row() for one in prepared])
    if len(prepared) > 1:
        lease.keep()
        try:
            ports.tables.transact(names.TABLE_TASKS, [Change("replace", one.released.to_row()) for one in prepared])
        except RowChangedError:
            pass
        else:
            yield from prepared
            return
    for one in prepared:
        lease.keep()
        try:
            swap(ports.tables, one.released)
        except RowChangedError:
            continue
        yield one


def _send(ports: Ports, lease: RoundLease, prepared: _Prepared) -> None:
    """In the task's trace: the round, and its threads, are everybody's."""
    ticket, released = prepared.ticket, prepared.released
    blob = names.ticket_blob(released.task_id, ticket.release)
    about: dict[str, About] = {
        "job": released.job_id,
        "task": released.task_id,
        "release": ticket.release,
        "pool": ticket.pool,
    }
    ports.tracer.past(
        "wait", released.traceparent, prepared.chosen.task.waits_since, prepared.active.released_at, **about
    )
    with ports.tracer.span("release", released.traceparent, **about) as traceparent:
        lease.keep()
        ports.blobs.write(names.ticket_container(ticket.pool), blob, ticket.to_json().encode())
        lease.keep()
        message = Release(task_id=released.task_id, release=ticket.release, traceparent=traceparent)
        ports.queues.send_release(names.pool_queue(ticket.pool, released.result_version), message.to_json())
        logger.info(
            "%s", prepared.chosen.decision.sentence, extra={**log_fields("released", released), "pool": ticket.pool}
        )
        tell_task(ports, released)


def _as_released(task: TaskRecord, decision: Decision, ticket: Ticket, now: datetime) -> TaskRecord:
    return task.changed(
        state=move(task.task_id, task.state, TaskState.RELEASED),
        release=ticket.release,
        pool=decision.pool,
        released_at=now,
        started_at=None,
        delivery=0,
        agent=None,
        not_before=None,
        decision=decision.to_json(),
        spec=None,
        reserved_eur=decision.cost_eur,
        contingency_eur=decision.contingency_eur,
    )


def _limits_s(rules: Rules, active: ActiveRecord) -> tuple[float, float | None]:
    """How long its work may take; and when all of it must be over, where the money that is left ends it sooner.

    Between the two lies time for the upload: as much as of any run, but no more than half. Its reservation is for all
    of a run, the upload included: that long it may work in any case.
    """
    if not active.is_cut_short(rules):
        return rules.time_limit_s, None
    assert active.paid_s is not None
    end_s = max(_LEAST_S, active.paid_s)
    work_s = end_s - min(rules.run_grace_s, end_s / 2)
    return min(rules.time_limit_s, end_s, max(work_s, active.slot_s_for(active.reserved_eur))), end_s


def _ticket(
    ports: Ports,
    rules: Rules,
    *,
    spec: TaskSpec,
    active: ActiveRecord,
    chosen: Chosen,
    wanted: Sequence[str],
    known: Known,
) -> Ticket:
    # Late enough for the latest start, and for a second delivery after a first one that ran to its limit.
    expires_at = active.start_by + timedelta(seconds=2 * rules.longest_run_s)
    release_number, (time_limit_s, end_s) = active.release, _limits_s(rules, active)
    kinds = file_kinds(spec.options)
    pool = chosen.pool
    on_site = stays_on_site(spec.process, pool)

    def output_file(delivery: int, digest: str, kind: FileKind) -> OutputFile:
        blob = names.result_blob(spec.task_id, release_number, delivery, digest, kind)
        if kind in on_site:
            url = site_url(pool.results_in, f"{names.CONTAINER_RESULTS}/{blob}")
            return OutputFile(blob=url, url=url)
        return OutputFile(
            blob=f"{names.CONTAINER_RESULTS}/{blob}",
            url=ports.links.create_url(names.CONTAINER_RESULTS, blob, expires_at),
        )

    return Ticket(
        spec=spec,
        release=release_number,
        pool=pool.name,
        token=seal(ports, spec.task_id, release_number, pool.name),
        wanted=tuple(wanted),
        inputs=input_files(ports, spec, expires_at, known),
        deliveries=tuple(
            Delivery(
                number=number,
                files={digest: {kind: output_file(number, digest, kind) for kind in kinds} for digest in wanted},
            )
            for number in range(1, MAX_DELIVERIES + 1)
        ),
        time_limit_s=time_limit_s,
        end_s=end_s,
        expected_s=chosen.expected_s or None,
        expires_at=expires_at,
    )
