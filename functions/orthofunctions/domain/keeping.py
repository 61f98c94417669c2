"""How long jobs and their results are kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules

_DAY_S = 86_400


def expires_at(job: JobRecord, rules: Rules) -> datetime | None:
    """When a job may be forgotten; None: never, by itself. A request may ask for less than the site keeps, not more."""
    asked_s = None if job.keep_days is None else job.keep_days * _DAY_S
    limits = [limit_s for limit_s in (asked_s, rules.keep_jobs_s) if limit_s is not None]
    return None if job.pinned or not limits else job.created_at + timedelta(seconds=min(limits))
