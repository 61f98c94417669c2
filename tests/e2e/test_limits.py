"""Quotas, credits, budget, urgency and pauses on the running system, and what ``orthoburst explain`` says of each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fakes.products import put_safe
from integration.storage import azure_ports
from localdev.stack import Stack, StackSpec
from localdev.stack.settings import write_setting
from localdev.stack.sleepers import Sleepers
from orthoburst import Client
from orthocontracts import names

HPC = {"name": "hpc", "kind": "onprem", "max_slots": 4}
CLOUD = {"name": "cloud", "kind": "cloud", "max_slots": 4, "startup_s": 1.0, "price_per_slot_hour_eur": 36.0}
FLOODS = {"name": "floods", "members": ["ana"], "may_overdraw": True}
N_HPC, N_CLOUD, SLEEP_S = 3, 2, 3.0
LIMIT_S = 60.0


@dataclass
class Town:
    """The system, workers that sleep in both pools, and users with keys of their own."""

    stack: Stack
    product: str
    operator: Client
    keys: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def site(self, **limits: object) -> None:
        """Write ``settings/pools.yaml`` anew; nothing is restarted."""
        content = {"version": 1, "pools": [HPC, CLOUD], **limits}
        write_setting(self.stack.azurite.connection_string, names.BLOB_POOLS, content)

    def ask(self, user: str, **wishes: Any) -> Asked:
        """One task, of an image that nobody has asked for before. It is planned: who asks first is first in line."""
        if user not in self.keys:
            self.keys[user] = self.operator.make_key("test", ("read", "submit"), user=user)["key"]
        left = 300_000.0 + 2000 * next(self._numbers)
        grid = {"kind": "bounds", "epsg": 32633, "left": left, "right": left + 1000, "bottom": 4.6e6, "top": 4.601e6}
        with Client(self.stack.api_url, self.keys[user]) as client:
            job = client.submit(self.product, grid={**grid, "spacing": 10}, terrain={"height_m": 0}, **wishes)
        asked = Asked(self, user, job.id)
        until(lambda: asked.task()["state"] != "unplanned", lambda: "its plan")
        return asked


@dataclass(frozen=True)
class Asked:
    """A job of one task, as its user sees it."""

    town: Town
    user: str
    job_id: str

    def explain(self) -> str:
        """What the command prints, on one line: the task's id, its state, its pool, why."""
        said = subprocess.run(
            [
                str(Path(sys.executable).with_name("orthoburst")),
                "--url",
                self.town.stack.api_url,
                "explain",
                self.job_id,
            ],
            env={**os.environ, "ORTHOBURST_API_KEY": self.town.keys[self.user], "COLUMNS": "400"},
            capture_output=True,
            text=True,
            check=True,
        )
        return " ".join(said.stdout.split())

    def task(self) -> dict[str, Any]:
        with Client(self.town.stack.api_url, self.town.keys[self.user]) as client:
            tasks = client.job(self.job_id).explain()
        return tasks[0] if tasks else {"state": "unplanned"}

    def waits_for(self, words: str) -> None:
        """Until that is the reason it waits for, as the command says it."""
        found = ""

        def said() -> bool:
            nonlocal found
            found = self.explain()
            return words in found and "pending" in found

        until(said, lambda: f"{words!r}, found {found}")

    def goes_to(self, pool: str, words: str) -> None:
        """Until it is done there, for that reason."""
        until(lambda: self.task()["state"] == "succeeded", lambda: f"it to succeed, found {self.explain()}")
        assert self.task()["pool"] == pool
        assert words in self.explain()


def until(is_so: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain for {what()}"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("limits")
    with Stack(StackSpec(folder, agents=0, cloud_limit=0, patience_s=3.0)) as stack, ExitStack() as exits:
        storage = stack.azurite.connection_string
        product = put_safe(exits.enter_context(azure_ports(storage)).blobs)
        town = Town(stack, product, exits.enter_context(Client(stack.api_url)))
        town.site()
        for pool, n in (("hpc", N_HPC), ("cloud", N_CLOUD)):
            crew = Sleepers(
                n, pool=pool, storage=storage, broker=stack.broker.url, scratch=folder / "s", sleep_s=SLEEP_S
            )
            exits.enter_context(crew)
        until(lambda: slots_of(town, "hpc") == N_HPC, lambda: f"the workers, found {town.operator.pools()}")
        yield town


def slots_of(town: Town, pool: str) -> int:
    return int(next(one["slots"] for one in town.operator.pools() if one["pool"] == pool) or 0)


@pytest.fixture
def no_centre(town: Town) -> Iterator[None]:
    """The operator has paused the centre: what cannot go to the cloud waits."""
    town.operator.pause_pool("hpc")
    yield
    town.operator.resume_pool("hpc")


def test_over_the_quota_of_running_tasks_a_user_waits_and_another_does_not(town: Town) -> None:
    town.site(users={"eva": {"max_running": 1}})
    of_eva = [town.ask("eva", patience_s=600) for _ in range(3)]
    until(lambda: any(one.task()["state"] in ("released", "running") for one in of_eva), lambda: "a first task of eva")
    held = [one for one in of_eva if one.task()["state"] == "pending"]
    held[-1].waits_for("eva may have 1 tasks at work, and has 1")
    of_ben = town.ask("ben", patience_s=600)
    of_ben.goes_to("hpc", "hpc: an on-prem slot was free")
    for one in of_eva:
        one.goes_to("hpc", "hpc: an on-prem slot was free")
    began = sorted(datetime.fromisoformat(one.task()["started"]) for one in of_eva)
    ended = sorted(datetime.fromisoformat(one.task()["ended"]) for one in of_eva)
    assert all(start >= end for start, end in zip(began[1:], ended, strict=False)), "two of eva's ran at once"


def test_without_credits_a_user_waits_for_the_centre_and_others_burst(town: Town, no_centre: None) -> None:
    town.site(users={"eva": {"credits_eur": 0.0}})
    of_eva, of_ben = town.ask("eva", patience_s=1), town.ask("ben", patience_s=1)
    of_ben.goes_to("cloud", "no on-prem slot came free within its patience of 1 s")
    of_eva.waits_for("eva has 0.00 EUR of this month's credits left")
    town.operator.resume_pool("hpc")
    of_eva.goes_to("hpc", "hpc: an on-prem slot was free")


def test_past_the_budget_only_the_urgent_task_of_one_who_may(town: Town, no_centre: None) -> None:
    """And a larger budget, written into the file, lets the others go without a restart."""
    town.site(month_budget_eur=0.0, groups=[FLOODS])
    plain = town.ask("ana", patience_s=1)
    refused = town.ask("ben", patience_s=1, urgent=True)
    urgent = town.ask("ana", patience_s=1, urgent=True)
    urgent.goes_to("cloud", "beyond the month's budget: it is urgent")
    plain.waits_for("this month's cloud budget of 0.00 EUR is used up")
    refused.waits_for("is used up, which urgent tasks of ben may not exceed")
    town.site(month_budget_eur=5.0, groups=[FLOODS])
    plain.goes_to("cloud", "EUR reserved")
    refused.goes_to("cloud", "EUR reserved")
    costs = town.operator.costs()
    assert costs["budget_eur"] == 5.0
    assert {"ana", "ben"} <= {one["user"] for one in costs["users"] if one["spent_eur"] >= 0}


def test_near_its_end_the_budget_is_held_for_what_runs_may_cost_and_what_they_did_not_need_comes_back(
    town: Town, no_centre: None
) -> None:
    """A run may take an hour here, which is 37.81 EUR: one at a time has what is left, and the others after it."""
    spent_eur = town.operator.costs()["spent_eur"]
    town.site(month_budget_eur=spent_eur + 1.0)
    asked = [town.ask("ben", patience_s=1) for _ in range(5)]
    asked[-1].waits_for("runs under way may yet cost")
    seen: list[float] = []

    def all_are_done() -> bool:
        costs = town.operator.costs()
        seen.append(costs["spent_eur"] + costs["reserved_eur"] + costs["contingency_eur"])
        return all(one.task()["state"] == "succeeded" for one in asked)

    until(all_are_done, lambda: f"all to be done, found {[one.explain() for one in asked]}")
    assert max(seen) == pytest.approx(spent_eur + 1.0, abs=1e-5)
    for one in asked:
        assert "EUR, which is all that is left" in one.explain()
    until(lambda: town.operator.costs()["contingency_eur"] == 0, lambda: f"the rest, found {town.operator.costs()}")


def test_a_budget_file_that_is_not_usable_leaves_the_old_budget(town: Town, no_centre: None) -> None:
    town.site(month_budget_eur=0.0)
    one = town.ask("ben", patience_s=1)
    one.waits_for("budget of 0.00 EUR is used up")
    town.site(month_budget_eur="much")
    log = town.stack.logs / "functions-host.log"
    until(lambda: "month_budget_eur" in log.read_text(), lambda: "a line in the log that names the field")
    one.waits_for("budget of 0.00 EUR is used up")
    town.site()
    one.goes_to("cloud", "EUR reserved")


def test_a_paused_pool_takes_nothing_until_it_is_resumed(town: Town) -> None:
    town.site(pools=[HPC])
    town.operator.pause_pool("hpc")
    try:
        one = town.ask("ben", patience_s=600)
        one.waits_for("no pool has workers for it; hpc is paused")
    finally:
        town.operator.resume_pool("hpc")
    one.goes_to("hpc", "hpc: an on-prem slot was free")


def test_a_deadline_decides_when_it_goes_to_the_cloud(town: Town, no_centre: None) -> None:
    town.site()
    far = town.ask("ben", deadline=datetime.now(UTC) + timedelta(hours=2))
    near = town.ask("ben", deadline=datetime.now(UTC) + timedelta(seconds=20))
    far.waits_for("it goes to the cloud at")
    assert "its deadline allows that" in far.explain()
    near.goes_to("cloud", "its deadline")
    assert far.task()["state"] == "pending"
    town.operator.resume_pool("hpc")
    far.goes_to("hpc", "hpc: an on-prem slot was free")
