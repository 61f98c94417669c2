"""Kill what can be killed in mid-task: every task still ends, with exactly one result."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.conftest import Site, is_running
from localdev.demo.work import DEM_REF

TASKS = 3


def _work(site: Site, scenes: dict[str, Path]) -> None:
    """A few tasks of some seconds each: large grids, so that a kill lands in the middle of one."""
    ref = site.store.upload_product(scenes["zip"])
    for number in range(TASKS - 1):
        site.client.submit(
            [ref],
            spacing_m=(4, 5)[number],
            terrain={"dem": DEM_REF},
            options={"resampling": "cubic"},
            patience_s=3600,
            request_id=f"work-{number}",
        )


def _ends_with_one_result_each(site: Site, timeout_s: float = 240.0) -> None:
    seen = site.wait_until_over(TASKS, timeout_s)
    assert {task["state"] for task in seen.tasks} == {"succeeded"}, seen.tasks
    wanted = Counter(result.digest for job in seen.jobs for result in job.results())
    assert len(wanted) >= TASKS
    assert set(wanted.values()) == {1}
    assert sorted(site.committed_digests()) == sorted(wanted)


def test_an_agent_killed_in_mid_task(start_site: Callable[..., Site], scenes: dict[str, Path]) -> None:
    site = start_site(agents=2, cloud_limit=0)
    _work(site, scenes)
    seen = site.wait_until("a task runs", is_running)
    victim = next(task["agent"] for task in seen.tasks if task["state"] == "running")
    agent = next(agent for agent in site.stack.agents if agent.name == victim)
    agent.kill()
    _ends_with_one_result_each(site)
    assert not agent.running


def test_the_functions_host_killed(start_site: Callable[..., Site], scenes: dict[str, Path]) -> None:
    site = start_site(agents=1, cloud_limit=0)
    _work(site, scenes)
    site.wait_until("a task runs", is_running)
    for _ in range(2):
        site.stack.host.kill()
        time.sleep(1.0)
        site.stack.host.start()
        time.sleep(2.0)
    _ends_with_one_result_each(site)


def test_the_broker_killed_and_gone(start_site: Callable[..., Site], scenes: dict[str, Path]) -> None:
    """Without a broker work goes on by polling."""
    site = start_site(agents=1, cloud_limit=0)
    _work(site, scenes)
    site.wait_until("a task runs", is_running)
    site.stack.broker.kill()
    _ends_with_one_result_each(site)


def test_an_agent_frozen_past_its_lease_and_thawed(start_site: Callable[..., Site], scenes: dict[str, Path]) -> None:
    """It lost its message: it may neither report failure nor spoil what the other one delivers."""
    site = start_site(agents=2, cloud_limit=0)
    _work(site, scenes)
    seen = site.wait_until("a task runs", is_running)
    victim = next(task["agent"] for task in seen.tasks if task["state"] == "running")
    agent = next(agent for agent in site.stack.agents if agent.name == victim)
    os.killpg(agent.group, signal.SIGSTOP)
    try:
        time.sleep(site.stack.spec.lease_s + 2.0)
    finally:
        os.killpg(agent.group, signal.SIGCONT)
    _ends_with_one_result_each(site)


def test_a_cancelled_job_stops_its_work(start_site: Callable[..., Site], scenes: dict[str, Path]) -> None:
    site = start_site(agents=1, cloud_limit=0)
    ref = site.store.upload_product(scenes["zip"])
    site.wait_until_over(1)
    job = site.client.submit(
        [ref], tiles=["33TTG"], spacing_m=4, terrain={"dem": DEM_REF}, options={"resampling": "cubic"}
    )
    site.wait_until("it runs", is_running)
    assert job.cancel().state == "dismissed"
    (task,) = job.explain()
    assert task["state"] == "cancelled"
    deadline = time.monotonic() + 10
    while any(pool["running"] for pool in site.client.pools()):
        assert time.monotonic() < deadline, "the agent still says it runs the cancelled task"
        time.sleep(0.2)
    with pytest.raises(Exception, match="dismissed"):
        job.watch(timeout_s=5)
