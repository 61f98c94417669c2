"""What a process can do where it runs: run by systemd as a service's program, it says so as JSON."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER, ADDR_NO_RANDOMIZE, PTRACE_TRACEME = 0x10000000, 0x0040000, 0
_C = ctypes.CDLL(None, use_errno=True)


def can(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def call(name: str, *arguments: int) -> None:
    if getattr(_C, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def writes(folder: str) -> Callable[[], object]:
    return (Path(folder) / f"written-{os.getpid()}").touch


def makes_setuid() -> None:
    path = Path(f"/var/tmp/setuid-{os.getpid()}")
    path.touch()
    path.chmod(0o4755)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "write its cache": writes("/var/cache/orthoagent"),
    "write its temporary folder": writes("/var/tmp"),
    "write where everybody may": writes("/srv/open"),
    "look into another's home": Path("/home/alice/notes").read_text,
    "see what others keep in /tmp": Path("/tmp/of-another").read_text,
    "see what others keep in /var/tmp": Path("/var/tmp/of-another").read_text,
    "see processes of others": Path("/proc/1/cmdline").read_text,
    "open a device": Path("/dev/another").read_bytes,
    "read the settings' file": Path("/etc/orthoburst/agent.env").read_text,
    "make a file that changes the user": makes_setuid,
    "make a namespace": lambda: call("unshare", CLONE_NEWUSER),
    "change how programs are laid out": lambda: call("personality", ADDR_NO_RANDOMIZE),
    "be traced": lambda: call("ptrace", PTRACE_TRACEME, 0, 0, 0),
    "ask the kernel about the network": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
    "connect to a server by its name": lambda: socket.create_connection(("localhost", int(sys.argv[1])), 5).close(),
    "run code that it has written": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
}

if __name__ == "__main__":
    print(json.dumps({name: can(attempt) for name, attempt in ATTEMPTS.items()}))
