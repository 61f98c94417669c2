"""A campaign from plan to end: every product has one job, whoever dies when; and what it leaves alone."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes.crash import Fuse
from fakes.products import ROME_RING, put_safe
from fakes.world import Delivery, World
from orthocontracts import names
from orthocontracts.areas import Polygon
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.orders import ProductFilter
from orthocontracts.requests import Request, TerrainRequest, TileGrid
from orthocontracts.states import JobState, TaskState
from orthofunctions.domain.campaigns import CampaignAction, CampaignState, CampaignStateError
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import CampaignRecord, JobRecord, TaskRecord
from orthofunctions.usecases import campaign_feed, campaign_price, campaigns
from orthofunctions.usecases.campaign_feed import feed_campaigns
from orthofunctions.usecases.campaign_price import Count, Price
from orthofunctions.usecases.campaign_requests import Wishes
from orthofunctions.usecases.campaign_rows import FAILED, OPEN, find_campaign, products_of
from orthofunctions.usecases.campaigns import CampaignExistsError, change_state, plan_campaign
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.explain import reasons_to_wait
from orthofunctions.usecases.ledger import OF_USER, account, books_of, month_of
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.upload import take_upload

LIMITS = Limits()
FIRST = datetime(2021, 12, 1, 5, 11, tzinfo=UTC)
TILE = "33TUG"
PRICE = Price(
    products=0, counted_all=True, sampled=0, exact=True, products_fitting=0, images=0, images_there=0, tasks=0,
    megapixels=0, slot_hours=0, eur=0,
)  # fmt: skip


def triangle(west: int) -> Polygon:
    return Polygon(type="Polygon", coordinates=[[(west, 41), (west + 1, 41), (west + 1, 42), (west, 41)]])


def stem(n: int) -> str:
    """A Sentinel-1 product an orbit after the one before it."""
    start = FIRST + timedelta(days=n)
    stop = start + timedelta(seconds=25)
    return f"S1B_IW_GRDH_1SDV_{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_{29000 + 15 * n:06d}_039993_{n:04X}"


def arrive(world: World, n: int, ring: Any = ROME_RING) -> str:
    ref = put_safe(world.ports.blobs, stem(n), ring)
    take_upload(world.ports, f"{stem(n)}.SAFE/manifest.safe")
    return ref


def world_with(n_products: int, **more: Any) -> World:
    world = World(**more)
    for n in range(n_products):
        arrive(world, n)
    world.clock.advance(5)
    return world


def order(world: World, **changes: Any) -> CampaignOrder:
    values: dict[str, Any] = {
        "campaign_id": "old",
        "user": "operator",
        "tiles": (TILE,),
        "terrain": TerrainRequest(height_m=0),
        "at_once": 2,
        "created_at": world.clock.now(),
    }
    return CampaignOrder(**{**values, **changes})


def campaign(world: World, name: str = "old") -> CampaignRecord:
    found = find_campaign(world.ports, name)
    assert found is not None
    return found


def planned(world: World, **changes: Any) -> Price:
    record = plan_campaign(world.ports, world.rules, LIMITS, order(world, **changes))
    return Price.model_validate_json(record.price)


def act(world: World, action: CampaignAction, name: str = "old") -> CampaignRecord:
    return change_state(world.ports, campaign(world, name), action)


def succeed(delivery: Delivery) -> None:
    delivery.report("started")
    delivery.succeed()


def go_on(world: World, work: Callable[[Delivery], None] = succeed, *, slots: int = 2) -> None:
    """A look at campaigns, a round, workers, reports. Only the look may die: the others' tests do so for them."""
    world.call(feed_campaigns, world.rules, LIMITS)
    fuse, world.fuse = world.fuse, None
    world.status("node-1", slots=slots)
    world.round()
    while (delivery := world.take()) is not None:
        work(delivery)
        world.deliver_results()
    world.deliver_results()
    world.sweep()
    world.fuse = fuse
    world.clock.advance(20)


def run_out(world: World, work: Callable[[Delivery], None] = succeed, steps: int = 60) -> CampaignRecord:
    for _ in range(steps):
        go_on(world, work)
        if campaign(world).state in (CampaignState.DONE, CampaignState.CANCELLED):
            return campaign(world)
    raise AssertionError(f"not ended: {campaign(world)}")


def jobs(world: World) -> list[JobRecord]:
    return list(find(world.ports.tables, JobRecord, partition="operator"))


def test_a_plan_has_a_price_and_makes_nothing() -> None:
    world = world_with(3)
    arrive(world, 9, ((100.0, 0.0), (97.0, 0.4), (97.3, 2.0), (100.4, 1.6)))
    price = planned(world)
    assert (price.products, price.sampled, price.exact, price.counted_all) == (3, 3, True, True)
    assert (price.products_fitting, price.images, price.images_there, price.tasks) == (3, 3, 0, 3)
    assert price.megapixels == pytest.approx(3 * 10980**2 / 1e6, rel=1e-4)
    assert price.slot_hours == pytest.approx(3 * (15 + 0.3 * 120.56) / 3600, rel=0.05)
    assert price.eur == 0.0
    assert price.cloud_eur is not None
    assert price.cloud_eur > 0
    assert campaign(world).state is CampaignState.PLANNED
    go_on(world)
    assert jobs(world) == []
    assert world.tasks() == []


def reckoned(world: World, sample: int, until_s: float = math.inf, so_far: Count | None = None) -> tuple[Count, Price]:
    wanted = order(world)
    wishes = Wishes(world.ports, wanted, load_site(world.ports), wanted.created_at)
    counted = campaign_price.count(world.ports, wanted, wishes, so_far or Count(), until_s, sample=sample)
    return counted, campaign_price.price_of(world.ports, world.rules, LIMITS, wanted, wishes, counted)


def test_a_large_plan_is_reckoned_from_a_sample_and_says_so() -> None:
    world = world_with(12)
    _, price = reckoned(world, sample=4)
    assert (price.products, price.sampled, price.exact) == (12, 4, False)
    assert (price.products_fitting, price.images) == (12, 12)
    assert reckoned(world, sample=4)[1] == price


def test_a_count_that_was_left_goes_on_to_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(12)
    whole = reckoned(world, sample=4)
    ticks = itertools.count()
    monkeypatch.setattr(campaign_price.time, "monotonic", lambda: float(next(ticks)))
    so_far, n_left = Count(), 0
    while not so_far.is_whole:
        before = so_far
        so_far, _ = reckoned(world, sample=4, until_s=float(next(ticks)) + 4, so_far=Count.model_validate_json(
            so_far.to_json()))  # fmt: skip
        assert so_far.products > before.products or so_far.is_whole
        n_left += not so_far.is_whole
    assert n_left > 1
    assert reckoned(world, sample=4, so_far=so_far) == whole


def test_a_count_that_takes_too_long_is_said_to_be_no_count_and_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(campaign_price, "LONGEST_COUNT_S", -1.0)
        world = world_with(3)
        price = planned(world)
    assert (price.counted_all, price.exact) == (False, False)
    act(world, CampaignAction.START)  # nobody has to wait for it
    world.fuse = Fuse(0)
    world.call(feed_campaigns, world.rules, LIMITS)
    world.call(feed_campaigns, world.rules, LIMITS)
    price = Price.model_validate_json(campaign(world).price)
    assert (price.products, price.counted_all, price.exact) == (3, True, True)
    assert campaign(world).counting == ""
    assert run_out(world).n_done == 3


def test_every_product_has_one_job_and_so_many_are_under_way_at_once() -> None:
    world = world_with(7)
    planned(world)
    act(world, CampaignAction.START)
    most = 0

    def work(delivery: Delivery) -> None:
        nonlocal most
        most = max(most, len(products_of(world.ports, "old", OPEN, 100)))
        succeed(delivery)

    record = run_out(world, work)
    assert (record.n_taken, record.n_done, record.n_failed, record.n_unfit) == (7, 7, 0, 0)
    assert len(jobs(world)) == 7
    assert {job.final for job in jobs(world)} == {JobState.SUCCESSFUL}
    assert len(world.catalogue()) == 7
    assert most == 2
    assert record.ended_at is not None
    # nothing of it was on any user's bill, or the month's
    month = month_of(world.clock.now())
    assert account(world.ports, month).on_prem_slot_s == account(world.ports, month, OF_USER + "operator").committed_eur
    assert account(world.ports, books_of("old")).on_prem_slot_s >= 0


def test_what_comes_after_its_start_is_none_of_its_business() -> None:
    world = world_with(3)
    planned(world)
    act(world, CampaignAction.START)
    go_on(world)
    world.clock.advance(60)
    for n in (0, 1, 2):
        arrive(world, 20 + n)
        arrive(world, -20 - n)
    record = run_out(world)
    assert record.n_taken == record.n_done == 3


def test_what_is_there_costs_nothing() -> None:
    world = world_with(2)
    planned(world)
    act(world, CampaignAction.START)
    run_out(world)
    world.clock.advance(10)
    price = planned(world, campaign_id="again")
    assert (price.images, price.images_there, price.tasks, price.megapixels) == (2, 2, 0, 0.0)
    act(world, CampaignAction.START, "again")
    for _ in range(4):
        go_on(world)
    record = campaign(world, "again")
    assert (record.state, record.n_done, record.n_there) == (CampaignState.DONE, 2, 2)


def test_only_what_an_older_kernel_made() -> None:
    world = world_with(2)
    planned(world)
    act(world, CampaignAction.START)
    run_out(world)
    (version,) = {entry.identity.result_version for entry in world.catalogue()}
    same, older = (
        planned(world, campaign_id="a", made_before=version),
        planned(world, campaign_id="b", made_before=version + 1),
    )
    assert (same.products, same.products_fitting) == (2, 0)
    assert (older.products, older.products_fitting) == (2, 2)
    for name in ("a", "b"):
        act(world, CampaignAction.START, name)
    for _ in range(4):
        go_on(world)
    assert [campaign(world, name).n_unfit for name in ("a", "b")] == [2, 0]
    assert [campaign(world, name).n_done for name in ("a", "b")] == [0, 2]


@pytest.mark.parametrize(
    ("changes", "n"),
    [
        ({"tiles": ("33T",)}, 3),
        ({"tiles": ("31T",)}, 0),
        ({"tiles": ("31TCJ", "33TUG")}, 3),
        ({"since": FIRST + timedelta(days=1)}, 2),
        ({"until": FIRST + timedelta(days=1)}, 2),
        ({"since": FIRST + timedelta(hours=1), "until": FIRST + timedelta(days=1, hours=1)}, 1),
        ({"products": ProductFilter(missions=("sentinel-2",))}, 0),
        ({"products": ProductFilter(platforms=("S1B",), modes=("IW",), polarisations=("vv",))}, 3),
        ({"products": ProductFilter(modes=("EW",))}, 0),
        ({"products": ProductFilter(area=triangle(12))}, 3),
        ({"products": ProductFilter(area=triangle(2))}, 0),
    ],
)  # fmt: skip
def test_which_products_it_is_for(changes: dict[str, Any], n: int) -> None:
    world = world_with(3)
    assert planned(world, **changes).products == n


def test_a_zone_and_band_are_all_its_tiles_and_no_others() -> None:
    world = world_with(1)
    price = planned(world, tiles=("33T",))
    everything = planned(world, campaign_id="all", tiles=None)
    assert 1 < price.images <= everything.images
    act(world, CampaignAction.START)
    go_on(world)
    tiles = {output.title.rpartition(" ")[2] for output in world.outputs()}
    assert len(tiles) == price.images
    assert {tile[:3] for tile in tiles} == {"33T"}


def test_an_orbit_that_only_the_product_tells_is_looked_at_when_its_turn_comes() -> None:
    world = world_with(2)
    price = planned(world, products=ProductFilter(orbit_direction="ascending"))
    assert (price.products, price.products_fitting, price.images) == (2, 0, 0)
    act(world, CampaignAction.START)
    record = run_out(world)
    assert (record.n_taken, record.n_unfit, record.n_done) == (2, 2, 0)
    assert jobs(world) == []


def test_trouble_with_one_campaign_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(2)
    for name in ("bad", "good"):
        planned(world, campaign_id=name)
        act(world, CampaignAction.START, name)
    honest = campaign_feed.order_of

    def broken(record: CampaignRecord) -> CampaignOrder:
        if record.campaign_id == "bad":
            raise OSError("no storage")
        return honest(record)

    monkeypatch.setattr(campaign_feed, "order_of", broken)
    with pytest.raises(OSError, match="no storage"):
        feed_campaigns(world.ports, world.rules, LIMITS)
    assert (campaign(world, "bad").n_taken, campaign(world, "good").n_taken) == (0, 2)


def test_paused_nothing_of_it_is_released_and_resumed_it_goes_on() -> None:
    world = world_with(4)
    planned(world)
    act(world, CampaignAction.START)
    world.call(feed_campaigns, world.rules, LIMITS)
    assert [task.state for task in world.tasks()] == [TaskState.PENDING] * 2
    act(world, CampaignAction.PAUSE)
    for _ in range(3):
        go_on(world)
    assert [task.state for task in world.tasks()] == [TaskState.PENDING] * 2
    act(world, CampaignAction.RESUME)
    assert run_out(world).n_done == 4


def test_cancelled_it_leaves_what_is_made_and_lets_the_rest_be() -> None:
    world = world_with(5)
    planned(world)
    act(world, CampaignAction.START)
    go_on(world)
    n_made = len(world.catalogue())
    assert n_made == 2
    world.call(feed_campaigns, world.rules, LIMITS)
    act(world, CampaignAction.CANCEL)
    record = run_out(world)
    assert record.state is CampaignState.CANCELLED
    assert len(world.catalogue()) == n_made
    assert record.n_done == n_made
    assert all(task.state.is_final for task in world.tasks())
    with pytest.raises(CampaignStateError, match="is cancelled: it cannot start, only cancel"):
        act(world, CampaignAction.START)


def test_what_another_campaign_wants_of_a_cancelled_one_is_made() -> None:
    world = world_with(2)
    for name in ("old", "other"):
        planned(world, campaign_id=name)
        act(world, CampaignAction.START, name)
    world.call(feed_campaigns, world.rules, LIMITS)
    assert len(world.tasks()) == 2
    first = {task.campaign for task in world.tasks()}.pop()
    (second,) = {"old", "other"} - {first}
    act(world, CampaignAction.CANCEL, first)
    for _ in range(5):
        go_on(world)
    assert (campaign(world, first).state, campaign(world, second).state) == (
        CampaignState.CANCELLED,
        CampaignState.DONE,
    )
    assert (campaign(world, second).n_done, len(world.catalogue())) == (2, 2)


def test_what_fails_is_listed_and_tried_again_when_somebody_says_so() -> None:
    world = world_with(3)
    planned(world)
    act(world, CampaignAction.START)

    def one_fails(delivery: Delivery) -> None:
        delivery.report("started")
        if stem(1) in delivery.ticket.spec.products[0].ref:
            delivery.fail(permanent=True)
        else:
            delivery.succeed()

    record = run_out(world, one_fails)
    assert (record.n_done, record.n_failed) == (2, 1)
    (failed,) = products_of(world.ports, "old", FAILED, 10)
    assert (failed.ref, failed.attempt) == (f"products/{stem(1)}.SAFE", 1)
    assert "it broke" in failed.message
    act(world, CampaignAction.RETRY)
    record = run_out(world)
    assert (record.state, record.n_taken, record.n_done, record.n_failed) == (CampaignState.DONE, 3, 3, 0)
    assert products_of(world.ports, "old", FAILED, 10) == []
    assert len(jobs(world)) == 4


def test_a_product_that_is_gone_or_broken_fails_and_the_others_go_on() -> None:
    world = world_with(3)
    planned(world)
    act(world, CampaignAction.START)
    world.ports.blobs.write("products", f"{stem(1)}.SAFE/manifest.safe", b"not xml")
    for blob in list(world.ports.blobs.list("products", stem(0))):
        world.ports.blobs.delete("products", blob.name)
    record = run_out(world)
    assert (record.n_done, record.n_failed) == (1, 2)
    found = {one.ref: one.message for one in products_of(world.ports, "old", FAILED, 10)}
    assert "ProductMissing" in found[f"products/{stem(0)}.SAFE"]
    assert "manifest" in found[f"products/{stem(1)}.SAFE"]


def test_something_unforeseen_holds_up_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(3)
    planned(world)
    act(world, CampaignAction.START)

    def breaks(ports: Any, request: Request, *others: Any) -> JobRecord:
        if stem(2) in request.products[0]:
            raise ZeroDivisionError("nobody thought of that")
        return plan_request(ports, request, *others)

    monkeypatch.setattr(campaign_feed, "plan_request", breaks)
    record = run_out(world)
    assert (record.n_done, record.n_failed) == (2, 1)
    (failed,) = products_of(world.ports, "old", FAILED, 10)
    assert failed.message == "ZeroDivisionError: nobody thought of that"


def test_a_users_task_comes_first_and_an_image_both_want_is_the_users() -> None:
    world = world_with(4)
    planned(world, at_once=4)
    act(world, CampaignAction.START)
    world.call(feed_campaigns, world.rules, LIMITS)
    behind = world.tasks()
    assert {task.campaign for task in behind} == {"old"}
    reason = reasons_to_wait(world.ports, world.rules, behind)[behind[0].task_id]
    assert reason == "it works for campaign old: it runs when the centre has a slot that no user wants"
    asked = Request(
        request_id="mine",
        user="ana",
        products=(f"products/{stem(3)}.SAFE",),
        grid=TileGrid(tiles=(TILE,)),
        terrain=TerrainRequest(height_m=0),
    )
    job = plan_request(world.ports, asked, LIMITS, world.rules)
    (joined,) = [task for task in world.tasks() if not task.campaign]
    assert joined.job_id != job.job_id
    assert stem(3) in world.outputs()[0].title or joined.turn_at is not None
    world.status("node-1", slots=1)
    world.round()
    assert [task.task_id for task in world.tasks() if task.state is TaskState.RELEASED] == [joined.task_id]
    # and the campaign asks for nothing to be any sooner
    world2 = world_with(1)
    first = plan_request(world2.ports, asked.model_copy(update={"products": (f"products/{stem(0)}.SAFE",)}), LIMITS,
                         world2.rules)  # fmt: skip
    (before,) = world2.tasks()
    planned(world2)
    act(world2, CampaignAction.START)
    world2.call(feed_campaigns, world2.rules, LIMITS)
    assert world2.tasks() == [before]
    assert before.job_id == first.job_id


def test_a_campaigns_work_moves_no_users_turn_and_counts_in_no_quota() -> None:
    world = world_with(3)
    shares = list(world.ports.tables.query(names.TABLE_SHARES))
    planned(world)
    act(world, CampaignAction.START)
    world.call(feed_campaigns, world.rules, LIMITS)
    assert list(world.ports.tables.query(names.TABLE_SHARES)) == shares
    assert list(world.ports.tables.query(names.TABLE_OWNERS, partition="u-operator")) == []


def test_the_same_campaign_again_is_harmless_and_another_is_told() -> None:
    world = world_with(1)
    planned(world)
    before = campaign(world)
    world.clock.advance(60)
    planned(world)
    assert campaign(world) == before
    with pytest.raises(CampaignExistsError, match="there is a campaign old already"):
        planned(world, at_once=3)


def test_whoever_dies_at_any_write_every_product_has_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions' process dies at its n-th write, for every n, from the start to the end."""
    monkeypatch.setattr(campaigns, "price_of", lambda *_: PRICE)
    failed = 1

    def work(delivery: Delivery) -> None:
        delivery.report("started")
        if stem(1) in delivery.ticket.spec.products[0].ref:
            delivery.fail(permanent=True)
        else:
            delivery.succeed()

    for at in range(1000):
        world = world_with(2)
        planned(world, at_once=1)
        act(world, CampaignAction.START)
        world.fuse = Fuse(at)
        record = run_out(world, work)
        assert (record.n_taken, record.n_done, record.n_failed) == (2, 2 - failed, failed)
        assert len(jobs(world)) == 2
        assert Counter(job.final for job in jobs(world))[JobState.FAILED] == failed
        assert products_of(world.ports, "old", OPEN, 10) == []
        assert len(products_of(world.ports, "old", FAILED, 10)) == failed
        assert len(world.catalogue()) == 2 - failed
        assert len({task.job_id for task in find(world.ports.tables, TaskRecord)}) == 2
        if not world.crashed:
            assert at > 15
            return
    raise AssertionError("it never ends without a crash")


def test_whoever_dies_while_it_is_cancelled_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaigns, "price_of", lambda *_: PRICE)
    for at in range(1000):
        world = world_with(3)
        planned(world)
        act(world, CampaignAction.START)
        world.call(feed_campaigns, world.rules, LIMITS)
        act(world, CampaignAction.CANCEL)
        world.fuse = Fuse(at)
        record = run_out(world)
        assert record.state is CampaignState.CANCELLED
        assert all(task.state is TaskState.CANCELLED for task in world.tasks())
        assert products_of(world.ports, "old", OPEN, 10) == []
        if not world.crashed:
            assert at > 5
            return
    raise AssertionError("it never ends without a crash")


def test_a_job_that_an_operator_cancels_alone_counts_as_failed() -> None:
    world = world_with(2)
    planned(world)
    act(world, CampaignAction.START)
    world.call(feed_campaigns, world.rules, LIMITS)
    cancel_job(world.ports, "operator", jobs(world)[0].job_id)
    record = run_out(world)
    assert (record.n_done, record.n_failed) == (1, 1)
