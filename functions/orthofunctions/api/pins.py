"""Keeping a job's results for longer than others."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from orthofunctions.api.context import Caller, Submitter
from orthofunctions.api.jobs import status_document
from orthofunctions.api.problems import ProblemError, no_such_job
from orthofunctions.domain.records import JobRecord
from orthofunctions.usecases.jobs import BusyRowError, find_job
from orthofunctions.usecases.pins import PinRefusedError, pin, unpin
from orthofunctions.usecases.views import view_job

router = APIRouter()


@router.post("/jobs/{job_id}/pin")
def pin_job(job_id: str, asked: Submitter) -> dict[str, Any]:
    """Keep the job and its results until they are let go of."""
    record = _job(job_id, asked)
    try:
        return _status(pin(asked.system.ports, asked.system.rules, record), asked)
    except (PinRefusedError, BusyRowError) as error:
        raise ProblemError(409, "Not pinned", str(error)) from error


@router.delete("/jobs/{job_id}/pin")
def unpin_job(job_id: str, asked: Submitter) -> dict[str, Any]:
    """Let the job and its results expire when their time comes."""
    return _status(unpin(asked.system.ports, _job(job_id, asked)), asked)


def _job(job_id: str, asked: Caller) -> JobRecord:
    plain = len(job_id) <= 63 and job_id.isascii() and job_id.isalnum()
    record = find_job(asked.system.ports, asked.user, job_id) if plain else None
    if record is None:
        raise no_such_job(job_id)
    return record


def _status(job: JobRecord, asked: Caller) -> dict[str, Any]:
    return status_document(view_job(asked.system.ports, job, {}), asked)
