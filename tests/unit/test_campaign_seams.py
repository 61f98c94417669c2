"""Slices of a pass in a campaign: an image on their seam is of all of them, asked for in the turn of whoever is first,
made once, and the one that a request for all of them would make."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from fakes.crash import Fuse
from fakes.products import LAST_RING, LAST_SLICE, NEXT_RING, NEXT_SLICE, ROME, ROME_RING, put_safe
from fakes.world import Delivery, World
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.orders import ProductFilter
from orthocontracts.requests import Request, TerrainRequest
from orthofunctions.domain.campaigns import CampaignAction, CampaignState
from orthofunctions.domain.footprints import tiles_called_for, tiles_touched
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.records import CampaignRecord, JobRecord
from orthofunctions.usecases import campaigns
from orthofunctions.usecases.campaign_feed import feed_campaigns
from orthofunctions.usecases.campaign_price import Price
from orthofunctions.usecases.campaign_rows import FAILED, OPEN, products_of
from orthofunctions.usecases.campaigns import plan_campaign
from orthofunctions.usecases.inventory import all_products
from orthofunctions.usecases.lookup import Lookup
from orthofunctions.usecases.needs import needs_of
from orthofunctions.usecases.plan import images, read_plan
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.upload import take_upload
from unit.test_campaigns import PRICE, act, campaign, go_on, order, run_out, succeed

RINGS = {ROME: ROME_RING, NEXT_SLICE: NEXT_RING, LAST_SLICE: LAST_RING}
REFS = [f"products/{stem}.SAFE" for stem in RINGS]
SEAM = tiles_called_for(ROME_RING) & tiles_touched(NEXT_RING) | tiles_called_for(NEXT_RING) & tiles_touched(ROME_RING)


def world_of(*stems: str) -> World:
    world = World()
    for stem in stems:
        put_safe(world.ports.blobs, stem, RINGS[stem])
        take_upload(world.ports, f"{stem}.SAFE/manifest.safe")
        world.clock.advance(1)
    world.clock.advance(5)
    return world


def started(world: World, **changes: Any) -> Price:
    """Everything of them, not one tile."""
    wanted: CampaignOrder = order(world, **{"tiles": None, "at_once": 5, **changes})
    record = plan_campaign(world.ports, world.rules, Limits(), wanted)
    act(world, CampaignAction.START)
    return Price.model_validate_json(record.price)


def jobs(world: World) -> list[JobRecord]:
    return list(find(world.ports.tables, JobRecord, partition="operator"))


def plans(world: World) -> list[Plan]:
    return [plan for job in jobs(world) if (plan := read_plan(world.ports, job.job_id)) is not None]


def of_all(world: World, refs: list[str], **changes: Any) -> dict[str, PlannedOutput]:
    """What a request makes that names all of them, by tile."""
    asked = Request(request_id="all", user="operator", products=tuple(sorted(refs)), terrain=TerrainRequest(height_m=0))
    plan = images("all", asked.model_copy(update=changes), Limits(), Lookup(world.ports), world.clock.now())
    return {one.identity.grid.tile or "": one for one in plan.outputs}


def check_made(world: World, refs: list[str]) -> None:
    """Of each tile there is one image, and it is that of all slices."""
    expected = {one.digest for one in of_all(world, refs).values()}
    assert {entry.digest for entry in world.catalogue()} == expected
    assert {one.digest for plan in plans(world) for one in plan.outputs} == expected
    made = [digest for task in world.tasks() for digest in _made_by(world, task.task_id)]
    assert len(made) == len(set(made)) == len(expected)


def _made_by(world: World, task_id: str) -> list[str]:
    return [entry.digest for entry in world.catalogue() if entry.task_id == task_id]


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("stems", list(itertools.permutations(RINGS)), ids=lambda stems: "".join(s[-4] for s in stems))
def test_every_image_is_of_all_its_slices_and_made_once(stems: tuple[str, ...], at_once: int) -> None:
    world = world_of(*stems)
    started(world, at_once=at_once)
    record = run_out(world)
    assert (record.n_taken, record.n_done, record.n_failed, record.n_unfit) == (3, 3, 0, 0)
    check_made(world, REFS)
    assert [one.final_message for one in jobs(world) if one.final != "successful"] == []


def test_its_price_counts_an_image_of_two_products_once() -> None:
    world = world_of(*RINGS)
    price = started(world)
    run_out(world)
    assert (price.exact, price.products_fitting) == (True, 3)
    assert price.images == len(world.catalogue())
    assert price.tasks == len(world.tasks())
    assert price.megapixels == pytest.approx(sum(task.megapixels for task in world.tasks()), rel=1e-4)


def test_one_slice_that_the_campaign_is_for_has_its_seams_made_of_the_others_too() -> None:
    """As a standing order does: what it is made of does not depend on what else the campaign is for."""
    world = world_of(*RINGS)
    after = min(one.start for one in _listed(world) if one.name == NEXT_SLICE) - timedelta(seconds=1)
    started(world, since=after, until=after + timedelta(seconds=10))
    record = run_out(world)
    assert (record.n_taken, record.n_done) == (1, 1)
    whole = of_all(world, REFS)
    made = {entry.identity.grid.tile: entry.digest for entry in world.catalogue()}
    assert set(made) == set(tiles_called_for(NEXT_RING))
    assert made == {tile: whole[tile or ""].digest for tile in made}


def _listed(world: World) -> list[Any]:
    return list(all_products(world.ports))


def test_tiles_that_are_named_are_all_that_is_made() -> None:
    world = world_of(*RINGS)
    tile = min(SEAM)
    started(world, tiles=(tile,))
    run_out(world)
    assert [entry.identity.grid.tile for entry in world.catalogue()] == [tile]
    check = of_all(world, REFS)[tile]
    assert [entry.digest for entry in world.catalogue()] == [check.digest]


def test_a_slice_that_comes_after_the_start_is_none_of_its_business() -> None:
    world = world_of(ROME)
    started(world)
    world.clock.advance(60)
    put_safe(world.ports.blobs, NEXT_SLICE, NEXT_RING)
    take_upload(world.ports, f"{NEXT_SLICE}.SAFE/manifest.safe")
    record = run_out(world)
    assert record.n_taken == record.n_done == 1
    check_made(world, REFS[:1])


def test_a_slice_that_cannot_be_read_fails_alone_and_the_others_are_made_without_it() -> None:
    world = world_of(*RINGS)
    started(world)
    world.ports.blobs.write("products", f"{NEXT_SLICE}.SAFE/manifest.safe", b"not xml")
    record = run_out(world)
    assert (record.n_done, record.n_failed) == (2, 1)
    assert [one.ref for one in products_of(world.ports, "old", FAILED, 9)] == [REFS[1]]
    check_made(world, [REFS[0], REFS[2]])


def test_a_seam_that_fails_is_a_failure_of_both_and_tried_again() -> None:
    world = world_of(ROME, NEXT_SLICE)
    started(world)

    def seams_fail(delivery: Delivery) -> None:
        delivery.report("started")
        if len(delivery.ticket.spec.products) == 2:
            delivery.fail(permanent=True)
        else:
            delivery.succeed()

    record = run_out(world, seams_fail)
    assert (record.n_done, record.n_failed) == (0, 2)
    assert all("it broke" in one.message for one in products_of(world.ports, "old", FAILED, 9))
    act(world, CampaignAction.RETRY)
    assert run_out(world).n_done == 2
    check_made(world, REFS[:2])


def test_both_products_are_needed_until_the_image_is_made() -> None:
    world = world_of(ROME, NEXT_SLICE)
    started(world, at_once=1)
    world.call(feed_campaigns, world.rules, Limits())
    (seam,) = [plan for plan in plans(world) if len(plan.request.products) == 2]
    for ref in REFS[:2]:
        assert seam.job_id in {one.job_id for one in needs_of(world.ports, ref) if one.over_at is None}
    run_out(world)
    for ref in REFS[:2]:
        assert [one.job_id for one in needs_of(world.ports, ref) if one.over_at is None] == []


def test_a_product_of_another_mode_or_user_is_no_slice_of_it() -> None:
    world = world_of(*RINGS)
    started(world, products=ProductFilter(modes=("EW",)))
    record: CampaignRecord = run_out(world)
    assert record.n_taken == 0
    assert world.catalogue() == []


def test_whoever_dies_at_any_write_each_image_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaigns, "price_of", lambda *_: PRICE)
    for at in range(1000):
        world = world_of(ROME, NEXT_SLICE)
        tile_in, tile_out = min(SEAM), "33TUG"
        started(world, at_once=2, tiles=(tile_in, tile_out))
        world.fuse = Fuse(at)
        record = run_out(world)
        assert (record.n_taken, record.n_done, record.n_failed) == (2, 2, 0)
        expected = of_all(world, REFS[:2])
        assert {entry.digest for entry in world.catalogue()} == {expected[tile_in].digest, expected[tile_out].digest}
        assert len(world.tasks()) == 2
        assert len(jobs(world)) == 2
        assert products_of(world.ports, "old", OPEN, 10) == []
        if not world.crashed:
            assert at > 15
            return
    raise AssertionError("it never ends without a crash")


def test_whoever_dies_while_it_is_cancelled_all_its_jobs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaigns, "price_of", lambda *_: PRICE)
    for at in range(1000):
        world = world_of(ROME, NEXT_SLICE)
        started(world, tiles=(min(SEAM), "33TUG"))
        world.fuse = Fuse(at)  # it dies while it asks, or while it cancels
        world.call(feed_campaigns, world.rules, Limits())
        act(world, CampaignAction.CANCEL)
        record = run_out(world)
        assert record.state is CampaignState.CANCELLED
        assert all(task.state.is_final for task in world.tasks())
        assert all(job.final is not None for job in jobs(world))
        if not world.crashed:
            assert at > 15
            return
    raise AssertionError("it never ends without a crash")


def test_a_neighbour_that_goes_while_it_is_asked_for_leaves_no_job_behind() -> None:
    """A look dies between the jobs of a product; its neighbour is gone when the next comes."""
    for at in range(1000):
        world = world_of(ROME, NEXT_SLICE)
        started(world, at_once=1, tiles=(min(SEAM), "33TUG"))
        world.fuse = Fuse(at)
        world.call(feed_campaigns, world.rules, Limits())
        world.fuse = None
        for blob in list(world.ports.blobs.list("products", ROME)):
            world.ports.blobs.delete("products", blob.name)
        for _ in range(60):
            go_on(world, succeed)
            if campaign(world).state is CampaignState.DONE:
                break
        record = campaign(world)
        assert record.state is CampaignState.DONE
        assert record.n_done + record.n_failed == 2
        assert all(job.final is not None for job in jobs(world))
        if not world.crashed:
            assert at > 10
            return
