"""Linux's inotify, by three calls of the C library: which names have come into which folders.

Packages for it watch whole trees. An archive has a folder or ten for every product, and the kernel's limit on watches
is below that; we watch the folders that hold products only, and look into new products ourselves.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from orthoagent.logs import log

_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_CREATE, _MOVED_TO, _Q_OVERFLOW, _IGNORED = 0x100, 0x80, 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW = 0x0100_0000, 0x0200_0000
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Arrival:
    """A name that has come into a folder; None: there were more than the kernel kept, look everywhere."""

    folder: str
    name: str | None


class Inotify:
    """Watches folders below a root. Only what this machine writes is told: NFS and Lustre are silent about others."""

    @classmethod
    def on(cls, root: Path) -> Self | None:
        """None where there is no such thing: not Linux, or no more instances for this user."""
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            descriptor = libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        except (OSError, AttributeError):
            descriptor = -1
        if descriptor < 0:
            log("inotify_missing", level=logging.WARNING)
            return None
        return cls(root, libc, descriptor)

    def __init__(self, root: Path, libc: ctypes.CDLL, descriptor: int) -> None:
        self._root, self._libc, self._descriptor = root, libc, descriptor
        self._folders: dict[int, str] = {}
        self._is_full = False

    def watch(self, folder: str) -> None:
        """Watch a folder, any number of times. One that is gone, or one too many, is left to the rescan."""
        path = os.fsencode(self._root / folder)
        number = self._libc.inotify_add_watch(self._descriptor, path, _CREATE | _MOVED_TO | _ONLYDIR | _DONT_FOLLOW)
        if number >= 0:
            self._folders[number] = folder
        elif ctypes.get_errno() == errno.ENOSPC and not self._is_full:
            self._is_full = True
            watched = len(self._folders)
            log("inotify_full", level=logging.WARNING, watched=watched, fix="raise fs.inotify.max_user_watches")

    async def arrivals(self) -> list[Arrival]:
        """Wait for the next ones."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    data = os.read(self._descriptor, _READ_BYTES)
                except BlockingIOError:
                    continue
                if found := list(self._parse(data)):
                    return found
        finally:
            loop.remove_reader(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def _parse(self, data: bytes) -> Iterator[Arrival]:
        at = 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = data[at : at + length].rstrip(b"\0")
            at += length
            if mask & _Q_OVERFLOW:
                yield Arrival("", None)
            elif mask & _IGNORED:
                self._folders.pop(number, None)
            elif number in self._folders:
                yield Arrival(self._folders[number], os.fsdecode(name))
