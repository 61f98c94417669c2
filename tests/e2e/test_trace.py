"""The timeline of a job whose agent is killed in mid-task, over the whole system: both deliveries, with their times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import Site
from localdev.demo.work import DEM_REF

ORTHOBURST = Path(sys.executable).with_name("orthoburst")


def said(site: Site, *words: str, **environment: str) -> str:
    """What the command prints, as a user types it."""
    found = subprocess.run(
        [ORTHOBURST, "--url", site.client.url, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    return found.stdout


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_an_agent_killed_in_mid_task_shows_both_deliveries(
    start_site: Callable[..., Site], scenes: dict[str, Path]
) -> None:
    site = start_site(agents=2, cloud_limit=0)
    ref = site.store.upload_product(scenes["zip"])
    job = site.client.submit(
        [ref],
        tiles=["33TTG"],
        spacing_m=4,
        terrain={"dem": DEM_REF},
        options={"resampling": "cubic"},
        patience_s=3600,
    )
    seen = site.wait_until(
        "the job's task runs",
        lambda seen: any(task["state"] == "running" and task["task_id"].startswith(job.id) for task in seen.tasks),
    )
    victim = next(task["agent"] for task in seen.tasks if task["task_id"].startswith(job.id))
    running = job.trace()
    assert (running["status"], running["path"][-1]["phase"]) == ("running", "run")
    next(agent for agent in site.stack.agents if agent.name == victim).kill()
    killed_at = datetime.now(UTC)
    job.watch(timeout_s=240)

    found: dict[str, Any] = json.loads(said(site, "trace", job.id, "--json"))
    assert sum(one["seconds"] for one in found["path"]) == pytest.approx(found["total_s"], abs=1e-3)
    assert all(before["end"] == after["start"] for before, after in pairwise(found["path"]))
    (task,) = found["tasks"]
    deliveries = {one["delivery"]: one for one in task["segments"] if "delivery" in one}
    assert sorted(deliveries) == [1, 2]
    assert deliveries[1]["agent"] == victim
    assert deliveries[2]["agent"] != victim
    (lost,) = [one for one in task["segments"] if one["phase"] == "lost"]
    # it was at work when it was killed, and its message came back when its lease had run out
    assert moment(lost["start"]) < killed_at < moment(lost["end"])
    lease = timedelta(seconds=site.stack.spec.lease_s)
    assert moment(lost["end"]) - killed_at < lease + timedelta(seconds=20)
    phases = [one["phase"] for one in task["segments"] if one.get("delivery") == 2]
    assert phases[-4:] == ["fetch", "compute", "deliver", "commit"]
    ended = [(one["delivery"], one["how"]) for one in found["events"] if one["what"] == "delivery_ended"]
    assert ended == [(1, "silent"), (2, "delivered")]
    job.refresh()
    assert found["finished"] == job.status["finished"]

    for columns in ("100", "40"):
        text = said(site, "trace", job.id, COLUMNS=columns, TZ="Europe/Paris")
        print(text)
        assert "\x1b" not in text, "a pipe has no colour"
        assert "release 1, delivery 1 in hpc on " + victim in " ".join(text.split())
        assert "lost with its worker" in text
        assert max(map(len, text.splitlines())) <= max(int(columns), 60)
