"""Sides of a comparison, each in a process of its own: its peak memory is then its own."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from localdev.bench.case import Runs

TAIL_BYTES = 2000
_PACKAGES = str(Path(__file__).parents[2])


class SideError(Exception):
    """A side ended with an error; the message has the end of what it said."""

    def __init__(self, command: Sequence[str], code: int, said: str) -> None:
        super().__init__(f"{' '.join(command[:4])} … ended with {code}: {said.strip()}")


class Side:
    """A process that serves (see `localdev.bench._serve`): warm between runs, and two sides may take turns.

    It finds this package whatever the shell says of Python's path; ``environment`` may say otherwise.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the side)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": _PACKAGES, **(environment or {})},
            text=True,
        )
        self._seconds: list[float] = []
        self._cpu_s: list[float] = []
        self._system_s: list[float] = []
        self._peak_mb = 0.0

    def run(self, request: Mapping[str, Any], counted: bool = True) -> dict[str, Any]:
        """Have one piece of work done; returns its facts.

        Raises
        ------
        SideError
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._end()
            raise SideError(self._command, self._process.returncode, _tail(self._said))
        found = json.loads(answer)
        self._peak_mb = found["peak_mb"]
        if counted:
            self._seconds.append(found["seconds"])
            self._cpu_s.append(found["cpu_s"])
            self._system_s.append(found["system_s"])
        return dict(found["facts"])

    def runs(self) -> Runs:
        """End the process; its times and peak memory."""
        self._end()
        return Runs(
            tuple(self._seconds), self._peak_mb, statistics.median(self._cpu_s), statistics.median(self._system_s)
        )

    def _end(self) -> None:
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None and kind is not None:
            self._process.kill()
        self._end()
        for stream in (self._process.stdout, self._said):
            if stream is not None:
                stream.close()


def run_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Runs:
    """A whole process, from its start to its end.

    Raises
    ------
    SideError
    """
    os.sync()
    launch = [sys.executable, "-S", str(Path(__file__).with_name("_launch.py")), *command]
    said = subprocess.run(
        launch, capture_output=True, text=True, errors="replace", env={**os.environ, **(environment or {})}, check=False
    )
    if said.returncode != 0:
        raise SideError(command, said.returncode, said.stderr[-TAIL_BYTES:])
    found = json.loads(said.stdout)
    if found["code"] != 0:
        raise SideError(command, found["code"], said.stderr[-TAIL_BYTES:])
    return Runs((found["seconds"],), found["peak_mb"], found["cpu_s"])


def together(runs: Sequence[Runs]) -> Runs:
    """Runs of several processes that did the same; the peak is that of the largest."""
    return Runs(
        tuple(second for run in runs for second in run.seconds),
        max(run.peak_mb or 0.0 for run in runs),
        statistics.median(run.cpu_s or 0.0 for run in runs),
    )


def take_turns(sides: Sequence[tuple[Side, Mapping[str, Any]]], times: int) -> list[dict[str, Any]]:
    """One run of each that does not count, then all in turn, so that a machine that slows down slows all of them.

    Returns
    -------
    list of dict
        Facts of each side's last run.
    """
    for side, request in sides:
        side.run(request, counted=False)
    facts: list[dict[str, Any]] = [{} for _ in sides]
    for _ in range(times):
        facts = [side.run(request) for side, request in sides]
    return facts


def remove(paths: Sequence[Path]) -> None:
    """Files of an earlier run, so that none is overwritten in place."""
    for path in paths:
        path.unlink(missing_ok=True)


def _tail(said: IO[bytes]) -> str:
    said.seek(0, os.SEEK_END)
    said.seek(max(said.tell() - TAIL_BYTES, 0))
    return said.read().decode(errors="replace")
