"""Campaigns stand back: what users get does not depend on them, but for runs that are under way already."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthofunctions.domain.background import Standing, plan_background
from orthofunctions.domain.money import Ledger
from orthofunctions.domain.offers import PendingTask
from orthofunctions.domain.policy import filled, plan_releases
from orthofunctions.domain.pool_state import Basis, PoolState
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.runtimes import RunTimes

NOW = 1_800_000_000.0
LONGEST_S = 600.0
EXACT = {"": RunTimes(sigma=0.0)}
HPC = PoolSpec(name="hpc", kind="onprem", max_slots=10, queue_ahead=1)
CLOUD = PoolSpec(name="cloud", kind="cloud", max_slots=10, startup_s=60, price_per_slot_hour_eur=0.3)


def hpc(slots: int, busy: int = 0, **spec: object) -> PoolState:
    return PoolState(HPC.model_copy(update=spec), Basis.ADVERTISED, {1: slots}, {1: busy}, run_times=EXACT)


def cloud(slots: int = 10, busy: int = 0) -> PoolState:
    spec = CLOUD.model_copy(update={"max_slots": slots})
    return PoolState(spec, Basis.CONFIGURED, {1: slots}, {1: busy}, run_times=EXACT)


def work(
    name: str, campaign: str = "old", waited_s: float = 0.0, megapixels: float = 100.0, **more: object
) -> PendingTask:
    values: dict[str, object] = {"user": "operator", "created_s": NOW - waited_s, "patience_s": 20, "result_version": 1}
    return PendingTask(name, **{**values, "campaign": campaign, "megapixels": megapixels, **more})  # type: ignore[arg-type]


def placed(waiting: list[PendingTask], pools: list[PoolState], **campaigns: Standing) -> dict[str, str]:
    decided = plan_background(waiting, pools, campaigns or {"old": Standing()}, NOW, LONGEST_S)
    return {one.task_id: one.pool for one in decided}


def test_idle_slots_are_taken_and_no_place_in_a_queue() -> None:
    assert placed([work(f"t{n}") for n in range(9)], [hpc(4, busy=1)]) == dict.fromkeys(("t0", "t1", "t2"), "hpc")
    assert placed([work("t")], [hpc(4, busy=4)]) == {}
    assert placed([work("t")], [hpc(4, busy=1, keep_free=3)]) == {}
    assert placed([work("t")], [hpc(0)]) == {}


def test_what_is_not_running_stays_where_it_is() -> None:
    assert placed([work("t", "paused"), work("s")], [hpc(4)]) == {"s": "hpc"}


def test_the_oldest_first_and_campaigns_evenly() -> None:
    waiting = [work(f"a{n}", "a", 100 - n) for n in range(20)] + [work(f"b{n}", "b", 50 - n) for n in range(20)]
    found = plan_background(waiting, [hpc(6)], {"a": Standing(2), "b": Standing()}, NOW, LONGEST_S)
    assert [one.task_id for one in found] == ["b0", "b1", "a0", "b2", "a1", "b3"]
    assert found[0].sentence == "hpc: an idle slot that no user's task wants, for campaign b"
    assert found[0].figures["hpc"].free_slots == 6


def test_the_cloud_only_for_a_campaign_with_money_whose_patience_is_over() -> None:
    full = [hpc(1, busy=1), cloud(3)]
    waiting = [work("t", waited_s=100)]
    assert placed(waiting, full) == {}
    assert placed(waiting, full, old=Standing(0, 5.0, patience_s=101)) == {}
    assert placed(waiting, full, old=Standing(0, 5.0, patience_s=99)) == {"t": "cloud"}
    assert placed(waiting, [hpc(1), cloud(3)], old=Standing(0, 5.0)) == {"t": "hpc"}
    cost_eur = 0.3 * (60 + LONGEST_S) / 3600
    many = [work(f"t{n}", waited_s=100) for n in range(3)]
    assert len(placed(many, full, old=Standing(0, 2.5 * cost_eur))) == 2
    (first, *_) = plan_background(many, full, {"old": Standing(0, 9.0)}, NOW, LONGEST_S)
    assert first.cost_eur == pytest.approx(cost_eur, abs=1e-6)
    assert first.sentence.startswith("cloud: the centre has no idle slot that no user's task wants, for campaign old")


def test_what_costs_egress_needs_money_too() -> None:
    priced = plan_background(
        [work("t", inputs=(("archive", 10**9),))], [hpc(2)], {"old": Standing()}, NOW, LONGEST_S, {"archive": 0.1}
    )
    assert priced == []


def test_a_pool_that_cannot_read_or_does_not_last_gets_nothing() -> None:
    assert placed([work("t", sites=frozenset({"tape"}))], [hpc(2)]) == {}
    ending = replace(hpc(2), lasts_s={1: 10.0})
    assert placed([work("t")], [ending]) == {}
    assert placed([work("other", result_version=2), work("t")], [hpc(2)]) == {"t": "hpc"}


@st.composite
def rounds(draw: st.DrawFn) -> tuple[list[PendingTask], list[PendingTask], list[PoolState]]:
    """Users' tasks, campaigns' tasks, and pools, as a round may find them."""
    chance = Random(draw(st.integers(0, 2**32)))
    users = [
        PendingTask(
            f"u{n}", f"user{n % 3}", NOW - chance.uniform(0, 60), 30.0,
            NOW + chance.uniform(-50, 600) if chance.random() < 0.5 else None,
            megapixels=chance.uniform(1, 500), result_version=chance.choice((1, 1, 2)),
        )
        for n in range(draw(st.integers(0, 25)))
    ]  # fmt: skip
    campaigns = [
        work(f"c{n}", f"k{n % 2}", chance.uniform(0, 9000), result_version=chance.choice((1, 2)))
        for n in range(draw(st.integers(0, 25)))
    ]
    slots = draw(st.integers(0, 10))
    pools = [
        PoolState(
            HPC.model_copy(update={"keep_free": draw(st.integers(0, 3))}), Basis.ADVERTISED, {1: slots, 2: 2},
            {1: draw(st.integers(0, 12))}, run_times=EXACT,
        ),
        cloud(draw(st.integers(0, 5)), draw(st.integers(0, 5))),
    ]  # fmt: skip
    return users, campaigns, pools


@settings(max_examples=200, deadline=None)
@given(rounds())
def test_nothing_is_placed_over_slots_or_before_a_user(
    found: tuple[list[PendingTask], list[PendingTask], list[PoolState]],
) -> None:
    users, campaigns, pools = found
    decided = plan_releases(users, pools, Ledger(), NOW)
    after = filled(pools, decided, {one.task_id: one.result_version for one in users})
    standing = {"k0": Standing(0, 1.0, 3600.0), "k1": Standing(3)}
    behind = plan_background(campaigns, after, standing, NOW, LONGEST_S)
    versions = {one.task_id: one.result_version for one in campaigns}
    assert len({one.task_id for one in behind}) == len(behind)
    taken = Counter((one.pool, versions[one.task_id]) for one in behind)
    for state in after:
        mine = {version: n for (pool, version), n in taken.items() if pool == state.spec.name}
        for version, n in mine.items():
            assert n <= state.slots[version] - state.busy.get(version, 0), "a place in a queue, or no slot at all"
        if mine:
            assert sum(mine.values()) + sum(state.busy.values()) + state.spec.keep_free <= state.spec.max_slots
    # of the slots that campaigns got no user's task could have had one
    last = filled(after, behind, versions)
    left = [one for one in users if one.task_id not in {each.task_id for each in decided}]
    assert plan_releases(left, after, Ledger(), NOW) == plan_releases(left, last, Ledger(), NOW) == []


@dataclass
class Day:
    """What a replay came to."""

    order: list[str]
    waits_s: dict[str, float]
    background_s: float
    longest_background_s: float


def replay(users: list[tuple[float, float]], slots: int, n_background: int, keep_free: int, run_s: float) -> Day:
    """Tasks of users arrive at moments and take as long as they say; decided as a round does, without cloud."""
    spec = PoolSpec(name="hpc", kind="onprem", max_slots=slots, keep_free=keep_free)
    day = Day([], {}, 0.0, run_s)
    events = [(at_s, f"u{n:04d}") for n, (at_s, _) in enumerate(users)]
    takes_s = {f"u{n:04d}": each_s for n, (_, each_s) in enumerate(users)}
    heapq.heapify(events)
    waiting: dict[str, PendingTask] = {}
    behind = {f"c{n:04d}": work(f"c{n:04d}", created_s=0.0) for n in range(n_background)}
    busy: set[str] = set()
    while events:
        now_s, name = heapq.heappop(events)
        while True:
            if name in busy:
                busy.discard(name)
            elif name:
                waiting[name] = PendingTask(name, "user", now_s, 30.0, result_version=1)
            if not events or events[0][0] > now_s:
                break
            _, name = heapq.heappop(events)
        state = PoolState(spec, Basis.ADVERTISED, {1: slots}, {1: len(busy)}, run_times=EXACT)
        decided = plan_releases(waiting.values(), [state], Ledger(), now_s)
        for one in decided:
            arrived_s = waiting.pop(one.task_id).created_s
            day.order.append(one.task_id)
            day.waits_s[one.task_id] = now_s - arrived_s
            busy.add(one.task_id)
            heapq.heappush(events, (now_s + takes_s[one.task_id], one.task_id))
        after = filled([state], decided, dict.fromkeys((one.task_id for one in decided), 1))
        for one in plan_background(behind.values(), after, {"old": Standing()}, now_s, LONGEST_S):
            del behind[one.task_id]
            busy.add(one.task_id)
            day.background_s += run_s
            heapq.heappush(events, (now_s + run_s, one.task_id))
    return day


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), slots=st.integers(1, 6), run_s=st.sampled_from([20.0, 60.0, 300.0]))
def test_a_campaign_delays_a_user_by_less_than_one_run_of_its_own(seed: int, slots: int, run_s: float) -> None:
    chance = Random(seed)
    at_s, users = 0.0, []
    for _ in range(60):
        at_s += chance.expovariate(slots / 80.0)
        users.append((at_s, chance.expovariate(1 / 60.0)))
    without, with_one = replay(users, slots, 0, 0, run_s), replay(users, slots, 400, 0, run_s)
    assert with_one.order == without.order
    later_s = [with_one.waits_s[name] - without.waits_s[name] for name in without.order]
    assert max(later_s) <= run_s + 1e-6
    assert with_one.background_s > 0


def test_slots_kept_free_keep_users_from_waiting_at_all() -> None:
    """Ten slots of which users want three at once at most: with three kept free it is as if there were no campaign."""
    users = [(n * 100.0 + k, 90.0) for n in range(40) for k in range(3)]
    without, kept, open_to_all = (replay(users, 10, n, keep, 600.0) for n, keep in ((0, 0), (400, 3), (400, 0)))
    assert kept.waits_s == without.waits_s
    assert kept.order == without.order
    assert kept.background_s > 10_000
    assert max(open_to_all.waits_s.values()) > 0, "without slots kept free a run under way is waited for"
