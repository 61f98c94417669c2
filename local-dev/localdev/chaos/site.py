"""What faults strike: the running stack, a proxy before storage, clocks that can be set, a disk that can be full."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from localdev.chaos.proxy import StorageProxy
from localdev.chaos.watch import Watch
from localdev.servers import Server
from localdev.stack import Stack

CLOCK = Path(__file__).with_name("clock")
DISK_MB = 256


@dataclass
class Site:
    """One run's targets. What is under a fault is held, so that no other fault undoes it.

    Attributes
    ----------
    lease_s : float
        Of a running task's message.
    disk : Path, optional
        The small disk that the first agent works on.
    """

    stack: Stack
    proxy: StorageProxy
    watch: Watch
    rng: random.Random
    folder: Path
    lease_s: float
    disk: Path | None
    stop: threading.Event = field(default_factory=threading.Event)
    _held: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """Whether the thing was free; if so it is held for the block."""
        with self._lock:
            is_free = name not in self._held
            self._held.add(name)
        try:
            yield is_free
        finally:
            if is_free:
                self._held.discard(name)

    def any_agent(self) -> Server | None:
        """One that runs and is under no fault; one at work, if any is."""
        free = [agent for agent in self.stack.agents if agent.running and agent.name not in self._held]
        at_work = [agent for agent in free if self.watch.running_on(agent.name)]
        return self.rng.choice(at_work or free) if free else None

    def is_held(self, name: str) -> bool:
        return name in self._held

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the run."""
        self.stop.wait(seconds)

    def clock_of(self, agent: str) -> Path:
        return clock_file(self.folder, agent)


def clock_file(folder: Path, agent: str) -> Path:
    """Seconds that an agent's clock is ahead."""
    return folder / f"{agent}.clock"


def clock_environment(folder: Path, agent: str) -> dict[str, str]:
    return {"PYTHONPATH": str(CLOCK), "CHAOS_CLOCK_FILE": str(clock_file(folder, agent))}


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of its own, mounted where this user may; else none."""
    folder.mkdir(parents=True)
    options = f"size={DISK_MB}m"
    done = os.geteuid() == 0 and _run("mount", "-t", "tmpfs", "-o", options, "chaos", str(folder))
    try:
        yield folder if done else None
    finally:
        if done:
            _run("umount", "--lazy", str(folder))


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
