"""The timeline of a job whose agent is killed in mid-task, over the whole system: both deliveries, with their times."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from e2e.browsing import SIZES, Visit
from e2e.conftest import Site, site_starter
from localdev.demo.work import DEM_REF
from orthoburst.job import Job

ORTHOBURST = Path(sys.executable).with_name("orthoburst")


@dataclass(frozen=True)
class Killed:
    site: Site
    job: Job
    victim: str
    at: datetime
    while_running: dict[str, Any]

    def says(self, *words: str, **environment: str) -> str:
        """What `orthoburst trace` prints, as a user types it."""
        found = subprocess.run(
            [ORTHOBURST, "--url", self.site.client.url, "trace", self.job.id, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={"PATH": "/usr/bin:/bin", **environment},
        )
        return found.stdout


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, scenes: dict[str, Path]) -> Iterator[Killed]:
    """A job that is over, whose first agent was killed."""
    with site_starter(tmp_path_factory.mktemp("killed"), scenes) as start:
        site = start(agents=2, cloud_limit=0)
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
        while_running = job.trace()
        next(agent for agent in site.stack.agents if agent.name == victim).kill()
        at = datetime.now(UTC)
        job.watch(timeout_s=240)
        yield Killed(site, job, victim, at, while_running)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_both_deliveries_are_there_with_plausible_times(killed: Killed) -> None:
    assert (killed.while_running["status"], killed.while_running["path"][-1]["phase"]) == ("running", "run")
    found: dict[str, Any] = json.loads(killed.says("--json"))
    assert sum(one["seconds"] for one in found["path"]) == pytest.approx(found["total_s"], abs=1e-3)
    assert all(before["end"] == after["start"] for before, after in pairwise(found["path"]))
    (task,) = found["tasks"]
    deliveries = {one["delivery"]: one for one in task["segments"] if "delivery" in one}
    assert sorted(deliveries) == [1, 2]
    assert deliveries[1]["agent"] == killed.victim
    assert deliveries[2]["agent"] != killed.victim
    (lost,) = [one for one in task["segments"] if one["phase"] == "lost"]
    # it was at work when it was killed, and its message came back when its lease had run out
    assert moment(lost["start"]) < killed.at < moment(lost["end"])
    lease = timedelta(seconds=killed.site.stack.spec.lease_s)
    assert moment(lost["end"]) - killed.at < lease + timedelta(seconds=20)
    phases = [one["phase"] for one in task["segments"] if one.get("delivery") == 2]
    # a moment's delivery has no room where the start was heard of later than it was
    assert [phase for phase in phases if phase != "deliver"][-3:] == ["fetch", "compute", "commit"]
    ended = [(one["delivery"], one["how"]) for one in found["events"] if one["what"] == "delivery_ended"]
    assert ended == [(1, "silent"), (2, "delivered")]
    assert moment(killed.job.status["finished"]) <= moment(found["finished"]), "seen as its image was there"
    assert found["finished"] == killed.job.refresh().status["finished"]


@pytest.mark.parametrize("columns", [100, 40])
def test_it_is_drawn_for_any_terminal(killed: Killed, columns: int) -> None:
    text = killed.says(COLUMNS=str(columns), TZ="Europe/Paris")
    print(text)
    assert "\x1b" not in text, "a pipe has no colour"
    assert f"release 1, delivery 1 in hpc on {killed.victim}" in " ".join(text.split())
    assert "lost with its worker" in text
    assert max(map(len, text.splitlines())) <= max(columns, 60)
    began = moment(killed.while_running["created"]) + timedelta(hours=1)
    assert f"{began:%H:%M}" in text or f"{began + timedelta(hours=1):%H:%M}" in text, "times are those of the zone"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_page_shows_the_same(killed: Killed, visit: Callable[..., Visit], scheme: str, size: str) -> None:
    seen = visit(killed.site.stack.api_url, color_scheme=scheme, viewport=SIZES[size], reduced_motion="reduce")
    page = seen.page
    row = page.locator(f"[data-job={killed.job.id}]")
    row.get_by_role("button", name="Why and where").click(timeout=30_000)
    summary = row.get_by_text("Where the time went")
    expect(summary).to_be_visible(timeout=30_000)
    summary.focus()
    page.keyboard.press("Enter")
    timeline = row.locator(".timeline")
    expect(timeline).to_contain_text(killed.job.trace()["longest"]["summary"])
    expect(timeline).to_contain_text(f"release 1, delivery 1 in hpc on {killed.victim}")
    bars = timeline.get_by_role("img")
    expect(bars).to_have_count(2)
    expect(bars.first).to_have_accessible_name(re.compile("The job: .*lost with its worker"))
    # to scale: each stretch has the share of the width that it has of the time
    trace = killed.job.trace()
    whole = bars.first.bounding_box()
    lost = bars.first.locator("rect[data-paint=bad]").bounding_box()
    assert whole is not None
    assert lost is not None
    share = next(one["seconds"] for one in trace["path"] if one["phase"] == "lost") / trace["total_s"]
    assert lost["width"] / whole["width"] == pytest.approx(share, abs=0.01)
    assert seen.audit("faint") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    assert seen.complaints == []
