"""Telling whoever watches a job. Best effort: truth is in the rows."""

from __future__ import annotations

from orthocontracts import names
from orthocontracts.messages import Control, JobEvent
from orthocontracts.states import job_state
from orthofunctions.domain.records import OutputRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.telemetry import current_traceparent
from orthofunctions.usecases.rows import find


def tell_task(ports: Ports, task: TaskRecord) -> None:
    event = JobEvent(
        job_id=task.job_id,
        task_id=task.task_id,
        state=task.state,
        pool=task.pool,
        at=ports.clock.now(),
        traceparent=task.traceparent,
    )
    ports.bell.publish(names.topic_job_events(task.job_id), event.to_json())


def tell_job(ports: Ports, job_id: str) -> None:
    """Publish a job's state as its outputs have it now."""
    states = [output.state for output in find(ports.tables, OutputRecord, partition=job_id)]
    event = JobEvent(
        job_id=job_id,
        state=job_state(states, any_started=True),
        at=ports.clock.now(),
        traceparent=current_traceparent(),
    )
    ports.bell.publish(names.topic_job_events(job_id), event.to_json())


def tell_agent_to_stop(ports: Ports, task: TaskRecord) -> None:
    """Ask the worker that runs a release to stop. One that does not hear it finds its ticket gone."""
    if task.agent is not None:
        control = Control(action="cancel", task_id=task.task_id, release=task.release, traceparent=task.traceparent)
        ports.bell.publish(names.topic_control(task.agent), control.to_json())
