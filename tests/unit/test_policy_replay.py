"""Whole days through the policy: what it costs, whose deadlines it makes, what happens when capacity goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from localdev.bench._arrivals import Arrivals, archive_year, from_swf, with_runs
from localdev.bench._bound import least_cloud_s
from localdev.bench._replay import Site, burst_when_full, replay
from orthofunctions.domain.money import Ledger
from orthofunctions.domain.offers import PendingTask
from orthofunctions.domain.policy import plan_releases
from orthofunctions.domain.pool_state import Basis, PoolState
from orthofunctions.domain.pools import PoolSpec


@pytest.fixture(scope="module")
def day() -> Arrivals:
    """4,000 tasks of a made day."""
    return archive_year(4000, seed=3, products_per_day=2000)


@pytest.mark.parametrize("overload", [1.5, 3.0])
def test_a_day_costs_little_more_than_the_bound_and_makes_its_deadlines(day: Arrivals, overload: float) -> None:
    site = Site(day.slots_for(overload))
    bound_s = least_cloud_s(day, site.slots)
    ours, burst = replay(day, site), replay(day, site, burst_when_full)
    assert len(ours.waits_s) == len(day)
    assert bound_s <= ours.cloud_s <= 1.15 * bound_s
    assert (burst.cloud_s - ours.cloud_s) / (burst.cloud_s - bound_s) >= 0.9
    assert ours.hits >= 0.99
    assert ours.on_prem_s + ours.cloud_s == pytest.approx(day.work_s)


@pytest.mark.parametrize("overload", [1.5, 3.0])
def test_a_busy_site_lets_all_users_wait_alike(day: Arrivals, overload: float) -> None:
    """On the second of two like days: on the first it is empty until there is a backlog."""
    both, day_s = day.twice, day.repeat_s
    assert both.at_s == sorted([*day.at_s, *(at_s + day_s for at_s in day.at_s)])
    assert sorted(both.deadline_s) == sorted([*day.deadline_s, *(late_s + day_s for late_s in day.deadline_s)])
    found = replay(both, Site(day.slots_for(overload)), judged_from_s=day.at_s[0] + day_s)
    assert sum(map(len, found.slowdowns.values())) >= len(day)
    assert found.jain(20) >= 0.95


def test_the_bound_is_what_must_go_to_the_cloud() -> None:
    """One slot, two tasks of an hour that arrive together: by their deadlines one of them, half of one, or none."""
    for slack_s, least_s in ((0.0, 3600.0), (1800.0, 1800.0), (3600.0, 0.0)):
        two = Arrivals([0.0, 0.0], [3600.0] * 2, [3600.0] * 2, [3600.0 + slack_s - 1] * 2, ["a", "b"], [0.0, 0.0])
        assert least_cloud_s(two, 1) == pytest.approx(least_s, abs=1.0)


def test_one_users_ten_thousand_tasks_do_not_hold_up_anothers_one() -> None:
    """Without deadlines and without money: only the centre, 40 slots."""
    at_s = [0.0] * 10_000 + [3600.0]
    arrivals = with_runs(at_s, ["many"] * 10_000 + ["one"], seed=1)
    arrivals = replace(arrivals, deadline_s=[float("inf")] * len(at_s), wasted_s=[0.0] * len(at_s))
    found = replay(arrivals, Site(40, cloud_slots=0, round_s=10.0))
    (slowdown,) = found.slowdowns["one"]
    assert slowdown * arrivals.run_s[-1] < arrivals.run_s[-1] + 3 * 230, "it waited longer than a few tasks take"
    assert len(found.slowdowns["many"]) == 10_000


def test_a_mass_loss_does_not_send_more_to_the_cloud_than_the_budget_allows() -> None:
    """200 slots go at once under 500 tasks that are all due: no more than the budget's worth is released."""
    hpc = PoolSpec(name="hpc", kind="onprem", max_slots=200)
    cloud = PoolSpec(name="cloud", kind="cloud", max_slots=1000, startup_s=60, price_per_slot_hour_eur=1.0)
    pending = [PendingTask(f"t{n}", "u", 0.0, 60.0, 1000.0 + n, megapixels=500.0, result_version=1) for n in range(500)]
    gone, there = PoolState(hpc, Basis.NONE), PoolState(hpc, Basis.ADVERTISED, {1: 200})
    burst, now_s = PoolState(cloud, Basis.CONFIGURED, {1: 1000}), 900.0
    ledger = Ledger(budget_eur=5.0, committed_eur=1.0)
    released = plan_releases(pending, [gone, burst], ledger, now_s)
    assert {one.pool for one in released} == {"cloud"}
    assert 3.8 < sum(one.cost_eur for one in released) <= 4.0
    left = [task for task in pending if task.task_id not in {one.task_id for one in released}]
    back = plan_releases(left, [there, burst], replace(ledger, committed_eur=5.0), now_s + 60)
    assert {one.pool for one in back} == {"hpc"}
    assert len(back) == 200


def test_a_bad_trace_is_named_by_its_line(tmp_path: Path) -> None:
    trace = tmp_path / "bad.swf"
    trace.write_text("; header\n1 0 -1 100 1 -1 -1 -1 1 -1 -1 7 1 -1 -1 1 -1 -1\n2 five\n")
    with pytest.raises(ValueError, match=r"bad\.swf line 3: '2 five'"):
        from_swf(trace)


def test_made_arrivals_are_what_they_say() -> None:
    made = archive_year(20_000, products_per_day=5000)
    assert len(made) == 20_000
    assert made.at_s == sorted(made.at_s)
    assert made.at_s[-1] < 2.2 * 86_400
    assert np.median(made.run_s) == pytest.approx(180, rel=0.05)
    assert np.mean(np.array(made.wasted_s) > 0) == pytest.approx(0.01, abs=0.003)
    users = made.user.count("orders") / len(made)
    assert users == pytest.approx(0.5)
