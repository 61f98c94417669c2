"""Cancelling a job: it leaves its digests; work stops where nobody is left."""

from __future__ import annotations

import logging

from orthocontracts.states import OutputState, TaskState
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.digests import unsubscribe
from orthofunctions.usecases.events import tell_job
from orthofunctions.usecases.jobs import change_job, find_job
from orthofunctions.usecases.rows import find, load, swap
from orthofunctions.usecases.settle import settle_job
from orthofunctions.usecases.tasks import digests_of, load_task, settle
from orthofunctions.usecases.wanted import stop_waiting

logger = logging.getLogger(__name__)


def cancel_job(ports: Ports, user: str, job_id: str) -> JobRecord | None:
    """Cancel what is left of a job. Repeating it completes what an earlier call began.

    What is committed stays, and a job that is over stays as it ended. An output that others wait for too goes on for
    them.

    Returns
    -------
    JobRecord or None
        None where the user has no such job.
    """
    job = find_job(ports, user, job_id)
    if job is None:
        return None
    job = change_job(ports, job, lambda now: None if now.cancelled or now.final else now.changed(cancelled=True))
    logger.info("cancelled", extra={"action": "cancelled", "job": job_id})
    leave_outputs(ports, job_id)
    stop_waiting(ports, job_id, filter(None, job.waits_for.split(",")))
    return settle_job(ports, job)


def leave_outputs(ports: Ports, job_id: str) -> None:
    """Unsubscribe a cancelled job from everything, and stop the tasks nobody waits for any longer."""
    makers: set[str] = set()
    for output in find(ports.tables, OutputRecord, partition=job_id):
        if _cancel_output(ports, output):
            unsubscribe(ports, output.digest, job_id)
            makers.add(output.task_id)
    for task_id in sorted(makers - {""}):
        task = load_task(ports, job_of_task(task_id), task_id)
        if task is not None and not settle(ports, task.job_id, task_id, digests_of(ports, task)):
            _makes_less(ports, task)
    tell_job(ports, job_id)


def _makes_less(ports: Ports, task: TaskRecord) -> None:
    """Some of its outputs are wanted no longer: a release will look which. One that was first makes them in vain."""
    found: TaskRecord | None = task
    while found is not None and found.state is TaskState.PENDING and found.makes_all:
        try:
            swap(ports.tables, found.changed(makes_all=False))
        except RowChangedError:
            found = load_task(ports, task.job_id, task.task_id)
        else:
            return


def _cancel_output(ports: Ports, output: OutputRecord) -> bool:
    """Whether the output is cancelled now."""
    found: OutputRecord | None = output
    while found is not None:
        if found.state is not OutputState.WANTED:
            return found.state is OutputState.CANCELLED
        try:
            swap(ports.tables, found.changed(state=OutputState.CANCELLED, ended_at=ports.clock.now()))
        except RowChangedError:
            found = load(ports.tables, OutputRecord, output.job_id, output.digest)
        else:
            return True
    return False
