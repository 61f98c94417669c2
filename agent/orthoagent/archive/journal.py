"""Which products of an archive have been announced: a file that only grows, a line a product.

It spares a look into blob storage, which knows it too as long as the announced product's manifest is kept there. So it
need not survive a power cut to the last line: what is missing is looked up, found and noted again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from orthoagent.archive.scan import Found
from orthoagent.errors import AgentError


class JournalInUseError(AgentError):
    """Another watcher keeps the same journal."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is in use by another orthoagent watch: give each a folder of its own (--state)")


class JournalError(AgentError):
    """A file that is no journal of this archive."""


class Journal:
    """Kept open and locked while a watcher runs.

    Products are remembered as eight bytes each: of a million, two share them with a chance of one to forty million.
    """

    def __init__(self, path: Path, archive: str) -> None:
        """``archive`` tells whose journal it is.

        Raises
        ------
        JournalInUseError
        JournalError
            Where it is another archive's.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise JournalInUseError(path) from error
        try:
            self.began_s, self._known = self._open(path, archive)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: Path, archive: str) -> tuple[float, set[int]]:
        self._file.seek(0)
        head = self._file.readline()
        if not head.endswith(b"\n"):  # new, or its maker died within its first line
            began_s = time.time()
            self._file.truncate(0)
            self._file.write(f"orthowatch 1 {began_s:.3f} {archive}\n".encode())
            self._file.flush()
            os.fsync(self._file.fileno())
            return began_s, set()
        kind, version, began, whose = (*head.decode(errors="replace").rstrip("\n").split(" ", 3), "", "", "")[:4]
        if (kind, version, whose) != ("orthowatch", "1", archive):
            raise JournalError(f"{path} is the journal of {whose or 'nothing we know'}, not of {archive}: take another")
        known, whole_to = set(), self._file.tell()
        for line in self._file:
            if not line.endswith(b"\n"):
                self._file.truncate(whole_to)  # its writer died within it
                break
            whole_to += len(line)
            known.add(_key(line))
        self._file.seek(0, os.SEEK_END)
        return float(began), known

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def __contains__(self, found: Found) -> bool:
        return _key(_line(found)) in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, found: Found) -> None:
        line = _line(found)
        self._file.write(line)
        self._file.flush()
        self._known.add(_key(line))


def _line(found: Found) -> bytes:
    return f"{found.inode} {found.path}\n".encode()


def _key(line: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "big")
