"""What a user sees of a batch: one look at those of its jobs that are not settled yet, many at a time."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from orthocontracts.messages import RunningTask
from orthocontracts.requests import Request
from orthocontracts.states import JobState
from orthofunctions.domain.batch_states import SETTLED, letter_of, split, state_of
from orthofunctions.domain.endings import message_of
from orthofunctions.domain.endings import state_of as state_of_job
from orthofunctions.domain.records import BatchRecord, JobRecord
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.batches import read_order
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.views import status_of

PARALLEL_LOOKS = 32
MANY = 50
LONGEST_SCAN_S = 2.0


@dataclass(frozen=True)
class JobLook:
    """One job of a batch. ``state`` None: it has expired. ``record`` where its row was looked at."""

    job_id: str
    state: JobState | None
    progress: float
    message: str = ""
    record: JobRecord | None = None

    @property
    def is_over(self) -> bool:
        return self.state not in (JobState.ACCEPTED, JobState.RUNNING)


@dataclass(frozen=True)
class BatchView:
    record: BatchRecord
    jobs: Sequence[JobLook]

    @property
    def progress(self) -> float:
        """From 0 to 1: the mean over the jobs, those that are over as a whole."""
        return sum(job.progress for job in self.jobs) / len(self.jobs)

    @property
    def states(self) -> dict[str, int]:
        """How many jobs are in each state that some are in."""
        return dict(Counter(job.state.value if job.state else "gone" for job in self.jobs))


def as_noted(record: BatchRecord) -> BatchView:
    """A batch as it was last looked at: of a new one that is as it is."""
    looks = zip(split(record.job_ids), map(state_of, record.states), strict=True)
    return BatchView(record, [JobLook(job_id, state, float(letter_of(state) in SETTLED)) for job_id, state in looks])


def view_batch(ports: Ports, record: BatchRecord, running: Mapping[str, RunningTask]) -> BatchView:
    """A batch with its jobs as they are now. What is found settled is noted in its row: the next look is shorter."""
    ids = split(record.job_ids)
    unsettled = [number for number, letter in enumerate(record.states) if letter not in SETTLED]
    looks = dict(zip(unsettled, _look(ports, record, [ids[number] for number in unsettled], running), strict=True))
    jobs = [
        looks[number] if number in looks else JobLook(ids[number], state_of(letter), 1.0)
        for number, letter in enumerate(record.states)
    ]
    states = "".join(letter_of(job.state) for job in jobs)
    if states != record.states:
        with contextlib.suppress(RowChangedError):  # another look noted it, or jobs were tried again
            record = swap(ports.tables, record.changed(states=states))
    return BatchView(record, jobs)


def batches_of(ports: Ports, user: str) -> list[BatchRecord]:
    """A user's batches, newest first."""
    found = find(ports.tables, BatchRecord, partition=user)
    return sorted(found, key=lambda one: (one.created_at, one.batch_id), reverse=True)


def requests_of(ports: Ports, record: BatchRecord) -> Sequence[Request]:
    """What each of a batch's jobs asks for, in order; none where nobody knows any longer."""
    order = read_order(ports, record.user, record.batch_id)
    return () if order is None else order.requests


def _look(
    ports: Ports, record: BatchRecord, job_ids: Sequence[str], running: Mapping[str, RunningTask]
) -> list[JobLook]:
    if not job_ids:
        return []
    rows = _rows_at_once(ports, record) if len(job_ids) >= MANY else {}
    with ThreadPoolExecutor(PARALLEL_LOOKS, "look") as pool:
        return list(pool.map(lambda job_id: _look_at(ports, record, job_id, rows.get(job_id), running), job_ids))


def _rows_at_once(ports: Ports, record: BatchRecord) -> dict[str, JobRecord]:
    """Rows of a batch's jobs by a scan of the user's: a few requests instead of a thousand.

    A user may have a hundred thousand jobs besides: what the scan has not found in a moment is asked for by its key.
    """
    found: dict[str, JobRecord] = {}
    began = ports.clock.now()
    for job in find(ports.tables, JobRecord, partition=record.user, batch=record.batch_id):
        found[job.job_id] = job
        if (ports.clock.now() - began).total_seconds() > LONGEST_SCAN_S:
            break
    return found


def _look_at(
    ports: Ports, record: BatchRecord, job_id: str, row: JobRecord | None, running: Mapping[str, RunningTask]
) -> JobLook:
    job = row or find_job(ports, record.user, job_id)
    if job is None:
        return JobLook(job_id, None, 1.0) if record.opened else JobLook(job_id, JobState.ACCEPTED, 0.0)
    look = _stands(ports, job, running)
    return replace(look, progress=1.0) if look.is_over else look


def _stands(ports: Ports, job: JobRecord, running: Mapping[str, RunningTask]) -> JobLook:
    """What a job's own row says, where that is all there is to say; else what its outputs and tasks say too."""
    if job.final is None and (job.cancelled or not job.planned):
        said = "" if job.planned else message_of(job, ())
        return JobLook(job.job_id, state_of_job(job, (), ()), 0.0, said, job)
    status = status_of(ports, job, running)
    return JobLook(job.job_id, status.state, status.progress, status.message, job)
