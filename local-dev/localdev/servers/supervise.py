"""Keep one server process from outliving the program that wanted it.

Run as ``python supervise.py COMMAND ...`` in a session of its own, with a pipe as standard input that nobody
writes to. The pipe closes when its owner ends, however it ends (SIGKILL included), and the whole process group is
then stopped. A parent-death signal would not do: Linux sends it when the *thread* that forked ends, and it does not
reach what a wrapper script has started.

Standard library only: this file is run by path, outside the package.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

STOP_GRACE_S = 8.0


def main(command: list[str]) -> int:
    """Run the command until it ends or the owner's pipe closes; return its exit status (128 + signal when killed)."""
    # The group's SIGTERM is meant for the server; this process stays to collect its exit status.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while server.poll() is None:
        readable, _, _ = select.select([sys.stdin.fileno(), wake_read], [], [], 1.0)
        if wake_read in readable:
            os.read(wake_read, 64)
        if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 64):
            stop(server)
    code = server.returncode
    return code if code >= 0 else 128 - code


def stop(server: subprocess.Popen[bytes]) -> None:
    """SIGTERM the group, and SIGKILL it (this process too) when the server has not left in time."""
    os.killpg(os.getpgid(0), signal.SIGTERM)
    deadline = time.monotonic() + STOP_GRACE_S
    while server.poll() is None:
        if time.monotonic() > deadline:
            os.killpg(os.getpgid(0), signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
