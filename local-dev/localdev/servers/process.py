"""Start a server, wait until it says it is ready, and stop it without leaving a zombie or an orphan."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PORTS = (12_000, 32_000)
_handed_out: set[int] = set()

SUPERVISE = Path(__file__).with_name("supervise.py")


class ServerError(RuntimeError):
    """A server did not start or did not stop.

    Attributes
    ----------
    name : str
        Which server.
    log : Path
        Where its output lies.
    """

    def __init__(self, name: str, log: Path, found: str) -> None:
        self.name, self.log = name, log
        tail = log.read_text(errors="replace")[-800:].strip() if log.exists() else "(no output)"
        super().__init__(f"{name} {found}; the end of {log}:\n{tail}")


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports that are free now, all different, and handed out by this process only once.

    Below the range that Linux gives to outgoing connections (from 32768): a port from there is often taken by a
    client before the server that was promised it has started.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(*PORTS)
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Server:
    """One server process in a process group of its own.

    Parameters
    ----------
    name : str
        For messages.
    command : sequence of str
        What to run. A wrapper script is fine: signals go to the whole group.
    log : Path
        Standard output and error are appended here.
    ready : str
        Regular expression (multiline) searched in what this start has logged.
    ready_count : int
        How many matches make it ready.
    env : mapping, optional
        Added to the environment.

    Attributes
    ----------
    exit_status : int or None
        How the last run ended, once stopped: negative or above 128 for a signal.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        ready: str,
        ready_count: int = 1,
        ready_timeout_s: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._ready = re.compile(ready, re.MULTILINE)
        self._ready_count = ready_count
        self._ready_timeout_s = ready_timeout_s
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.exit_status: int | None = None

    @property
    def running(self) -> bool:
        """Whether the process is up."""
        return self._process is not None and self._process.poll() is None

    @property
    def group(self) -> int:
        """Process group of the server, for tests that look at its members."""
        if self._process is None:
            raise ServerError(self.name, self.log, "is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start and wait until ready.

        Raises
        ------
        ServerError
            When it ends early or says nothing in time; nothing is left running.
        """
        if self.running:
            return self
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            offset = output.tell()
            # -I -S: the supervisor needs nothing but the standard library, and starts in a third of the time so
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISE), *self.command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self._env,
                start_new_session=True,
            )
        try:
            self._wait_ready(self._process, offset)
        except BaseException:
            self.kill()
            raise
        return self

    def _wait_ready(self, process: subprocess.Popen[bytes], offset: int) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        while True:
            with self.log.open("rb") as log:
                log.seek(offset)
                said = log.read().decode(errors="replace")
            if len(self._ready.findall(said)) >= self._ready_count:
                return
            if process.poll() is not None:
                raise ServerError(self.name, self.log, f"ended with status {process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise ServerError(self.name, self.log, f"was not ready within {self._ready_timeout_s:g} s")
            time.sleep(0.02)

    def stop(self, timeout_s: float = 15.0) -> None:
        """Ask it to leave (SIGTERM), wait, and kill it when it does not. Safe to call twice."""
        self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL, 10.0)

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        process = self._process
        if process is None:
            return
        _signal_group(process.pid, number)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait(10.0)
        self.exit_status = process.returncode
        if process.stdin is not None:
            process.stdin.close()
        self._process = None
        self._wait_group_gone(process.pid)

    def _wait_group_gone(self, group: int) -> None:
        """What a wrapper has started may outlive it by a moment; its port must be free when stop returns."""
        deadline = time.monotonic() + 5.0
        while _signal_group(group, 0):
            if time.monotonic() > deadline:
                _signal_group(group, signal.SIGKILL)
                return
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _signal_group(group: int, number: int) -> bool:
    """Signal every member of a group; False when there is none."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
