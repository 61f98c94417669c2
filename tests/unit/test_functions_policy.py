"""The policy: never over slots or money, fair among equals, and in words a person can follow."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthofunctions.domain.policy import Ledger, PendingTask, latest_start, plan_releases
from orthofunctions.domain.pool_state import Basis, PoolState, pool_gone, pool_state
from orthofunctions.domain.pools import DEFAULT_POOLS, PoolsFileError, PoolSpec, parse_pools
from orthofunctions.domain.records import ActiveRecord, AgentRecord
from orthofunctions.domain.rules import Rules

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
RULES = Rules()
HPC = PoolSpec(name="hpc", kind="onprem", max_slots=10)
CLOUD = PoolSpec(name="cloud", kind="cloud", max_slots=10, startup_s=60, price_per_slot_hour_eur=0.3)


def hpc(slots: int, busy: int = 0, spec: PoolSpec = HPC) -> PoolState:
    return PoolState(spec, Basis.ADVERTISED, {1: slots}, {1: busy})


def cloud(slots: int = 10, busy: int = 0, spec: PoolSpec = CLOUD) -> PoolState:
    return PoolState(spec.model_copy(update={"max_slots": slots}), Basis.CONFIGURED, {1: slots}, {1: busy})


def task(name: str, waited_s: float = 0, **fields: object) -> PendingTask:
    values = {"user": "local", "created_at": NOW - timedelta(seconds=waited_s), "patience_s": 20, "result_version": 1}
    return PendingTask(task_id=name, **{**values, **fields})  # type: ignore[arg-type]


def placed(pending: list[PendingTask], pools: list[PoolState], ledger: Ledger | None = None) -> dict[str, str]:
    return {one.task_id: one.pool for one in plan_releases(pending, pools, ledger or Ledger(), NOW)}


class TestDecisions:
    def test_on_prem_while_a_slot_is_free(self) -> None:
        assert placed([task("a", 3), task("b", 2), task("c", 1)], [hpc(2), cloud()]) == {"a": "hpc", "b": "hpc"}

    def test_the_cloud_when_patience_has_run_out(self) -> None:
        (decision,) = plan_releases([task("a", 20)], [hpc(1, busy=1), cloud()], Ledger(), NOW)
        assert decision.pool == "cloud"
        assert decision.sentence == "cloud: no on-prem slot came free within its patience of 20 s"
        assert decision.figures["hpc"].free_slots == 0
        assert decision.figures["cloud"].cost_eur == pytest.approx(0.3 * 75 / 3600, abs=1e-6)

    def test_not_a_second_before(self) -> None:
        assert placed([task("a", 19.9)], [hpc(1, busy=1), cloud()]) == {}

    def test_a_free_on_prem_slot_comes_before_the_cloud_even_then(self) -> None:
        assert placed([task("a", 500)], [cloud(), hpc(1)]) == {"a": "hpc"}

    def test_the_one_that_waited_longest_gets_the_slot(self) -> None:
        assert placed([task("young", 25), task("old", 30)], [hpc(1), cloud(0)]) == {"old": "hpc"}

    def test_a_deadline_counts_from_its_latest_start(self) -> None:
        needs = timedelta(seconds=60 + CLOUD.run_s(100))
        due = task("due", deadline=NOW + needs, megapixels=100)
        early = task("early", deadline=NOW + needs + timedelta(seconds=1), megapixels=100)
        assert latest_start(due, [cloud()]) == NOW
        assert placed([due, early], [hpc(0), cloud()]) == {"due": "cloud"}
        (decision,) = plan_releases([due], [hpc(0), cloud()], Ledger(), NOW)
        assert decision.figures["cloud"].in_time is True

    def test_the_cheapest_in_time_and_the_soonest_when_none_is(self) -> None:
        slow = cloud(spec=PoolSpec(name="slow", kind="cloud", max_slots=9, startup_s=600, price_per_slot_hour_eur=0.01))
        assert placed([task("a", 20)], [cloud(), slow]) == {"a": "slow"}
        assert placed([task("b", deadline=NOW + timedelta(seconds=75))], [slow, cloud()]) == {"b": "cloud"}
        assert placed([task("c", deadline=NOW)], [slow, cloud()]) == {"c": "cloud"}

    def test_another_result_version_waits(self) -> None:
        assert placed([task("a", 500, result_version=2)], [hpc(5), cloud()]) == {}

    def test_queue_ahead_fills_no_pool_without_workers(self) -> None:
        ahead = HPC.model_copy(update={"queue_ahead": 2})
        assert len(placed([task(f"t{n}") for n in range(9)], [hpc(1, spec=ahead)])) == 3
        assert placed([task("a")], [hpc(0, spec=ahead)]) == {}

    def test_money_ends_the_burst(self) -> None:
        cost = CLOUD.cost_eur(0)
        pending = [task(f"t{n}", 30) for n in range(5)]
        assert len(placed(pending, [cloud()], Ledger(budget_eur=1.0, committed_eur=1.0 - 2.5 * cost))) == 2
        assert len(placed(pending, [hpc(5), cloud()], Ledger(budget_eur=0.0))) == 5


tasks = st.lists(
    st.builds(
        PendingTask,
        task_id=st.uuids().map(str),
        user=st.sampled_from(["a", "b"]),
        created_at=st.integers(0, 5).map(lambda s: NOW - timedelta(seconds=10 * s)),
        patience_s=st.sampled_from([0.0, 20.0, 1000.0]),
        deadline=st.none() | st.integers(-100, 400).map(lambda s: NOW + timedelta(seconds=s)),
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
                assert latest_start(by_id[one.task_id], states) <= NOW, "to the cloud before it was due"

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
                assert all(other.created_at >= one.created_at for other in waiting)

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


def agent(name: str, *, state: str = "online", silent_s: float = 0, slots: int = 2, running: str = "[]") -> AgentRecord:
    return AgentRecord(
        pool="hpc",
        agent=name,
        session="s",
        sequence=1,
        state=state,
        slots=slots,
        at=NOW,
        received_at=NOW - timedelta(seconds=silent_s),
        result_version=1,
        running=running,
    )


def hpc_state(*agents: AgentRecord, n_active: int = 0) -> PoolState:
    active = [
        ActiveRecord(
            job_id="j",
            release_key=f"t-{n}",
            task_id="t",
            release=n,
            pool="hpc",
            result_version=1,
            released_at=NOW,
            start_by=NOW,
        )
        for n in range(n_active)
    ]
    return pool_state(HPC, agents=agents, active=active, current_version=1, now=NOW, rules=RULES)


class TestCapacity:
    def test_live_workers_count_our_own_releases_not_their_word(self) -> None:
        state = hpc_state(agent("a"), agent("b", silent_s=89), agent("c", silent_s=91), n_active=3)
        assert (state.basis, state.slots, state.free(1)) == (Basis.ADVERTISED, {1: 4}, 1)

    def test_never_more_than_the_pool_may_have(self) -> None:
        assert hpc_state(agent("a", slots=500)).free(1) == 10

    def test_a_draining_worker_takes_nothing_but_keeps_what_it_runs(self) -> None:
        running = '[{"task_id":"t","release":1}]'
        assert hpc_state(agent("a", state="draining", running=running), agent("b", slots=1), n_active=1).free(1) == 1
        assert hpc_state(agent("a", state="draining")).free(1) == 0

    def test_silence_counts_as_before_then_as_all_then_as_none(self) -> None:
        known = [hpc_state(agent("a", silent_s=s)) for s in (250, 500, 700)]
        assert [(one.basis, one.free(1)) for one in known] == [
            (Basis.LAST_KNOWN, 2),
            (Basis.ASSUMED, 10),
            (Basis.NONE, 0),
        ]

    def test_goodbye_is_not_silence(self) -> None:
        assert hpc_state(agent("a", state="offline")).free(1) == 0
        assert hpc_state().free(1) == 0
        gone, silent = agent("a", state="offline", silent_s=31), agent("b", silent_s=10_000)
        assert pool_gone(HPC, [gone], NOW, RULES)
        assert not pool_gone(HPC, [gone, silent], NOW, RULES), "its broker may be down"
        assert not pool_gone(HPC, [agent("a", state="offline", silent_s=5)], NOW, RULES), "it may be restarting"
        assert not pool_gone(HPC, [], NOW, RULES)
        assert not pool_gone(CLOUD, [gone], NOW, RULES), "containers leave when there is nothing to do"


class TestPoolsFile:
    def test_default(self) -> None:
        assert parse_pools(None) == DEFAULT_POOLS
        assert [pool.kind for pool in DEFAULT_POOLS] == ["onprem", "cloud"]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b"{", "JSON"),
            (b'{"pools":[]}', "pools"),
            (b'{"pools":[{"name":"a","kind":"cloud","max_slots":-1}]}', "max_slots"),
            (b'{"pools":[{"name":"a","kind":"cloud","max_slots":1,"price":1}]}', "price"),
            (
                b'{"pools":[{"name":"a","kind":"cloud","max_slots":1},{"name":"a","kind":"onprem","max_slots":1}]}',
                "twice",
            ),
        ],
    )
    def test_refusals_say_where(self, text: bytes, says: str) -> None:
        with pytest.raises(PoolsFileError, match=says):
            parse_pools(text)
