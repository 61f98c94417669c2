"""A slot's child process: started fresh (never forked from a process with threads), killed as a group."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from orthoagent.adapters.watch import SlotLimits, Watch
from orthoagent.childwords import CHILD_LINE, ComputeJob, End, Failed, Made, Progress, Ready
from orthoagent.errors import AgentError
from orthoagent.logs import log, redact
from orthoagent.telemetry import VARIABLES
from orthocontracts.messages import Fault

LINE_LIMIT_BYTES = 4 * 1024 * 1024
START_LIMIT_S = 600.0
"""A first start compiles the kernel, and waits for others on the node that do."""

OnLine = Callable[[Progress | Made | Failed], None]


class ChildDoesNotStartError(AgentError):
    """The compute child ended before it was ready: the kernel cannot be imported, or memory is short."""


class ComputeChild:
    """Runs jobs one after the other; a fresh process after a kill, a crash, or ``jobs_per_process`` jobs."""

    def __init__(
        self,
        slot: int,
        compute: str,
        *,
        environment: Mapping[str, str],
        limits: SlotLimits,
        warm: bool,
        jobs_per_process: int,
    ) -> None:
        self.slot = slot
        self._command = [sys.executable, "-m", "orthoagent.child", compute, *(["--warm"] if warm else [])]
        self._environment = dict(environment)
        self._limits = limits
        self._jobs_per_process = jobs_per_process
        self._jobs = 0
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[None] | None = None
        self._last_words: deque[str] = deque(maxlen=5)

    @property
    def pid(self) -> int | None:
        """The process, and its group; None where none runs."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Be ready for a job; at once where the child already is.

        Raises
        ------
        ChildDoesNotStartError
            With the last lines it wrote.
        """
        if self._process is not None and self._process.returncode is None:
            return
        self._last_words.clear()
        self._jobs = 0
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
            limit=LINE_LIMIT_BYTES,
        )
        self._process = process
        self._said = asyncio.create_task(self._listen(process), name=f"slot-{self.slot}-stderr")
        try:
            async with asyncio.timeout(START_LIMIT_S):
                line = await self._read_line(process)
        except BaseException:
            await self.kill()
            raise
        if not isinstance(line, Ready):
            why = await self._ended(process)
            raise ChildDoesNotStartError(f"the compute child of slot {self.slot} {why}")
        log("child_ready", level=logging.DEBUG, slot=self.slot, pid=process.pid)

    async def run(self, job: ComputeJob, on_line: OnLine) -> Fault | None:
        """Run one job, passing on each line. None, or how the child died in the middle of it, or was made to.

        Cancelling this kills the child's process group.
        """
        try:
            try:
                await self.start()
            except ChildDoesNotStartError as error:
                return _died(str(error))
            fault = await self._run_watched(job, on_line)
        except BaseException:
            await self.kill()
            raise
        self._jobs += 1
        if fault is not None or self._jobs >= self._jobs_per_process:
            await self.kill()
        return fault

    async def _run_watched(self, job: ComputeJob, on_line: OnLine) -> Fault | None:
        process = self._process
        assert process is not None
        watch = Watch(self._limits, process.pid, job.folder)
        watching = asyncio.create_task(watch.broken(), name=f"slot-{self.slot}-watch")
        talking = asyncio.create_task(self._talk(process, job, on_line, watch), name=f"slot-{self.slot}-talk")
        try:
            await asyncio.wait({watching, talking}, return_when=asyncio.FIRST_COMPLETED)
            # Of both at once the job's own end counts.
            return await (talking if talking.done() else watching)
        finally:
            watching.cancel()
            talking.cancel()

    async def _talk(
        self, process: asyncio.subprocess.Process, job: ComputeJob, on_line: OnLine, watch: Watch
    ) -> Fault | None:
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):  # then reading tells how it ended
            process.stdin.write(job.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        while True:
            line = await self._read_line(process)
            if line is None:
                return _died(f"the compute child {await self._ended(process)}")
            if isinstance(line, End):
                return None
            watch.heard()
            if not isinstance(line, Ready):
                on_line(line)

    async def kill(self) -> None:
        """End the whole process group now and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(self._reap(process))

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        if self._said is not None:
            await asyncio.wait({self._said}, timeout=1)
            self._said.cancel()
        if process.stdin is not None:
            process.stdin.close()

    async def _read_line(self, process: asyncio.subprocess.Process) -> Ready | Progress | Made | Failed | End | None:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        try:
            return CHILD_LINE.validate_json(line)
        except ValidationError as error:
            raise AgentError(f"the compute child of slot {self.slot} spoke nonsense") from error

    async def _ended(self, process: asyncio.subprocess.Process) -> str:
        """How it ended, in words, once it is gone with its whole group."""
        try:
            async with asyncio.timeout(5):
                code = await process.wait()
        except TimeoutError:
            code = None
        await self.kill()
        words = f": {self._last_words[-1]}" if self._last_words else ""
        return f"{describe_exit(code)}{words}"

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        rest = b""
        while chunk := await process.stderr.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-LINE_LIMIT_BYTES:]
            for line in lines:
                text = redact(line.decode(errors="replace").rstrip())
                if text:
                    self._last_words.append(text[:300])
                    log("child_said", level=logging.DEBUG, slot=self.slot, text=text[:2000])


def _died(how: str) -> Fault:
    return Fault(kind="ComputeDied", message=how[:2000])


def describe_exit(code: int | None) -> str:
    """An exit status in words: ``was killed by SIGKILL (out of memory?)``."""
    if code is None:
        return "closed its pipe and hangs"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def child_environment(
    base: Mapping[str, str], *, numba_cache: Path, threads: int, facility: str | None = None
) -> dict[str, str]:
    """The worker's environment without its secrets, with the threads and the compile cache of a slot."""
    secrets = ("STORAGE", "GRANT", "BROKER", "BROKER_KEY_FILE", "LOGINS", "BUCKETS")
    hidden = {f"ORTHOAGENT_{name}" for name in secrets}
    # A child sends no traces, and what a collector lets in by may be a secret too.
    return {
        **{name: value for name, value in base.items() if name not in hidden and not name.startswith(VARIABLES)},
        "NUMBA_CACHE_DIR": str(numba_cache),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "GDAL_NUM_THREADS": str(threads),
        **({"ORTHOAGENT_FACILITY": facility} if facility else {}),
    }
