"""Pinned jobs do not expire, nor do their results."""

from __future__ import annotations

from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.jobs import change_job
from orthofunctions.usecases.rows import find


class PinRefusedError(Exception):
    """A job that is not pinned, and why."""


def pin(ports: Ports, rules: Rules, job: JobRecord) -> JobRecord:
    """Keep a job and its results until somebody lets go of them.

    Raises
    ------
    PinRefusedError
        Where its results are being let go of already, or its user has as many pinned jobs as the site allows.
    """
    if not job.pinned:
        n_pinned = sum(1 for _ in find(ports.tables, JobRecord, partition=job.user, pinned=True))
        if n_pinned >= rules.max_pinned_jobs:
            raise PinRefusedError(f"{job.user} has {n_pinned} pinned jobs, as many as possible: let go of one first")
    pinned = change_job(ports, job, lambda now: None if now.pinned or now.expiring else now.changed(pinned=True))
    if pinned.expiring:
        raise PinRefusedError(f"job {job.job_id} has expired: its results are being deleted")
    return pinned


def unpin(ports: Ports, job: JobRecord) -> JobRecord:
    """Let the job expire when its time comes, or has come."""
    return change_job(ports, job, lambda now: now.changed(pinned=False) if now.pinned else None)
