"""Looks at the tasks' rows again and again, past the proxy, and times what recovers."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from azure.core.exceptions import AzureError

from localdev.chaos.proxy import StorageProxy
from orthocontracts.states import TaskState
from orthofunctions.bootstrap import build
from orthofunctions.domain.records import AgentRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.roster import all_agents
from orthofunctions.usecases.rows import find

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25


@dataclass(frozen=True)
class View:
    """A moment's view."""

    tasks: dict[str, TaskRecord]
    commits: Sequence[tuple[float, str]]
    agents: Callable[[], list[AgentRecord]]

    def committed_since(self, moment_s: float) -> bool:
        return any(at_s > moment_s for at_s, _ in self.commits)

    def moved_on(self, before: TaskRecord) -> bool:
        """Whether a task runs, or has ended, in another delivery than then."""
        now = self.tasks[before.task_id]
        is_another = (now.release, now.delivery) > (before.release, before.delivery)
        return is_another and (now.state is TaskState.RUNNING or now.state.is_final)

    def was_done(self, before: TaskRecord) -> bool:
        """Whether a task ended in the delivery it was in then: that had been reported, and nothing was hit."""
        now = self.tasks[before.task_id]
        return now.state.is_final and (now.release, now.delivery) == (before.release, before.delivery)

    def began_on(self, agent: str, since_s: float) -> bool:
        """Whether an agent has begun a task since a time of the wall clock."""
        return any(
            task.agent == agent and task.started_at is not None and task.started_at.timestamp() > since_s
            for task in self.tasks.values()
        )


@dataclass
class _Wait:
    kind: str
    since_s: float
    is_over: Callable[[View], bool]
    is_void: Callable[[View], bool] = lambda _: False


@dataclass
class Watch:
    """In a thread of its own. ``recovered`` is given: seconds by kind of fault."""

    connection: str
    proxy: StorageProxy
    recovered: dict[str, list[float]] = field(default_factory=dict)
    _waits: list[_Wait] = field(default_factory=list)
    _tasks: dict[str, TaskRecord] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        settings = Settings.model_validate({"AzureWebJobsStorage": self.connection})
        self._system = build(settings)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._system.close()

    @property
    def ports(self) -> Ports:
        return self._system.ports

    @property
    def tasks(self) -> list[TaskRecord]:
        return list(self._tasks.values())

    @property
    def open_tasks(self) -> int:
        return sum(not task.state.is_final for task in self.tasks)

    def running_on(self, agent: str) -> list[TaskRecord]:
        return [task for task in self.tasks if task.state is TaskState.RUNNING and task.agent == agent]

    def wait_for(self, kind: str, is_over: Callable[[View], bool], *, since_s: float | None = None) -> None:
        """Time, from now or from ``since_s`` (monotonic), until it is so; does not wait itself."""
        self._waits.append(_Wait(kind, time.monotonic() if since_s is None else since_s, is_over))

    def wait_for_tasks(self, kind: str, tasks: Sequence[TaskRecord]) -> None:
        """Until each runs, or has ended, in another delivery than now."""
        for task in tasks:
            is_over, is_void = partial(View.moved_on, before=task), partial(View.was_done, before=task)
            self._waits.append(_Wait(kind, time.monotonic(), is_over, is_void))

    def wait_for_commit(self, kind: str) -> None:
        now_s = time.monotonic()
        self.wait_for(kind, lambda view: view.committed_since(now_s))

    @property
    def waits(self) -> bool:
        """Whether anything has yet to recover."""
        return bool(self._waits)

    def forget(self) -> None:
        """Wait no longer for what has not recovered."""
        self._waits.clear()

    def _run(self) -> None:
        ports = self._system.ports
        view = View(self._tasks, self.proxy.commits, lambda: list(all_agents(ports)))
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self._tasks |= {task.task_id: task for task in find(ports.tables, TaskRecord)}
                for wait in list(self._waits):
                    is_over = wait.is_over(view)
                    if is_over:
                        self.recovered.setdefault(wait.kind, []).append(time.monotonic() - wait.since_s)
                    if is_over or wait.is_void(view):
                        with contextlib.suppress(ValueError):
                            self._waits.remove(wait)
            except (AzureError, OSError) as error:
                log.info("storage does not answer: %s", type(error).__name__)
