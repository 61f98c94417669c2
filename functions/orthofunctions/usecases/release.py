"""One release: active row → task row → ticket → queue message → index row.

Only the second step decides: a compare-and-swap of the task's row, which raises its release number. A round that dies
before it leaves an active row that means nothing; one that dies after it leaves a release that never starts, which the
sweep recalls. The message is sent once at most under a release number, so there is never a second lease on one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from orthocontracts import names
from orthocontracts.messages import Fault, Release
from orthocontracts.outputs import FileKind, file_kinds
from orthocontracts.states import TaskState, move
from orthocontracts.tasks import TaskSpec
from orthocontracts.tickets import MAX_DELIVERIES, Delivery, OutputFile, Ticket
from orthofunctions.domain.policy import Decision
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.collect import still_open
from orthofunctions.usecases.events import tell_task
from orthofunctions.usecases.inputs import InputMissingError, Known, input_files
from orthofunctions.usecases.lease import RoundLease
from orthofunctions.usecases.pending import Candidate, forget
from orthofunctions.usecases.plans import PlanLostError, planned_task
from orthofunctions.usecases.rows import release_key, swap
from orthofunctions.usecases.tasks import give_up, log_fields, settle

logger = logging.getLogger(__name__)


def release(
    ports: Ports,
    rules: Rules,
    lease: RoundLease,
    *,
    candidate: Candidate,
    task: TaskRecord,
    decision: Decision,
    pool: PoolSpec,
    known: Known,
) -> ActiveRecord | None:
    """Carry out one decision on a pending task. None where it turned out to need no run, or changed meanwhile.

    Raises
    ------
    LeaseLostError
        Where the round must not write any longer.
    """
    try:
        planned = planned_task(ports, task.job_id, task.task_id)
        wanted = still_open(ports, task, planned.digests)
        if not wanted:
            lease.keep()
            if settle(ports, task.job_id, task.task_id, planned.digests):
                forget(ports, candidate, task)
            return None
        now = ports.clock.now()
        start_by = now + timedelta(seconds=pool.start_limit_s)
        ticket = _ticket(
            ports,
            rules,
            spec=planned.spec,
            release_number=task.release + 1,
            pool=pool,
            wanted=wanted,
            start_by=start_by,
            known=known,
        )
    except (PlanLostError, InputMissingError) as error:
        lease.keep()
        give_up(ports, task, Fault(kind=type(error).__name__, message=str(error)[:2000], permanent=True))
        return None
    active = ActiveRecord(
        job_id=task.job_id,
        release_key=release_key(task.task_id, ticket.release),
        task_id=task.task_id,
        release=ticket.release,
        pool=pool.name,
        result_version=task.result_version,
        released_at=now,
        start_by=start_by,
        user=task.user,
        reserved_eur=decision.cost_eur,
        eur_per_slot_s=pool.run_cost_eur(1.0),
        startup_s=pool.startup_s,
    )
    lease.keep()
    ports.tables.put(names.TABLE_ACTIVE, active.to_row())
    lease.keep()
    try:
        released = swap(ports.tables, _as_released(task, decision, ticket, now))
    except RowChangedError:
        return None
    lease.keep()
    ports.blobs.write(
        names.ticket_container(pool.name),
        names.ticket_blob(task.task_id, ticket.release),
        ticket.to_json().encode(),
    )
    lease.keep()
    message = Release(task_id=task.task_id, release=ticket.release)
    ports.queues.send_release(names.pool_queue(pool.name, task.result_version), message.to_json())
    forget(ports, candidate, task)
    logger.info("%s", decision.sentence, extra={**log_fields("released", released), "pool": pool.name})
    tell_task(ports, released)
    return active


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
        reserved_eur=decision.cost_eur,
    )


def _ticket(
    ports: Ports,
    rules: Rules,
    *,
    spec: TaskSpec,
    release_number: int,
    pool: PoolSpec,
    wanted: Sequence[str],
    start_by: datetime,
    known: Known,
) -> Ticket:
    # Late enough for the latest start, and for a second delivery after a first one that ran to its limit.
    expires_at = start_by + timedelta(seconds=2 * (rules.time_limit_s + rules.run_grace_s))
    kinds = file_kinds(spec.options)

    def output_file(delivery: int, digest: str, kind: FileKind) -> OutputFile:
        blob = names.result_blob(spec.task_id, release_number, delivery, digest, kind)
        return OutputFile(
            blob=f"{names.CONTAINER_RESULTS}/{blob}",
            url=ports.links.create_url(names.CONTAINER_RESULTS, blob, expires_at),
        )

    return Ticket(
        spec=spec,
        release=release_number,
        pool=pool.name,
        wanted=tuple(wanted),
        inputs=input_files(ports, spec, expires_at, known),
        deliveries=tuple(
            Delivery(
                number=number,
                files={digest: {kind: output_file(number, digest, kind) for kind in kinds} for digest in wanted},
            )
            for number in range(1, MAX_DELIVERIES + 1)
        ),
        time_limit_s=rules.time_limit_s,
        expires_at=expires_at,
    )
