"""Trying a job again that failed: the same request under a new id. What is there already is found, not made again."""

from __future__ import annotations

import hashlib

from orthocontracts import names
from orthocontracts.requests import Request
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.plan import read_plan
from orthofunctions.usecases.submit import submit


class NothingToRetryError(Exception):
    """The job never had a plan: nobody knows any longer what was asked."""


def retry_job(ports: Ports, job: JobRecord) -> JobRecord:
    """A new job for what an earlier one asked. Asked twice of one job, it is the same new one.

    Its deadline stays what it was; one that has passed makes the work due at once.

    Raises
    ------
    NothingToRetryError
    """
    request = _request_of(ports, job)
    if request is None:
        raise NothingToRetryError(f"job {job.job_id} was never planned: submit its request again")
    return submit(ports, request.model_copy(update={"request_id": again_id(job.job_id)}), "http")


def _request_of(ports: Ports, job: JobRecord) -> Request | None:
    """Of its plan, or as it was kept while it waited for a product."""
    plan = read_plan(ports, job.job_id)
    if plan is not None:
        return plan.request
    try:
        return Request.model_validate_json(ports.blobs.read(names.CONTAINER_REQUESTS, f"{job.job_id}.json"))
    except BlobMissingError:
        return None


def again_id(job_id: str) -> str:
    """The request id under which a job is tried again."""
    return "again-" + hashlib.sha256(job_id.encode()).hexdigest()[:32]
