"""Keeping a job's results for longer than others."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from orthofunctions.api.context import Submitter
from orthofunctions.api.jobs import own_job, status_answer
from orthofunctions.api.problems import ProblemError
from orthofunctions.api.shapes import answer
from orthofunctions.usecases.jobs import BusyRowError
from orthofunctions.usecases.pins import PinRefusedError, pin, unpin

router = APIRouter()


@router.post("/jobs/{job_id}/pin", **answer("StatusInfo"))
def pin_job(job_id: str, asked: Submitter) -> dict[str, Any]:
    """Keep the job and its results until they are let go of."""
    record = own_job(job_id, asked)
    try:
        return status_answer(pin(asked.system.ports, asked.system.rules, record), asked)
    except (PinRefusedError, BusyRowError) as error:
        raise ProblemError(409, "Not pinned", str(error)) from error


@router.delete("/jobs/{job_id}/pin", **answer("StatusInfo"))
def unpin_job(job_id: str, asked: Submitter) -> dict[str, Any]:
    """Let the job and its results expire when their time comes."""
    return status_answer(unpin(asked.system.ports, own_job(job_id, asked)), asked)
