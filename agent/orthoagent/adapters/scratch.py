"""The agent's folder for running tasks: its own alone, and empty at start."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from orthoagent.errors import AgentTwiceError
from orthoagent.logs import log


@contextlib.contextmanager
def own_scratch(folder: Path, agent: str) -> Iterator[None]:
    """Hold the folder's lock and clear what a former life left behind.

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
        yield
