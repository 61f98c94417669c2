"""Trying a job again that failed: the same request under a new id. What is there already is found, not made again."""

from __future__ import annotations

import hashlib

from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports
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
    plan = read_plan(ports, job.job_id)
    if plan is None:
        raise NothingToRetryError(f"job {job.job_id} was never planned: submit its request again")
    return submit(ports, plan.request.model_copy(update={"request_id": again_id(job.job_id)}), "http")


def again_id(job_id: str) -> str:
    """The request id under which a job is tried again."""
    return "again-" + hashlib.sha256(job_id.encode()).hexdigest()[:32]
