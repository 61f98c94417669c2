"""What a user sees of a job and its tasks, derived from the rows each time it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orthocontracts.messages import RunningTask
from orthocontracts.states import JobState, OutputState, TaskState, job_state
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.pool_state import is_live
from orthofunctions.domain.records import AgentRecord, JobRecord, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.roster import all_agents
from orthofunctions.usecases.rows import find, load

PARALLEL_JOBS = 8


@dataclass(frozen=True)
class TaskView:
    record: TaskRecord
    title: str
    running: RunningTask | None
    joined: bool

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        if self.record.state is TaskState.SUCCEEDED:
            return 1.0
        if self.record.state is TaskState.RUNNING and self.running is not None:
            return self.running.progress
        return 0.0

    @property
    def decision(self) -> dict[str, Any] | None:
        return json.loads(self.record.decision) if self.record.decision else None


@dataclass(frozen=True)
class JobView:
    record: JobRecord
    state: JobState
    outputs: Sequence[OutputRecord]
    tasks: Sequence[TaskView]

    @property
    def progress(self) -> float:
        """From 0 to 1: the mean over the outputs, running tasks with their share."""
        if not self.outputs:
            return 0.0
        by_task = {task.record.task_id: task.progress for task in self.tasks}
        done = [
            min(by_task.get(output.task_id, 0.0), 0.99) if output.state is OutputState.WANTED else 1.0
            for output in self.outputs
        ]
        return sum(done) / len(done)

    @property
    def message(self) -> str:
        if self.record.fault_message:
            return f"{self.record.fault_kind}: {self.record.fault_message}"
        if not self.record.planned:
            return "waits for its plan"
        faults = [f"{one.title}: {one.fault_message or one.fault_kind}" for one in self.outputs if one.fault_kind]
        committed = sum(one.state is OutputState.COMMITTED for one in self.outputs)
        summary = f"{committed} of {len(self.outputs)} images are there"
        return "; ".join([summary, *faults[:3]]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")

    @property
    def started_at(self) -> datetime | None:
        return min((task.record.started_at for task in self.tasks if task.record.started_at), default=None)

    @property
    def ended_at(self) -> datetime | None:
        if self.state in (JobState.ACCEPTED, JobState.RUNNING):
            return None
        return max((task.record.ended_at for task in self.tasks if task.record.ended_at), default=None)


def live_agents(ports: Ports, rules: Rules) -> list[AgentRecord]:
    now = ports.clock.now()
    return [agent for agent in all_agents(ports) if is_live(agent, now, rules)]


def running_tasks(agents: Iterable[AgentRecord]) -> dict[str, RunningTask]:
    """What workers say they run, by task; the latest release where two say so."""
    found: dict[str, RunningTask] = {}
    for agent in agents:
        for item in json.loads(agent.running):
            running = RunningTask.model_validate(item)
            if running.task_id not in found or found[running.task_id].release < running.release:
                found[running.task_id] = running
    return found


def view_job(ports: Ports, job: JobRecord, running: Mapping[str, RunningTask]) -> JobView:
    """A job with its outputs and tasks, those of other jobs it has joined included."""
    outputs = sorted(find(ports.tables, OutputRecord, partition=job.job_id), key=lambda one: (one.title, one.digest))
    records = list(find(ports.tables, TaskRecord, partition=job.job_id))
    own = {record.task_id for record in records}
    elsewhere = {one.task_id for one in outputs if one.task_id and job_of_task(one.task_id) != job.job_id} - own
    records += [
        record
        for task_id in sorted(elsewhere)
        if (record := load(ports.tables, TaskRecord, job_of_task(task_id), task_id))
    ]
    tasks = [
        TaskView(
            record=record,
            title=_title([output.title for output in outputs if output.task_id == record.task_id]),
            running=_of_release(running.get(record.task_id), record),
            joined=record.job_id != job.job_id,
        )
        for record in records
    ]
    return JobView(job, _state(job, outputs, tasks), outputs, tasks)


def view_jobs(ports: Ports, user: str, limit: int, running: Mapping[str, RunningTask]) -> list[JobView]:
    """The newest jobs of a user."""
    records = sorted(
        find(ports.tables, JobRecord, partition=user), key=lambda job: (job.created_at, job.job_id), reverse=True
    )[:limit]
    if not records:
        return []
    with ThreadPoolExecutor(PARALLEL_JOBS) as pool:
        return list(pool.map(lambda job: view_job(ports, job, running), records))


def _state(job: JobRecord, outputs: Sequence[OutputRecord], tasks: Sequence[TaskView]) -> JobState:
    if job.fault_kind:
        return JobState.FAILED
    if job.cancelled:
        return JobState.DISMISSED
    if not job.planned:
        return JobState.ACCEPTED
    started = any(task.record.started_at is not None or task.record.state.is_final for task in tasks)
    return job_state((output.state for output in outputs), any_started=started)


def _of_release(running: RunningTask | None, task: TaskRecord) -> RunningTask | None:
    return running if running is not None and running.release == task.release else None


def _title(titles: Sequence[str]) -> str:
    """``PRODUCT tile, tile, …`` for people."""
    if not titles:
        return ""
    return ", ".join([titles[0], *(title.rsplit(" ", 1)[-1] for title in titles[1:])])
