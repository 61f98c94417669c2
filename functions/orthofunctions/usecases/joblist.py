"""A page of a user's jobs. Those that are over are known from their rows; only of the others the parts are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from orthocontracts.messages import RunningTask
from orthocontracts.states import JobState
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.rows import find, parts
from orthofunctions.usecases.views import JobStatus, statuses_of
from orthofunctions.usecases.visible import shared_jobs

_AT_ONCE = 32


@dataclass(frozen=True)
class JobFilter:
    """Which jobs: empty sets and None ask for nothing.

    Attributes
    ----------
    created_from, created_to : datetime or None
        Both included.
    min_s, max_s : int or None
        From a job's start to its end, or until now while it runs. One that never started has no duration.
    group : str or None
        Jobs of all users that are shared with it, instead of the user's own.
    after : (datetime, str) or None
        Creation and id of the last job of the page before.
    """

    processes: frozenset[str] = frozenset()
    states: frozenset[JobState] = frozenset()
    created_from: datetime | None = None
    created_to: datetime | None = None
    min_s: int | None = None
    max_s: int | None = None
    batch: str | None = None
    group: str | None = None
    after: tuple[datetime, str] | None = None

    def may_hold(self, job: JobRecord) -> bool:
        """False where a job's row is enough to leave it out."""
        return (
            (not self.processes or job.process in self.processes)
            and (not self.states or job.final is None or job.final in self.states)
            and (self.created_from is None or self.created_from <= job.created_at)
            and (self.created_to is None or job.created_at <= self.created_to)
            and (self.batch is None or job.batch == self.batch)
            and (self.after is None or (job.created_at, job.job_id) < self.after)
        )

    def holds(self, status: JobStatus, now: datetime) -> bool:
        if self.states and status.state not in self.states:
            return False
        if self.min_s is None and self.max_s is None:
            return True
        if status.started_at is None:
            return False
        took_s = ((status.ended_at or now) - status.started_at).total_seconds()
        return (self.min_s is None or took_s >= self.min_s) and (self.max_s is None or took_s <= self.max_s)


def list_jobs(
    ports: Ports, user: str, wanted: JobFilter, running: Mapping[str, RunningTask], limit: int
) -> tuple[list[JobStatus], bool]:
    """The newest jobs of a user that a filter holds, and whether there are more."""
    page: list[JobStatus] = []
    for status in _found(ports, user, wanted, running):
        if len(page) == limit:
            return page, True
        page.append(status)
    return page, False


def open_jobs(ports: Ports, user: str) -> list[JobRecord]:
    """The jobs of a user whose end is not written down."""
    return [job for job in find(ports.tables, JobRecord, partition=user) if job.final is None]


def _found(ports: Ports, user: str, wanted: JobFilter, running: Mapping[str, RunningTask]) -> Iterator[JobStatus]:
    jobs = [job for job in _rows(ports, user, wanted) if wanted.may_hold(job)]
    jobs.sort(key=lambda job: (job.created_at, job.job_id), reverse=True)
    now = ports.clock.now()
    for some in parts(jobs, _AT_ONCE):
        for status in statuses_of(ports, some, running):
            if wanted.holds(status, now):
                yield status


def _rows(ports: Ports, user: str, wanted: JobFilter) -> Iterator[JobRecord]:
    if wanted.group is not None:
        return iter(shared_jobs(ports, wanted.group))
    if wanted.batch is None:
        return find(ports.tables, JobRecord, partition=user)
    return find(ports.tables, JobRecord, partition=user, batch=wanted.batch)
