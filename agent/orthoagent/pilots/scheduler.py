"""What a batch scheduler can do for us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from orthoagent.errors import AgentError


@dataclass(frozen=True)
class SeenJob:
    """A job that waits or runs. ``starts_at_s`` is when it began or is expected to, in seconds since the epoch."""

    job: str
    name: str
    is_running: bool
    starts_at_s: float | None = None
    reason: str = ""
    """Why it waits, in the scheduler's words."""


@dataclass(frozen=True)
class PilotSpec:
    """What every pilot asks for. ``options`` are those that name things of the site: partition, account, QoS."""

    environment: dict[str, str]
    command: Sequence[str]
    folder: Path
    cores: int
    walltime: timedelta
    memory_bytes: int | None
    options: dict[str, str]
    extra: str
    """Arguments for the scheduler as they are, ``--constraint=skylake`` say."""


class PilotRefusedError(AgentError):
    """The scheduler will not take such a job, today or tomorrow: the message names the options and quotes it."""


class Scheduler(Protocol):
    """Every call raises CommandFailedError where the scheduler does not answer: try again later."""

    name: str

    async def look(self) -> list[SeenJob]:
        """This user's jobs that wait or run."""

    async def submit(self, agent: str) -> str:
        """Submit a pilot that is to be this agent, under its name. Its job id; raises PilotRefusedError."""

    async def cancel(self, job: str) -> None:
        """Cancel a job that waits."""
