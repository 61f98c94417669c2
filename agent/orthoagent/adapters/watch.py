"""Watching a running child: what it may use, and how long it may be silent."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from orthocontracts.messages import Fault

LOOK_EVERY_S = 0.25
MEASURE_FOLDER_EVERY_S = 2.0


@dataclass(frozen=True)
class SlotLimits:
    """What one slot may have. None: no limit but the machine's.

    Attributes
    ----------
    memory_bytes : int, optional
        Resident memory of the child and of what it started, together.
    scratch_bytes : int, optional
        Files of one delivery.
    silence_s : float
        Time without progress after which a child counts as hung.
    """

    memory_bytes: int | None = None
    scratch_bytes: int | None = None
    silence_s: float = 600.0


class Watch:
    """Looks after one job of a child."""

    def __init__(self, limits: SlotLimits, pid: int, folder: Path) -> None:
        self._limits, self._pid, self._folder = limits, pid, folder
        self._heard_at_s = time.monotonic()

    def heard(self) -> None:
        """The child has shown progress."""
        self._heard_at_s = time.monotonic()

    async def broken(self) -> Fault:
        """Returns once a limit is broken, with what is to be said of it."""
        measured_at_s = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = time.monotonic()
            fault = self._silence(now_s) or self._memory()
            if fault is None and self._limits.scratch_bytes and now_s - measured_at_s >= MEASURE_FOLDER_EVERY_S:
                measured_at_s = now_s
                fault = await asyncio.to_thread(self._scratch, self._limits.scratch_bytes)
            if fault is not None:
                return fault

    def _silence(self, now_s: float) -> Fault | None:
        if now_s - self._heard_at_s < self._limits.silence_s:
            return None
        return Fault(kind="Hung", message=f"stopped: the kernel showed no progress for {self._limits.silence_s:g} s")

    def _memory(self) -> Fault | None:
        limit = self._limits.memory_bytes
        if limit is None or (used := resident_bytes(self._pid)) <= limit:
            return None
        return Fault(
            kind="OutOfMemory",
            message=f"stopped: the kernel used {used / 1e9:.1f} GB of memory, a slot of this worker may have "
            f"{limit / 1e9:.1f} GB (ORTHOAGENT_SLOT_MEMORY_GB)",
        )

    def _scratch(self, limit: int) -> Fault | None:
        used = folder_bytes(self._folder)
        if used <= limit:
            return None
        return Fault(
            kind="ScratchLimit",
            message=f"stopped: inputs and images are {used / 1e9:.1f} GB, a slot of this worker may have "
            f"{limit / 1e9:.1f} GB of scratch (ORTHOAGENT_SLOT_SCRATCH_GB)",
        )


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all it has started; 0 where there is no ``/proc``, or no such process."""
    pages, waiting = 0, [pid]
    while waiting:
        one = Path("/proc", str(waiting.pop()))
        try:
            pages += int((one / "statm").read_text().split()[1])
            waiting += [int(child) for thread in (one / "task").iterdir() for child in _children(thread)]
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children(thread: Path) -> list[str]:
    try:
        return (thread / "children").read_text().split()
    except OSError:
        return []  # the thread has ended meanwhile


def folder_bytes(folder: Path) -> int:
    """What the files below a folder occupy; links to elsewhere count nothing. Blocks."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(Path(parent, name)).st_blocks * 512
            except OSError:
                continue  # removed meanwhile
    return total
