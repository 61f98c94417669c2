"""A job's own row: made once, changed by compare and swap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orthocontracts import names
from orthocontracts.digests import job_id_of
from orthocontracts.messages import JobEvent
from orthocontracts.requests import Asked, Request
from orthocontracts.tracing import trace_id_of
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.telemetry import current_traceparent
from orthofunctions.usecases.owners import note_owner

MAX_SWAPS = 20


class BusyRowError(Exception):
    """A row that others changed each time we tried. The message that asked for it comes again later."""


def new_job(request: Request, source: str, created_at: datetime, traceparent: str = "") -> JobRecord:
    """The row of a request's job as it begins."""
    asked = request.asked or Asked(process=request.process)
    return JobRecord(
        user=request.user,
        job_id=job_id_of(request.user, request.request_id),
        request_id=request.request_id,
        process=asked.process,
        created_at=created_at,
        source=source,
        batch=request.batch,
        order=request.ordered.order_id if request.ordered else None,
        shared_with=",".join(request.shared_with),
        replaces=",".join(request.replaces),
        traceparent=traceparent,
        keep_days=request.keep_days,
        response=asked.response,
        transmission=asked.transmission,
        base_url=asked.base_url,
        subscriber=request.subscriber.to_json() if request.subscriber else None,
    )


def open_job(ports: Ports, request: Request, source: str, created_at: datetime | None = None) -> JobRecord:
    """The row of a request's job, made where it is not there yet; by default it is created now."""
    job_id = job_id_of(request.user, request.request_id)
    if (there := find_job(ports, request.user, job_id)) is not None:
        return there
    with ports.tracer.span("accept", job=job_id, door=source, process=request.process) as traceparent:
        job = new_job(request, source, created_at or ports.clock.now(), traceparent)
        note_owner(ports, job.user, request.shared_with)
        try:
            row = ports.tables.insert(JobRecord.TABLE, job.to_row())
        except RowExistsError:
            there = find_job(ports, job.user, job.job_id)
            if there is None:
                raise BusyRowError(f"job {job.job_id}") from None
            return there
        return job.changed(etag=row.etag)


def find_job(ports: Ports, user: str, job_id: str) -> JobRecord | None:
    row = ports.tables.get(JobRecord.TABLE, user, job_id)
    return JobRecord.from_row(row) if row else None


def change_job(ports: Ports, job: JobRecord, change: Callable[[JobRecord], JobRecord | None]) -> JobRecord:
    """Apply a change to the row as it is now, again where it changed meanwhile; None leaves it as it is."""
    for _ in range(MAX_SWAPS):
        changed = change(job)
        if changed is None:
            return job
        try:
            row = ports.tables.replace(JobRecord.TABLE, changed.to_row())
        except RowChangedError:
            now = find_job(ports, job.user, job.job_id)
            if now is None:
                raise
            job = now
        else:
            return changed.changed(etag=row.etag)
    raise BusyRowError(f"job {job.job_id}")


def traceparent_for(job: JobRecord) -> str:
    """What happens to a job is of its own trace: of where we are in it, or else of where it began.

    What ends it may be the report on another's task that it had joined. That one's trace is not told to its subscriber.
    """
    here = current_traceparent()
    if here and (not job.traceparent or trace_id_of(here) == trace_id_of(job.traceparent)):
        return here
    return job.traceparent


def announce(ports: Ports, job: JobRecord, state: str) -> None:
    """Tell whoever watches. Best effort."""
    event = JobEvent(job_id=job.job_id, state=state, at=ports.clock.now(), traceparent=job.traceparent)
    ports.bell.publish(names.topic_job_events(job.job_id), event.to_json())
