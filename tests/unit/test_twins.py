"""A product that is announced in an archive and uploaded too: one job for each order, unless they are not the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from fakes.crash import Crash, Fuse, fused
from fakes.file_server import FileServer
from fakes.memory_ports import ManualClock, MemoryQueues, memory_ports
from fakes.products import (
    NEXT_RING,
    NEXT_SLICE,
    ROME,
    ROME_RING,
    S2_RINGS,
    S2_TILE,
    manifest,
    manifest_of,
    members,
    packed,
    put_packed,
    put_safe,
)
from orthocontracts import names
from orthocontracts.buckets import Bucket
from orthocontracts.hosts import Hosts
from orthocontracts.orders import StandingOrder
from orthocontracts.wire import read_message
from orthofunctions.adapters.servers import Servers
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.footprints import tiles_called_for
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.announced import take_announced
from orthofunctions.usecases.asking import Waiting
from orthofunctions.usecases.backfill import back_fill
from orthofunctions.usecases.orders import add_order, orders_of
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.plans import StoredPlan
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import LOOK_AGAIN_S, UNREAD_TWINS, LookAgain, take_upload

KEY = ("AKID", "very/secret+key")
FOLDER = f"Sentinel-2/MSI/L1C/2023/06/05/{S2_TILE}.SAFE"
WAIT_S = 3600.0
RING = S2_RINGS[S2_TILE]


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with FileServer(keys={"eodata": KEY}) as running:
        folder, files = packed(S2_TILE, "2")
        for path, data in {**files, "manifest.safe": manifest_of(files, RING, "2")}.items():
            running.files[f"/eodata/{FOLDER.removesuffix(folder)}{folder}/{path}"] = data
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ports(server: FileServer, clock: ManualClock) -> Ports:
    bucket = Bucket(endpoint=server.address, key_id=KEY[0], secret=SecretStr(KEY[1]))
    ports = replace(memory_ports(clock), remote=Servers(Hosts(), {"eodata": bucket}))
    for number in range(2):
        order(ports, f"order-{number}")
    return ports


def order(ports: Ports, order_id: str, **changes: Any) -> StandingOrder:
    said = {"order_id": order_id, "user": "ana", "created_at": ports.clock.now(), **changes}
    return add_order(ports, StandingOrder.model_validate(said))


def announce(ports: Ports, ref: str = f"s3://eodata/{FOLDER}") -> list[JobRecord]:
    told = {"catalogue": "cdse", "id": "1", "name": S2_TILE, "ref": ref, "footprint_lonlat": RING,
            "start": ports.clock.now(), "published_at": ports.clock.now()}  # fmt: skip
    return take_announced(ports, Announced.model_validate(told))


def upload(ports: Ports, *, zip_it: bool = False, **changes: Any) -> list[JobRecord]:
    ref = put_packed(ports.blobs, S2_TILE, "2", RING, zip_it=zip_it, **changes)
    blob = ref.removeprefix("products/")
    return take_upload(ports, blob if zip_it else f"{blob}/manifest.safe")


def work_off(ports: Ports, seconds: float = LOOK_AGAIN_S) -> None:
    assert isinstance(ports.clock, ManualClock)
    ports.clock.advance(seconds)
    for body in ports.queues.drain(names.QUEUE_UPLOADS, 1000):
        take_upload(ports, read_message(LookAgain, body).blob)
    for body in ports.queues.drain(names.QUEUE_REQUESTS, 1000):
        plan_request(ports, read_request(ports, body), Limits(), Rules())


def jobs(ports: Ports) -> list[JobRecord]:
    return list(find(ports.tables, JobRecord))


@pytest.mark.parametrize("zip_it", [False, True])
def test_what_was_announced_is_not_asked_for_again_when_it_is_uploaded(ports: Ports, zip_it: bool) -> None:
    announced = announce(ports)
    assert len(announced) == 2
    work_off(ports)
    assert [job.fault_message for job in jobs(ports)] == [None, None]
    uploaded = upload(ports, zip_it=zip_it)
    assert [job.job_id for job in uploaded] == [job.job_id for job in announced]
    work_off(ports)
    assert len(jobs(ports)) == 2
    assert [job.job_id for job in announce(ports)] == [job.job_id for job in announced]
    assert len(jobs(ports)) == 2


def test_what_is_planned_only_now_is_waited_for(ports: Ports) -> None:
    announce(ports)
    assert upload(ports) == []
    assert len(jobs(ports)) == 2
    work_off(ports)  # looks again, and only then plans
    assert len(jobs(ports)) == 2
    work_off(ports)
    work_off(ports)
    assert len(jobs(ports)) == 2
    assert ports.queues.length(names.QUEUE_UPLOADS) == 0


def test_but_not_for_ever(ports: Ports, clock: ManualClock) -> None:
    announce(ports)
    ports.queues.drain(names.QUEUE_REQUESTS, 1000)  # nobody plans
    assert upload(ports) == []
    work_off(ports, UNREAD_TWINS / timedelta(seconds=1))
    assert len(jobs(ports)) == 4


def test_what_holds_something_else_is_asked_for(ports: Ports) -> None:
    announce(ports)
    work_off(ports)
    path = next(path for path in packed(S2_TILE, "2")[1] if path.endswith("B04.jp2") and "IMG_DATA" in path)
    again = upload(ports, members={path: b"processed anew"})
    assert len(again) == 2
    work_off(ports)
    assert len(jobs(ports)) == 4
    assert len(upload(ports, members={path: b"processed anew"})) == 2
    assert len(jobs(ports)) == 4


def test_what_could_not_be_read_where_it_was_announced_is_asked_for(ports: Ports) -> None:
    assert len(announce(ports, f"s3://eodata/elsewhere/{S2_TILE}.SAFE")) == 2
    work_off(ports)
    assert {job.fault_kind for job in jobs(ports)} == {"ProductMissing"}
    assert len(upload(ports)) == 2
    work_off(ports)
    assert sorted(str(job.fault_kind) for job in jobs(ports)) == ["None", "None", "ProductMissing", "ProductMissing"]


def test_an_order_that_is_newer_than_the_announcement_asks_for_the_upload(ports: Ports) -> None:
    announce(ports)
    work_off(ports)
    order(ports, "newer")
    assert upload(ports) == []
    work_off(ports, UNREAD_TWINS / timedelta(seconds=1))
    assert len(jobs(ports)) == 3
    assert ports.queues.length(names.QUEUE_UPLOADS) == 0


def test_the_sites_default_makes_nothing_beside_it(ports: Ports) -> None:
    ports.blobs.write("settings", "default_order.json", b'{"sentinel2": {}}')
    announce(ports)
    work_off(ports)
    upload(ports)
    work_off(ports)
    assert {job.source for job in jobs(ports)} == {"order"}


def test_a_back_fill_asks_for_each_once_too(ports: Ports) -> None:
    announce(ports)
    work_off(ports)
    upload(ports)
    order(ports, "late")
    for mine in orders_of(ports, "ana"):
        for _ in range(2):
            back_fill(ports, mine, None, None, "")
            work_off(ports)
    assert len(jobs(ports)) == 3


def test_a_back_fill_over_what_was_announced_finds_its_job(ports: Ports) -> None:
    (one, _) = announce(ports)
    work_off(ports)
    (mine, _) = orders_of(ports, "ana")
    page = back_fill(ports, mine, None, None, "")
    assert [job.job_id for job in page.jobs] == [one.job_id]


def test_announced_and_uploaded_at_the_same_moment_and_killed_anywhere(server: FileServer) -> None:
    """Whichever of both is held up at any of its writes while the other goes on: one job, and never none."""
    for first, second in ((announce, upload), (upload, announce)):
        for at in range(60):
            bucket = Bucket(endpoint=server.address, key_id=KEY[0], secret=SecretStr(KEY[1]))
            ports = replace(memory_ports(), remote=Servers(Hosts(), {"eodata": bucket}))
            order(ports, "one")
            if first is upload:
                put_packed(ports.blobs, S2_TILE, "2", RING)  # the fuse is for what the function writes
            fuse = Fuse(at, meanwhile=lambda ports=ports, second=second: second(ports))  # type: ignore[misc]
            doomed = fused(ports, fuse)
            if first is upload:
                take_upload(doomed, f"{S2_TILE}.SAFE/manifest.safe")
            else:
                announce(doomed)
            for _ in range(8):
                work_off(ports)
            assert (first.__name__, at, len(jobs(ports))) == (first.__name__, at, 1)
            assert isinstance(ports.queues, MemoryQueues)
            assert not ports.queues.bodies(names.QUEUE_UPLOADS)
            if not fuse.blown:
                break
        assert at > 3


def test_killed_anywhere_and_repeated(server: FileServer) -> None:
    for at in range(60):
        bucket = Bucket(endpoint=server.address, key_id=KEY[0], secret=SecretStr(KEY[1]))
        ports = replace(memory_ports(), remote=Servers(Hosts(), {"eodata": bucket}))
        order(ports, "one")
        is_dead = False
        try:
            announce(fused(ports, Fuse(at)))
        except Crash:
            is_dead = True
            upload(ports)
            announce(ports)
        else:
            upload(ports)
        for _ in range(8):
            work_off(ports)
        assert (at, len(jobs(ports))) == (at, 1)
        if not is_dead:
            break
    assert at > 2


class TestSlices:
    """Of Sentinel-1: several jobs for each order, those of its seams among them."""

    STEMS: ClassVar = {ROME: ROME_RING, NEXT_SLICE: NEXT_RING}

    @pytest.fixture
    def ports(self, clock: ManualClock) -> Iterator[Ports]:
        with FileServer(keys={"eodata": KEY}) as running:
            for stem, ring in self.STEMS.items():
                files = members(stem)
                for path, data in {**files, "manifest.safe": manifest(files, ring, stem=stem)}.items():
                    running.files[f"/eodata/{stem}.SAFE/{path}"] = data
            bucket = Bucket(endpoint=running.address, key_id=KEY[0], secret=SecretStr(KEY[1]))
            ports = replace(memory_ports(clock), remote=Servers(Hosts(), {"eodata": bucket}))
            order(ports, "one", terrain={"height_m": 0}, products_per_month=2)
            yield ports

    def announce(self, ports: Ports, stem: str) -> None:
        times = [datetime.strptime(text + "Z", "%Y%m%dT%H%M%S%z") for text in stem.split("_")[4:6]]
        told = Announced(
            catalogue="cdse", id=stem, name=stem, ref=f"s3://eodata/{stem}.SAFE", footprint_lonlat=self.STEMS[stem],
            start=times[0], stop=times[1], published_at=ports.clock.now(),
        )  # fmt: skip
        take_announced(ports, told, WAIT_S)

    def upload(self, ports: Ports, stem: str) -> list[JobRecord]:
        put_safe(ports.blobs, stem, self.STEMS[stem])
        return take_upload(ports, f"{stem}.SAFE/manifest.safe", Waiting(WAIT_S))

    def work_off(self, ports: Ports, seconds: float = 0.0) -> None:
        for _ in range(max(1, round(seconds / LOOK_AGAIN_S))):
            assert isinstance(ports.clock, ManualClock)
            ports.clock.advance(min(seconds, LOOK_AGAIN_S))
            queues = ports.queues
            assert isinstance(queues, MemoryQueues)
            while (message := queues.receive(names.QUEUE_UPLOADS, 60)) is not None:
                again = read_message(LookAgain, message.body)
                take_upload(ports, again.blob, Waiting(WAIT_S, again.seen_at))
                queues.remove(names.QUEUE_UPLOADS, message)
            while (message := queues.receive(names.QUEUE_ANNOUNCED, 60)) is not None:
                take_announced(ports, read_message(Announced, message.body), WAIT_S)
                queues.remove(names.QUEUE_ANNOUNCED, message)
            for body in queues.drain(names.QUEUE_REQUESTS, 1000):
                plan_request(ports, read_request(ports, body), Limits(), Rules())

    def refs(self, ports: Ports) -> list[tuple[str, ...]]:
        plans = [StoredPlan.read(ports, job.job_id).plan for job in jobs(ports)]
        return sorted(plan.request.products for plan in plans)

    def images(self, ports: Ports) -> set[str | None]:
        plans = [StoredPlan.read(ports, job.job_id).plan for job in jobs(ports)]
        return {output.identity.grid.tile for plan in plans for output in plan.outputs}

    @pytest.mark.parametrize("order_of", [(ROME, NEXT_SLICE), (NEXT_SLICE, ROME)])
    def test_announced_and_then_uploaded_are_the_same_jobs(self, ports: Ports, order_of: tuple[str, str]) -> None:
        for stem in self.STEMS:
            self.announce(ports, stem)
        self.work_off(ports)
        for stem in order_of:
            assert self.upload(ports, stem) != []
            self.work_off(ports)
        self.work_off(ports, 2 * WAIT_S)
        assert all(ref.startswith("s3://") for refs in self.refs(ports) for ref in refs)
        assert sum(len(refs) == 2 for refs in self.refs(ports)) == 1
        assert self.images(ports) == tiles_called_for(ROME_RING) | tiles_called_for(NEXT_RING)
        assert ports.queues.length(names.QUEUE_UPLOADS) == ports.queues.length(names.QUEUE_ANNOUNCED) == 0

    def test_each_uploaded_as_it_is_announced(self, ports: Ports) -> None:
        """The seam is asked for by the later announcement, though both lie in the store when it waits."""
        for stem in self.STEMS:
            self.announce(ports, stem)
            self.work_off(ports)
            self.upload(ports, stem)
            self.work_off(ports)
        self.work_off(ports, 2 * WAIT_S)
        assert self.images(ports) == tiles_called_for(ROME_RING) | tiles_called_for(NEXT_RING)
        assert all(ref.startswith("s3://") for refs in self.refs(ports) for ref in refs)

    def test_an_uploaded_neighbour_that_nobody_announced_has_the_seam_made_again(self, ports: Ports) -> None:
        self.announce(ports, ROME)
        self.work_off(ports, WAIT_S + 60)
        alone = {job.job_id: job for job in jobs(ports)}
        assert len(alone) == 3
        self.upload(ports, ROME)
        self.work_off(ports)
        assert len(jobs(ports)) == 3
        self.upload(ports, NEXT_SLICE)
        self.work_off(ports)
        (both,) = [job for job in jobs(ports) if job.replaces]
        plan = StoredPlan.read(ports, both.job_id).plan
        assert plan.request.products == tuple(sorted(f"products/{stem}.SAFE" for stem in self.STEMS))
        (replaced,) = plan.request.replaces
        before = StoredPlan.read(ports, alone[replaced].job_id).plan
        tiles = {output.identity.grid.tile for output in plan.outputs}
        assert {output.identity.grid.tile for output in before.outputs} <= tiles
        assert sum(("products" in refs[0], len(refs)) == (True, 1) for refs in self.refs(ports)) == 1

    def test_killed_anywhere_and_repeated(self, clock: ManualClock, ports: Ports) -> None:
        for at in range(80):
            mine = replace(memory_ports(clock), remote=ports.remote)
            order(mine, "one", terrain={"height_m": 0})
            try:
                self.announce(fused(mine, Fuse(at)), ROME)
                is_dead = False
            except Crash:
                is_dead = True
                self.upload(mine, ROME)
                self.announce(mine, ROME)
            else:
                self.upload(mine, ROME)
            self.work_off(mine, WAIT_S + 300)
            assert (at, self.images(mine)) == (at, tiles_called_for(ROME_RING))
            assert (at, len(set(self.refs(mine)))) == (at, 1)
            if not is_dead:
                break
        assert at > 3
