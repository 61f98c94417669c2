"""What every door ends in: a job that can be asked about, and a message on queue ``requests``."""

from __future__ import annotations

import json

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.requests import Request, RequestEnvelope
from orthocontracts.wire import MAX_QUEUE_BYTES, NotUnderstoodError, check_size, explain
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.jobs import announce, open_job
from orthofunctions.usecases.needs import need

MAX_REQUEST_BYTES = 1024 * 1024


class RequestUnreadableError(Exception):
    """A message that is no request. Delivering it again would not help; operators read ``kind`` and the message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def submit(ports: Ports, request: Request, source: str, *, inline_bytes: int = MAX_QUEUE_BYTES) -> JobRecord:
    """Accept a request: its job at once, its planning by the queue. Repeating it is harmless.

    Parameters
    ----------
    source : str
        The door: "http" or "upload".
    inline_bytes : int
        Requests larger than this travel as a blob and are named in the message.
    """
    job = open_job(ports, request, source)
    send(ports, request, job.job_id, inline_bytes=inline_bytes, traceparent=job.traceparent)
    announce(ports, job, "accepted")
    return job


def send(
    ports: Ports, request: Request, job_id: str, *, inline_bytes: int = MAX_QUEUE_BYTES, traceparent: str = ""
) -> None:
    """Have a request planned: from here on its products do not expire. A message too many does no harm."""
    need(ports, request.user, job_id, request.products)
    envelope = RequestEnvelope(request=request, traceparent=traceparent).to_json()
    if len(envelope.encode()) > inline_bytes:
        # always the same bytes for the same job, so whoever writes first is right
        ports.blobs.create(names.CONTAINER_REQUESTS, f"{job_id}.json", request.to_json().encode())
        blob = f"{names.CONTAINER_REQUESTS}/{job_id}.json"
        envelope = RequestEnvelope(blob=blob, traceparent=traceparent).to_json()
    ports.queues.send(names.QUEUE_REQUESTS, envelope)


def read_request(ports: Ports, body: str) -> Request:
    """The request of a message on queue ``requests``.

    Raises
    ------
    RequestUnreadableError
        Where it is too large, not JSON, not a request of a version we know, or names a blob that is not there.
    """
    envelope = _parsed(body)
    if envelope.request is not None:
        return envelope.request
    assert envelope.blob is not None  # the envelope has one of both
    container, _, name = envelope.blob.partition("/")
    try:
        data = ports.blobs.read(container, name, length=MAX_REQUEST_BYTES + 1)
    except BlobMissingError as error:
        raise RequestUnreadableError("RequestBlobMissing", str(error)) from error
    if len(data) > MAX_REQUEST_BYTES:
        raise RequestUnreadableError("RequestTooLarge", f"{envelope.blob} holds more than {MAX_REQUEST_BYTES} bytes")
    try:
        return Request.model_validate_json(data)
    except ValidationError as error:
        raise RequestUnreadableError("NotARequest", explain(error)) from error


def _parsed(body: str) -> RequestEnvelope:
    """An envelope. A bare request is taken too: whoever writes to the queue by hand need not know the envelope."""
    try:
        check_size(body)
    except NotUnderstoodError as error:
        raise RequestUnreadableError("RequestTooLarge", str(error)) from error
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestUnreadableError("NotJson", f"not JSON: {str(error)[:200]}") from error
    try:
        if isinstance(document, dict) and "products" in document:
            return RequestEnvelope(request=Request.model_validate_json(body))
        return RequestEnvelope.model_validate_json(body)
    except ValidationError as error:
        raise RequestUnreadableError("NotARequest", explain(error)) from error
