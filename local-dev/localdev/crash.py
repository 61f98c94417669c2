"""A process that dies at its n-th write, or is held up there while others go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from orthofunctions.ports import Ports

_WRITES = {
    "blobs": ("create", "write", "delete", "acquire_lease", "renew_lease", "release_lease"),
    "queues": ("send", "send_release", "drain"),
    "tables": ("insert", "replace", "put", "delete", "transact"),
}


class Crash(BaseException):
    """Not an Exception: nothing may catch it and go on."""


@dataclass
class Fuse:
    """Burns through at write number ``at`` (the first is 0): that write, and whatever follows, is not done.

    With ``meanwhile`` nothing dies: just before that write, this is called, and then the process goes on.
    """

    at: int
    writes: int = 0
    meanwhile: Callable[[], None] | None = None

    @property
    def blown(self) -> bool:
        return self.writes > self.at

    def burn(self) -> None:
        self.writes += 1
        if self.blown and self.meanwhile is None:
            raise Crash(f"at write {self.at}")
        if self.meanwhile is not None and self.writes == self.at + 1:
            self.meanwhile()


class _Fused:
    def __init__(self, port: Any, writes: tuple[str, ...], fuse: Fuse) -> None:
        self._port, self._writes, self._fuse = port, writes, fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in self._writes:
            return method

        def fused(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            return method(*args, **kwargs)

        return fused


def fused(ports: Ports, fuse: Fuse) -> Ports:
    """The same world, seen by a process that will die."""
    changes = {name: _Fused(getattr(ports, name), writes, fuse) for name, writes in _WRITES.items()}
    return replace(ports, **changes)
