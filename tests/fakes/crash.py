"""A process that dies at its n-th write, and never comes back to life."""

from __future__ import annotations

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
    """Burns through at write number ``at`` (the first is 0): that write, and whatever follows, is not done."""

    at: int
    writes: int = 0

    @property
    def blown(self) -> bool:
        return self.writes > self.at

    def burn(self) -> None:
        self.writes += 1
        if self.blown:
            raise Crash(f"at write {self.at}")


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
