"""How long a batch job lasts, and what is too long for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from orthoagent.adapters.allocation import allocation_left_s, pbs_left_s
from orthoagent.walltime import Walltime

STARTED = "Thu Nov 26 19:00:00 2026"
STARTED_S = time.mktime(time.strptime(STARTED, "%a %b %d %H:%M:%S %Y"))
JOB = f"""Job Id: 17.head
    Job_Name = pilot
    resources_used.walltime = 00:09:59
    Resource_List.ncpus = 2
    Resource_List.walltime = 01:30:05
    stime = {STARTED}
    exec_host = node1/0
"""


def test_no_limit_outside_of_a_batch_job() -> None:
    assert asyncio.run(allocation_left_s({})) is None
    assert Walltime.lasting(None).left_s() is None
    assert Walltime().unfit_for(1e9) is None


def test_slurm_says_it_in_the_environment() -> None:
    environment = {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": str(int(time.time()) + 600)}
    assert asyncio.run(allocation_left_s(environment)) == pytest.approx(600, abs=2)


def test_a_scheduler_that_does_not_answer_is_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(allocation_left_s({"SLURM_JOB_ID": "7"})) is None
    assert asyncio.run(allocation_left_s({"PBS_JOBID": "7"})) is None
    assert asyncio.run(allocation_left_s({"PBS_JOBID": "7", "PBS_WALLTIME": "60"})) == 60


def test_pbs_says_walltime_and_start() -> None:
    assert pbs_left_s(JOB, STARTED_S + 5) == 5400
    assert pbs_left_s(JOB.replace("stime", "start_time"), STARTED_S + 10_000) == 0
    assert pbs_left_s("Resource_List.walltime = 02:00\n", STARTED_S) == 120
    assert pbs_left_s("Job Id: 17.head\n", STARTED_S) is None


def test_what_would_not_end_in_time_is_unfit() -> None:
    walltime = Walltime.lasting(100)
    assert walltime.unfit_for(None) is None
    assert walltime.unfit_for(90) is None
    assert walltime.unfit_for(200) == "it may take 200 s, and this worker's batch job ends in 100 s"
    assert Walltime.lasting(-1).left_s() == 0
