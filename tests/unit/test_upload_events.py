"""Events of an upload, as Event Grid delivers them: more than once, in any order, some before what they are about."""

from __future__ import annotations

import itertools
import json

import pytest

from fakes.memory_ports import ManualClock, MemoryQueues, memory_ports
from fakes.products import ROME, manifest, members
from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthocontracts.wire import read_message
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.inventory import all_products
from orthofunctions.usecases.orders import add_order
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import LOOK_AGAIN_S, STILL_COMING, LookAgain, take_upload

MANIFEST = f"{ROME}.SAFE/manifest.safe"
PARTS = {f"{ROME}.SAFE/{path}": data for path, data in members(ROME).items()} | {MANIFEST: manifest(members(ROME))}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ports(clock: ManualClock) -> Ports:
    ports = memory_ports(clock)
    order = {"user": "archive", "sentinel1": {"grid": {"kind": "mgrs", "tiles": ["33TUG"]}}, "terrain": {"height_m": 0}}
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(order).encode())
    return ports


def work_off(ports: Ports, clock: ManualClock, seconds: float = 0, times: int = 2) -> None:
    """What the queues' triggers do meanwhile: looking again, and planning, each message so many times."""
    clock.advance(seconds)
    for body in ports.queues.drain(names.QUEUE_UPLOADS, 1000):
        for _ in range(times):
            take_upload(ports, read_message(LookAgain, body).blob)
    for body in ports.queues.drain(names.QUEUE_REQUESTS, 1000):
        for _ in range(times):
            plan_request(ports, read_request(ports, body), Limits(), Rules())


def jobs(ports: Ports) -> list[JobRecord]:
    return list(find(ports.tables, JobRecord))


@pytest.mark.parametrize("order", list(itertools.permutations(PARTS)), ids=lambda order: str(order.index(MANIFEST)))
@pytest.mark.parametrize("is_standing", [False, True])
def test_parts_in_any_order_with_every_event_twice_are_one_job(
    ports: Ports, clock: ManualClock, order: tuple[str, ...], is_standing: bool
) -> None:
    if is_standing:
        document = {"order_id": "o", "user": "ana", "created_at": clock.now(), "terrain": {"height_m": 0}}
        add_order(ports, StandingOrder.model_validate(document))
    for part in order:
        ports.blobs.write(names.CONTAINER_PRODUCTS, part, PARTS[part])
        for _ in range(2):
            take_upload(ports, part)
        work_off(ports, clock, 20)
    for _ in range(3):
        work_off(ports, clock, LOOK_AGAIN_S)
    (job,) = jobs(ports)
    assert (job.user, job.fault_kind, job.planned) == ("ana" if is_standing else "archive", None, True)
    assert len(list(all_products(ports))) == 1
    assert isinstance(ports.queues, MemoryQueues)
    assert not ports.queues.bodies(names.QUEUE_UPLOADS)


@pytest.mark.parametrize("order", list(itertools.permutations(PARTS)), ids=lambda order: str(order.index(MANIFEST)))
def test_events_in_any_order_long_after_the_upload_are_one_job(
    ports: Ports, clock: ManualClock, order: tuple[str, ...]
) -> None:
    for part, data in PARTS.items():
        ports.blobs.write(names.CONTAINER_PRODUCTS, part, data)
    clock.advance(86_400)
    for part in [*order, *order]:
        take_upload(ports, part)
        work_off(ports, clock)
    (job,) = jobs(ports)
    assert job.fault_kind is None


@pytest.mark.parametrize("lacking", ["measurement", "half", "manifest"])
def test_what_stays_broken_is_told_once(ports: Ports, clock: ManualClock, lacking: str) -> None:
    for part, data in PARTS.items():
        if lacking == "half" and "measurement" in part:
            data = data[:-1]  # noqa: PLW2901
        if lacking == "manifest" and part == MANIFEST:
            data = b"<nothing/>"  # noqa: PLW2901
        if lacking != "measurement" or "measurement" not in part:
            ports.blobs.write(names.CONTAINER_PRODUCTS, part, data)
        take_upload(ports, part)
    n_looks = int(STILL_COMING.total_seconds() / LOOK_AGAIN_S) + 2
    for n in range(n_looks):
        assert not jobs(ports) or n * LOOK_AGAIN_S >= STILL_COMING.total_seconds()
        work_off(ports, clock, LOOK_AGAIN_S, times=1)
    (job,) = jobs(ports)
    assert job.fault_kind == "BrokenProduct"
    for _ in range(3):
        take_upload(ports, MANIFEST)
        work_off(ports, clock, LOOK_AGAIN_S)
    assert len(jobs(ports)) == 1


def test_what_is_broken_and_covered_by_no_order_is_kept_for_operators_once(ports: Ports, clock: ManualClock) -> None:
    ports.blobs.delete(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER)
    archive = f"{ROME}.zip"
    ports.blobs.write(names.CONTAINER_PRODUCTS, archive, b"no zip")
    for _ in range(3):
        take_upload(ports, archive)
        work_off(ports, clock, LOOK_AGAIN_S)
    (kept,) = ports.blobs.list(names.CONTAINER_CONTROL, "poison/")
    said = json.loads(ports.blobs.read(kept.container, kept.name))
    assert said["why"].startswith(f"BrokenProduct: products/{ROME}.zip")
    assert read_message(LookAgain, said["body"]).blob == archive
    assert not jobs(ports)


def test_a_product_that_is_deleted_while_it_is_waited_for_is_no_job(ports: Ports, clock: ManualClock) -> None:
    ports.blobs.write(names.CONTAINER_PRODUCTS, MANIFEST, PARTS[MANIFEST])
    take_upload(ports, MANIFEST)
    ports.blobs.delete(names.CONTAINER_PRODUCTS, MANIFEST)
    for _ in range(20):
        work_off(ports, clock, LOOK_AGAIN_S)
    assert not jobs(ports)
