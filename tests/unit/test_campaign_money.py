"""A campaign's money: whatever happens in whatever order, and whoever dies, it never has more than it was given, and
what its runs took is what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.crash import Fuse
from fakes.world import POOLS, Delivery, World
from orthocontracts import names
from orthocontracts.requests import Request, TerrainRequest, TileGrid
from orthocontracts.states import TaskState
from orthofunctions.domain.campaigns import CampaignAction, CampaignState
from orthofunctions.domain.pools import StoreSpec
from orthofunctions.domain.records import ActiveRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.usecases import campaigns
from orthofunctions.usecases.campaign_feed import feed_campaigns
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.collect import collect
from orthofunctions.usecases.ledger import OF_RELEASE, account, books_of, month_of, settle_release
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.repair import repair
from orthofunctions.usecases.rows import find
from unit.test_campaigns import LIMITS, PRICE, TILE, act, campaign, jobs, order, stem, world_with

RULES = Rules(patience_s=20, backoff_s=5, time_limit_s=600, run_grace_s=60, parallel_releases=1)
CLOUD = next(pool for pool in POOLS.pools if pool.kind == "cloud")
A_RUN_EUR = CLOUD.run_cost_eur(CLOUD.startup_s + RULES.time_limit_s + RULES.run_grace_s)
"""At most."""
CENT_PART = 1e-6


def spend(world: World, max_eur: float, **changes: object) -> None:
    """A campaign that runs, and would rather have the cloud at once."""
    record = campaigns.plan_campaign(
        world.ports, world.rules, LIMITS, order(world, max_eur=max_eur, patience_s=0, **changes)
    )
    campaigns.change_state(world.ports, record, CampaignAction.START)


def books(world: World) -> tuple[float, float]:
    found = account(world.ports, books_of("old"))
    return found.reserved_eur, found.spent_eur


class Watched:
    """A world, and what its campaign's runs in the cloud took, as somebody with a watch saw it."""

    def __init__(self, world: World, max_eur: float) -> None:
        self.world, self.max_eur = world, max_eur
        self.begun: dict[tuple[str, int], datetime] = {}
        self.took_s: dict[tuple[str, int], float] = {}
        """Of runs that were let run so long."""

    def check(self) -> None:
        reserved_eur, spent_eur = books(self.world)
        assert reserved_eur + spent_eur <= self.max_eur + CENT_PART
        for one in find(self.world.ports.tables, ActiveRecord):
            began = self.begun.get((one.task_id, one.release))
            if began is not None and one.campaign and one.is_cloud:
                self.took_s[one.task_id, one.release] = (self.world.clock.now() - began).total_seconds()

    def begin(self, delivery: Delivery) -> None:
        delivery.report("started")
        self.world.deliver_results()
        self.begun.setdefault((delivery.ticket.spec.task_id, delivery.ticket.release), self.world.clock.now())

    def end(self, delivery: Delivery, how: Callable[[Delivery], None]) -> None:
        self.check()
        self.begun.pop((delivery.ticket.spec.task_id, delivery.ticket.release), None)
        how(delivery)
        self.world.deliver_results()

    def check_the_end(self) -> None:
        """Nothing is reserved any longer, and what was spent is what the watch says, or a little more."""
        self.check()
        reserved_eur, spent_eur = books(self.world)
        assert reserved_eur == 0
        ended = {key: took_s for key, took_s in self.took_s.items() if took_s > 0}
        least_eur = sum(CLOUD.run_cost_eur(min(660.0, took_s) + CLOUD.startup_s) for took_s in ended.values())
        assert spent_eur >= least_eur - CENT_PART
        rows = self.world.ports.tables.query(names.TABLE_LEDGER, partition=books_of("old"), key_from=OF_RELEASE)
        settled = {
            row.key.removeprefix(OF_RELEASE): float(str(row.values["eur"])) for row in rows if row.key[:2] == "s-"
        }
        assert spent_eur == pytest.approx(sum(settled.values()))
        assert {f"{task}-{release}" for task, release in ended} <= settled.keys()


def test_a_run_that_takes_longer_than_expected_costs_no_more_than_was_reserved() -> None:
    world = world_with(3, rules=RULES)
    spend(world, max_eur=1.5 * A_RUN_EUR, at_once=3)
    watched = Watched(world, 1.5 * A_RUN_EUR)
    world.call(feed_campaigns, world.rules, LIMITS)
    world.round()
    assert [task.state for task in world.tasks()].count(TaskState.RELEASED) == 1
    assert books(world) == (pytest.approx(A_RUN_EUR, abs=1e-6), 0)
    delivery = world.take("cloud")
    assert delivery is not None
    watched.begin(delivery)
    world.clock.advance(655)
    watched.end(delivery, Delivery.succeed)
    assert books(world) == (0, pytest.approx(CLOUD.run_cost_eur(CLOUD.startup_s + 655)))
    world.round()
    assert [task.state for task in world.tasks()].count(TaskState.RELEASED) == 0, "there is no money for another"
    watched.check()


def test_a_second_delivery_is_paid_for_and_ends_with_the_money() -> None:
    world = world_with(1, rules=RULES)
    spend(world, max_eur=A_RUN_EUR + CENT_PART)
    watched = Watched(world, A_RUN_EUR + CENT_PART)
    world.call(feed_campaigns, world.rules, LIMITS)
    world.round()
    first = world.take("cloud")
    assert first is not None
    watched.begin(first)
    world.clock.advance(300)  # it died meanwhile
    second = world.take("cloud")
    assert second is not None
    assert second.number == 2
    watched.begin(second)
    world.clock.advance(200)
    world.sweep()
    assert world.tasks()[0].state is TaskState.RUNNING
    world.clock.advance(200)
    world.sweep()
    assert world.tasks()[0].state is TaskState.PENDING, "two deliveries had the time of one run"
    assert books(world) == (0, pytest.approx(A_RUN_EUR, abs=1e-6))


def test_what_is_carried_is_paid_for() -> None:
    world = world_with(1, rules=RULES)
    site = POOLS.model_copy(
        update={
            "pools": tuple(pool.model_copy(update={"local": (), "egress_eur_per_gb": 0.02}) for pool in POOLS.pools),
            "stores": (StoreSpec(name="blobs", egress_eur_per_gb=0.1),),
        }
    )
    world.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, site.to_json().encode())
    spend(world, max_eur=5.0)
    world.call(feed_campaigns, world.rules, LIMITS)
    world.status("node-1")
    world.round()
    delivery = world.take("hpc")
    assert delivery is not None
    (task,) = world.tasks()
    carried_eur = (0.1 * task.input_bytes + 0.02 * task.megapixels * 3e6) / 1e9
    assert carried_eur > 0
    assert books(world) == (pytest.approx(carried_eur, abs=2e-6), 0)
    delivery.report("started")
    world.deliver_results()
    world.clock.advance(30)
    delivery.succeed()
    world.deliver_results()
    assert books(world) == (0, pytest.approx(carried_eur))


def test_a_release_that_never_was_leaves_room_for_the_one_of_its_number() -> None:
    """A round dies between a release's active row and its task's, and the next comes only after the sweep."""
    for at in range(100):
        world = world_with(1, rules=RULES)
        spend(world, max_eur=A_RUN_EUR + CENT_PART)
        world.call(feed_campaigns, world.rules, LIMITS)
        world.fuse = Fuse(at)
        world.round()
        world.fuse = None
        world.clock.advance(RULES.write_grace_s + 10)
        world.sweep()
        world.round()
        delivery = world.take("cloud")
        assert delivery is not None, f"no release after a crash at write {at}"
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(100)
        delivery.succeed()
        world.deliver_results()
        assert books(world) == (pytest.approx(0, abs=CENT_PART), pytest.approx(CLOUD.run_cost_eur(110)))
        if not world.crashed:
            assert at > 5
            return


def test_whoever_hears_of_a_start_and_dies_it_is_paid_for() -> None:
    for at in range(20):
        world = world_with(1, rules=RULES)
        spend(world, max_eur=1.0)
        world.call(feed_campaigns, world.rules, LIMITS)
        world.round()
        delivery = world.take("cloud")
        assert delivery is not None
        world.fuse = Fuse(at)
        delivery.report("started")
        message = world.queues.receive(names.QUEUE_RESULTS, 30)  # its function dies, and it comes again later
        assert message is not None
        began = world.clock.now()
        heard = world.call(collect, world.rules, message.body)
        world.fuse = None
        if world.crashed:
            world.clock.moment = began
        world.clock.advance(25)
        delivery.succeed()
        finished = world.queues.receive(names.QUEUE_RESULTS, 0)
        assert finished is not None
        world.call(collect, world.rules, finished.body)
        world.queues.remove(names.QUEUE_RESULTS, finished)
        world.clock.advance(40)
        if at > 0:  # else nobody ever heard of the start
            assert books(world)[1] == pytest.approx(CLOUD.run_cost_eur(35)), f"killed at write {at}"
        if heard:
            assert at > 1
            return


def test_a_users_budget_is_the_users() -> None:
    """A month with money for one run: the campaign spends its own beside it, and over the month's end too."""
    rules = Rules(
        patience_s=0, backoff_s=5, time_limit_s=600, run_grace_s=60, parallel_releases=1, month_budget_eur=0.05
    )
    world = world_with(3, rules=rules)
    world.clock.moment = datetime(2026, 5, 31, 23, 55, tzinfo=world.clock.moment.tzinfo)
    spend(world, max_eur=1.0, at_once=3)
    world.call(feed_campaigns, world.rules, LIMITS)
    world.round()
    assert books(world)[0] == pytest.approx(2 * A_RUN_EUR, abs=1e-5)
    assert account(world.ports, "2026-05").committed_eur == 0
    one = world.take("cloud")
    assert one is not None
    one.report("started")
    world.deliver_results()
    world.clock.advance(400)  # into June
    one.succeed()
    world.deliver_results()
    act(world, CampaignAction.PAUSE)
    world.job("mine", "A", megapixels=10.0)
    world.round()
    mine = world.take("cloud")
    while mine is not None and mine.ticket.spec.user != "local":
        mine = world.take("cloud")
    assert mine is not None, "the user's task has the month's money, whatever the campaign has reserved"
    june = account(world.ports, "2026-06")
    assert 0 < june.reserved_eur <= 0.05
    assert account(world.ports, "2026-05").committed_eur == 0
    assert books(world)[1] == pytest.approx(CLOUD.run_cost_eur(410))


def test_a_task_that_a_user_is_about_to_have_is_paid_by_one_of_both() -> None:
    """The planner dies at each of its writes while it makes a campaign's task the user's; then a round comes."""
    for at in range(100):
        world = world_with(1, rules=RULES)
        spend(world, max_eur=1.0)
        world.call(feed_campaigns, world.rules, LIMITS)
        request = Request(
            request_id="mine", user="ana", products=(f"products/{stem(0)}.SAFE",), grid=TileGrid(tiles=(TILE,)),
            terrain=TerrainRequest(height_m=0), patience_s=0,
        )  # fmt: skip
        world.fuse = Fuse(at)
        world.call(plan_request, request, LIMITS, world.rules)
        world.fuse = None
        world.round()
        delivery = world.take("cloud")
        assert delivery is not None
        (active,) = world.active()
        month = account(world.ports, month_of(world.clock.now()))
        assert (books(world)[0] > 0, month.reserved_eur > 0) == (bool(active.campaign), not active.campaign)
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(50)
        delivery.succeed()
        world.deliver_results()
        month = account(world.ports, month_of(world.clock.now()))
        assert books(world)[1] + month.spent_eur == pytest.approx(CLOUD.run_cost_eur(60))
        assert books(world)[0] == pytest.approx(month.reserved_eur) == pytest.approx(0, abs=CENT_PART)
        if not world.crashed:
            assert at > 5
            return


def test_a_run_that_a_user_joined_and_that_fails_is_run_again_as_the_users() -> None:
    world = world_with(1, rules=RULES)
    spend(world, max_eur=1.0)
    world.call(feed_campaigns, world.rules, LIMITS)
    world.round()
    delivery = world.take("cloud")
    assert delivery is not None
    request = Request(
        request_id="mine", user="ana", products=(f"products/{stem(0)}.SAFE",), grid=TileGrid(tiles=(TILE,)),
        terrain=TerrainRequest(height_m=0), patience_s=0,
    )  # fmt: skip
    delivery.report("started")
    world.deliver_results()
    plan_request(world.ports, request, LIMITS, world.rules)
    act(world, CampaignAction.PAUSE)
    world.clock.advance(10)
    delivery.fail()
    world.deliver_results()
    world.clock.advance(60)
    world.status("node-1")
    world.round()
    assert world.take("hpc") is not None
    assert books(world) == (0, pytest.approx(CLOUD.run_cost_eur(20)))


def random_life(seed: int, fuse_at: int | None) -> None:
    """Looks, rounds, workers of all kinds, users, cancels, retries, in an order left to chance; then all is let end."""
    chance = Random(seed)
    world = world_with(chance.randint(1, 5), rules=RULES)
    max_eur = chance.choice((0.0, 0.5, 1.0, 2.3, 9.0)) * A_RUN_EUR
    watched = Watched(world, max_eur)
    spend(world, max_eur=max_eur, at_once=chance.randint(1, 4))
    held: list[Delivery] = []
    world.fuse = None if fuse_at is None else Fuse(fuse_at)

    def work() -> None:
        delivery = world.take(chance.choice(("cloud", "hpc")))
        if delivery is not None:
            watched.begin(delivery)
            held.append(delivery)

    def ends() -> None:
        if held:
            how = chance.choice((Delivery.succeed, Delivery.succeed, Delivery.fail, Delivery.give_back, lambda _: None))
            watched.end(held.pop(chance.randrange(len(held))), how)

    def user() -> None:
        request = Request(
            request_id=f"mine-{chance.randint(0, 2)}", user="ana",
            products=(f"products/{stem(chance.randint(0, 4))}.SAFE",),
            grid=TileGrid(tiles=(TILE,)), terrain=TerrainRequest(height_m=0), patience_s=chance.choice((0, 1000)),
        )  # fmt: skip
        while not world.call(plan_request, request, LIMITS, world.rules):
            pass  # the queue delivers it again

    def operator() -> None:
        state = campaign(world).state
        wanted = {
            CampaignState.RUNNING: [CampaignAction.PAUSE, CampaignAction.RETRY],
            CampaignState.PAUSED: [CampaignAction.RESUME],
            CampaignState.DONE: [CampaignAction.RETRY],
        }.get(state, [])
        if wanted:
            act(world, chance.choice(wanted))

    def one_is_cancelled() -> None:
        found = jobs(world)
        if found and chance.random() < 0.3:
            job_id = chance.choice(found).job_id
            while not world.call(cancel_job, "operator", job_id):
                pass

    steps = [
        lambda: world.call(feed_campaigns, world.rules, LIMITS),
        lambda: world.call(feed_campaigns, world.rules, LIMITS),
        world.round, world.round, work, work, ends, ends, world.sweep, user, operator, one_is_cancelled,
        lambda: world.status("node-1", slots=chance.randint(0, 2)),
        lambda: world.clock.advance(chance.choice((1, 20, 100, 700))),
    ]  # fmt: skip
    for _ in range(60):
        chance.choice(steps)()
        watched.check()
    if chance.random() < 0.3 and campaign(world).state is not CampaignState.DONE:
        act(world, CampaignAction.CANCEL)
    elif campaign(world).state is CampaignState.PAUSED:
        act(world, CampaignAction.RESUME)
    for _ in range(80):
        world.call(feed_campaigns, world.rules, LIMITS)
        world.status("node-1", slots=2)
        world.round()
        for pool in ("hpc", "cloud"):
            while (delivery := world.take(pool)) is not None:
                watched.begin(delivery)
                watched.end(delivery, Delivery.succeed)
        world.sweep()
        world.call(repair, world.rules)
        watched.check()
        world.clock.advance(100)
        if campaign(world).state in (CampaignState.DONE, CampaignState.CANCELLED) and world.all_ended():
            break
    else:
        raise AssertionError(f"not ended: {campaign(world)} {world.tasks()}")
    world.clock.advance(1000)
    world.sweep()
    watched.check_the_end()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), fuse_at=st.none() | st.integers(0, 300))
def test_whatever_happens_it_never_has_more_than_it_was_given(seed: int, fuse_at: int | None) -> None:
    random_life(seed, fuse_at)


def test_whoever_dies_at_any_write_the_books_are_right_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two products in the cloud, of which one fails once: rounds, reports and looks die at each of their writes."""
    monkeypatch.setattr(campaigns, "price_of", lambda *_: PRICE)
    for at in range(1000):
        world = world_with(2, rules=RULES)
        max_eur = 2.5 * A_RUN_EUR
        spend(world, max_eur=max_eur)
        watched = Watched(world, max_eur)
        world.fuse = Fuse(at)
        for _ in range(60):
            world.call(feed_campaigns, world.rules, LIMITS)
            world.round()
            while (delivery := world.take("cloud")) is not None:
                watched.begin(delivery)
                world.clock.advance(60)
                fails = delivery.ticket.release == 1 and stem(1) in delivery.ticket.spec.products[0].ref
                watched.end(delivery, Delivery.fail if fails else Delivery.succeed)
                watched.check()
            world.sweep()
            world.call(repair, world.rules)  # it ends jobs whose end nobody lived to write
            world.clock.advance(20)
            if campaign(world).state is CampaignState.DONE:
                break
        record = campaign(world)
        assert (record.state, record.n_done) == (CampaignState.DONE, 2)
        world.clock.advance(300)
        world.sweep()
        watched.check_the_end()
        if not world.crashed:
            assert at > 40
            assert books(world)[1] == pytest.approx(3 * CLOUD.run_cost_eur(70))
            return
    raise AssertionError("it never ends without a crash")


def test_a_settlement_asked_for_again_is_one() -> None:
    world = world_with(1, rules=RULES)
    spend(world, max_eur=1.0)
    world.call(feed_campaigns, world.rules, LIMITS)
    world.round()
    (active,) = world.active()
    started = active.changed(started_at=world.clock.now() - timedelta(seconds=36))
    for _ in range(3):
        settle_release(world.ports, started, world.clock.now())
    assert books(world) == (0, pytest.approx(CLOUD.run_cost_eur(46)))
