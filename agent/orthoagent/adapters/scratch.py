"""The agent's folder for running tasks: its own alone, and empty at start."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from orthoagent.errors import AgentTwiceError
from orthoagent.logs import log
from orthoagent.settings import BATCH_JOBS

ABANDONED_S = 3600.0
"""So long after its start, and not locked: nobody is just about to lock it."""

SPARE_BYTES = 64 << 20
"""Less is a full disk."""


def is_full(folder: Path) -> bool:
    """Whether there is next to no room in this folder. Blocks."""
    try:
        return shutil.disk_usage(folder).free < SPARE_BYTES
    except OSError:
        return False  # what is wrong with it a task will say


@contextlib.contextmanager
def own_scratch(folder: Path, agent: str) -> Iterator[None]:
    """Hold the folder's lock and clear what a former life left behind, and what batch jobs did that were killed here.

    Raises
    ------
    AgentTwiceError
        Where a living process of the same agent id holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentTwiceError(agent, folder) from None
        for leftover in folder.iterdir():
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
                log("leftover_removed", folder=leftover.name)
        _remove_abandoned(folder.parent)
        try:
            yield
        finally:
            if agent.startswith(BATCH_JOBS):
                shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    for prefix in BATCH_JOBS:
        for other in folder.glob(f"{prefix}*"):
            with contextlib.suppress(OSError), (other / ".lock").open("r+") as lock:
                if time.time() - (other / ".lock").stat().st_mtime > ABANDONED_S:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(other, ignore_errors=True)
                    log("leftover_removed", folder=other.name)
