"""Standing orders: which products they are for, and what happens when one arrives."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from shapely.geometry import Polygon

from fakes.memory_ports import ManualClock, MemoryQueues, memory_ports
from fakes.products import NEXT_RING, NEXT_SLICE, ROME, ROME_RING, put_packed, put_safe
from figures import tell
from orthocontracts import names
from orthocontracts.orders import ProductFilter, StandingOrder
from orthocontracts.requests import Request
from orthocontracts.states import OutputState
from orthofunctions.domain.arrivals import Arrival
from orthofunctions.domain.footprints import along_great_circles
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.standing import OrderBook
from orthofunctions.ports import Ports
from orthofunctions.usecases.backfill import back_fill
from orthofunctions.usecases.orders import (
    OrderExistsError,
    OrderRefusedError,
    add_order,
    delete_order,
    find_order,
    order_book,
    orders_of,
)
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import take_upload

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TERRAIN = {"height_m": 0.0}
NEXT_PASS = "S1B_IW_GRDH_1SDV_20211224T051147_20211224T051212_030163_039A12_AB12"
S2 = "S2B_MSIL1C_20230605T110619_N0509_R137_T30UVU_20230605T131150"


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def order(order_id: str = "o1", user: str = "ana", **fields: Any) -> StandingOrder:
    document = {"order_id": order_id, "user": user, "created_at": NOW, "terrain": TERRAIN, **fields}
    return StandingOrder.model_validate(document)


ROME_ARRIVES = Arrival(
    ref=f"products/{ROME}.SAFE",
    mission="sentinel-1",
    product_type="GRD",
    footprint_lonlat=tuple(along_great_circles(ROME_RING)),
    sensed_at=datetime(2021, 12, 23, 5, 11, 22, tzinfo=UTC),
    platform="S1B",
    mode="IW",
    polarisations=("vv", "vh"),
    orbit_direction="descending",
    relative_orbit=22,
)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, True),
        ({"area": box(12.4, 41.8, 12.6, 42.0)}, True),
        ({"area": box(5, 35, 20, 50)}, True),
        ({"area": box(15.5, 41, 16, 42)}, False),
        # within the box around the frame, beyond its slanted edge
        ({"area": box(11.9, 42.5, 12.05, 42.7)}, False),
        ({"area": {"type": "MultiPolygon", "coordinates": [
            box(0, 0, 1, 1)["coordinates"], box(12.4, 41.8, 12.6, 42.0)["coordinates"]]}}, True),
        ({"missions": ["sentinel-2"]}, False),
        ({"missions": ["sentinel-2", "sentinel-1"]}, True),
        ({"product_types": ["grd"]}, True),
        ({"product_types": ["L1C"]}, False),
        ({"platforms": ["S1A"]}, False),
        ({"modes": ["iw"]}, True),
        ({"modes": ["EW"]}, False),
        ({"polarisations": ["vv"]}, True),
        ({"polarisations": ["vv", "hh"]}, False),
        ({"orbit_direction": "descending"}, True),
        ({"orbit_direction": "ascending"}, False),
        ({"relative_orbits": [22, 95]}, True),
        ({"relative_orbits": [23]}, False),
        ({"max_cloud_cover_percent": 100}, False),  # radar has none to tell
    ],
)  # fmt: skip
def test_a_product_fits_what_it_has_all_of(wanted: dict[str, Any], fits: bool) -> None:
    book = OrderBook.of([order(products=wanted)])
    assert bool(book.matching(ROME_ARRIVES)) == fits


def test_orders_begin_and_end() -> None:
    sensed = ROME_ARRIVES.sensed_at
    orders = [
        order("early", until=sensed - timedelta(seconds=1)),
        order("late", since=sensed + timedelta(seconds=1)),
        order("now", since=sensed, until=sensed),
    ]
    assert [one.order_id for one in OrderBook.of(orders).matching(ROME_ARRIVES)] == ["now"]


@pytest.mark.parametrize("west", [178.0, -182.0, 538.0])
def test_areas_and_products_across_the_antimeridian(west: float) -> None:
    ring = [(west, -20.0), (west + 4, -20.0), (west + 4, -16.0), (west, -16.0)]
    product = Arrival("products/x", "rpc", "rpc", tuple(((lon + 180) % 360 - 180, lat) for lon, lat in ring), NOW)
    areas = {
        "crossing": box(179.9, -18, -179.9, -17),
        "west": box(179, -18, 179.5, -17),
        "east": box(-179.5, -18, -179, -17),
        "off": box(-177, -18, -176, -17),
        "half-the-globe": box(0, -30, 179, -10),
    }
    found = OrderBook.of([order(name, products={"area": area}) for name, area in areas.items()]).matching(product)
    assert [one.order_id for one in found] == ["crossing", "east", "half-the-globe", "west"]


def many(n_orders: int) -> list[StandingOrder]:
    """Over Europe, five hundred of them around Rome."""
    rng = random.Random(1)
    orders = []
    for number in range(n_orders):
        if number < 500:
            west, south, width, height = 12.5 + rng.random() / 2, 41.5 + rng.random() / 2, 0.5, 0.5
        else:
            west, south = rng.uniform(-10, 37), rng.uniform(35, 65)
            width, height = rng.uniform(0.1, 3), rng.uniform(0.1, 3)
        wanted = {
            "area": box(west, south, west + width, south + height),
            "missions": rng.choice([["sentinel-1"], ["sentinel-2"], None]),
        }
        orders.append(order(f"o{number}", f"u{number % 300}", products=wanted))
    return orders


def test_ten_thousand_orders_against_one_product_in_ten_milliseconds() -> None:
    orders = many(10_000)
    book = OrderBook.of(orders)
    took_s = []
    for _ in range(9):
        start = time.process_time()
        found = book.matching(ROME_ARRIVES)
        took_s.append(time.process_time() - start)
    footprint = Polygon(ROME_ARRIVES.footprint_lonlat)
    expected = {
        (one.user, one.order_id)
        for one in orders
        if (one.products.missions is None or "sentinel-1" in one.products.missions)
        and one.products.area is not None
        and footprint.intersects(Polygon(one.products.area.polygons()[0][0]))
    }
    assert {(one.user, one.order_id) for one in found} == expected
    assert len(expected) > 300
    best_ms = 1000 * min(took_s)
    tell("one product against 10,000 standing orders, ms", best_ms, "< 10")
    assert best_ms < 10


# Kept -----------------------------------------------------------------------------------------------------------------


def test_orders_are_kept_listed_and_taken_back(ports: Ports) -> None:
    first = add_order(ports, order("o1", title="Rome"))
    later = order("o1", title="Rome", created_at=NOW + timedelta(hours=1))
    assert add_order(ports, later) == first  # sent twice
    with pytest.raises(OrderExistsError, match="you have a standing order o1 already, and it is another"):
        add_order(ports, order("o1", title="Roma"))
    add_order(ports, order("o1", user="ben"))
    assert [one.title for one in orders_of(ports, "ana")] == ["Rome"]
    assert delete_order(ports, "ana", "o1") is True
    assert delete_order(ports, "ana", "o1") is False
    assert find_order(ports, "ana", "o1") is None
    assert find_order(ports, "ben", "o1") is not None


def test_the_book_follows_changes_at_once_and_lost_marks_within_a_minute(ports: Ports) -> None:
    assert order_book(ports).matching(ROME_ARRIVES) == []
    add_order(ports, order())
    assert len(order_book(ports).matching(ROME_ARRIVES)) == 1
    book = order_book(ports)
    assert order_book(ports) is book
    ports.tables.delete(names.TABLE_ORDERS, "ana", "o1")  # and whoever did it died before the mark
    assert order_book(ports) is book
    assert isinstance(ports.clock, ManualClock)
    ports.clock.advance(61)
    assert order_book(ports).matching(ROME_ARRIVES) == []


def test_orders_that_are_as_they_were_are_not_parsed_again(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute, with thousands of areas, that was a quarter of all the functions' work."""
    add_order(ports, order("o1"))
    book = order_book(ports)
    assert isinstance(ports.clock, ManualClock)
    ports.clock.advance(61)
    assert order_book(ports) is book
    add_order(ports, order("o2", title="the second"))
    parsed: list[str] = []
    honest = StandingOrder.model_validate_json
    monkeypatch.setattr(StandingOrder, "model_validate_json", lambda text: parsed.append(text) or honest(text))
    assert len(order_book(ports).matching(ROME_ARRIVES)) == 2
    assert len(parsed) == 1
    assert "the second" in parsed[0]


def test_an_order_too_large_to_be_kept_is_refused(ports: Ports) -> None:
    ring = [[12 + n * 1e-3, 42.123456789 + (n % 2) * 1e-5] for n in range(1200)]
    area = {"type": "Polygon", "coordinates": [[*ring, [13.2, 40], [12, 40], ring[0]]]}
    with pytest.raises(OrderRefusedError, match="characters, 30000 can be kept: simplify its area"):
        add_order(ports, order(products={"area": area}))


def test_words_that_mean_nothing_are_refused() -> None:
    for wanted in ({"missions": []}, {"relative_orbits": [0]}, {"polarisations": ["vw"]}, {"colour": "red"}):
        with pytest.raises(ValidationError):
            ProductFilter.model_validate(wanted)


# Arrivals -------------------------------------------------------------------------------------------------------------


def requests_of(ports: Ports) -> list[Request]:
    assert isinstance(ports.queues, MemoryQueues)
    return [read_request(ports, body) for body in ports.queues.drain(names.QUEUE_REQUESTS, 1000)]


def arrive(ports: Ports, stem: str = ROME, ring: Any = ROME_RING) -> list[Request]:
    put_safe(ports.blobs, stem, ring)
    take_upload(ports, f"{stem}.SAFE/manifest.safe")
    return requests_of(ports)


def test_an_arrival_is_asked_for_as_its_orders_say_once_each(ports: Ports) -> None:
    add_order(ports, order("o1", options={"radiometry": "gamma0"}, within_s=3600, keep_days=7, shared_with=["ocean"]))
    add_order(ports, order("o2", user="ben", products={"area": box(12.4, 41.8, 12.6, 42.0)}, patience_s=60))
    add_order(ports, order("o3", user="ben", products={"missions": ["sentinel-2"]}))
    first, second = sorted(arrive(ports), key=lambda one: one.user)  # in the order of their ids, which are hashes
    assert (first.user, first.options.radiometry, first.keep_days, first.shared_with) == (
        "ana",
        "gamma0",
        7,
        ("ocean",),
    )
    assert (first.deadline, second.user, second.patience_s) == (NOW + timedelta(hours=1), "ben", 60)
    again = arrive(ports)
    assert [one.request_id for one in again] == [first.request_id, second.request_id]


def test_what_no_order_wants_follows_the_default(ports: Ports) -> None:
    default = b'{"sentinel1": {"options": {"radiometry": "beta0"}}, "terrain": {"height_m": 0}}'
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, default)
    add_order(ports, order(products={"area": box(12.4, 43.5, 12.6, 43.6)}))
    (request,) = arrive(ports)
    assert (request.user, request.options.radiometry) == ("local", "beta0")
    (request,) = arrive(ports, NEXT_PASS, NEXT_RING)
    assert (request.user, request.options.radiometry) == ("ana", None)


def test_five_hundred_equal_orders_are_computed_once(ports: Ports) -> None:
    for number in range(500):
        add_order(ports, order(f"o{number}", f"u{number}", grid={"kind": "mgrs", "tiles": ["33TTG"]}))
    asked = arrive(ports)
    assert len(asked) == 500
    for request in asked:
        assert plan_request(ports, request, Limits(), Rules()).fault_message is None
    outputs = list(find(ports.tables, OutputRecord))
    assert (len(outputs), {one.state for one in outputs}) == (500, {OutputState.WANTED})
    assert len({one.task_id for one in outputs}) == len(list(find(ports.tables, TaskRecord))) == 1


def test_a_full_month_asks_no_more_and_the_next_one_does(ports: Ports) -> None:
    add_order(ports, order(products_per_month=1))
    assert len(arrive(ports)) == 1
    assert len(arrive(ports)) == 1  # the same product
    assert arrive(ports, NEXT_SLICE, NEXT_RING) == []
    assert isinstance(ports.clock, ManualClock)
    ports.clock.advance(31 * 86_400)
    assert len(arrive(ports, NEXT_PASS, NEXT_RING)) == 1


def test_restricted_products_are_asked_for_by_their_readers_alone(ports: Ports) -> None:
    site = "version: 1\npools: [{name: hpc, kind: onprem, max_slots: 1}]\n"
    ports.blobs.write(
        "settings", "pools.yaml", f"{site}restricted: [{{prefix: products/S1B, readers: [ben]}}]\n".encode()
    )
    for user in ("ana", "ben"):
        add_order(ports, order(user=user))
    assert [request.user for request in arrive(ports)] == ["ben"]


@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize(("cloud", "n_jobs"), [(b"3.75", 1), (b"20.5", 0), (None, 0), (b"many", 0)])
def test_clouds_are_looked_up_where_an_order_cares(
    ports: Ports, cloud: bytes | None, n_jobs: int, zip_it: bool
) -> None:
    add_order(ports, order(products={"max_cloud_cover_percent": 10}))
    assessed = b"<Cloud_Coverage_Assessment>%s</Cloud_Coverage_Assessment>" % (cloud or b"")
    members = {"MTD_MSIL1C.xml": b"<x>" + (assessed if cloud else b"") + b"</x>"}
    ring = ((-4.4, 50.4), (-2.9, 50.4), (-2.9, 49.5), (-4.4, 49.5))
    ref = put_packed(ports.blobs, S2, "2", ring, zip_it=zip_it, members=members)
    take_upload(ports, f"{ref.removeprefix('products/')}" + ("" if zip_it else "/manifest.safe"))
    assert len(requests_of(ports)) == n_jobs


def test_an_order_over_what_came_before_it_page_by_page(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orthofunctions.usecases.backfill.PRODUCTS_A_PAGE", 1)
    assert arrive(ports) == arrive(ports, NEXT_PASS, NEXT_RING) == []
    asked = add_order(ports, order())
    first = back_fill(ports, asked, None, None, "")
    assert first.more is not None
    second = back_fill(ports, asked, None, None, first.more)
    assert (first.n_products, second.n_products, len(requests_of(ports))) == (1, 1, 2)
    third = back_fill(ports, asked, datetime(2021, 12, 24, 5, 11, 40, tzinfo=UTC), None, "")
    assert [job.job_id for job in third.jobs] == [job.job_id for job in first.jobs]
    assert [job.job_id for job in arrival_jobs(ports)] == [second.jobs[0].job_id]  # the same again, had it come later
    ports.blobs.write("products", f"{ROME}.SAFE/manifest.safe", b"no XML")
    assert back_fill(ports, asked, None, datetime(2021, 12, 23, 5, 11, 25, tzinfo=UTC), "").jobs == []


def arrival_jobs(ports: Ports) -> list[JobRecord]:
    return take_upload(ports, f"{ROME}.SAFE/manifest.safe")
