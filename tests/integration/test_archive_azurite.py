"""Products expire, are counted and are checked on the real emulator; and what its clock says of their age counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fakes.products import NEXT_SLICE, ROME, put_safe, safe_zip
from integration.storage import HandClock, azure_ports
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.requests import Request
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.usecases.archive import count_products, keep_product, release_product
from orthofunctions.usecases.check_archive import check_archive
from orthofunctions.usecases.expire_raw import expire_products
from orthofunctions.usecases.inventory import all_products
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.product_search import ProductState, Search, find_products
from orthofunctions.usecases.submit import read_request, submit
from orthofunctions.usecases.tallies import put_counted, remove_counted, tallies
from orthofunctions.usecases.upload import take_upload

DAY_S = 86_400.0
FOLDER, ZIP = f"products/{ROME}.SAFE", f"products/{NEXT_SLICE}.zip"


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime.now(UTC))


@pytest.fixture
def ports(azurite: Azurite, clock: HandClock) -> Iterator[Ports]:
    provision(azurite.connection_string)
    with azure_ports(azurite.connection_string) as over_azurite:
        ports = replace(over_azurite, clock=clock)
        clear(ports)
        rules = {"raw": [{"days": 3, "unasked": True}]}
        ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_ARCHIVE, json.dumps(rules).encode())
        yield ports
        clear(ports)


def clear(ports: Ports) -> None:
    """Other tests share the emulator."""
    for container in (names.CONTAINER_PRODUCTS, names.CONTAINER_CONTROL):
        for blob in list(ports.blobs.list(container)):
            ports.blobs.delete(container, blob.name)
    ports.blobs.delete(names.CONTAINER_SETTINGS, names.BLOB_ARCHIVE)
    for table in (names.TABLE_INVENTORY, names.TABLE_ARCHIVE, names.TABLE_JOBS):
        for row in list(ports.tables.query(table)):
            ports.tables.delete(table, row.partition, row.key)
    ports.queues.drain(names.QUEUE_REQUESTS, 1000)


def upload(ports: Ports) -> None:
    put_safe(ports.blobs)
    ports.blobs.write("products", f"{NEXT_SLICE}.zip", safe_zip(NEXT_SLICE))
    take_upload(ports, f"{ROME}.SAFE/manifest.safe")
    take_upload(ports, f"{NEXT_SLICE}.zip")


def found(ports: Ports, state: ProductState | None = None) -> list[str]:
    return [one.ref for one in find_products(ports, "local", Search(state=state), 10)[0]]


def test_products_expire_and_whoever_asks_is_told(ports: Ports, clock: HandClock) -> None:
    upload(ports)
    assert expire_products(ports) == 0
    request = Request.model_validate(
        {"request_id": "archive-1", "products": [ZIP], "terrain": {"height_m": 0}, "grid": {"kind": "footprint"}}
    )
    submit(ports, request, "http")
    (body,) = ports.queues.drain(names.QUEUE_REQUESTS, 10)
    clock.advance(4 * DAY_S)
    assert expire_products(ports) == 1, "the other is needed by a request that waits"
    assert list(ports.blobs.list("products", f"{ROME}.SAFE/")) == []
    assert list(ports.blobs.list(names.CONTAINER_CONTROL, names.FOLDER_DELETIONS)) == []
    assert plan_request(ports, read_request(ports, body), Limits(), Rules()).fault_kind is None
    assert (found(ports), found(ports, ProductState.GONE)) == ([ZIP], [FOLDER])
    assert [(one.kind["state"], one.n_products) for one in count_products(ports, ["state"])] == [
        ("gone", 1),
        ("here", 1),
    ]
    submit(ports, request.model_copy(update={"request_id": "archive-2", "products": (FOLDER,)}), "http")
    (body,) = ports.queues.drain(names.QUEUE_REQUESTS, 10)
    job = plan_request(ports, read_request(ports, body), Limits(), Rules())
    assert job.fault_kind == "ProductGone"
    put_safe(ports.blobs)
    take_upload(ports, f"{ROME}.SAFE/manifest.safe")
    assert (sorted(found(ports)), found(ports, ProductState.GONE)) == (sorted([ZIP, FOLDER]), [])


def test_kept_ones_stay_and_the_check_mends(ports: Ports, clock: HandClock) -> None:
    upload(ports)
    clock.advance(4 * DAY_S)
    keep_product(ports, FOLDER, "eva")
    assert expire_products(ports) == 1
    release_product(ports, FOLDER)
    ports.blobs.delete("products", f"{ROME}.SAFE/manifest.safe")
    ports.blobs.write("products", f"own/{NEXT_SLICE}.zip", safe_zip(NEXT_SLICE))
    gone, listed, incomplete, after = [], [], [], ""
    for _ in range(20):
        part = check_archive(ports, after)
        gone += part.gone
        listed += part.listed
        incomplete += part.incomplete
        after = part.more
        if not after:
            break
    assert (gone, listed, incomplete) == ([FOLDER], [f"products/own/{NEXT_SLICE}.zip"], [FOLDER])


def test_forty_that_count_and_uncount_at_once_come_to_the_same_as_a_scan(ports: Ports) -> None:
    upload(ports)
    first = next(all_products(ports))
    many = [first.changed(key=f"{number:010d}-0123456789abcdef", size_bytes=number, etag="") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: put_counted(ports, one), [*many, *many]))
        stored = [one for one in all_products(ports) if one.key.startswith("00000000")]
        assert all(pool.map(lambda one: remove_counted(ports, one), stored[:15]))
    rows = list(all_products(ports))
    summed = list(tallies(ports, "all"))
    assert len(rows) == 27
    assert sum(one.n_products for one in summed) == 27
    assert sum(one.n_bytes for one in summed) == sum(one.size_bytes for one in rows)
    assert timedelta(0) == first.arrived_at.utcoffset()
