"""Batches: many requests accepted at once.

Order of writes: what was asked for (a blob, once) → a message that has it all sent on → the batch's row → its jobs'
rows, a hundred to a transaction. Whoever dies after the second is no loss: the message's function does whatever of the
rest is missing, and then sends the requests, each on its own as ever. So an answer is there after a dozen writes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.batches import BatchEnvelope, BatchOrder
from orthocontracts.digests import job_id_of
from orthocontracts.requests import Request
from orthocontracts.states import JobState
from orthofunctions.domain.batch_states import joined, letter_of
from orthofunctions.domain.records import BatchRecord, JobRecord
from orthofunctions.ports import BlobMissingError, Change, Ports, RowChangedError, RowExistsError
from orthofunctions.telemetry import carrying
from orthofunctions.usecases.jobs import BusyRowError, announce, new_job, open_job
from orthofunctions.usecases.owners import note_owner
from orthofunctions.usecases.rows import MOST_CHANGES, load, parts, swap
from orthofunctions.usecases.submit import send

logger = logging.getLogger(__name__)

PARALLEL = 16
SOURCE = "http"


class BatchTakenError(Exception):
    """Another batch of the same user has this id."""

    def __init__(self, batch: str) -> None:
        super().__init__(f"batch {batch} is there already and asks for something else: take another id")


def submit_batch(ports: Ports, order: BatchOrder) -> BatchRecord:
    """Accept a batch: its jobs at once, their planning by the queue. Repeating it is harmless.

    Raises
    ------
    BatchTakenError
    """
    blob = names.batch_blob(order.user, order.batch)
    if not ports.blobs.create(names.CONTAINER_REQUESTS, blob, order.to_json().encode()):
        stored = read_order(ports, order.user, order.batch)
        if stored is not None and not stored.asks_for(order):
            raise BatchTakenError(order.batch)
    record = find_batch(ports, order.user, order.batch)
    if record is None:
        envelope = BatchEnvelope(batch=order.batch, user=order.user, at=ports.clock.now())
        ports.queues.send(names.QUEUE_REQUESTS, envelope.to_json())
    return open_batch(ports, order)


def batch_in(body: str) -> BatchEnvelope | None:
    """The batch that a message on queue ``requests`` is about; None where it is about a single request."""
    try:
        return BatchEnvelope.model_validate_json(body)
    except ValidationError:
        return None


def send_batch(ports: Ports, envelope: BatchEnvelope) -> int:
    """Have every request of a batch planned, whatever became of the call that handed it over. Returns how many."""
    order = read_order(ports, envelope.user, envelope.batch)
    if order is None:  # written by hand, or long expired
        logger.warning("no such batch", extra={"action": "batch_missing", "batch": envelope.batch})
        return 0
    open_batch(ports, order)
    with ThreadPoolExecutor(PARALLEL, "send") as pool:
        list(pool.map(lambda request: send(ports, request, _job_id(request)), order.requests))
    logger.info("sent", extra={"action": "batch_sent", "batch": order.batch, "requests": len(order.requests)})
    return len(order.requests)


def find_batch(ports: Ports, user: str, batch: str) -> BatchRecord | None:
    return load(ports.tables, BatchRecord, user, batch)


def read_order(ports: Ports, user: str, batch: str) -> BatchOrder | None:
    """What a batch asked for."""
    try:
        data = ports.blobs.read(names.CONTAINER_REQUESTS, names.batch_blob(user, batch))
    except BlobMissingError:
        return None
    return BatchOrder.model_validate_json(data)


def open_batch(ports: Ports, order: BatchOrder) -> BatchRecord:
    """The batch's row and those of its jobs, made where they are not there yet."""
    record = find_batch(ports, order.user, order.batch) or _new_batch(ports, order)
    if record.opened:
        return record
    # a job's place in the batch shows in its time, so that they are listed in order
    jobs = [
        (request, record.created_at + timedelta(microseconds=number)) for number, request in enumerate(order.requests)
    ]
    note_owner(ports, order.user, {group for request in order.requests for group in request.shared_with})
    with ThreadPoolExecutor(PARALLEL, "open") as pool:
        list(pool.map(carrying(partial(_open_jobs, ports)), parts(jobs, MOST_CHANGES)))
    try:
        return swap(ports.tables, record.changed(opened=True))
    except RowChangedError:  # another call did the same
        return _there(ports, order)


def _new_batch(ports: Ports, order: BatchOrder) -> BatchRecord:
    record = BatchRecord(
        user=order.user,
        batch_id=order.batch,
        created_at=ports.clock.now(),
        job_ids=joined(map(_job_id, order.requests)),
        states=letter_of(JobState.ACCEPTED) * len(order.requests),
        name=order.name or "",
    )
    try:
        return record.changed(etag=ports.tables.insert(BatchRecord.TABLE, record.to_row()).etag)
    except RowExistsError:
        return _there(ports, order)


def _there(ports: Ports, order: BatchOrder) -> BatchRecord:
    record = find_batch(ports, order.user, order.batch)
    if record is None:
        raise BusyRowError(f"batch {order.batch}")
    return record


def _open_jobs(ports: Ports, some: Sequence[tuple[Request, datetime]]) -> None:
    """Rows of one partition, its user's: all at once, or where one is there already one by one.

    Each job is a trace of its own, unless whoever called has one that they go on with.
    """
    jobs = []
    for request, created_at in some:
        about = {"job": _job_id(request), "door": SOURCE, "process": request.process}
        with ports.tracer.span("accept", **about) as traceparent:
            jobs.append(new_job(request, SOURCE, created_at, traceparent))
    try:
        ports.tables.transact(JobRecord.TABLE, [Change("insert", job.to_row()) for job in jobs])
    except RowExistsError:
        jobs = [open_job(ports, request, SOURCE) for request, _ in some]
    for job in jobs:
        announce(ports, job, "accepted")


def _job_id(request: Request) -> str:
    return job_id_of(request.user, request.request_id)
