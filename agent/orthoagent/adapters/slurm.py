"""Slurm's own words: PSI/J knows of no expected start, no job names, and trips over reasons that are new to it."""

from __future__ import annotations

from orthoagent.adapters.commands import output_of
from orthoagent.pilots.scheduler import SeenJob

_WAITS = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})


async def slurm_jobs() -> list[SeenJob]:
    """This user's jobs that wait or run. Raises CommandFailedError."""
    # The reason comes last: it is the only one that may hold the separator.
    columns = "--format=%A|%j|%T|%S|%r"
    return parse_squeue(await output_of("squeue", "--me", "--noheader", columns, env={"SLURM_TIME_FORMAT": "%s"}))


def parse_squeue(text: str) -> list[SeenJob]:
    """Jobs of ``squeue``; starts are seconds since the epoch, or ``N/A`` where nobody knows."""
    jobs = []
    for line in text.splitlines():
        job, name, state, start, reason = line.split("|", 4)
        is_running = state not in _WAITS
        starts_at_s = float(start) if start.isdigit() else None
        jobs.append(SeenJob(job, name, is_running, starts_at_s, "" if is_running else reason))
    return jobs
