"""What an agent says of itself, and when it is time to say it again. Pure: the caller brings the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from orthocontracts.messages import AgentStatus, RunningTask
from orthocontracts.version import KERNEL_RESULT_VERSION

SEQUENCES_A_CONNECTION = 1_000_000
"""A last will is written when a connection begins and read when it has ended. So that it is newer than every status of
its own connection and older than those of the next, each connection numbers from a block of its own."""

State = Literal["online", "draining", "offline"]
Phase = Literal["fetch", "compute", "deliver"]


class StatusBoard:
    """The current status of one worker.

    A change of state, slots or phase is worth telling at once, progress only every ``min_s`` seconds, and
    everything again after ``every_s``. ``now_s`` is a monotonic clock.
    """

    def __init__(
        self, *, agent: str, pool: str, session: str, version: str, machine: str, min_s: float, every_s: float
    ) -> None:
        self._agent, self._pool, self._session = agent, pool, session
        self._slots, self._version, self._machine = 0, version, machine
        self._min_s, self._every_s = min_s, every_s
        self._running: dict[tuple[str, int], RunningTask] = {}
        self._state: State = "online"
        self._connection = 0
        self._sequence = 0
        self._urgent = True
        self._progressed = False
        self._told_at_s: float | None = None
        self._walltime_left_s: Callable[[], float | None] = lambda: None
        self.on_change: Callable[[], None] = lambda: None

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def state(self) -> State:
        return self._state

    @property
    def about(self) -> dict[str, str]:
        """What this worker is, and stays."""
        return {
            "agent": self._agent,
            "pool": self._pool,
            "version": self._version,
            "result_version": str(KERNEL_RESULT_VERSION),
            "machine": self._machine,
        }

    def ends_with(self, walltime_left_s: Callable[[], float | None]) -> None:
        self._walltime_left_s = walltime_left_s

    def open(self, slots: int) -> None:
        """The slots are ready; before, this agent offers none."""
        self._slots = slots
        self.tell_again()

    def become(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self.tell_again()

    def tell_again(self) -> None:
        """Something others believe of this agent is wrong: correct it at once."""
        self._urgent = True
        self.on_change()

    def show(self, task_id: str, release: int, phase: Phase, progress: float = 0.0) -> None:
        """A task runs, in this phase, this far (0 to 1)."""
        key = (task_id, release)
        before = self._running.get(key)
        now = RunningTask(task_id=task_id, release=release, phase=phase, progress=min(1.0, max(0.0, progress)))
        if before == now:
            return
        self._running[key] = now
        if before is None or before.phase != phase:
            self.tell_again()
        else:
            self._progressed = True
            self.on_change()

    def clear(self, task_id: str, release: int) -> None:
        """A task runs no more."""
        if self._running.pop((task_id, release), None) is not None:
            self.tell_again()

    def wait_s(self, now_s: float) -> float:
        """Seconds until the status is due; 0 if it is."""
        if self._urgent or self._told_at_s is None:
            return 0.0
        interval_s = min(self._min_s, self._every_s) if self._progressed else self._every_s
        return max(0.0, self._told_at_s + interval_s - now_s)

    def tell(self, now_s: float) -> AgentStatus:
        """The status to publish now."""
        self._urgent = self._progressed = False
        self._told_at_s = now_s
        self._sequence += 1
        return self._status(self._state, tuple(self._running.values()), self._sequence)

    def farewell(self) -> AgentStatus:
        """What is true after a clean end."""
        self._sequence += 1
        return self._status("offline", (), self._sequence)

    def connect(self) -> AgentStatus:
        """Begin a connection; returns its last will."""
        self._connection += 1
        self._sequence = self._connection * SEQUENCES_A_CONNECTION
        self._urgent = True
        return self._status("offline", (), self._sequence + SEQUENCES_A_CONNECTION - 1)

    def is_wrong(self, seen: AgentStatus) -> bool:
        """Whether a status seen on this agent's own topic misleads: a late will, or what was said before it ran."""
        return seen.state in {"offline", "starting"} and self._state != "offline" and seen.agent == self._agent

    def is_echo(self, seen: AgentStatus) -> bool:
        return seen.session == self._session and seen.state != "offline"

    def _status(self, state: State, running: tuple[RunningTask, ...], sequence: int) -> AgentStatus:
        return AgentStatus(
            agent=self._agent,
            pool=self._pool,
            session=self._session,
            sequence=sequence,
            state=state,
            at=datetime.now(UTC),
            slots=0 if state == "offline" else self._slots,
            running=running,
            walltime_left_s=self._walltime_left_s(),
            result_version=KERNEL_RESULT_VERSION,
            version=self._version,
            machine=self._machine[:100],
        )
