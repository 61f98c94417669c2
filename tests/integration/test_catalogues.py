"""Looks through a catalogue over HTTP: every product is told of once, whatever the catalogue does, whoever dies."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from fakes.catalogue import Catalogue
from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, MemoryQueues, memory_ports
from orthocontracts import names
from orthofunctions.adapters import pages as pages_module
from orthofunctions.adapters.pages import HttpPages
from orthofunctions.adapters.transport import new_session
from orthofunctions.domain.announced import Announced
from orthofunctions.ports import PagesDownError, Ports
from orthofunctions.usecases import poll
from orthofunctions.usecases.announced import take_announced
from orthofunctions.usecases.inventory import all_products
from orthofunctions.usecases.poll import look_for_products

pytestmark = pytest.mark.parallel

MINUTE, HOUR, DAY = 60, 3600, 86_400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ports(clock: ManualClock) -> Ports:
    return memory_ports(clock)


@pytest.fixture
def pages() -> Iterator[HttpPages]:
    with new_session() as session:
        yield HttpPages(session, read_timeout_s=2)


@pytest.fixture(params=["odata", "stac"])
def catalogue(request: pytest.FixtureRequest, ports: Ports, clock: ManualClock) -> Iterator[Catalogue]:
    with Catalogue(clock.now) as served:
        configure(ports, served, kind=request.param)
        yield served


def configure(ports: Ports, catalogue: Catalogue, **spec: Any) -> None:
    document = {"catalogues": [{"name": "far", "kind": "odata", "url": catalogue.url, **spec}]}
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_CATALOGUES, json.dumps(document).encode())


def told(ports: Ports) -> Counter[str]:
    assert isinstance(ports.queues, MemoryQueues)
    bodies = ports.queues.bodies(names.QUEUE_ANNOUNCED)
    return Counter(Announced.model_validate_json(body).name for body in bodies)


def once(*several: list[str]) -> Counter[str]:
    return Counter(name for some in several for name in some)


def test_nothing_is_asked_for_where_nothing_is_configured(ports: Ports, pages: HttpPages) -> None:
    assert look_for_products(ports, pages) == 0
    assert not list(ports.blobs.list(names.CONTAINER_CONTROL))


def test_new_products_are_told_of_once_in_many_pages_and_looks(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock
) -> None:
    old = catalogue.publish(5, clock.now() - timedelta(seconds=1))
    look_for_products(ports, pages)
    assert not told(ports), old  # it begins now
    new = []
    for _ in range(12):
        for _ in range(5):
            clock.advance(MINUTE)
            new.append(catalogue.publish(random.Random(len(new)).randrange(9), clock.now()))
            look_for_products(ports, pages)
    clock.advance(5 * MINUTE)
    look_for_products(ports, pages)
    assert told(ports) == once(*new)
    n_looks = sum("skip" not in path for path in catalogue.requests)
    assert n_looks <= 14  # every five minutes


def test_pages_that_repeat_and_reorder_change_nothing(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock
) -> None:
    look_for_products(ports, pages)
    catalogue.repeats = 3
    catalogue.reorder = lambda entries: random.Random(7).sample(entries, len(entries))
    clock.advance(10 * MINUTE)
    new = [catalogue.publish(13, clock.now() - timedelta(seconds=n)) for n in range(1, 8)]
    for _ in range(3):
        look_for_products(ports, pages)
        clock.advance(5 * MINUTE)
    assert told(ports) == once(*new)


def test_what_is_listed_later_than_it_was_published_is_found(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock
) -> None:
    look_for_products(ports, pages)
    late = [catalogue.publish(2, clock.now() + timedelta(minutes=n), late_s=100 * MINUTE) for n in range(60)]
    for _ in range(200):
        clock.advance(MINUTE)
        look_for_products(ports, pages)
    assert told(ports) == once(*late)


@pytest.mark.parametrize("skew_s", [-HOUR, HOUR])
def test_a_catalogue_whose_clock_is_another_loses_nothing(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock, skew_s: float
) -> None:
    clock.advance(2 * HOUR)
    look_for_products(ports, pages)
    clock.advance(2 * HOUR)  # what it published before the first look, by its own clock, is no news
    new = []
    for _ in range(40):
        at = clock.now() + timedelta(seconds=skew_s)
        new.append(catalogue.publish(3, at, late_s=-min(0.0, skew_s)))
        for entry in catalogue.entries[-3:]:
            entry.listed_at = clock.now()
        look_for_products(ports, pages)
        clock.advance(5 * MINUTE)
    clock.advance(2 * HOUR)
    look_for_products(ports, pages)
    assert told(ports) == once(*new)


def test_a_page_that_fails_in_the_middle_is_gone_back_to(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock
) -> None:
    look_for_products(ports, pages)
    clock.advance(5 * MINUTE)
    new = catalogue.publish(95, clock.now() - timedelta(seconds=1))
    catalogue.fail = lambda n: (500, 429, 302, 404)[n % 4] if n % 9 > 5 else None
    for _ in range(3):  # two windows' pages before the third fails three times
        look_for_products(ports, pages)
        clock.advance(MINUTE)
        assert 0 < told(ports).total() < 95
    catalogue.fail = lambda n: (500, 429, 302, 404)[n % 4] if n % 3 == 0 else None  # now and then
    look_for_products(ports, pages)
    assert told(ports) == once(new)
    assert not any(path == "/v1" for path in catalogue.requests)  # no redirect was followed


def test_a_day_without_the_catalogue_is_caught_up_with_hour_by_hour(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    look_for_products(ports, pages)
    catalogue.fail = lambda _: 503
    new = []
    for _ in range(24):
        new.append(catalogue.publish(40, clock.now()))
        clock.advance(HOUR)
        look_for_products(ports, pages)
    assert {record.action for record in caplog.records if hasattr(record, "action")} == {"catalogue_down"}
    assert not told(ports)
    catalogue.fail = lambda _: None
    look_for_products(ports, pages)
    assert told(ports) == once(*new)
    progress = json.loads(ports.blobs.read(names.CONTAINER_CONTROL, poll.progress_blob("far")))
    assert len(progress["known"]) <= 3 * 40  # of the overlap only


def test_what_takes_too_long_goes_on_at_the_next_look(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock
) -> None:
    look_for_products(ports, pages)
    new = []
    for _ in range(10):
        new.append(catalogue.publish(5, clock.now()))
        clock.advance(HOUR)
    catalogue.fail = lambda _: clock.advance(50)  # an answer takes that
    look_for_products(ports, pages)
    assert 0 < told(ports).total() < 50
    for _ in range(3):
        clock.advance(MINUTE)
        look_for_products(ports, pages)
    assert told(ports) == once(*new)


def test_who_dies_at_any_write_passes_nothing_over_and_lists_everything_once(
    pages: HttpPages, clock: ManualClock
) -> None:
    with Catalogue(clock.now) as catalogue:
        new = catalogue.publish(35, clock.now() + timedelta(seconds=30))
        for at in range(200):
            ports = memory_ports(clock := ManualClock())
            catalogue.clock = clock.now
            configure(ports, catalogue, since="2026-05-01T12:00:00Z")
            clock.advance(MINUTE)
            try:
                look_for_products(fused(ports, Fuse(at)), pages)
                is_over = True
            except Crash:
                is_over = False
                clock.advance(2 * MINUTE)  # its lease ends
                look_for_products(ports, pages)
            counted = told(ports)
            assert set(counted) == set(new)
            assert counted.total() <= 35 + catalogue.page_size
            for body in ports.queues.drain(names.QUEUE_ANNOUNCED, 100):
                take_announced(ports, Announced.model_validate_json(body))
            assert len(list(all_products(ports))) == 35
            if is_over:
                assert counted == once(new)
                break
        assert at > 40


def test_two_instances_do_not_look_at_once(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock
) -> None:
    look_for_products(ports, pages)
    clock.advance(5 * MINUTE)
    new = catalogue.publish(25, clock.now() - timedelta(seconds=1))
    asked = []

    def other(n: int) -> None:
        before = len(catalogue.requests)
        if not asked:
            asked.append(n)
            assert look_for_products(ports, pages) == 0
            assert len(catalogue.requests) == before

    catalogue.fail = other
    assert look_for_products(ports, pages) == 25
    assert asked
    assert told(ports) == once(new)
    catalogue.fail = lambda _: None
    assert look_for_products(ports, pages) == 0  # not due


def test_one_that_was_held_up_writes_nothing_over_the_other(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock
) -> None:
    look_for_products(ports, pages)
    clock.advance(5 * MINUTE)
    new = catalogue.publish(25, clock.now() - timedelta(seconds=1))

    def hold_up(n: int) -> None:
        catalogue.fail = lambda _: None
        clock.advance(2 * MINUTE)  # its lease has ended, another comes
        assert look_for_products(ports, pages) == 25

    catalogue.fail = hold_up
    look_for_products(ports, pages)
    assert told(ports) == once(new)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"body": b"<html>"}, "no JSON"),
        ({"body": b"[1]"}, "a page that cannot be read"),
        ({"body": b'{"value": 1, "features": 1}'}, "a page that cannot be read"),
        ({"next_url": "http://169.254.169.254/latest"}, "lead elsewhere"),
        ({"next_url": "https://127.0.0.1/v1"}, "lead elsewhere"),
        ({"body": b"1" * 3_000_000}, "more than"),
    ],
)
def test_answers_that_are_none_say_so_and_are_asked_for_again(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock, change: dict[str, Any], why: str,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(pages_module, "MOST_BYTES", 2_000_000)
    look_for_products(ports, pages)
    clock.advance(5 * MINUTE)
    new = catalogue.publish(25, clock.now() - timedelta(seconds=1))
    before = {name: getattr(catalogue, name) for name in change}
    for name, value in change.items():
        setattr(catalogue, name, value)
    caplog.clear()
    look_for_products(ports, pages)
    assert why in caplog.text
    for name, value in before.items():
        setattr(catalogue, name, value)
    look_for_products(ports, pages)
    assert told(ports) == once(new)


def test_pages_that_lead_in_a_circle_end(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    look_for_products(ports, pages)
    clock.advance(5 * MINUTE)
    catalogue.publish(25, clock.now() - timedelta(seconds=1))
    look_for_products(ports, pages)
    catalogue.next_url = catalogue.url + catalogue.requests[-2].removeprefix("/v1")
    clock.advance(5 * MINUTE)
    caplog.clear()
    look_for_products(ports, pages)
    assert "lead in a circle" in caplog.text


def test_a_broken_item_is_passed_over_and_the_others_are_not(
    ports: Ports, pages: HttpPages, clock: ManualClock
) -> None:
    with Catalogue(clock.now) as catalogue:
        configure(ports, catalogue)
        look_for_products(ports, pages)
        clock.advance(5 * MINUTE)
        (name,) = catalogue.publish(1, clock.now() - timedelta(seconds=1))
        good = pages.get(catalogue.url + "/Products?%24filter=" + "2000-01-01T00:00:00Z,2100-01-01T00:00:00Z")["value"]
        catalogue.body = json.dumps({"value": [7, None, {}, {**good[0], "S3Path": None}, *good]}).encode()
        look_for_products(ports, pages)
        assert told(ports) == once([name])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("catalogues: 7", "catalogues"),
        ("]", "is no YAML"),
        ("catalogues: [{name: a, kind: odata, url: 'file:///etc/passwd'}]", "url"),
        ("catalogues: [{name: a, kind: odata, url: 'https://u:p@x.example/'}]", "url"),
        ("catalogues: [{name: a, kind: odata, url: 'https://x.example', collections: [x]}]", "OData has a filter"),
        ("catalogues: [{name: a, kind: stac, url: 'https://x.example', filter: x}]", "STAC has collections"),
        ("catalogues: [{name: a, kind: stac, url: 'https://x.example', published: datetime}]", "a day or more"),
        ("catalogues: [{name: a, kind: stac, url: 'https://x.example', published: \"a' OR 1\"}]", "published"),
        ("catalogues: [{name: a, kind: odata, url: 'https://x.example'}, {name: a, kind: odata, url: 'https://x'}]",
         "the same name"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(
    ports: Ports, pages: HttpPages, caplog: pytest.LogCaptureFixture, text: str, why: str
) -> None:
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_CATALOGUES, text.encode())
    assert look_for_products(ports, pages) == 0
    assert "settings/catalogues.yaml" in caplog.text
    assert why in caplog.text


def test_a_progress_that_cannot_be_read_stops_that_catalogue_and_says_so(
    ports: Ports, pages: HttpPages, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    ports.blobs.write(names.CONTAINER_CONTROL, poll.progress_blob("far"), b"{}")
    assert look_for_products(ports, pages) == 0
    assert "mend it, or delete it" in caplog.text


def test_a_server_that_is_not_there(pages: HttpPages) -> None:
    with pytest.raises(PagesDownError, match="ConnectionError"):
        pages.get("http://127.0.0.1:9/v1")
