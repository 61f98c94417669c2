"""Runs a command and says what it took: ``python -S _launch.py COMMAND…``, from a process that is itself small.

A process's peak memory (``ru_maxrss``) begins with what its parent had when it started it, and a bench holds images.
What the command prints goes to standard error; the last line of standard output is ``{"code", "seconds", ...}``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main(command: list[str]) -> None:
    """Run, wait, tell."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    answer = {
        "code": process.returncode,
        "seconds": seconds,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
