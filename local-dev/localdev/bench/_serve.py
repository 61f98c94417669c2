"""A side's process: a piece of work for every line it is sent. Standard library only: peers' interpreters run it."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""Does what a request says; returns facts, JSON types only."""


def serve(prepare: Work, work: Work) -> None:
    """For each request, a JSON object a line of standard input: prepare, untimed; work, timed; answer.

    The answer is a line ``{"seconds", "cpu_s", "system_s", "peak_mb", "facts"}``. What libraries print goes to standard
    error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        prepare(request)
        os.sync()  # what an earlier run left to be written is not this one's
        system, cpu, start = _system_s(), time.process_time(), time.perf_counter()
        facts = work(request)
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
        system_s = _system_s() - system
        answer = {"seconds": seconds, "cpu_s": cpu_s, "system_s": system_s, "peak_mb": peak_mb(), "facts": facts}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _system_s() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


def peak_mb() -> float:
    """Most memory that this process had resident.

    Not ``ru_maxrss`` where the kernel tells better: that begins with what the parent had when it started this process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
