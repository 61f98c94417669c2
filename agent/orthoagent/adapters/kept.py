"""Inputs kept for further tasks, in a folder that all slots and all agents of a user on a node share.

A kept file is whole, checked and never written again. A task gets a hard link to it: whatever is thrown out meanwhile,
the task still has its file. Locks are of the file system, so that they go with a process that dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orthocontracts.inputs import InputFile

TURN_POLL_S = 0.1
TURN_LIMIT_S = 300.0
"""Who waits this long for another's fetch of the same file fetches it too: the other may be frozen."""
_LOCKS: Final = 4096
_LOCK_FOLDER: Final = "locks"


class KeptInputs:
    """At most ``limit_bytes`` of inputs; those used longest ago are thrown out first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes

    def open(self) -> None:
        """Make the folder, for its user alone. Blocks."""
        (self._folder / _LOCK_FOLDER).mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)

    @contextlib.asynccontextmanager
    async def turn(self, file: InputFile) -> AsyncIterator[None]:
        """Be the only one on this node who fetches the file, if that can be had in time."""
        name = name_of(file)
        if name is None:
            yield
            return
        number = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % _LOCKS
        with (self._folder / _LOCK_FOLDER / f"{number:04d}").open("w") as lock:
            give_up_at_s = time.monotonic() + TURN_LIMIT_S
            while time.monotonic() < give_up_at_s:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(TURN_POLL_S)
                else:
                    break
            yield

    def has(self, file: InputFile) -> bool:
        name = name_of(file)
        return name is not None and (self._folder / name).exists()

    def lend(self, file: InputFile, path: Path, part: str = "") -> bool:
        """Let ``path`` be the kept file, or a part of it. False where it is not kept. Blocks."""
        name = name_of(file, part)
        if name is None:
            return False
        kept = self._folder / name
        path.unlink(missing_ok=True)
        try:
            os.link(kept, path)
        except FileNotFoundError:
            return False
        with contextlib.suppress(FileNotFoundError):  # thrown out this moment: the task has it all the same
            os.utime(kept)
        return True

    def keep(self, file: InputFile, path: Path, part: str = "") -> None:
        """Keep what was fetched to ``path``, if there is room for it. Blocks."""
        name = name_of(file, part)
        if name is None or file.size_bytes > self._limit_bytes:
            return
        with self._tidying():
            if self._throw_out(self._limit_bytes - file.size_bytes) < 0:
                return
            path.chmod(0o444)
            with contextlib.suppress(FileExistsError):
                os.link(path, self._folder / name)

    def make_room(self, wanted_bytes: int) -> None:
        """Throw out that much of what no task uses, or all of it. Blocks."""
        with self._tidying():
            self._throw_out(sum(size for _, size, _ in self._files()) - wanted_bytes)

    @contextlib.contextmanager
    def _tidying(self) -> Iterator[None]:
        with (self._folder / _LOCK_FOLDER / "tidy").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _throw_out(self, most_bytes: int) -> int:
        """Leave at most that much, as far as no task uses it; returns how much under it is left, negative if over."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, kept in files:
            if total <= most_bytes:
                break
            if kept.stat().st_nlink == 1:  # of one in use, nothing would come free
                kept.unlink(missing_ok=True)
                total -= size
        return most_bytes - total

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for entry in os.scandir(self._folder):
            if entry.is_file():
                facts = entry.stat()
                yield facts.st_mtime, facts.st_size, Path(entry.path)


def name_of(file: InputFile, part: str = "") -> str | None:
    """What a file is kept under: its content, or its place and version; and which part it is, where it is not whole.
    None where neither is known."""
    if file.md5 is not None:
        name = f"md5-{file.md5.lower()}-{file.size_bytes}"
    elif version := file.etag or file.modified:
        place = urlsplit(file.url)
        what = f"{place.netloc}{place.path} {version} {file.size_bytes}"
        what += f" {file.checksum}" if file.checksum else ""  # else nobody held it against that
        name = f"etag-{hashlib.sha256(what.encode()).hexdigest()}"
    else:
        return None
    return f"{name}-{hashlib.sha256(part.encode()).hexdigest()[:16]}" if part else name
