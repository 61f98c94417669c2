"""The child process of a slot: ``python -m orthoagent.child module:function``.

Reads one :class:`ComputeJob` a line from standard input and answers with lines of ``childwords`` on what was standard
output; whatever libraries print goes to standard error instead. It knows no storage and no secrets. When its worker
dies, however that happens, the pipe closes and the child ends itself with its whole process group.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import os
import queue
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from orthoagent.childwords import ComputeJob, End, Failed, Made, OutputMade, OutputOrder, Progress, Ready
from orthocontracts.messages import Fault
from orthocontracts.model import Document
from orthocontracts.outputs import FILE_SUFFIX

ComputeFunction = Callable[[OutputOrder, Callable[[float], None]], OutputMade]
"""Makes one output; calls its second argument with the fraction done, as often as it likes. Its module may also have
``warm()``, called once before the first job, and ``finish()``, called after each."""

PROGRESS_EVERY_S = 0.2


def main() -> None:
    # The worker decides when to stop: a batch scheduler signals every process of the job.
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # Where memory runs out it is this process that goes, not its worker.
        Path("/proc/self/oom_score_adj").write_text("500")
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(sys.stdin, jobs), daemon=True).start()

    module_name, function_name = sys.argv[1].split(":")
    module = importlib.import_module(module_name)
    compute: ComputeFunction = getattr(module, function_name)
    warm: Callable[[], None] | None = getattr(module, "warm", None)
    if warm is not None and "--warm" in sys.argv[2:]:
        _warm_alone(warm)
    _tell(lines, Ready())
    finish: Callable[[], None] = getattr(module, "finish", lambda: None)
    while True:
        run_job(ComputeJob.model_validate_json(jobs.get()), compute, lines)
        finish()
        _tell(lines, End())


def _read_jobs(stdin: IO[str], jobs: queue.SimpleQueue[str]) -> None:
    for line in stdin:
        jobs.put(line)
    # The worker is gone. Nobody waits for a result, so nothing is tidied up: its successor clears the scratch folder.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _warm_alone(warm: Callable[[], None]) -> None:
    """Compile under a lock: workers that start together on a node would race in numba's cache."""
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "warm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            warm()
        except Exception:
            # A task will show the same trouble with its own words; until then the worker is of use to nobody else.
            traceback.print_exc()


def run_job(job: ComputeJob, compute: ComputeFunction, lines: IO[str]) -> None:
    """Make every output of a job; one that fails does not keep the others from being made."""
    out_folder, temporary = job.folder / "out", job.folder / "tmp"
    with _temporary_files_in(temporary):
        for output in job.outputs:
            try:
                out_folder.mkdir(parents=True, exist_ok=True)
                order = OutputOrder(
                    products=job.products,
                    dem=job.dem,
                    geoid=job.geoid,
                    height_m=job.height_m,
                    gipp=job.gipp,
                    iers=job.iers,
                    orbits=job.orbits,
                    grid=output.grid,
                    options=job.options,
                    out=out_folder / f"{output.digest}{FILE_SUFFIX['image']}",
                )
                made = compute(order, _progress(lines, output.digest))
                _tell(lines, Made(digest=output.digest, made=made))
            except Exception as error:
                traceback.print_exc()
                _tell(lines, Failed(digest=output.digest, fault=fault_of(error, job.folder)))


def fault_of(error: Exception, folder: Path) -> Fault:
    """The fault to report for an error of the compute function.

    Errors of the kernel say themselves whether another try can help; of the others nobody knows, so it may. Paths are
    shown as the user knows them, relative to the scratch folder.
    """
    message = str(error).replace(f"{folder}/", "") or type(error).__name__
    kind, permanent = type(error).__name__, bool(getattr(error, "permanent", False))
    if isinstance(error, MemoryError):
        kind, message = "OutOfMemory", f"not enough memory: {message}"
    elif getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in message:
        kind, message, permanent = "DiskFull", f"the worker's scratch disk is full: {message}", False
    return Fault(kind=kind[:100], message=message[:2000], permanent=permanent)


def _progress(lines: IO[str], digest: str) -> Callable[[float], None]:
    last = time.monotonic()

    def tell(fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_S:
            last = now
            _tell(lines, Progress(digest=digest, fraction=min(1.0, max(0.0, float(fraction)))))

    return tell


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let tempfile, and what asks for TMPDIR or CPL_TMPDIR, write into the delivery's folder, which is removed."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = os.environ["CPL_TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR", None)
        os.environ.pop("CPL_TMPDIR", None)


def _tell(lines: IO[str], document: Document) -> None:
    lines.write(document.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
