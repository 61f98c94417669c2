"""The ledger, learned run times, turns and what a waiting task is told, through the use cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.world import POOLS, World, run_to_the_end
from orthocontracts import names
from orthocontracts.states import TaskState
from orthofunctions.domain.pools import GroupSpec, ShareSpec, SiteSpec, StoreSpec
from orthofunctions.domain.records import LearnedRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.runtimes import MOST_RUNS
from orthofunctions.usecases.costs import month_costs
from orthofunctions.usecases.learning import learned, note_run
from orthofunctions.usecases.ledger import OF_RELEASE, OF_USER, Claim, account, month_of, reserve, settle_release
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.turns import advance_clock, assign_turns, weight_of
from unit.test_functions_crash import check_all_succeeded, crash_everywhere, succeed


@pytest.fixture
def world() -> World:
    return World()


def write_site(world: World, site: SiteSpec) -> None:
    world.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, site.to_json().encode())


def month(world: World) -> str:
    return month_of(world.clock.now())


class TestLedger:
    def test_a_burst_reserves_and_its_end_settles_what_it_cost(self) -> None:
        world = World(rules=Rules(patience_s=0))
        world.job("one", "A", megapixels=100.0)
        world.round()
        reserved = account(world.ports, month(world))
        assert reserved.reserved_eur > 0
        assert reserved.spent_eur == 0
        delivery = world.take("cloud")
        assert delivery is not None
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(90)
        delivery.succeed()
        world.deliver_results()
        for key in ("total", OF_USER + "local"):
            found = account(world.ports, month(world), key)
            assert found.reserved_eur == pytest.approx(0, abs=1e-9)
            assert found.spent_eur == pytest.approx(0.3 * (10 + 90) / 3600)
            assert (found.cloud_slot_s, found.on_prem_slot_s) == (90, 0)

    def test_on_prem_costs_slots_and_no_money(self) -> None:
        world = World()
        world.job("one", "A")
        world.status("node-1")
        world.round()
        delivery = world.take()
        assert delivery is not None
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(60)
        delivery.succeed()
        world.deliver_results()
        found = account(world.ports, month(world))
        assert (found.on_prem_slot_s, found.committed_eur) == (60, 0)

    def test_every_attempt_is_settled_once_however_often_it_is_asked(self) -> None:
        world = World(rules=Rules(patience_s=0, backoff_s=5))
        world.job("one", "A")
        world.round()
        (active,) = world.active()
        started = active.changed(started_at=world.clock.now() - timedelta(seconds=36))
        for _ in range(3):
            settle_release(world.ports, started, world.clock.now())
        assert account(world.ports, month(world)).spent_eur == pytest.approx(0.3 * (10 + 36) / 3600)

    def test_a_month_of_more_users_than_one_transaction_holds(self, world: World) -> None:
        amounts = {f"user-{k}": Claim(0.01) for k in range(250)}
        assert reserve(world.ports, None, amounts, world.clock.now())
        assert account(world.ports, month(world)).reserved_eur == pytest.approx(2.5)
        assert account(world.ports, month(world), OF_USER + "user-249").reserved_eur == pytest.approx(0.01)

    def test_the_files_budget_goes_before_the_app_settings_and_holds_from_the_next_round(self) -> None:
        world = World(rules=Rules(patience_s=0, month_budget_eur=0.0))
        world.job("one", "A")
        world.round()
        assert [task.state for task in world.tasks()] == ["pending"]
        write_site(world, POOLS.model_copy(update={"month_budget_eur": 5.0}))
        world.round()
        assert [task.state for task in world.tasks()] == ["released"]
        assert month_costs(world.ports, world.rules).budget_eur == 5.0
        write_site(world, POOLS.model_copy(update={"month_budget_eur": 0.0}))
        world.job("two", "B")
        world.round()
        assert sorted(task.state for task in world.tasks()) == ["pending", "released"]
        write_site(world, POOLS)
        assert month_costs(world.ports, replace(world.rules, month_budget_eur=3.0)).budget_eur == 3.0

    def test_whoever_dies_when_nothing_stays_reserved_once_all_has_ended(self) -> None:
        """Every release has its settlement, and what is left reserved is of rounds that died before they released."""

        def scenario(world: World) -> None:
            world.rules = Rules(patience_s=0, backoff_s=5, time_limit_s=600, run_grace_s=60)
            world.job("one", "A")
            world.job("two", "B")
            run_to_the_end(world, succeed)

        def check(world: World) -> None:
            check_all_succeeded(world)
            rows = list(world.ports.tables.query(names.TABLE_LEDGER, partition=month(world)))
            settled = [row for row in rows if row.key.startswith(OF_RELEASE)]
            total = account(world.ports, month(world))
            assert total.spent_eur == pytest.approx(sum(float(str(row.values["eur"])) for row in settled))
            assert {row.key.removeprefix(OF_RELEASE) for row in settled} >= {
                f"{task.task_id}-{task.release}" for task in world.tasks()
            }
            if not world.crashed:
                assert total.reserved_eur == pytest.approx(0, abs=1e-9)

        crash_everywhere(scenario, check)


class TestQuotas:
    def test_a_users_limit_holds_over_rounds(self, world: World) -> None:
        write_site(world, POOLS.model_copy(update={"everyone": ShareSpec(max_running=2)}))
        for number in range(4):
            world.job(f"job-{number}", "ABCD"[number])
        world.status("node-1", slots=4)
        world.round()
        world.round()
        assert sum(task.state is TaskState.RELEASED for task in world.tasks()) == 2

    def test_credits_are_the_months(self) -> None:
        world = World(rules=Rules(patience_s=0))
        write_site(world, POOLS.model_copy(update={"users": {"local": ShareSpec(credits_eur=0.0)}}))
        world.job("one", "A")
        world.round()
        assert world.tasks()[0].state is TaskState.PENDING


class TestLearning:
    def test_runs_teach_and_failures_count(self, world: World) -> None:
        for number in range(3):
            world.job(f"job-{number}", "ABC"[number], process="sigma0", megapixels=100.0)
            world.status("node-1", slots=1)
            world.round()
            delivery = world.take()
            assert delivery is not None
            delivery.report("started")
            world.deliver_results()
            world.clock.advance(90)
            delivery.fail() if number == 2 else delivery.succeed()
            world.deliver_results()
        (record,) = find(world.ports.tables, LearnedRecord)
        assert (record.process, record.machine) == ("sigma0", "hpc")
        times = learned([record], POOLS.pools[0])["sigma0"]
        assert times.median_s(POOLS.pools[0].nominal_s(100)) == pytest.approx(90)
        assert times.failure_share == pytest.approx(1 / 3)

    def test_pools_of_one_machine_learn_together_and_the_latest_count(self, world: World) -> None:
        one, other = (spec.model_copy(update={"machine": "epyc"}) for spec in POOLS.pools)
        task = world.task(world.job("one", "A", megapixels=10.0))
        now = world.clock.now()
        for k in range(MOST_RUNS + 5):
            started = task.changed(started_at=now - timedelta(seconds=10 + k))
            note_run(world.ports, started, one if k % 2 else other, now, well=True)
        (record,) = find(world.ports.tables, LearnedRecord)
        assert learned([record], one) == learned([record], other)
        assert learned([record], one)["default"].n_runs == MOST_RUNS
        assert learned([record], POOLS.pools[0]) == {}


class TestTurns:
    def test_one_backlog_and_a_newcomer(self, world: World) -> None:
        site, now = load_site(world.ports), world.clock.now()
        advance_clock(world.ports, site, [], 4, {"ana", "ben"})
        mine = assign_turns(world.ports, site, "ana", [100.0] * 50, now)
        assert mine[0].at_s == now.timestamp()
        assert mine[-1].at_s == pytest.approx(now.timestamp() + 49 * 100 / 2)  # two of the four slots are hers
        (newcomer,) = assign_turns(world.ports, site, "ben", [100.0], now)
        assert newcomer.at_s == now.timestamp()
        assert assign_turns(world.ports, site, "ana", [1.0], now)[0].at_s > mine[-1].at_s

    def test_a_groups_weight_is_shared_by_its_busy_members(self) -> None:
        group = GroupSpec(name="floods", members=("ana", "ben", "eva"), weight=6)
        site = POOLS.model_copy(update={"groups": (group,), "users": {"eva": ShareSpec(weight=5)}})
        assert weight_of(site, "ana", {"ana", "eva"}) == 6
        assert weight_of(site, "ana", {"ana", "ben"}) == 3
        assert weight_of(site, "eva", {"eva"}) == 5
        assert weight_of(site, "zoe", {"zoe"}) == 1


class TestSettings:
    def test_a_bad_file_leaves_the_one_before_in_force(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        assert load_site(world.ports) == POOLS
        world.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, b"version: 1\npools:\n  - name: hpc\n")
        assert load_site(world.ports) == POOLS
        assert "line 3: pools.0.kind: Field required; the file before it stays in force" in caplog.text
        larger = POOLS.model_copy(update={"stores": (StoreSpec(name="blobs", egress_eur_per_gb=0.1),)})
        write_site(world, larger)
        assert load_site(world.ports) == larger
