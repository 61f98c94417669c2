"""What a job's subscriber is to be told is written down, and sent to queue ``callbacks``.

The row comes before the message, so that whoever dies in between leaves a row whose time is over: `resend_lost` finds
it.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta

from orthocontracts import names
from orthocontracts.requests import Subscriber
from orthofunctions.domain.callbacks import (
    LOST_AFTER_S,
    CallbackDue,
    CallbackKind,
    CallbackRecord,
    CallbackState,
    uri_for,
)
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.jobs import traceparent_for
from orthofunctions.usecases.rows import find, swap


def tell_subscriber(ports: Ports, job: JobRecord, kind: CallbackKind) -> None:
    """Have a job's subscriber told, once, if it wants to hear of that. Any number of times."""
    if job.subscriber is None:
        return
    uri = uri_for(Subscriber.model_validate_json(job.subscriber), kind)
    if uri is None:
        return
    now = ports.clock.now()
    record = CallbackRecord(
        job_id=job.job_id,
        kind=kind,
        user=job.user,
        uri=uri,
        created_at=now,
        next_at=now,
        traceparent=traceparent_for(job),
    )
    with contextlib.suppress(RowExistsError):
        ports.tables.insert(CallbackRecord.TABLE, record.to_row())
        send_due(ports, record)


def send_due(ports: Ports, record: CallbackRecord, *, in_s: float = 0) -> None:
    message = CallbackDue(job_id=record.job_id, kind=record.kind)
    ports.queues.send(names.QUEUE_CALLBACKS, message.to_json(), visible_in_s=in_s)


def resend_lost(ports: Ports) -> int:
    """Send again what should have been tried long ago. Returns how many."""
    now = ports.clock.now()
    n_sent = 0
    for record in find(ports.tables, CallbackRecord, state=str(CallbackState.WAITING)):
        if now - record.next_at < timedelta(seconds=LOST_AFTER_S):
            continue
        with contextlib.suppress(RowChangedError):  # someone is at it
            swap(ports.tables, record.changed(next_at=now))
            send_due(ports, record)
            n_sent += 1
    return n_sent
