"""The policy: never over slots or money, fair among equals, and in words a person can follow."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthofunctions.domain.decisions import Decision
from orthofunctions.domain.money import Ledger, UserLedger
from orthofunctions.domain.offers import Market, PendingTask
from orthofunctions.domain.policy import plan_releases
from orthofunctions.domain.pool_state import Basis, Coming, PoolState
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.runtimes import DEADLINE_CONFIDENCE, RunTimes

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
EXACT = {"": RunTimes(sigma=0.0)}  # runs take what they are expected to
HPC = PoolSpec(name="hpc", kind="onprem", max_slots=10)
CLOUD = PoolSpec(name="cloud", kind="cloud", max_slots=10, startup_s=60, price_per_slot_hour_eur=0.3)


def hpc(slots: int, busy: int = 0, spec: PoolSpec = HPC) -> PoolState:
    return PoolState(spec, Basis.ADVERTISED, {1: slots}, {1: busy}, run_times=EXACT)


def cloud(slots: int = 10, busy: int = 0, spec: PoolSpec = CLOUD) -> PoolState:
    spec = spec.model_copy(update={"max_slots": slots})
    return PoolState(spec, Basis.CONFIGURED, {1: slots}, {1: busy}, run_times=EXACT)


def task(name: str, waited_s: float = 0, **fields: object) -> PendingTask:
    values: dict[str, object] = {"user": "local", "created_s": NOW - waited_s, "patience_s": 20, "result_version": 1}
    return PendingTask(task_id=name, **{**values, **fields})  # type: ignore[arg-type]


def latest_start_s(one: PendingTask, pools: list[PoolState]) -> float:
    return Market(pools).latest_starts_s([one], NOW)[0]


def placed(pending: list[PendingTask], pools: list[PoolState], ledger: Ledger | None = None) -> dict[str, str]:
    return {one.task_id: one.pool for one in plan_releases(pending, pools, ledger or Ledger(), NOW)}


class TestDecisions:
    def test_on_prem_while_a_slot_is_free(self) -> None:
        assert placed([task("a", 3), task("b", 2), task("c", 1)], [hpc(2), cloud()]) == {"a": "hpc", "b": "hpc"}

    def test_a_task_waits_where_all_batch_jobs_end_before_it_would(self) -> None:
        run_s = HPC.nominal_s(100)
        ending = replace(hpc(2), lasts_s={1: run_s + 1})
        assert placed([task("a", megapixels=100), task("longer", megapixels=110)], [ending]) == {"a": "hpc"}
        assert placed([task("longer", 30, megapixels=110)], [ending, cloud()]) == {"longer": "cloud"}
        assert placed([task("longer", megapixels=110)], [replace(ending, lasts_s={2: 1.0})]) == {"longer": "hpc"}

    def test_the_cloud_when_patience_has_run_out(self) -> None:
        (decision,) = plan_releases([task("a", 20)], [hpc(1, busy=1), cloud()], Ledger(), NOW)
        assert decision.pool == "cloud"
        assert decision.sentence == "cloud: no on-prem slot came free within its patience of 20 s; 0.01 EUR reserved"
        assert decision.figures["hpc"].free_slots == 0
        assert decision.figures["cloud"].cost_eur == pytest.approx(0.3 * 75 / 3600, abs=1e-6)
        assert Decision.from_json(decision.to_json()) == decision

    def test_not_a_second_before(self) -> None:
        assert placed([task("a", 19.9)], [hpc(1, busy=1), cloud()]) == {}

    def test_a_free_on_prem_slot_comes_before_the_cloud_even_then(self) -> None:
        assert placed([task("a", 500)], [cloud(), hpc(1)]) == {"a": "hpc"}

    def test_the_one_that_waited_longest_gets_the_slot(self) -> None:
        assert placed([task("young", 25), task("old", 30)], [hpc(1), cloud(0)]) == {"old": "hpc"}

    def test_a_deadline_counts_from_its_latest_start(self) -> None:
        needs_s = 60 + CLOUD.nominal_s(100)
        due = task("due", deadline_s=NOW + needs_s, megapixels=100)
        early = task("early", deadline_s=NOW + needs_s + 1, megapixels=100)
        assert latest_start_s(due, [cloud()]) == pytest.approx(0, abs=1e-6)
        assert placed([due, early], [hpc(0), cloud()]) == {"due": "cloud"}
        (decision,) = plan_releases([due], [hpc(0), cloud()], Ledger(), NOW)
        assert decision.figures["cloud"].in_time is True

    def test_the_cheapest_in_time_and_the_soonest_when_none_is(self) -> None:
        slow = cloud(spec=PoolSpec(name="slow", kind="cloud", max_slots=9, startup_s=600, price_per_slot_hour_eur=0.01))
        assert placed([task("a", 20)], [cloud(), slow]) == {"a": "slow"}
        assert placed([task("b", deadline_s=NOW + 75)], [slow, cloud()]) == {"b": "cloud"}
        assert placed([task("c", deadline_s=NOW)], [slow, cloud()]) == {"c": "cloud"}

    def test_another_result_version_waits(self) -> None:
        assert placed([task("a", 500, result_version=2)], [hpc(5), cloud()]) == {}

    def test_queue_ahead_fills_no_pool_without_workers(self) -> None:
        ahead = HPC.model_copy(update={"queue_ahead": 2})
        assert len(placed([task(f"t{n}") for n in range(9)], [hpc(1, spec=ahead)])) == 3
        assert placed([task("a")], [hpc(0, spec=ahead)]) == {}

    def test_money_ends_the_burst(self) -> None:
        cost = CLOUD.run_cost_eur(60 + CLOUD.nominal_s(0))
        pending = [task(f"t{n}", 30) for n in range(5)]
        assert len(placed(pending, [cloud()], Ledger(budget_eur=1.0, committed_eur=1.0 - 2.5 * cost))) == 2
        assert len(placed(pending, [hpc(5), cloud()], Ledger(budget_eur=0.0))) == 5

    def test_a_worker_that_lingers_saves_the_start_up(self) -> None:
        """A task that is late for every other pool still makes it there."""
        lingers = PoolState(CLOUD, Basis.CONFIGURED, {1: 10}, {1: 1}, {1: 1}, EXACT)
        late = task("a", deadline_s=NOW + CLOUD.nominal_s(0) + 1)
        (decision,) = plan_releases([late], [hpc(0), lingers], Ledger(), NOW)
        assert (decision.figures["cloud"].start_in_s, decision.figures["cloud"].in_time) == (0, True)
        (decision,) = plan_releases([late], [hpc(0), cloud()], Ledger(), NOW)
        assert (decision.figures["cloud"].start_in_s, decision.figures["cloud"].in_time) == (60, False)

    def test_data_that_must_travel_costs_time_and_money(self) -> None:
        far = cloud(spec=CLOUD.model_copy(update={"name": "far", "local": (), "bandwidth_mb_per_s": 10.0}))
        near = cloud(spec=CLOUD.model_copy(update={"price_per_slot_hour_eur": 0.5}))
        one = task("a", 20, inputs=(("blobs", 10**9),))
        ledger = Ledger(egress_eur_per_gb={"blobs": 0.08})
        (decision,) = plan_releases([one], [far, near], ledger, NOW)
        assert decision.pool == "cloud"
        assert decision.figures["far"].transfer_s == pytest.approx(100)
        assert decision.figures["far"].cost_eur == pytest.approx(0.3 * 175 / 3600 + 0.08)
        assert placed([one], [far, near], Ledger()) == {"a": "cloud"}  # 175 s of 0.3 against 75 s of 0.5
        large = task("b", 20, output_bytes=10**9)
        keeps = near.spec.model_copy(update={"name": "keeps", "local": ("blobs", "site"), "results_in": "site"})
        sends = near.spec.model_copy(update={"local": ("site",), "egress_eur_per_gb": 0.1})
        assert placed([large], [cloud(spec=sends), cloud(spec=keeps)]) == {"b": "keeps"}

    def test_data_of_a_site_are_read_where_they_lie_or_not_at_all(self) -> None:
        here = hpc(1, spec=HPC.model_copy(update={"local": ("blobs", "site")}))
        there = task("a", 0, inputs=(("blobs", 10), ("site", 10**9)), sites=frozenset({"site"}), deadline_s=NOW + 1)
        assert placed([there], [hpc(5), cloud()]) == {}
        assert placed([there], [hpc(5), cloud(), hpc(0, spec=here.spec)]) == {}
        others = [task(f"b{n}", 0) for n in range(2)]
        pools = [here, cloud()]
        found = placed([*others, there], pools)
        assert found["a"] == "hpc", "its slot is not lost to others that may go to the cloud"
        (decision,) = plan_releases([there], [here, cloud()], Ledger(), NOW)
        assert (decision.figures["cloud"].free_slots, decision.figures["cloud"].start_in_s) == (0, None)

    def test_a_pilot_that_comes_in_time_is_waited_for(self) -> None:
        needs_s = HPC.nominal_s(0)
        urgent = [task(f"t{n}", deadline_s=NOW + 60 + needs_s) for n in range(3)]  # their latest start in the cloud

        def left(at_s: float, slots: int = 2, version: int = 1) -> int:
            expects = replace(hpc(0), coming=(Coming(NOW + at_s, slots, version),))
            return len(placed(urgent, [expects, cloud()]))

        assert left(59) == 1, "two wait for its two slots, the third goes"
        assert left(61) == 3, "it comes too late"
        assert left(59, version=2) == 3, "it makes another result version"
        assert len(placed([task("a", 500)], [replace(hpc(0), coming=(Coming(NOW + 1, 9, 1),)), cloud()])) == 1

    def test_learned_run_times_move_the_latest_start(self) -> None:
        slow = PoolState(CLOUD, Basis.CONFIGURED, {1: 9}, run_times={"": RunTimes(level=math.log(2), sigma=0.3)})
        one = task("a", deadline_s=NOW + 3600, megapixels=1000)
        sure_s = 60 + 2 * CLOUD.nominal_s(1000) * math.exp(0.3 * NormalDist().inv_cdf(DEADLINE_CONFIDENCE))
        assert latest_start_s(one, [slow]) == pytest.approx(3600 - sure_s)

    def test_frequent_failures_leave_room_for_a_second_attempt(self) -> None:
        fails = PoolState(CLOUD, Basis.CONFIGURED, {1: 9}, run_times={"": RunTimes(sigma=0.05, failure_share=0.1)})
        one = task("a", deadline_s=NOW + 3600, megapixels=1000)
        assert latest_start_s(one, [fails]) < 3600 - 2 * 60 - 1.5 * CLOUD.nominal_s(1000)

    def test_a_quota_holds_whatever_is_free(self) -> None:
        pending = [task(f"t{n}", 30, user="ana") for n in range(5)] + [task("other", 10, user="ben")]
        ledger = Ledger(users={"ana": UserLedger(running=1, max_running=3)})
        assert placed(pending, [hpc(9), cloud()], ledger) == {"t0": "hpc", "t1": "hpc", "other": "hpc"}

    def test_credits_end_a_users_bursts_and_no_others(self) -> None:
        cost = CLOUD.run_cost_eur(75)
        pending = [task(f"t{n}", 30, user="ana") for n in range(5)] + [task("other", 25, user="ben")]
        ledger = Ledger(users={"ana": UserLedger(credits_left_eur=2.5 * cost)})
        assert placed(pending, [cloud()], ledger) == {"t0": "cloud", "t1": "cloud", "other": "cloud"}

    def test_only_urgent_tasks_of_those_who_may_go_past_the_budget(self) -> None:
        pending = [task("a", 30, user="ana", urgent=True), task("b", 30, user="ana"), task("c", 30, urgent=True)]
        ledger = Ledger(budget_eur=0.0, users={"ana": UserLedger(may_overdraw=True)})
        assert placed(pending, [hpc(0), cloud()], ledger) == {"a": "cloud"}


class TestCeilings:
    LONGEST_S = 600.0
    WHOLE_EUR = CLOUD.run_cost_eur(60 + 600)
    RESERVE_EUR = CLOUD.run_cost_eur(75)

    def ledger(self, left_eur: float, **changes: object) -> Ledger:
        values: dict[str, object] = {"budget_eur": 10.0, "committed_eur": 4.0, "longest_run_s": self.LONGEST_S}
        return Ledger(**values | {"contingency_eur": 6.0 - left_eur} | changes)  # type: ignore[arg-type]

    def decisions(self, n: int, ledger: Ledger, **fields: object) -> list[Decision]:
        return plan_releases([task(f"t{k}", 30, **fields) for k in range(n)], [hpc(0), cloud()], ledger, NOW)

    def test_what_is_left_sinks_by_what_runs_may_cost_and_the_last_has_what_there_is(self) -> None:
        found = self.decisions(5, self.ledger(2.5 * self.WHOLE_EUR))
        assert [one.cost_eur for one in found] == pytest.approx([self.RESERVE_EUR] * 3)
        assert [one.ceiling_eur for one in found] == pytest.approx([w * self.WHOLE_EUR for w in (1, 1, 0.5)], abs=2e-6)
        assert [("its run is ended at 0.03 EUR" in one.sentence) for one in found] == [False, False, True]

    def test_as_long_as_a_reservation_fits_something_is_released(self) -> None:
        (one,) = self.decisions(2, self.ledger(self.RESERVE_EUR))
        assert (one.cost_eur, one.contingency_eur) == (pytest.approx(self.RESERVE_EUR), pytest.approx(0, abs=1e-6))
        assert self.decisions(2, self.ledger(0.99 * self.RESERVE_EUR)) == []

    def test_whose_run_was_ended_for_want_of_money_is_run_whole_or_not_at_all(self) -> None:
        assert self.decisions(1, self.ledger(0.9 * self.WHOLE_EUR), cut_short=True) == []
        (one,) = self.decisions(1, self.ledger(1.1 * self.WHOLE_EUR), cut_short=True)
        assert one.ceiling_eur == pytest.approx(self.WHOLE_EUR, abs=2e-6)
        assert placed([task("a", 30, cut_short=True)], [hpc(1), cloud()], self.ledger(0)) == {"a": "hpc"}

    def test_where_a_month_has_less_than_that_it_is_all_of_a_month(self) -> None:
        small = {"budget_eur": 0.5 * self.WHOLE_EUR, "contingency_eur": 0.0}
        (one,) = self.decisions(1, self.ledger(0.0, committed_eur=0.0, **small), cut_short=True)
        assert one.ceiling_eur == pytest.approx(0.5 * self.WHOLE_EUR)
        assert self.decisions(1, self.ledger(0.0, committed_eur=0.001, **small), cut_short=True) == []
        assert len(self.decisions(2, Ledger(longest_run_s=self.LONGEST_S), cut_short=True)) == 2
        credits = UserLedger(credits_left_eur=0.03, credits_eur=0.03)
        assert len(self.decisions(2, self.ledger(5.0, users={"local": credits}), cut_short=True)) == 1

    def test_a_reservation_that_is_more_than_the_longest_run_is_its_own_ceiling(self) -> None:
        (one,) = self.decisions(1, self.ledger(5.0), megapixels=3000)
        assert one.cost_eur > self.WHOLE_EUR
        assert one.contingency_eur == 0

    def test_urgent_work_that_may_overdraw_has_all_of_its_time(self) -> None:
        users = {"local": UserLedger(may_overdraw=True)}
        first, second = self.decisions(2, self.ledger(0.0, users=users), urgent=True)
        assert first.ceiling_eur == second.ceiling_eur == pytest.approx(self.WHOLE_EUR, abs=2e-6)

    def test_credits_are_held_as_the_budget_is(self) -> None:
        users = {"local": UserLedger(credits_left_eur=5.0, contingency_eur=5.0 - 1.5 * self.WHOLE_EUR)}
        found = self.decisions(3, Ledger(users=users, longest_run_s=self.LONGEST_S))
        assert [one.ceiling_eur for one in found] == pytest.approx([w * self.WHOLE_EUR for w in (1, 0.5)], abs=2e-6)

    def test_data_that_must_be_carried_to_the_centre_is_paid_for_or_stays(self) -> None:
        far = hpc(5, spec=HPC.model_copy(update={"local": ()}))
        pending = [task(f"t{k}", inputs=(("blobs", 10**9),)) for k in range(4)]
        prices = {"egress_eur_per_gb": {"blobs": 0.1}}
        assert len(plan_releases(pending, [far], self.ledger(0.25, **prices), NOW)) == 2
        assert len(plan_releases(pending, [far], self.ledger(0.25), NOW)) == 4, "what costs nothing needs no money"
        assert len(plan_releases(pending, [far], Ledger(**prices), NOW)) == 4  # type: ignore[arg-type]

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.sampled_from([0.0, 120.0, 900.0]), min_size=1, max_size=12),
        st.floats(0, 1.2),
        st.sampled_from([0.0, 60.0, 600.0, 6000.0]),
        st.integers(1, 12),
    )
    def test_ceilings_never_pass_what_is_left_and_reservations_that_fit_are_made(
        self, sizes: list[float], left_eur: float, longest_s: float, slots: int
    ) -> None:
        pending = [task(f"t{k:02}", 30, megapixels=size) for k, size in enumerate(sizes)]
        pool = cloud(slots)
        found = plan_releases(pending, [pool], self.ledger(left_eur, longest_run_s=longest_s), NOW)
        left_eur -= sum(one.ceiling_eur for one in found)
        assert left_eur > -1e-9
        for one in found:
            most_eur = CLOUD.run_cost_eur(60 + longest_s)
            assert one.cost_eur - 1e-6 <= one.ceiling_eur <= max(most_eur, one.cost_eur) + 2e-6
        waiting = [one for one in pending if one.task_id not in {decision.task_id for decision in found}]
        if waiting and len(found) < slots:
            least_eur = min(Market([pool]).offers(one)[0].reserve_eur for one in waiting)
            assert least_eur > left_eur - 2e-6


class TestFairness:
    def test_turns_count_where_there_is_only_the_centre(self) -> None:
        """Ten thousand tasks of one user, all past their patience, do not hold up the one of another."""
        many = [task(f"many-{n}", 5000, user="ana", turn_s=NOW - 5000 + 10 * n) for n in range(10_000)]
        one = task("one", 100, user="ben", turn_s=NOW - 100)
        large = hpc(600, spec=HPC.model_copy(update={"max_slots": 600}))
        first = [d.task_id for d in plan_releases([*many, one], [large], Ledger(), NOW)]
        assert first.index("one") == 493  # after those whose turn came before
        broke = plan_releases([*many, one], [large, cloud()], Ledger(budget_eur=0), NOW)
        assert [d.task_id for d in broke] == first

    def test_patience_is_what_was_asked_whatever_the_turn(self) -> None:
        assert latest_start_s(task("a", 5, turn_s=NOW + 400), [cloud()]) == 15

    def test_before_its_patience_ends_a_backlog_gives_way_to_whose_turn_it_is(self) -> None:
        backlog = [task(f"many-{n}", 10, user="ana", turn_s=NOW + 100 + n) for n in range(9)]
        assert placed([*backlog, task("one", 0, user="ben", turn_s=NOW)], [hpc(1), cloud()]) == {"one": "hpc"}

    def test_with_a_cloud_deadlines_count(self) -> None:
        due = task("due", user="ana", deadline_s=NOW + 100, turn_s=NOW + 9000)
        light = task("light", user="ben", deadline_s=NOW + 9000, turn_s=NOW)
        assert placed([light, due], [hpc(1), cloud()]) == {"due": "hpc"}


tasks = st.lists(
    st.builds(
        PendingTask,
        task_id=st.uuids().map(str),
        user=st.sampled_from(["a", "b"]),
        created_s=st.integers(0, 5).map(lambda s: NOW - 10 * s),
        patience_s=st.sampled_from([0.0, 20.0, 1000.0]),
        deadline_s=st.none() | st.integers(-100, 400).map(lambda s: NOW + s),
        turn_s=st.none() | st.integers(-100, 400).map(lambda s: NOW + s),
        megapixels=st.sampled_from([0.0, 120.0]),
        result_version=st.sampled_from([1, 1, 2]),
    ),
    max_size=30,
    unique_by=lambda one: one.task_id,
)
versions = st.dictionaries(st.sampled_from([1, 2]), st.integers(0, 6))
pools = st.lists(
    st.builds(
        PoolState,
        st.builds(
            PoolSpec,
            name=st.sampled_from(["p1", "p2", "p3"]),
            kind=st.sampled_from(["onprem", "cloud"]),
            max_slots=st.integers(0, 6),
            queue_ahead=st.integers(0, 2),
            startup_s=st.sampled_from([0.0, 60.0]),
            price_per_slot_hour_eur=st.sampled_from([0.0, 0.3, 5.0]),
        ),
        st.sampled_from(Basis),
        versions,
        versions,
    ),
    max_size=3,
    unique_by=lambda one: one.spec.name,
)
ledgers = st.builds(Ledger, st.none() | st.floats(0, 0.2), st.floats(0, 0.1))


class TestProperties:
    @settings(max_examples=150, deadline=None)
    @given(tasks, pools, ledgers)
    def test_never_over_slots_nor_money_nor_twice(
        self, pending: list[PendingTask], states: list[PoolState], ledger: Ledger
    ) -> None:
        decisions = plan_releases(pending, states, ledger, NOW)
        by_id = {one.task_id: one for one in pending}
        assert len({one.task_id for one in decisions}) == len(decisions)
        used = Counter((one.pool, by_id[one.task_id].result_version) for one in decisions)
        for state in states:
            name, spec = state.spec.name, state.spec
            for version in (1, 2):
                assert used[name, version] <= state.free(version)
            total = sum(used[name, version] for version in (1, 2))
            assert total == 0 or total + sum(state.busy.values()) <= spec.max_slots + spec.queue_ahead
        if ledger.budget_eur is not None:
            paid = sum(one.cost_eur for one in decisions)
            assert paid == 0 or ledger.committed_eur + paid <= ledger.budget_eur + 1e-4
        for one in decisions:
            if one.figures[one.pool].kind == "cloud":
                assert latest_start_s(by_id[one.task_id], states) <= 0, "to the cloud before it was due"

    @settings(max_examples=80, deadline=None)
    @given(tasks, pools, ledgers, st.randoms(use_true_random=False))
    def test_the_same_whatever_the_order(
        self, pending: list[PendingTask], states: list[PoolState], ledger: Ledger, random: object
    ) -> None:
        shuffled = list(pending)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert plan_releases(shuffled, states, ledger, NOW) == plan_releases(pending, states, ledger, NOW)

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(0, 6), st.integers(0, 6))
    def test_first_come_first_served_among_equals(self, ages_s: list[int], n_hpc: int, n_cloud: int) -> None:
        pending = [task(f"t{number:02d}", age_s) for number, age_s in enumerate(ages_s)]
        released = placed(pending, [hpc(n_hpc), cloud(n_cloud)])
        waiting = [one for one in pending if one.task_id not in released]
        for one in pending:
            if one.task_id in released:
                assert all(other.created_s >= one.created_s for other in waiting)

    @settings(max_examples=80, deadline=None)
    @given(tasks, pools)
    def test_no_free_on_prem_slot_beside_a_task_it_could_run(
        self, pending: list[PendingTask], states: list[PoolState]
    ) -> None:
        decisions = {one.task_id: one.pool for one in plan_releases(pending, states, Ledger(), NOW)}
        for state in (one for one in states if one.spec.kind == "onprem"):
            name = state.spec.name
            mine = [one for one in pending if decisions.get(one.task_id) == name]
            in_all = state.spec.max_slots + state.spec.queue_ahead - sum(state.busy.values()) - len(mine)
            for version in (1, 2):
                left = state.free(version) - sum(one.result_version == version for one in mine)
                waits = [o for o in pending if o.task_id not in decisions and o.result_version == version]
                assert not (waits and left > 0 and in_all > 0)

    @settings(max_examples=80, deadline=None)
    @given(tasks, st.floats(0.05, 5), st.floats(1, 4))
    def test_a_higher_price_never_draws_more_work(
        self, pending: list[PendingTask], price_eur: float, factor: float
    ) -> None:
        def drawn(price: float) -> int:
            spec = CLOUD.model_copy(update={"name": "dearer", "price_per_slot_hour_eur": price})
            pools = [hpc(2), cloud(spec=spec, slots=40), cloud(slots=40)]
            return sum(one.pool == "dearer" for one in plan_releases(pending, pools, Ledger(), NOW))

        assert drawn(price_eur * factor) <= drawn(price_eur)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(0, 3000), min_size=1, max_size=40), st.integers(1, 3))
    def test_nothing_starves(self, ages_s: list[int], slots: int) -> None:
        """One old task without a deadline, among ever new ones: it runs, at the latest when those are younger."""
        old = task("old", 0, patience_s=1000.0, turn_s=NOW + 500)
        now, done = NOW, False
        for step in range(100):
            fresh = [task(f"new-{step}-{k}", created_s=now - age_s, patience_s=0.0) for k, age_s in enumerate(ages_s)]
            found = plan_releases([old, *fresh], [hpc(slots)], Ledger(), now)
            done = any(one.task_id == "old" for one in found)
            if done:
                break
            now += 60
        assert done
