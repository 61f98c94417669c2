"""The pilots there are, in a file: a new ``orthoagent scale`` goes on where the last one was."""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from orthoagent.errors import AgentError
from orthoagent.pilots.plan import Pilot, PilotState
from orthoagent.pilots.scheduler import SeenJob


@dataclass
class Entry:
    """One pilot. Times are seconds since the epoch."""

    agent: str
    asked_at_s: float
    job: str | None = None
    state: PilotState = "submitted"
    starts_at_s: float | None = None
    reason: str = ""
    is_cancelled: bool = False

    @property
    def pilot(self) -> Pilot:
        return Pilot(self.agent, self.state, self.starts_at_s)


@dataclass
class Changes:
    """What a look at the scheduler has told."""

    queued: list[Entry] = field(default_factory=list)
    """That were not known to wait, or wait for another reason now."""
    began: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)


class ScaleTwiceError(AgentError):
    """Another ``orthoagent scale`` serves this pool from the same folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another `orthoagent scale` is at work here ({folder} is locked): one a pool is enough")


class Book:
    """Pilots of a pool by agent id. An entry is written before its job is submitted, and found again by its name."""

    def __init__(self, folder: Path, pool: str) -> None:
        self._path = folder / "pilots.json"
        self._prefix = f"pilot-{pool}-"
        self._entries = {}
        if self._path.exists():
            self._entries = {one["agent"]: Entry(**one) for one in json.loads(self._path.read_text())}
        self.gone: dict[str, Entry] = {}
        """No longer there, and nobody told yet."""

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def new(self, now_s: float) -> Entry:
        """A pilot that is about to be submitted, under a name that nobody had before."""
        entry = Entry(f"{self._prefix}{secrets.token_hex(5)}", now_s)
        self._entries[entry.agent] = entry
        self.save()
        return entry

    def drop(self, entry: Entry) -> None:
        """One that was refused."""
        del self._entries[entry.agent]
        self.save()

    def told(self, entry: Entry) -> None:
        """Everybody knows that it is gone."""
        self.gone.pop(entry.agent, None)
        self.save()

    def compare(self, seen: Iterable[SeenJob], looked_at_s: float) -> Changes:
        """Bring the book to what the scheduler showed to a look that began at a moment."""
        changes = Changes()
        jobs = {job.name: job for job in seen if job.name.startswith(self._prefix)}
        for name, job in jobs.items():
            entry = self._entries.setdefault(name, Entry(name, looked_at_s))
            state: PilotState = "running" if job.is_running else "queued"
            if state == "running" and entry.state != "running":
                changes.began.append(entry)
            elif state == "queued" and (entry.state != "queued" or entry.reason != job.reason):
                changes.queued.append(entry)
            entry.job, entry.state, entry.starts_at_s, entry.reason = job.job, state, job.starts_at_s, job.reason
        for entry in self.entries:
            if entry.agent not in jobs and entry.asked_at_s < looked_at_s:
                changes.gone.append(self._entries.pop(entry.agent))
                self.gone[entry.agent] = entry
        self.save()
        return changes

    def save(self) -> None:
        """Those that are gone stay in the file until everybody knows: the next life tells them else."""
        text = json.dumps([asdict(entry) for entry in (*self._entries.values(), *self.gone.values())], indent=1)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self._path)


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Make the folder, for this user alone, and hold it. Raises ScaleTwiceError."""
    for path in (folder, folder / "logs"):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ScaleTwiceError(folder) from None
        yield
