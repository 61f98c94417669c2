"""Slices of a pass come one by one: images on their seams wait, are made of both, and none is missed or made twice."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, MemoryQueues, memory_ports
from fakes.products import (
    LAST_RING,
    LAST_SLICE,
    NEXT_RING,
    NEXT_SLICE,
    OLCI,
    OLCI_RING,
    ROME,
    ROME_RING,
    S2_RINGS,
    put_packed,
    put_safe,
)
from orthocontracts import names
from orthocontracts.digests import job_id_of
from orthocontracts.manifests import OrbitDirection
from orthocontracts.orders import StandingOrder
from orthocontracts.requests import Request, TileGrid
from orthocontracts.wire import read_message
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.flight import ends_of
from orthofunctions.domain.footprints import tiles_called_for, tiles_touched
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.records import JobRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.announced import take_announced
from orthofunctions.usecases.asking import LEAST_WAIT_S, Waiting
from orthofunctions.usecases.backfill import back_fill
from orthofunctions.usecases.lookup import Lookup
from orthofunctions.usecases.orders import add_order
from orthofunctions.usecases.plan import images, plan_request, read_plan
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import LookAgain, take_upload

RINGS = {ROME: ROME_RING, NEXT_SLICE: NEXT_RING, LAST_SLICE: LAST_RING}
WAIT_S = 3600.0
FIRST_SEAM = tiles_called_for(ROME_RING) & tiles_touched(NEXT_RING) | tiles_called_for(NEXT_RING) & tiles_touched(
    ROME_RING
)
MIDDLE = {
    "type": "Polygon",
    "coordinates": [[[13.3, 42.2], [14.2, 42.2], [14.2, 43.0], [13.3, 43.0], [13.3, 42.2]]],
}
"""On the seam between the first two slices, and nowhere else."""


@dataclass
class Site:
    """What the functions do as products come. ``fuse`` kills or holds up their process at one of its writes."""

    wait_s: float = WAIT_S
    fuse: Fuse | None = None
    clock: ManualClock = field(default_factory=ManualClock)
    crashed: bool = False

    def __post_init__(self) -> None:
        self.ports: Ports = memory_ports(self.clock)

    def order(self, order_id: str = "o", user: str = "ana", **fields: Any) -> StandingOrder:
        document = {
            "order_id": order_id, "user": user, "created_at": self.clock.now(), "terrain": {"height_m": 0}, **fields,
        }  # fmt: skip
        return add_order(self.ports, StandingOrder.model_validate(document))

    def upload(self, stem: str) -> None:
        put_safe(self.ports.blobs, stem, RINGS[stem])

    def event(self, stem: str, *, seen_at: datetime | None = None) -> None:
        """An event of its manifest, delivered until it has been handled."""
        blob, waiting = f"{stem}.SAFE/manifest.safe", Waiting(self.wait_s, seen_at)
        while not self._try(lambda ports: take_upload(ports, blob, waiting)):
            pass

    def arrive(self, *stems: str) -> None:
        for stem in stems:
            self.upload(stem)
            self.event(stem)
        self.work()

    def work(self) -> None:
        """What waits in the queues and is visible, each message until it has been handled."""
        while (message := self.queues.receive(names.QUEUE_UPLOADS, 0)) is not None:
            again = read_message(LookAgain, message.body)
            waiting = Waiting(self.wait_s, again.seen_at)
            if self._try(lambda ports, again=again, waiting=waiting: take_upload(ports, again.blob, waiting)):
                self.queues.remove(names.QUEUE_UPLOADS, message)
        while (message := self.queues.receive(names.QUEUE_REQUESTS, 0)) is not None:
            request = read_request(self.ports, message.body)
            if self._try(lambda ports, request=request: plan_request(ports, request, Limits(), Rules())):
                self.queues.remove(names.QUEUE_REQUESTS, message)

    def later(self, seconds: float) -> None:
        """Time passes, a minute at a time."""
        for _ in range(math.ceil(seconds / 60)):
            self.clock.advance(60)
            self.work()

    @property
    def queues(self) -> MemoryQueues:
        assert isinstance(self.ports.queues, MemoryQueues)
        return self.ports.queues

    @property
    def jobs(self) -> list[JobRecord]:
        return sorted(find(self.ports.tables, JobRecord), key=lambda job: (job.created_at, job.job_id))

    def plans(self) -> Iterator[Plan]:
        for job in self.jobs:
            assert job.fault_message is None
            plan = read_plan(self.ports, job.job_id)
            assert plan is not None
            yield plan

    def made(self) -> dict[str, PlannedOutput]:
        """All images that are made, by digest; each is one task's."""
        claimed = {planned.digest: planned for plan in self.plans() for planned in plan.outputs}
        tasks = {task.task_id for task in find(self.ports.tables, TaskRecord)}
        for plan in self.plans():
            for task in plan.tasks:
                tasks.discard(task.task_id)
        assert not tasks
        return claimed

    def of_tile(self, tile: str) -> list[tuple[str, ...]]:
        """Which slices its images are of: their letters, by job."""
        letters = {f"products/{stem}.SAFE": letter for stem, letter in zip(RINGS, "ABC", strict=True)}
        made = [one for one in self.made().values() if one.identity.grid.tile == tile]
        return sorted(tuple(letters[source.ref] for source in one.identity.products) for one in made)

    def tiles_of(self, user: str) -> list[str]:
        """Of a user's images; one that was made again is there twice."""
        plans = [plan for plan in self.plans() if plan.request.user == user]
        return [planned.identity.grid.tile or "" for plan in plans for planned in plan.outputs]

    def of_all(self, stems: Sequence[str], order: StandingOrder) -> Plan:
        """What a request makes that names all of them."""
        request = Request(
            request_id="all", user=order.user, products=tuple(f"products/{stem}.SAFE" for stem in stems),
            grid=order.grid, options=order.options, terrain=order.terrain,
        )  # fmt: skip
        return images("all", request, Limits(), Lookup(self.ports), self.clock.now())

    def _try(self, work: Any) -> bool:
        ports = self.ports
        if self.fuse is not None and not self.crashed:
            ports = fused(self.ports, self.fuse)
        try:
            work(ports)
        except Crash:
            self.crashed = True
            return False
        return True


# Which way it flew ----------------------------------------------------------------------------------------------------


def frame(direction: OrbitDirection, lat_deg: float, lon_deg: float, length_km: float, width_km: float) -> Any:
    """Corners of a swath right of a circular orbit's track, and of the ones before and after it, from the orbit."""
    inclination, look = math.radians(98.18), math.radians(4.3)
    u0 = math.asin(math.sin(math.radians(lat_deg)) / math.sin(inclination))
    u0 = u0 if direction == "ascending" else math.pi - u0

    def corner(u: float, right: float) -> tuple[float, float]:
        position = (math.cos(u), math.sin(u) * math.cos(inclination), math.sin(u) * math.sin(inclination))
        pole = (0.0, -math.sin(inclination), math.cos(inclination))
        x, y, z = (math.cos(right) * p - math.sin(right) * n for p, n in zip(position, pole, strict=True))
        turned = 7.292115e-5 / (2 * math.pi / 5924.5) * (u - u0)
        return math.degrees(math.atan2(y, x) - turned) + lon_deg, math.degrees(math.asin(z))

    length, half = length_km / 6371, width_km / 2 / 6371

    def ring(n: int) -> list[tuple[float, float]]:
        start, stop = u0 + n * length, u0 + (n + 1) * length
        return [
            ((lon + 180) % 360 - 180, lat)
            for lon, lat in (corner(start, look - half), corner(start, look + half), corner(stop, look + half),
                             corner(stop, look - half))
        ]  # fmt: skip

    return ring(-1), ring(0), ring(1)


def gap_km(ring: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> float:
    def vector(point: tuple[float, float]) -> tuple[float, float, float]:
        lon, lat = map(math.radians, point)
        return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)

    return max(min(math.dist(vector(p), vector(q)) for q in other) for p in ring) * 6371


@pytest.mark.parametrize("lat_deg", [0, 42, -63, 71, 78, 80.5, -81])
@pytest.mark.parametrize("direction", ["ascending", "descending"])
@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize(("length_km", "width_km"), [(170, 250), (410, 400), (170, 80)])
def test_a_neighbour_is_looked_for_where_the_orbit_goes(
    lat_deg: float, direction: OrbitDirection, turn: int, length_km: float, width_km: float
) -> None:
    before, ring, after = frame(direction, lat_deg, 178.0, length_km, width_km)
    corners = ring[turn:] + ring[:turn]
    if turn % 2:
        corners = corners[::-1]
    earlier, later = ends_of(corners, direction)
    assert gap_km(earlier.neighbour_lonlat, before) < 0.15 * length_km
    assert gap_km(later.neighbour_lonlat, after) < 0.15 * length_km
    if abs(lat_deg) < 72:  # beyond, a frame may lie along both directions alike
        unknown = ends_of(corners, None)
        assert min(gap_km(unknown[0].neighbour_lonlat, one) for one in (before, after)) < 0.15 * length_km


# Arrivals -------------------------------------------------------------------------------------------------------------


def test_tiles_inside_are_asked_for_at_once_and_those_on_a_seam_after_the_wait() -> None:
    site = Site()
    order = site.order()
    site.arrive(ROME)
    whole = {one.identity.grid.tile for one in site.of_all([ROME], order).outputs}
    at_once = {one.identity.grid.tile for one in site.made().values()}
    assert {"32TQM", "33TTG", "33TUG"} <= at_once < whole
    assert not at_once & FIRST_SEAM
    site.later(WAIT_S - 60)
    assert {one.identity.grid.tile for one in site.made().values()} == at_once
    site.later(120)
    assert {one.identity.grid.tile for one in site.made().values()} == whole
    assert len(site.jobs) == 3  # inside, and both seams
    assert site.queues.length(names.QUEUE_UPLOADS) == 0
    site.later(2 * WAIT_S)
    assert len(site.jobs) == 3


@pytest.mark.parametrize("stems", list(itertools.permutations(RINGS)), ids=lambda stems: "".join(s[-4] for s in stems))
@pytest.mark.parametrize("apart_s", [0, 600, 5000])
def test_in_whatever_order_slices_come_the_last_images_are_those_of_all(stems: tuple[str, ...], apart_s: int) -> None:
    site = Site()
    order = site.order()
    for stem in stems:
        site.arrive(stem)
        site.event(stem)  # and once more
        site.later(apart_s)
    site.later(2 * WAIT_S)
    of_all = {one.digest: one for one in site.of_all(sorted(RINGS), order).outputs}
    made = site.made()
    assert of_all.keys() <= made.keys()
    surplus = {one.identity.grid.tile for digest, one in made.items() if digest not in of_all}
    if apart_s <= 600:  # ... and no others where nobody waited in vain
        assert not surplus
    else:
        assert "33TUG" not in surplus  # inside the first
        assert surplus & FIRST_SEAM
    assert site.queues.length(names.QUEUE_UPLOADS) == 0


def test_a_neighbour_that_comes_late_has_the_seam_made_again_and_says_what_that_replaces() -> None:
    site = Site()
    site.order()
    site.arrive(ROME)
    site.later(WAIT_S + 60)
    alone = site.jobs
    site.arrive(NEXT_SLICE)
    tile = min(FIRST_SEAM)
    assert site.of_tile(tile) == [("A",), ("A", "B")]
    (again,) = [plan for plan in site.plans() if len(plan.request.products) == 2]
    seam = {one.identity.grid.tile for one in again.outputs}
    (replaced,) = [
        plan for plan in site.plans() if len(plan.request.products) == 1 and plan.request.products[0].startswith(
            f"products/{ROME}") and seam & {one.identity.grid.tile for one in plan.outputs}
    ]  # fmt: skip
    assert again.request.replaces == (replaced.job_id,)
    assert replaced.job_id in {job.job_id for job in alone}
    assert {one.identity.grid.tile for one in replaced.outputs} <= seam


def test_a_site_that_does_not_wait_makes_all_at_once_and_the_seam_again() -> None:
    site = Site(wait_s=0)
    site.order()
    site.arrive(ROME)
    (job,) = site.jobs
    assert [plan.request.grid for plan in site.plans()] == [None]  # as the order says
    site.arrive(NEXT_SLICE)
    assert site.of_tile(min(FIRST_SEAM)) == [("A",), ("A", "B")]
    (again,) = [plan for plan in site.plans() if len(plan.request.products) == 2]
    assert again.request.replaces == (job.job_id,)


@pytest.mark.parametrize(("within_s", "waits_s"), [(1800, 900), (7200, 3600), (20_000, 3600)])
def test_what_is_due_soon_waits_for_half_of_the_time_at_most(within_s: float, waits_s: float) -> None:
    site = Site()
    site.order(within_s=within_s)
    start = site.clock.now()
    site.arrive(ROME)
    n_at_once = len(site.jobs)
    site.later(waits_s - 60)
    assert len(site.jobs) == n_at_once
    site.later(60)
    assert len(site.jobs) == 3
    assert {plan.request.deadline for plan in site.plans()} == {start + timedelta(seconds=within_s)}


def test_orders_that_wait_differently_are_each_asked_for_in_their_time() -> None:
    site = Site()
    site.order("soon", within_s=1200)
    site.order("late")
    site.arrive(ROME)
    site.later(660)
    assert len(site.jobs) == 4
    site.later(3600)
    assert len(site.jobs) == 6


def test_what_waits_over_the_turn_of_the_month_counts_in_the_month_it_came_in() -> None:
    site = Site(clock=ManualClock(datetime(2026, 5, 31, 23, 30, tzinfo=UTC)))
    site.order(products_per_month=1)
    site.arrive(ROME)
    site.later(WAIT_S + 60)
    assert len(site.jobs) == 3
    site.arrive(NEXT_SLICE)  # the first of June
    assert {"A", "B"} <= {letter for made in site.of_tile(min(FIRST_SEAM)) for letter in made}
    assert len({row.partition for row in site.ports.tables.query(names.TABLE_ORDERED)}) == 2


@pytest.mark.parametrize("cap", [0, 1])
def test_a_slice_for_which_only_a_full_month_asks_is_made_by_default(cap: int) -> None:
    site = Site()
    default = {"user": "archive", "sentinel1": {}, "terrain": {"height_m": 0}}
    site.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(default).encode())
    site.order(products_per_month=cap)
    site.arrive(ROME, NEXT_SLICE)
    site.later(WAIT_S + 60)
    of_ana = [job for job in site.jobs if job.user == "ana"]
    assert bool(of_ana) is (cap == 1)
    by_default = site.tiles_of("archive")
    tiles = tiles_called_for(NEXT_RING) | (tiles_called_for(ROME_RING) if cap == 0 else set())
    assert (set(by_default), len(by_default)) == (tiles, len(tiles))


def test_of_a_backlog_neighbours_still_find_each_other() -> None:
    """The functions were down for a day: the second of two events comes half a minute after the first."""
    site = Site()
    order = site.order()
    for stem in (ROME, NEXT_SLICE):
        site.upload(stem)
    site.clock.advance(86_400)
    site.event(ROME)
    site.work()
    site.clock.advance(LEAST_WAIT_S / 2)
    site.event(NEXT_SLICE)
    site.work()
    site.later(2 * LEAST_WAIT_S)
    of_both = {one.digest for one in site.of_all([ROME, NEXT_SLICE], order).outputs}
    assert set(site.made()) == of_both


@pytest.mark.parametrize("kind", ["within", "area", "bounds"])
def test_an_area_on_the_seam_waits_and_is_made_of_both(kind: str) -> None:
    grids = {
        "within": {"kind": "mgrs", "within": MIDDLE},
        "area": {"kind": "area", "area": MIDDLE, "spacing_m": 100},
        "bounds": {"kind": "bounds", "epsg": 32633, "left": 370_000, "right": 420_000, "bottom": 4_680_000,
                   "top": 4_740_000, "spacing": 100},
    }  # fmt: skip
    site = Site()
    order = site.order(products={"area": MIDDLE}, grid=grids[kind])
    site.arrive(ROME)
    assert not [one for one in site.made().values() if one.identity.grid.tile in (None, *FIRST_SEAM)]
    site.arrive(NEXT_SLICE)
    of_both = {one.digest for one in site.of_all([ROME, NEXT_SLICE], order).outputs}
    assert of_both <= set(site.made())
    if kind != "within":
        assert len(site.jobs) == 1
        site.later(2 * WAIT_S)
        assert len(site.jobs) == 1


def test_an_area_inside_a_slice_does_not_wait_and_its_neighbour_changes_nothing() -> None:
    inside = {"type": "Polygon", "coordinates": [[[13, 41.6], [14, 41.6], [14, 41.9], [13, 41.9], [13, 41.6]]]}
    site = Site()
    site.order(grid={"kind": "area", "area": inside, "spacing_m": 100}, products={"area": inside})
    site.arrive(ROME)
    (job,) = site.jobs
    assert site.queues.length(names.QUEUE_UPLOADS) == 0
    site.arrive(NEXT_SLICE)
    assert site.jobs == [job]


def test_a_footprint_is_the_products_own_and_never_waits() -> None:
    site = Site()
    site.order(grid={"kind": "footprint", "spacing_m": 100})
    for number, stem in enumerate(RINGS, start=1):
        site.arrive(stem)
        assert len(site.jobs) == number
    assert {len(one.identity.products) for one in site.made().values()} == {1}


def test_a_neighbour_the_order_is_not_for_completes_the_tiles_it_is_for() -> None:
    inside = {"type": "Polygon", "coordinates": [[[12.6, 41.5], [13, 41.5], [13, 41.7], [12.6, 41.7], [12.6, 41.5]]]}
    site = Site()
    site.order(products={"area": inside})
    site.arrive(ROME)
    site.later(WAIT_S + 60)
    site.arrive(NEXT_SLICE)
    tiles = {one.identity.grid.tile for one in site.made().values()}
    assert tiles == tiles_called_for(ROME_RING)
    on_seam = sorted(tiles_called_for(ROME_RING) & tiles_touched(NEXT_RING))
    assert {tuple(map(tuple, site.of_tile(tile))) for tile in on_seam} == {(("A",), ("A", "B"))}


def test_what_no_order_wants_follows_the_default_across_the_seam() -> None:
    site = Site()
    default = {"user": "archive", "sentinel1": {}, "terrain": {"height_m": 0}}
    site.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(default).encode())
    site.arrive(NEXT_SLICE, ROME)
    assert site.of_tile(min(FIRST_SEAM)) == [("A", "B")]
    assert {(job.user, job.source) for job in site.jobs} == {("archive", "upload")}
    site.later(2 * WAIT_S)
    site.event(ROME)
    site.work()
    assert set(site.made()) == {
        one.digest for one in site.of_all([ROME, NEXT_SLICE], StandingOrder.model_validate(
            {"order_id": "x", "user": "archive", "created_at": site.clock.now(), "terrain": {"height_m": 0}})).outputs
    }  # fmt: skip


def test_a_neighbour_its_user_may_not_have_is_as_if_it_were_not_there() -> None:
    site = Site()
    restricted = f"restricted: [{{prefix: products/{NEXT_SLICE}, readers: [ben]}}]\n"
    pools = f"version: 1\npools: [{{name: hpc, kind: onprem, max_slots: 1}}]\n{restricted}"
    site.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, pools.encode())
    site.order("o1", "ana")
    site.order("o2", "ben")
    site.arrive(ROME, NEXT_SLICE)
    site.later(WAIT_S + 60)
    of_user = {
        user: {plan.request.products for plan in site.plans() if plan.request.user == user} for user in ("ana", "ben")
    }
    assert of_user["ana"] == {(f"products/{ROME}.SAFE",)}
    assert max(map(len, of_user["ben"])) == 2


def test_a_slice_that_was_processed_again_takes_the_place_of_the_first() -> None:
    again = NEXT_SLICE.replace("_AB12", "_EF56")
    site = Site()
    site.order()
    site.arrive(NEXT_SLICE)
    site.later(600)
    put_safe(site.ports.blobs, again, NEXT_RING)
    site.event(again)
    site.later(600)
    site.arrive(ROME)
    (both,) = [plan.request.products for plan in site.plans() if len(plan.request.products) == 2]
    assert both == (f"products/{ROME}.SAFE", f"products/{again}.SAFE")


@pytest.mark.parametrize("lacks", ["measurement", "all"])
def test_a_neighbour_that_is_listed_and_gone_is_not_counted_on(lacks: str) -> None:
    site = Site()
    site.order()
    site.arrive(NEXT_SLICE)
    for facts in list(site.ports.blobs.list(names.CONTAINER_PRODUCTS, NEXT_SLICE)):
        if lacks == "all" or lacks in facts.name:
            site.ports.blobs.delete(names.CONTAINER_PRODUCTS, facts.name)
    site.arrive(ROME)
    assert not [plan for plan in site.plans() if len(plan.request.products) == 2]
    site.later(WAIT_S + 60)
    assert ("A",) in site.of_tile(min(tiles_called_for(ROME_RING) & FIRST_SEAM))


def test_a_pass_that_is_filled_in_afterwards_waits_for_nobody_and_makes_the_same_images() -> None:
    site = Site()
    for stem in RINGS:
        site.arrive(stem)
    order = site.order()
    page = back_fill(site.ports, order, None, None, "")
    assert page.n_products == 3
    site.work()
    assert set(site.made()) == {one.digest for one in site.of_all(sorted(RINGS), order).outputs}
    jobs = site.jobs
    back_fill(site.ports, order, None, None, "")
    site.work()
    assert site.jobs == jobs


def announced(stem: str, at: datetime) -> Announced:
    times = [datetime.strptime(text + "Z", "%Y%m%dT%H%M%S%z") for text in stem.split("_")[4:6]]
    return Announced(
        catalogue="cdse", id=stem, name=stem, ref=f"s3://eodata/{stem}.SAFE", footprint_lonlat=RINGS[stem],
        start=times[0], stop=times[1], published_at=at,
    )  # fmt: skip


@pytest.mark.parametrize("is_late", [False, True])
def test_announced_slices_wait_for_each_other_as_uploaded_ones_do(is_late: bool) -> None:
    site = Site()
    site.order()

    def work() -> None:
        for body in site.queues.drain(names.QUEUE_ANNOUNCED, 100):
            take_announced(site.ports, read_message(Announced, body), WAIT_S)

    def asked() -> list[tuple[int, tuple[str, ...]]]:
        requests = [read_request(site.ports, body) for body in site.queues.bodies(names.QUEUE_REQUESTS)]
        return [(len(one.products), one.grid.tiles or ()) for one in requests if isinstance(one.grid, TileGrid)]

    site.upload(NEXT_SLICE)
    site.event(NEXT_SLICE)  # what lies here is no neighbour of what lies elsewhere
    site.queues.drain(names.QUEUE_REQUESTS, 100)
    ports, stems = site.ports, (ROME, NEXT_SLICE)
    for row in list(ports.tables.query(names.TABLE_INVENTORY)):
        ports.tables.delete(names.TABLE_INVENTORY, row.partition, row.key)
    for stem in stems:
        take_announced(ports, announced(stem, site.clock.now()), WAIT_S)
        if is_late:
            site.clock.advance(WAIT_S)
            work()
    of_both = {tile for n, tiles in asked() if n == 2 for tile in tiles}
    of_one = {tile for n, tiles in asked() if n == 1 for tile in tiles}
    assert of_both == FIRST_SEAM
    assert bool(of_one & FIRST_SEAM) is is_late
    site.clock.advance(WAIT_S)
    work()
    assert site.queues.bodies(names.QUEUE_ANNOUNCED) == []
    assert {tile for _, tiles in asked() for tile in tiles} == tiles_called_for(ROME_RING) | tiles_called_for(NEXT_RING)


PIECES = {
    "S2B_MSIL1C_20230605T110619_N0509_R137_T30UWU_20230605T131150": (48.753, 48.4),
    "S2B_MSIL1C_20230605T110619_N0509_R137_T30UWU_20230605T134522": (48.402, 47.757),
}
"""Of one tile, whose datatake was received by two stations."""


@pytest.mark.parametrize("stems", list(itertools.permutations(PIECES)))
def test_a_tile_that_was_received_in_two_pieces_is_made_of_the_first_and_then_of_both(stems: tuple[str, ...]) -> None:
    site = Site()
    order = site.order(options={"radiometry": "reflectance"}, terrain=None)

    def arrive(stem: str, north: float, south: float) -> None:
        ring = ((-3.0, north), (-1.51, north), (-1.53, south), (-3.0, south))
        put_packed(site.ports.blobs, stem, "2", ring)
        site.event(stem)
        site.work()

    arrive(stems[0], *PIECES[stems[0]])
    (alone,) = site.plans()
    assert (alone.request.grid, site.queues.length(names.QUEUE_UPLOADS)) == (None, 0)
    arrive(stems[1], *PIECES[stems[1]])
    _, both = sorted(site.plans(), key=lambda plan: len(plan.request.products))
    assert (len(site.jobs), both.request.replaces) == (2, (alone.job_id,))
    assert set(both.request.products) == {f"products/{stem}.SAFE" for stem in PIECES}
    named = Request(request_id="all", user="ana", products=both.request.products, options=order.options)
    of_all = images("all", named, Limits(), Lookup(site.ports), site.clock.now())
    assert [one.digest for one in both.outputs] == [one.digest for one in of_all.outputs]
    again = stems[1].replace("20230605T13", "20230605T17")  # the second once more, from another run
    arrive(again, *PIECES[stems[1]])
    assert {plan.request.products for plan in site.plans()} == {
        alone.request.products,
        both.request.products,
        tuple(sorted((f"products/{stems[0]}.SAFE", f"products/{again}.SAFE"))),
    }


def test_neighbouring_tiles_of_sentinel2_and_frames_of_sentinel3_have_nothing_to_do_with_each_other() -> None:
    site = Site()
    site.order(terrain=None)
    for stem, ring in S2_RINGS.items():
        put_packed(site.ports.blobs, stem, "2", ring)
        site.event(stem)
    for frame_of in ("2160", "2340"):
        stem = OLCI.replace("2160", frame_of)
        put_packed(site.ports.blobs, stem, "3", OLCI_RING)
        take_upload(site.ports, f"{stem}.SEN3/xfdumanifest.xml", Waiting(WAIT_S))
    site.work()
    assert [len(plan.request.products) for plan in site.plans()] == [1, 1, 1, 1]


# Deaths and races -----------------------------------------------------------------------------------------------------


def check_nothing_missed(site: Site, order: StandingOrder) -> None:
    assert {one.digest for one in site.of_all([ROME, NEXT_SLICE], order).outputs} <= set(site.made())
    assert site.queues.length(names.QUEUE_UPLOADS) == 0


@pytest.mark.parametrize("apart_s", [60, 5000])
def test_the_process_may_die_at_every_write(apart_s: int) -> None:
    for at in range(200):
        site = Site(fuse=Fuse(at))
        order = site.order(products={"area": MIDDLE}, grid={"kind": "mgrs", "within": MIDDLE})
        site.arrive(ROME)
        site.later(apart_s)
        site.arrive(NEXT_SLICE)
        site.later(2 * WAIT_S)
        check_nothing_missed(site, order)
        n_surplus = len(site.made()) - len(site.of_all([ROME, NEXT_SLICE], order).outputs)
        assert n_surplus == 0 or apart_s == 5000
        if not site.crashed:
            assert at > 10
            return
    raise AssertionError("it never ends without a crash")


def test_the_neighbour_may_come_at_every_moment_of_anothers_arrival() -> None:
    """Two functions at the same moment: before every write of the one the other runs from its start to its end."""
    for at in range(200):
        fuse = Fuse(at)
        site = Site(fuse=fuse)
        order = site.order(products={"area": MIDDLE}, grid={"kind": "mgrs", "within": MIDDLE})
        site.upload(ROME)
        site.upload(NEXT_SLICE)

        def other(site: Site = site) -> None:
            site.crashed = True  # from here on nobody else is held up
            site.event(NEXT_SLICE)
            site.work()

        fuse.meanwhile = other
        site.event(ROME)
        site.work()
        if not fuse.blown:
            assert at > 3
            return
        site.later(2 * WAIT_S)
        check_nothing_missed(site, order)
        assert len(site.made()) == len(site.of_all([ROME, NEXT_SLICE], order).outputs)
    raise AssertionError("it never ends")


def test_ids_do_not_tell_who_asked() -> None:
    """Either slice's arrival asks for the seam by the same name: it is one job."""
    first, second = Site(), Site()
    for site, stems in ((first, (ROME, NEXT_SLICE)), (second, (NEXT_SLICE, ROME))):
        site.order()
        site.arrive(*stems)
    ids = [{plan.job_id for plan in site.plans() if len(plan.request.products) == 2} for site in (first, second)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1
    (plan,) = [plan for plan in first.plans() if len(plan.request.products) == 2]
    assert plan.job_id == job_id_of("ana", plan.request.request_id)
