"""Messages on storage queues and MQTT. JSON, versioned, under 64 KiB; no order between them is assumed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orthocontracts.model import Digest, Document, Identifier, Message, UtcTime
from orthocontracts.outputs import FileFacts, FileKind

TIME_LIMIT = "TimeLimit"
"""The kind of fault of what was not made when a delivery's time was up."""


class Release(Message):
    """On a pool's queue: this task may run, under this release number. The message is also the lease."""

    task_id: Identifier
    release: int = Field(ge=1)


class Fault(Document):
    """Why something failed, for people and for the retry rule."""

    kind: str = Field(max_length=100, description="error class")
    message: str = Field(max_length=2000)
    permanent: bool = False


class Verdict(Document):
    """How one output of a delivery ended: its files, or why there are none."""

    digest: Digest
    files: dict[FileKind, FileFacts] | None = None
    fault: Fault | None = None
    figures: dict[str, float] = Field(default_factory=dict)


class Report(Message):
    """On queue ``results``. ``returned`` is work handed back unharmed (drain, eviction, too little walltime).

    ``lost`` is a delivery whose message could not be kept because storage did not answer: its end is nobody's fault.
    """

    kind: Literal["started", "finished", "returned", "lost"]
    task_id: Identifier
    release: int = Field(ge=1)
    delivery: int = Field(ge=1)
    agent: Identifier
    pool: Identifier
    token: str = Field(default="", max_length=64, description="its ticket's: only the pool's workers know it; a secret")
    at: UtcTime
    verdicts: tuple[Verdict, ...] = ()
    reason: str | None = Field(default=None, max_length=500)
    figures: dict[str, float] = Field(default_factory=dict)


class Wake(Message):
    """On queue ``dispatch``: something changed, a round may find work. Carries why, for the log only."""

    reason: str = Field(max_length=100)


class RunningTask(Message):
    task_id: Identifier
    release: int
    progress: float = Field(default=0.0, ge=0, le=1)
    phase: Literal["fetch", "compute", "deliver"] = "fetch"


class AgentStatus(Message):
    """Retained on an agent's status topic and forwarded to queue ``capacity``. Its last will says ``offline``.

    ``starting`` is said in a worker's name before it runs, by whoever has submitted it: a pilot that waits in a batch
    scheduler's queue. ``starts_at`` is when it is expected, where the scheduler says so.
    """

    agent: Identifier
    pool: Identifier
    session: str = Field(max_length=64, description="new at every start of the worker")
    sequence: int = Field(ge=0)
    state: Literal["starting", "online", "draining", "offline"]
    at: UtcTime
    starts_at: UtcTime | None = None
    slots: int = Field(default=0, ge=0)
    running: tuple[RunningTask, ...] = ()
    walltime_left_s: float | None = None
    result_version: int = 0
    version: str = ""
    machine: str = Field(default="", max_length=100)


class Statuses(Message):
    """Statuses of several agents in one message of queue ``capacity``."""

    statuses: tuple[AgentStatus, ...] = Field(min_length=1)


class Control(Message):
    """functions, or an operator → agent.

    ``cancel`` is for a release that counts no longer: its run is dropped without a word. ``hand_back`` stops a run that
    does count, and returns the work to the dispatcher.
    """

    action: Literal["drain", "resume", "cancel", "hand_back"]
    task_id: Identifier | None = None
    release: int | None = None


class Doorbell(Message):
    """functions → agent: take work from your pool's queue."""

    pool: Identifier


class Demand(Message):
    """Retained per pool: how many slots the dispatcher would like, and until when it is worth listening."""

    pool: Identifier
    slots: int = Field(ge=0)
    until: UtcTime


class JobEvent(Message):
    """A state change of a job or one of its tasks, for whoever watches."""

    job_id: Identifier
    task_id: Identifier | None = None
    state: str
    pool: str | None = None
    at: UtcTime
