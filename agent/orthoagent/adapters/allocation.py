"""When the batch job this process runs in ends: asked of Slurm or PBS, which know it to the second."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping

from orthoagent.adapters.commands import output_of
from orthoagent.errors import CommandFailedError
from orthoagent.logs import log


async def allocation_left_s(environment: Mapping[str, str]) -> float | None:
    """Seconds until the scheduler ends this job; None outside of a batch job, and where it has no limit.

    A scheduler that does not answer is logged, and the worker runs as if there were no limit: SIGTERM or SIGUSR1 still
    tell it.
    """
    try:
        if "SLURM_JOB_ID" in environment:
            return await _of_slurm(environment)
        if "PBS_JOBID" in environment:
            return await _of_pbs(environment)
    except CommandFailedError as error:
        log("walltime_unknown", level=logging.WARNING, error=str(error))
    return None


async def _of_slurm(environment: Mapping[str, str]) -> float | None:
    ends_at = environment.get("SLURM_JOB_END_TIME")  # since Slurm 23.02
    if ends_at is None:
        job = f"--jobs={environment['SLURM_JOB_ID']}"
        ends_at = await output_of("squeue", "--noheader", job, "--format=%e", env={"SLURM_TIME_FORMAT": "%s"})
    return _until(float(ends_at)) if ends_at.strip().isdigit() else None


async def _of_pbs(environment: Mapping[str, str]) -> float | None:
    try:
        left_s = pbs_left_s(await output_of("qstat", "-f", environment["PBS_JOBID"]), time.time())
    except CommandFailedError:
        if "PBS_WALLTIME" not in environment:
            raise
        left_s = None
    # Torque's variable counts from the start of the job, which was a moment ago.
    return float(environment["PBS_WALLTIME"]) if left_s is None and "PBS_WALLTIME" in environment else left_s


def pbs_left_s(job: str, now_s: float) -> float | None:
    """What is left of the walltime of a job, as ``qstat -f`` describes it.

    ``stime`` (PBS Pro, OpenPBS) or ``start_time`` (Torque) is the local time of its start.
    """
    walltime = re.search(r"^\s*Resource_List\.walltime = (?:(\d+):)?(\d+):(\d+)\s*$", job, re.MULTILINE)
    began = re.search(r"^\s*(?:stime|start_time) = (.+?)\s*$", job, re.MULTILINE)
    if walltime is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in walltime.groups())
    began_s = time.mktime(time.strptime(began[1], "%a %b %d %H:%M:%S %Y")) if began else now_s
    return max(0.0, began_s + 3600 * hours + 60 * minutes + seconds - now_s)


def _until(moment_s: float) -> float:
    return max(0.0, moment_s - time.time())
