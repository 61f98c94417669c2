"""The end of a job is written into its row, once, when nothing can change it any more.

It is called wherever an output may have ended, and by the repair tour for the jobs of those who died before they could.
Whoever writes it has the job's subscriber told; ``settled`` says that this is done too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import groupby

from orthocontracts.messages import Fault
from orthocontracts.states import JobState, OutputState
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.callbacks import CallbackKind, kind_of
from orthofunctions.domain.endings import settled, state_of
from orthofunctions.domain.records import DigestRecord, JobRecord, OutputRecord, SubscriberRecord, TaskRecord
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.telemetry import going_on
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.jobs import announce, change_job, find_job, traceparent_for
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.subscribers import tell_subscriber

logger = logging.getLogger(__name__)


def settle_if_over(ports: Ports, user: str, job_id: str) -> None:
    """Settle a job one of whose outputs has ended. Most end while others are still wanted: that is looked at first."""
    if not _waits(ports, job_id):
        job = find_job(ports, user, job_id)
        if job is not None:
            settle_job(ports, job)


def settle_job(ports: Ports, job: JobRecord) -> JobRecord:
    """Write a job's end into its row and have its subscriber told. Any number of times; as it is while it is not over.

    ``domain.endings.settled`` says from when on. What is read here before the row is swapped only ever becomes more
    final, and a cancel changes the same row: whoever of both comes second sees the other.
    """
    try:
        with going_on(traceparent_for(job)):
            return job if job.settled else _settle(ports, job)
    except RowChangedError:  # it has expired meanwhile
        return job


def _settle(ports: Ports, job: JobRecord) -> JobRecord:
    if job.final is None:
        outputs = list(find(ports.tables, OutputRecord, partition=job.job_id))
        tasks = tasks_of(ports, job, outputs)
        waiting = [one.digest for one in outputs if one.state is OutputState.FAILED and _subscribed(ports, job, one)]
        now = ports.clock.now()
        ended: JobRecord | None = None

        def end(there: JobRecord) -> JobRecord | None:
            nonlocal ended
            ended = settled(there, outputs, tasks, waiting, now)
            # without anybody to tell it is one write
            return ended.changed(settled=True) if ended is not None and ended.subscriber is None else ended

        job = change_job(ports, job, end)
        if job.final is None:
            if state_of(job, outputs, tasks) is JobState.RUNNING:  # it may have joined another's task that runs
                tell_subscriber(ports, job, CallbackKind.IN_PROGRESS)
            return job
        if ended is not None:  # not somebody else, meanwhile
            logger.info("job %s", job.final_state, extra={"action": "settled", "job": job.job_id})
            ports.meter.count("orthoburst.jobs.ended", state=job.final_state)
    if job.settled or job.final is None:
        return job
    tell_subscriber(ports, job, kind_of(job.final))
    return change_job(ports, job, lambda there: None if there.settled else there.changed(settled=True))


def fail_job(ports: Ports, job: JobRecord, fault: Fault) -> JobRecord:
    """A request that cannot become tasks: its job ends with the reason. One that was planned stays as it is."""
    at = ports.clock.now()
    failed = change_job(
        ports,
        job,
        lambda now: (
            None
            if now.planned or now.fault_kind or now.final
            else now.changed(planned=True, planned_at=at, fault_kind=fault.kind, fault_message=fault.message)
        ),
    )
    announce(ports, failed, "failed")
    return settle_job(ports, failed)


def settle_left(ports: Ports, job_ids: tuple[str | None, str | None]) -> int:
    """Settle the jobs of a range of ids whose end nobody could write. Returns how many those were."""
    start, below = job_ids
    rows = ports.tables.query(JobRecord.TABLE, key_from=start, key_below=below, equal={"settled": False})
    n_settled = 0
    with apart("settle", ports.meter) as each:
        for row in rows:
            with each(row.key):
                job = JobRecord.from_row(row)
                n_settled += _may_be_over(ports, job) and settle_job(ports, job).settled
    return n_settled


def _may_be_over(ports: Ports, job: JobRecord) -> bool:
    """False, for one look at most, of the many that are just under way. Of a job that somebody wants to hear of it is
    looked at all the same whether it has begun."""
    if job.final or job.fault_kind or job.cancelled:
        return True
    return job.planned and (job.subscriber is not None or not _waits(ports, job.job_id))


def _waits(ports: Ports, job_id: str) -> bool:
    wanted = {"state": str(OutputState.WANTED)}
    return any(ports.tables.query(OutputRecord.TABLE, partition=job_id, equal=wanted, limit=1))


def tasks_of(ports: Ports, job: JobRecord, outputs: list[OutputRecord]) -> list[TaskRecord]:
    """The tasks of a job, and those of other jobs that make outputs of it."""
    records = list(find(ports.tables, TaskRecord, partition=job.job_id))
    elsewhere = {one.task_id for one in outputs if one.task_id and job_of_task(one.task_id) != job.job_id}
    found = tasks_by_id(ports, elsewhere)
    return records + [found[task_id] for task_id in sorted(elsewhere) if task_id in found]


def tasks_by_id(ports: Ports, task_ids: Iterable[str]) -> dict[str, TaskRecord]:
    """The tasks that there are, by their ids; those of one job in one request."""
    found: dict[str, TaskRecord] = {}
    for job_id, of_a_job in groupby(sorted(set(task_ids), key=lambda one: (job_of_task(one), one)), key=job_of_task):
        ids = list(of_a_job)
        rows = ports.tables.query(TaskRecord.TABLE, partition=job_id, key_from=ids[0], key_below=f"{ids[-1]}~")
        found |= {row.key: TaskRecord.from_row(row) for row in rows}
    return found


def _subscribed(ports: Ports, job: JobRecord, output: OutputRecord) -> bool:
    key = SubscriberRecord.key_of(job.job_id)
    return ports.tables.get(DigestRecord.TABLE, output.digest, key) is not None
