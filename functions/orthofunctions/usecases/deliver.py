"""One attempt to tell a subscriber something, by a message on queue ``callbacks``.

At least once: whoever dies after the subscriber has answered and before that is written down tells it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from orthocontracts import names
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.domain.callbacks import (
    MAX_ATTEMPTS,
    SIGNATURE_HEADER,
    CallbackDue,
    CallbackKind,
    CallbackRecord,
    CallbackState,
    signature,
    wait_after,
)
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import NotToldError, Ports, Poster, RowChangedError
from orthofunctions.telemetry import About
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.rows import load, swap
from orthofunctions.usecases.secrets import secret_of
from orthofunctions.usecases.subscribers import send_due

logger = logging.getLogger(__name__)

DocumentOf = Callable[[JobRecord, CallbackKind], bytes]


def deliver(ports: Ports, poster: Poster, body: str, document_of: DocumentOf) -> None:
    """Take one message, and try once if it is time. Any number of times.

    Parameters
    ----------
    document_of : callable
        The body to be sent, of a job and what is told of it.
    """
    try:
        due = read_message(CallbackDue, body)
    except NotUnderstoodError as error:
        keep_for_operators(ports, names.QUEUE_CALLBACKS, body, str(error))
        return
    record = load(ports.tables, CallbackRecord, due.job_id, due.kind)
    now = ports.clock.now()
    if record is None or record.state is not CallbackState.WAITING:
        return
    early_s = (record.next_at - now).total_seconds()
    if early_s > 0:
        send_due(ports, record, in_s=early_s)
        return
    if record.attempts >= MAX_ATTEMPTS:
        _change(ports, record, state=CallbackState.FAILED)
        return
    # It counts before it is made: one that kills its process counts too, and a second message does not try as well.
    tried = record.attempts + 1
    try:
        record = swap(ports.tables, record.changed(attempts=tried, next_at=now + wait_after(tried)))
    except RowChangedError:
        return  # another message is at it
    about: dict[str, About] = {"job": record.job_id, "kind": str(record.kind), "attempt": record.attempts}
    with ports.tracer.span("callback", record.traceparent, **about) as traceparent:
        _try(ports, poster, record, document_of, traceparent)


def _try(ports: Ports, poster: Poster, record: CallbackRecord, document_of: DocumentOf, traceparent: str) -> None:
    about = {"job": record.job_id, "kind": str(record.kind), "attempt": record.attempts}
    job = find_job(ports, record.user, record.job_id)
    if job is None:
        _change(ports, record, state=CallbackState.FAILED, error="the job has expired")
        return
    document = document_of(job, CallbackKind(record.kind))
    at = ports.clock.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "orthoburst",
        "Orthoburst-Job": record.job_id,
        "Orthoburst-Event": str(record.kind),
        SIGNATURE_HEADER: signature(secret_of(ports, record.user).in_force(at), at, document),
    }
    if traceparent:
        headers["traceparent"] = traceparent
    status, error = None, None
    try:
        status = poster.post(record.uri, headers, document)
    except NotToldError as trouble:
        error = str(trouble)[:1000]
    if status is not None and 200 <= status < 300:
        _change(ports, record, state=CallbackState.DELIVERED, status=status, error=None, delivered_at=ports.clock.now())
        logger.info("told the subscriber", extra={"action": "callback", **about})
        return
    error = error or f"it answered {status}"
    over = record.attempts >= MAX_ATTEMPTS
    logger.warning("could not tell the subscriber: %s", error, extra={"action": "callback_failed", **about})
    _change(ports, record, state=CallbackState.FAILED if over else record.state, status=status, error=error)
    if not over:
        send_due(ports, record, in_s=wait_after(record.attempts) / timedelta(seconds=1))


def _change(ports: Ports, record: CallbackRecord, **changes: object) -> None:
    """Whoever changed the row meanwhile has only moved its time."""
    found: CallbackRecord | None = record
    while found is not None and found.state is CallbackState.WAITING:
        try:
            swap(ports.tables, found.changed(**changes))
        except RowChangedError:
            found = load(ports.tables, CallbackRecord, record.job_id, record.kind)
        else:
            return
