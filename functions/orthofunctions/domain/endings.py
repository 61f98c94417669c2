"""How a job stands, from the rows it consists of; and the moment from which that cannot change any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from orthocontracts.states import JobState, OutputState, job_state
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord

OVER = frozenset({JobState.SUCCESSFUL, JobState.FAILED, JobState.DISMISSED})
_LONGEST_MESSAGE = 2000


def state_of(job: JobRecord, outputs: Sequence[OutputRecord], tasks: Sequence[TaskRecord]) -> JobState:
    """The state of a job: as it was settled, else as its outputs have it."""
    if job.final is not None:
        return job.final
    if job.fault_kind:
        return JobState.FAILED
    if job.cancelled:
        return JobState.DISMISSED
    if not job.planned:
        return JobState.ACCEPTED
    started = any(task.started_at is not None or task.state.is_final for task in tasks)
    return job_state((output.state for output in outputs), any_started=started)


def message_of(job: JobRecord, outputs: Sequence[OutputRecord]) -> str:
    """For people: how many images are there, and what went wrong."""
    if job.final is not None:
        return job.final_message
    if job.fault_message:
        return f"{job.fault_kind}: {job.fault_message}"
    if not job.planned:
        if job.cancelled:
            return "cancelled before it was planned"
        return f"waits for {job.waits_for}, to be fetched" if job.waits_for else "waits for its plan"
    faults = [f"{one.title}: {one.fault_message or one.fault_kind}" for one in outputs if one.fault_kind]
    committed = sum(one.state is OutputState.COMMITTED for one in outputs)
    summary = f"{committed} of {len(outputs)} images are there"
    return "; ".join([summary, *faults[:3]]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")


def end_of(job: JobRecord, outputs: Sequence[OutputRecord], tasks: Sequence[TaskRecord]) -> datetime | None:
    """When a job that is over came to its end; of one that is not settled yet: so far."""
    if job.ended_at is not None:
        return job.ended_at
    ends = [*(one.ended_at for one in outputs), *(one.ended_at for one in tasks), job.planned_at]
    return max((one for one in ends if one is not None), default=None)


def settled(
    job: JobRecord,
    outputs: Sequence[OutputRecord],
    tasks: Sequence[TaskRecord],
    still_subscribed: Collection[str],
    now: datetime,
) -> JobRecord | None:
    """The job with its end written into it, or None while that may still change.

    An output that has failed may yet be committed by a late delivery, for as long as the job is subscribed to its
    digest; what is committed stays, and what was cancelled has left its digest.

    Parameters
    ----------
    still_subscribed : collection of str
        Digests of failed outputs whose closing has not come to this job's subscription yet.
    now : datetime
        When the job ended, where its tasks do not say: the last of them is just about to.
    """
    if job.final is not None:
        return None
    state = state_of(job, outputs, tasks)
    waits = any(output.state is OutputState.WANTED for output in outputs) or bool(still_subscribed)
    if state not in OVER or (waits and not job.fault_kind):
        return None
    told = all(task.state.is_final and task.ended_at is not None for task in tasks)
    ends = [task.ended_at for task in tasks if task.ended_at is not None]
    return job.changed(
        final_state=str(state),
        final_message=message_of(job, outputs)[:_LONGEST_MESSAGE],
        started_at=min((task.started_at for task in tasks if task.started_at), default=None),
        ended_at=max(ends) if told and ends else now,
        n_outputs=max(job.n_outputs, len(outputs)),
        n_images=sum(output.state is OutputState.COMMITTED for output in outputs),
    )
