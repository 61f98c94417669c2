"""Where in an archive products lie. Folders that have not changed are not read again; products are not looked into."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orthoagent.logs import log
from orthocontracts.products import images_are_made_of

SURELY_OLD_S = 120.0
"""A folder that changed later than so long before a look is read again: file servers' clocks are not ours, and their
times may be coarse."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_FOLDERS = (".SAFE", ".SEN3")


@dataclass(frozen=True)
class Found:
    """Something that has the name of a product; whether it is whole is not known yet.

    ``path`` is below the archive's folder; ``inode`` tells it from one that takes its place.
    """

    path: str
    inode: int


@dataclass(frozen=True)
class _Folder:
    changed_ns: int
    subfolders: tuple[str, ...]


class Scanner:
    """Walks an archive, again and again. What it passes over is named in the log once."""

    def __init__(self, folder: Path, on_folder: Callable[[str], None] = lambda _: None) -> None:
        """``on_folder`` is told of every folder before it is read."""
        self._root = folder
        self._on_folder = on_folder
        self._read: dict[str, _Folder] = {}
        self._told: set[str] = set()

    def walk(self, start: str = "") -> list[Found]:
        """Products in folders that were not read since they last changed. Blocks."""
        products: list[Found] = []
        todo = [start]
        while todo:
            path = todo.pop()
            try:
                now_s, changed_ns = time.time(), (self._root / path).stat().st_mtime_ns
                seen = self._read.get(path)
                if seen is None or seen.changed_ns != changed_ns:
                    self._on_folder(path)
                    found, subfolders = self._list(path)
                    products += found
                    if changed_ns / 1e9 < now_s - SURELY_OLD_S:
                        self._read[path] = _Folder(changed_ns, subfolders)
                    todo += subfolders
                else:
                    todo += seen.subfolders
            except FileNotFoundError:
                self._read.pop(path, None)
                if not path:
                    raise
            except OSError as error:
                self._tell("folder_unreadable", path, error=error.strerror or type(error).__name__)
        return products

    def one(self, folder: str, name: str) -> list[Found]:
        """What has come under a name; all that is below it, where it is a folder of products. Blocks."""
        path = f"{folder}/{name}" if folder else name
        try:
            status = (self._root / path).lstat()
        except OSError:
            return []
        if stat.S_ISLNK(status.st_mode):
            return []  # the next walk names it
        is_folder = stat.S_ISDIR(status.st_mode)
        if self._is_product(path, name, is_folder=is_folder):
            return [Found(path, status.st_ino)]
        return self.walk(path) if is_folder and self._is_entered(path, name) else []

    def forget(self, path: str) -> None:
        """Read the folder of something anew at the next walk, though it may not have changed."""
        self._read.pop(path.rpartition("/")[0], None)

    def _list(self, path: str) -> tuple[list[Found], tuple[str, ...]]:
        found, subfolders = [], []
        with os.scandir(self._root / path) as entries:
            for entry in entries:
                below = f"{path}/{entry.name}" if path else entry.name
                if entry.is_symlink():
                    if entry.name.endswith((*_FOLDERS, ".zip")) or entry.is_dir():
                        self._tell("link_passed_over", below)
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                if self._is_product(below, entry.name, is_folder=is_folder):
                    found.append(Found(below, entry.inode()))
                elif is_folder and self._is_entered(below, entry.name):
                    subfolders.append(below)
        return found, tuple(subfolders)

    def _is_product(self, path: str, name: str, *, is_folder: bool) -> bool:
        if not (name.endswith(_FOLDERS) if is_folder else name.endswith(".zip")) or not images_are_made_of(name):
            return False
        if _PLAIN.fullmatch(name):
            return True
        self._tell("name_passed_over", path)
        return False

    def _is_entered(self, path: str, name: str) -> bool:
        if name.startswith(".") or name.endswith(_FOLDERS):
            return False
        if _PLAIN.fullmatch(name):
            return True
        self._tell("name_passed_over", path)
        return False

    def _tell(self, action: str, path: str, **fields: str) -> None:
        if path not in self._told:
            self._told.add(path)
            log(action, level=logging.WARNING, path=path, **fields)
