"""PBS's own words: jobs by name and their estimated starts."""

from __future__ import annotations

import getpass
import json
import time
from typing import Any

from orthoagent.adapters.commands import output_of
from orthoagent.errors import CommandFailedError
from orthoagent.pilots.scheduler import SeenJob

_WAITS = frozenset("HQTW")
_IS_OVER = frozenset("FX")


async def pbs_jobs() -> list[SeenJob]:
    """This user's jobs that wait or run. Raises CommandFailedError."""
    ids = (await output_of("qselect", "-u", getpass.getuser())).split()
    if not ids:
        return []
    return parse_qstat(await output_of("qstat", "-f", "-F", "json", *ids))


def parse_qstat(text: str) -> list[SeenJob]:
    """Jobs of ``qstat -f -F json`` (PBS Pro, OpenPBS)."""
    try:
        jobs: dict[str, dict[str, Any]] = json.loads(text).get("Jobs", {})
    except json.JSONDecodeError as error:
        raise CommandFailedError(f"qstat said what is no JSON: {error}") from error
    return [
        SeenJob(
            job,
            values.get("Job_Name", ""),
            values["job_state"] not in _WAITS,
            _moment_s(values.get("stime") or values.get("estimated", {}).get("start_time")),
            values.get("comment", "") if values["job_state"] in _WAITS else "",
        )
        for job, values in jobs.items()
        if values["job_state"] not in _IS_OVER
    ]


def _moment_s(said: object) -> float | None:
    """A local time as PBS writes it, or seconds since the epoch."""
    if isinstance(said, int | float):
        return float(said)
    try:
        return time.mktime(time.strptime(str(said), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None
