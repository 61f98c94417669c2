"""What a user sees of a job and its tasks, derived from the rows each time it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orthocontracts.messages import RunningTask
from orthocontracts.states import JobState, OutputState, TaskState
from orthofunctions.domain.endings import OVER, end_of, message_of, state_of
from orthofunctions.domain.pool_state import is_live
from orthofunctions.domain.records import AgentRecord, JobRecord, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.roster import all_agents
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.settle import tasks_of

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
class JobStatus:
    """How a job stands, without its parts."""

    record: JobRecord
    state: JobState
    message: str
    progress: float  # from 0 to 1
    started_at: datetime | None
    ended_at: datetime | None


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
    def status(self) -> JobStatus:
        tasks = [task.record for task in self.tasks]
        return JobStatus(
            record=self.record,
            state=self.state,
            message=message_of(self.record, self.outputs),
            progress=self.progress,
            started_at=min((task.started_at for task in tasks if task.started_at), default=None),
            ended_at=end_of(self.record, self.outputs, tasks) if self.state in OVER else None,
        )


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
    records = tasks_of(ports, job, outputs)
    tasks = [
        TaskView(
            record=record,
            title=_title([output.title for output in outputs if output.task_id == record.task_id]),
            running=_of_release(running.get(record.task_id), record),
            joined=record.job_id != job.job_id,
        )
        for record in records
    ]
    return JobView(job, state_of(job, outputs, records), outputs, tasks)


def status_of(ports: Ports, job: JobRecord, running: Mapping[str, RunningTask]) -> JobStatus:
    """How a job stands. Of one that is settled nothing but its row is read."""
    if job.final is None:
        return view_job(ports, job, running).status
    return JobStatus(
        record=job,
        state=job.final,
        message=job.final_message,
        progress=1.0 if job.n_outputs else 0.0,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


def statuses_of(ports: Ports, jobs: Sequence[JobRecord], running: Mapping[str, RunningTask]) -> list[JobStatus]:
    """The same of many, in their order."""
    if not jobs:
        return []
    with ThreadPoolExecutor(PARALLEL_JOBS) as pool:
        return list(pool.map(lambda job: status_of(ports, job, running), jobs))


def _of_release(running: RunningTask | None, task: TaskRecord) -> RunningTask | None:
    return running if running is not None and running.release == task.release else None


def _title(titles: Sequence[str]) -> str:
    """``PRODUCT tile, tile, …`` for people."""
    if not titles:
        return ""
    return ", ".join([titles[0], *(title.rsplit(" ", 1)[-1] for title in titles[1:])])
