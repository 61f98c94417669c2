"""A batch as a whole: cancelled, or tried again where it failed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from orthocontracts import names
from orthocontracts.batches import BatchEnvelope
from orthocontracts.states import JobState
from orthofunctions.domain.batch_states import joined, letter_of, split
from orthofunctions.domain.records import BatchRecord, JobRecord
from orthofunctions.ports import Change, Ports, RowChangedError
from orthofunctions.telemetry import carrying
from orthofunctions.usecases.batch_views import BatchView, view_batch
from orthofunctions.usecases.batches import find_batch, open_batch, read_order, send_batch
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.jobs import MAX_SWAPS, BusyRowError, change_job, find_job
from orthofunctions.usecases.retry import NothingToRetryError, again_id, retry_job
from orthofunctions.usecases.rows import MOST_CHANGES, parts, swap
from orthofunctions.usecases.submit import submit

PARALLEL = 8
_ACCEPTED = letter_of(JobState.ACCEPTED)


def carry_out(ports: Ports, envelope: BatchEnvelope) -> None:
    """Do what a message about a batch says. Any number of times."""
    if envelope.action == "send":
        send_batch(ports, envelope)
        return
    record = find_batch(ports, envelope.user, envelope.batch)
    if record is None:
        return
    _mark_cancelled(ports, record, envelope.at)
    with ThreadPoolExecutor(PARALLEL, "leave") as pool:
        list(pool.map(lambda job_id: _leave(ports, record.user, job_id), split(record.job_ids)))


def cancel_batch(ports: Ports, record: BatchRecord) -> None:
    """Cancel every job of a batch that is not over: dismissed at once, its work left by the queue.

    The message comes first: whoever dies after it is no loss.
    """
    envelope = BatchEnvelope(batch=record.batch_id, user=record.user, action="cancel", at=ports.clock.now())
    ports.queues.send(names.QUEUE_REQUESTS, envelope.to_json())
    _mark_cancelled(ports, record, envelope.at)


def _mark_cancelled(ports: Ports, record: BatchRecord, at: datetime) -> None:
    """A job that has no row yet gets it first: else the message that is on its way would bring it to life."""
    if not record.opened:
        order = read_order(ports, record.user, record.batch_id)
        if order is not None:
            record = open_batch(ports, order)
    looks = view_batch(ports, record, {}).jobs
    # a batch's jobs come a microsecond apart
    latest = at + timedelta(milliseconds=1)
    jobs = [one.record for one in looks if one.record and not one.is_over and one.record.created_at <= latest]
    with ThreadPoolExecutor(PARALLEL, "cancel") as pool:
        list(pool.map(lambda some: _cancel_rows(ports, some), parts(jobs, MOST_CHANGES)))


def _cancel_rows(ports: Ports, jobs: Sequence[JobRecord]) -> None:
    """Rows of one partition, their user's: all at once, or where one has changed one by one."""
    try:
        ports.tables.transact(
            JobRecord.TABLE, [Change("replace", job.changed(cancelled=True).to_row()) for job in jobs]
        )
    except RowChangedError:
        for job in jobs:
            change_job(ports, job, lambda now: None if now.cancelled or now.final else now.changed(cancelled=True))


def _leave(ports: Ports, user: str, job_id: str) -> None:
    job = find_job(ports, user, job_id)
    if job is not None and job.cancelled:
        cancel_job(ports, user, job_id)


def retry_failed(ports: Ports, view: BatchView) -> BatchRecord:
    """Try every failed job of a batch again, as a new job that takes its place in the batch.

    The new job's id follows from the old one's: a call that dies half-way is repeated, and finds the same ones.
    """
    failed = [(number, job.job_id) for number, job in enumerate(view.jobs) if job.state is JobState.FAILED]
    if not failed:
        return view.record
    with ThreadPoolExecutor(PARALLEL, "retry") as pool:
        again = list(pool.map(carrying(partial(_retried, ports, view.record)), failed))
    return _replaced(ports, view.record, [(number, old, new) for (number, old), new in zip(failed, again, strict=True)])


def _retried(ports: Ports, record: BatchRecord, failed: tuple[int, str]) -> str:
    number, job_id = failed
    job = find_job(ports, record.user, job_id)
    if job is None:
        return job_id
    try:
        return retry_job(ports, job).job_id
    except NothingToRetryError:  # it failed before it had a plan: what it asked for is the batch's to know
        order = read_order(ports, record.user, record.batch_id)
        if order is None:
            return job_id
        return submit(ports, order.requests[number].model_copy(update={"request_id": again_id(job_id)}), "http").job_id


def _replaced(ports: Ports, record: BatchRecord, changes: Sequence[tuple[int, str, str]]) -> BatchRecord:
    for _ in range(MAX_SWAPS):
        ids, states = split(record.job_ids), list(record.states)
        for number, old, new in changes:
            if ids[number] == old != new:
                ids[number], states[number] = new, _ACCEPTED
        try:
            return swap(ports.tables, record.changed(job_ids=joined(ids), states="".join(states)))
        except RowChangedError:
            now = find_batch(ports, record.user, record.batch_id)
            if now is None:
                raise
            record = now
    raise BusyRowError(f"batch {record.batch_id}")
