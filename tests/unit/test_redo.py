"""Images made with the orbit in their product, and what becomes of them when the precise one is published."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from fakes.crash import Crash, Fuse, fused
from fakes.file_server import FileServer
from fakes.memory_ports import ManualClock, MemoryQueues, MemoryTables, memory_ports
from fakes.products import NEXT_RING, NEXT_SLICE, ROME, S2_RINGS, S2_TILE, put_packed, put_safe
from orthoagent.needs import job_of
from orthocontracts import names
from orthocontracts.buckets import Bucket
from orthocontracts.hosts import Hosts
from orthocontracts.orbits import orbit_of
from orthocontracts.orders import StandingOrder
from orthocontracts.references import path_on_worker
from orthocontracts.states import JobState
from orthofunctions.adapters.servers import Servers
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.redo import DAYS, RedoDayRecord, RedoRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases.asking import Waiting
from orthofunctions.usecases.backfill import back_fill
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.jobs import change_job
from orthofunctions.usecases.orders import add_order, delete_order
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.rebuild import rebuild
from orthofunctions.usecases.redo import redo_with_precise_orbits
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import take_upload

START = datetime(2021, 12, 23, 5, 11, 22, tzinfo=UTC)
KEY = ("AKID", "very/secret+key")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ports(clock: ManualClock) -> Ports:
    return memory_ports(clock)


def order(ports: Ports, order_id: str = "rome", **changes: Any) -> StandingOrder:
    said = {"order_id": order_id, "user": "ana", "created_at": ports.clock.now(), "terrain": {"height_m": 0},
            "grid": {"kind": "mgrs", "tiles": ["33TUG"]}, "orbits": "aux/orbits", "within_s": 3600, "urgent": True,
            "redo_with_precise_orbit": True, **changes}  # fmt: skip
    return add_order(ports, StandingOrder.model_validate(said))


def orbit_name(kind: str = "POEORB", day: float = 0.0, created: str = "20220112T112345", platform: str = "S1B") -> str:
    midnight = START.replace(hour=0, minute=0, second=0) + timedelta(days=day)
    start, stop = midnight - timedelta(seconds=3618), midnight + timedelta(days=1, seconds=3582)
    return f"{platform}_OPER_AUX_{kind}_OPOD_{created}_V{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}.EOF"


def publish(ports: Ports, name: str, folder: str = "orbits") -> str:
    ports.blobs.write("aux", f"{folder}/{name}", name.encode())
    return f"aux/{folder}/{name}"


def arrive(ports: Ports, stem: str = ROME) -> list[JobRecord]:
    put_safe(ports.blobs, stem, *([NEXT_RING] if stem == NEXT_SLICE else []))
    jobs = take_upload(ports, f"{stem}.SAFE/manifest.safe")
    plan_all(ports)
    return jobs


def plan_all(ports: Ports) -> None:
    queues = ports.queues
    while message := queues.receive(names.QUEUE_REQUESTS, 60):  # type: ignore[attr-defined]
        plan_request(ports, read_request(ports, message.body), Limits(), Rules())
        queues.remove(names.QUEUE_REQUESTS, message)  # type: ignore[attr-defined]


def look(ports: Ports) -> int:
    n_asked = redo_with_precise_orbits(ports)
    plan_all(ports)
    return n_asked


def jobs_of(ports: Ports) -> list[JobRecord]:
    return sorted(find(ports.tables, JobRecord), key=lambda one: one.replaces != "")


def orbits_of(ports: Ports, job: JobRecord) -> list[str]:
    made = read_plan(ports, job.job_id)
    assert made is not None
    return [source.ref for source in made.outputs[0].identity.orbits or ()]


def rows(ports: Ports) -> list[Row]:
    return list(ports.tables.query(names.TABLE_REDOS))


class TestOnce:
    @pytest.mark.parametrize("first", [[], ["RESORB"], ["PREORB"]])
    def test_a_scene_is_made_again_when_its_precise_orbit_is_there(self, ports: Ports, first: list[str]) -> None:
        order(ports)
        used = [publish(ports, orbit_name(kind)) for kind in first]
        publish(ports, orbit_name(platform="S1A"))
        publish(ports, orbit_name(day=-3))
        (job,) = arrive(ports)
        assert look(ports) == 0
        publish(ports, orbit_name("RESORB", created="20211224T000000"))
        assert look(ports) == 0, "restituted is no reason"
        precise = publish(ports, orbit_name(), "orbits/2022/01")
        assert look(ports) == 1
        old, new = jobs_of(ports)
        assert (old.job_id, old.order, new.order) == (job.job_id, "rome", "rome")
        assert new.replaces == old.job_id
        assert old.replaces == ""
        assert orbits_of(ports, old) == [ref for ref in used if "RESORB" in ref]
        assert orbits_of(ports, new) == [precise]
        plan = _plan(ports, new)
        assert (plan.request.deadline, plan.request.urgent) == (None, False)
        assert {one.digest for one in plan.outputs}.isdisjoint(one.digest for one in _plan(ports, old).outputs)
        # a better precise one, a look more, the product uploaded again
        publish(ports, orbit_name(created="20230112T112345"))
        assert look(ports) == 0
        arrive(ports)
        assert look(ports) == 0
        assert len(jobs_of(ports)) == 2
        assert rows(ports) == []

    def test_what_is_precise_already_never(self, ports: Ports) -> None:
        order(ports)
        publish(ports, orbit_name())
        (job,) = arrive(ports)
        assert [orbit_of(ref).kind for ref in orbits_of(ports, job)] == ["precise"]  # type: ignore[union-attr]
        assert rows(ports) == []
        publish(ports, orbit_name(created="20230112T112345"))
        assert look(ports) == 0

    def test_only_where_the_order_says_so_and_of_sentinel_1(self, ports: Ports) -> None:
        order(ports, "once", redo_with_precise_orbit=False, orbits=None, grid=None)
        order(ports, "optical", products={"missions": ["sentinel-1", "sentinel-2"]}, grid=None)
        assert len(arrive(ports)) == 2
        put_packed(ports.blobs, S2_TILE, "2", S2_RINGS[S2_TILE])
        assert len(take_upload(ports, f"{S2_TILE}.SAFE/manifest.safe")) == 2
        plan_all(ports)
        publish(ports, orbit_name())
        assert look(ports) == 1
        assert [job.order for job in jobs_of(ports) if job.replaces] == ["optical"]

    def test_of_a_folder_of_the_site(self, ports: Ports) -> None:
        ports.blobs.write("settings", "default_order.json", b'{"orbits": "aux/site/orbits/"}')
        order(ports, orbits=None)
        arrive(ports)
        publish(ports, orbit_name())
        assert look(ports) == 0
        publish(ports, orbit_name(), "site/orbits")
        assert look(ports) == 1

    def test_what_is_followed_up_later_too(self, ports: Ports) -> None:
        arrive(ports)
        mine = order(ports)
        page = back_fill(ports, mine, None, None, "")
        plan_all(ports)
        assert len(page.jobs) == 1
        publish(ports, orbit_name())
        assert look(ports) == 1

    def test_it_does_not_count_by_the_month(self, ports: Ports) -> None:
        order(ports, products_per_month=1)
        assert len(arrive(ports)) == 1
        publish(ports, orbit_name())
        assert look(ports) == 1
        assert arrive(ports, NEXT_SLICE) == []
        assert len(list(ports.tables.query(names.TABLE_ORDERED))) == 1


class TestElsewhere:
    """Folders of orbit files in buckets, of one's own and of stores of the site; what cannot be listed."""

    @pytest.fixture
    def server(self) -> Iterator[FileServer]:
        with FileServer(keys={"eodata": KEY}) as running:
            yield running

    @pytest.fixture
    def far(self, ports: Ports, server: FileServer) -> Ports:
        bucket = Bucket(endpoint=server.address, key_id=KEY[0], secret=SecretStr(KEY[1]))
        hosts = Hosts(internal=(server.host,))
        text = b"""pools: [{name: hpc, kind: onprem, max_slots: 1, local: [blobs, archive]}]
stores: [{name: blobs}, {name: archive, address: "s3://eodata/aux"}]"""
        ports.blobs.write("settings", "pools.yaml", text)
        return replace(ports, remote=Servers(hosts, {"eodata": bucket}))

    @pytest.mark.parametrize(
        ("folder", "store"), [("s3://eodata/aux/AUX_POEORB", "remote"), ("site://archive/AUX_POEORB", "archive")]
    )
    def test_a_look_lists_them_and_a_worker_is_told_where(
        self, far: Ports, server: FileServer, folder: str, store: str
    ) -> None:
        order(far, orbits=folder)
        arrive(far)
        assert look(far) == 0
        name = orbit_name()
        server.files[f"/eodata/aux/AUX_POEORB/2022/01/{name}"] = b"<orbit/>"
        server.files["/eodata/aux/AUX_POEORB/notes.txt"] = b"none"
        assert look(far) == 1
        _, new = jobs_of(far)
        ref = f"{folder}/2022/01/{name}"
        assert orbits_of(far, new) == [ref]
        (task,) = _plan(far, new).tasks
        assert task.elsewhere is not None
        (file,) = task.elsewhere
        assert (file.path, file.url, file.size_bytes) == (path_on_worker(ref), ref, 8)
        assert bool(file.foreign) == (store == "remote")
        assert task.input_bytes_at == {store: 0}
        computed = job_of(task, Path("scratch"), task.outputs)
        assert computed.orbits is not None
        assert (Path("scratch") / "in" / file.path).is_relative_to(computed.orbits)

    def test_of_a_server_that_is_down_later_and_of_other_folders_all_the_same(
        self, far: Ports, server: FileServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orthofunctions.adapters.servers.LONGEST_PAUSE_S", 0.01)
        order(far, "far", orbits="s3://eodata/aux/AUX_POEORB")
        order(far, "near")
        arrive(far)
        publish(far, orbit_name())
        server.files[f"/eodata/aux/AUX_POEORB/{orbit_name()}"] = b"<orbit/>"
        down = replace(far, remote=Servers(Hosts(), {"eodata": Bucket(endpoint="http://127.0.0.1:9")}))
        assert look(down) == 1
        assert look(far) == 1
        assert sorted(str(job.order) for job in jobs_of(far) if job.replaces) == ["far", "near"]

    @pytest.mark.parametrize(
        ("folder", "says"),
        [("{server}/POEORB", "cannot be listed over https"), ("s3://other/x", "ORTHOBURST_PRODUCT_BUCKETS: eodata"),
         ("site://tape/x", "there is no store tape")],
    )  # fmt: skip
    def test_what_cannot_be_looked_into_is_said(self, far: Ports, server: FileServer, folder: str, says: str) -> None:
        order(far, orbits=folder.format(server=server.address))
        (job,) = arrive(far)
        (there,) = jobs_of(far)
        assert there.job_id == job.job_id
        assert says in str(there.fault_message)
        assert rows(far) == []

    def test_one_file_over_https(self, far: Ports, server: FileServer) -> None:
        name = orbit_name()
        server.files[f"/{name}"] = b"<orbit/>"
        order(far, orbits=f"{server.address}/{name}")
        (job,) = arrive(far)
        assert orbits_of(far, job) == [f"{server.address}/{name}"]


class TestNotAnyMore:
    def check_nothing(self, ports: Ports, n_rows: int = 0) -> None:
        before = len(jobs_of(ports))
        publish(ports, orbit_name())
        assert look(ports) == 0
        assert len(jobs_of(ports)) == before
        assert len(rows(ports)) == n_rows

    def test_of_an_order_that_was_taken_back(self, ports: Ports) -> None:
        order(ports)
        arrive(ports)
        delete_order(ports, "ana", "rome")
        self.check_nothing(ports)

    def test_of_another_order_under_its_id(self, ports: Ports, clock: ManualClock) -> None:
        order(ports)
        arrive(ports)
        delete_order(ports, "ana", "rome")
        clock.advance(1)
        order(ports)
        self.check_nothing(ports)

    def test_of_what_was_dismissed(self, ports: Ports) -> None:
        order(ports)
        (job,) = arrive(ports)
        cancel_job(ports, job.user, job.job_id)
        self.check_nothing(ports)

    def test_of_what_failed(self, ports: Ports) -> None:
        order(ports)
        (job,) = arrive(ports)
        there = next(one for one in jobs_of(ports) if one.job_id == job.job_id)
        change_job(ports, there, lambda one: one.changed(final_state=JobState.FAILED.value))
        self.check_nothing(ports)

    def test_of_what_was_never_planned(self, ports: Ports) -> None:
        order(ports, terrain={"dem": "aux/none.tif"})
        arrive(ports)
        assert rows(ports) == []

    def test_of_what_its_user_may_no_longer_have(self, ports: Ports) -> None:
        order(ports)
        arrive(ports)
        text = b"pools: [{name: hpc, kind: onprem, max_slots: 1}]\nrestricted: [{prefix: products/S1B, readers: [bo]}]"
        ports.blobs.write("settings", "pools.yaml", text)
        self.check_nothing(ports)

    def test_for_ever(self, ports: Ports, clock: ManualClock) -> None:
        order(ports)
        arrive(ports)
        clock.advance(91 * 86_400)
        assert look(ports) == 0
        assert rows(ports) == []
        publish(ports, orbit_name())
        assert look(ports) == 0

    def test_a_job_that_expired_meanwhile_is_no_obstacle(self, ports: Ports) -> None:
        order(ports)
        (job,) = arrive(ports)
        ports.tables.delete(JobRecord.TABLE, job.user, job.job_id)
        publish(ports, orbit_name())
        assert look(ports) == 1


class TestLost:
    """The table is; plans are not."""

    def lose(self, ports: Ports) -> None:
        for row in rows(ports):
            ports.tables.delete(names.TABLE_REDOS, row.partition, row.key)

    def test_what_waits_is_noted_again(self, ports: Ports) -> None:
        order(ports)
        arrive(ports)
        before = [(row.partition, row.key) for row in rows(ports)]
        assert rebuild(ports, Rules()).n_rows == 0
        self.lose(ports)
        assert rebuild(ports, Rules()).n_rows == 1
        assert [(row.partition, row.key) for row in rows(ports)] == before
        publish(ports, orbit_name())
        assert look(ports) == 1

    def test_what_was_made_again_is_not_made_once_more(self, ports: Ports) -> None:
        order(ports)
        arrive(ports)
        publish(ports, orbit_name())
        assert look(ports) == 1
        assert rebuild(ports, Rules()).n_rows == 0
        assert look(ports) == 0

    def test_nor_what_nobody_wants(self, ports: Ports) -> None:
        order(ports)
        arrive(ports)
        delete_order(ports, "ana", "rome")
        self.lose(ports)
        assert rebuild(ports, Rules()).n_rows == 0
        assert rows(ports) == []


class TestSeams:
    """Tiles that lie across the cut between two slices, made of both."""

    BOUNDARY = "20211222T225942_20211223T051340"
    """Of the first slice and the seconds around it that a file must have, not of the second."""

    def seam(self, ports: Ports) -> JobRecord:
        order(ports, grid=None)
        arrive(ports)
        arrive(ports, NEXT_SLICE)
        (both,) = [job for job in jobs_of(ports) if len(_plan(ports, job).request.products) == 2]
        return both

    def test_is_made_again_of_both(self, ports: Ports) -> None:
        both = self.seam(ports)
        asked = {job.job_id for job in jobs_of(ports)}
        assert len(asked) == 3
        precise = publish(ports, orbit_name())
        assert look(ports) == 3
        first = _plan(ports, both).request
        (again,) = [job for job in jobs_of(ports) if job.replaces == both.job_id]
        request = _plan(ports, again).request
        assert (request.products, request.grid) == (first.products, first.grid)
        assert orbits_of(ports, again) == [precise]
        assert again.order == "rome"
        tiles = {one.identity.grid.tile for one in _plan(ports, again).outputs}
        assert tiles == {one.identity.grid.tile for one in _plan(ports, both).outputs} != set()
        assert {job.replaces for job in jobs_of(ports) if job.job_id not in asked} == asked
        assert rows(ports) == []

    def test_waits_for_a_file_that_is_of_both(self, ports: Ports) -> None:
        both = self.seam(ports)
        publish(ports, f"S1B_OPER_AUX_POEORB_OPOD_20220112T112345_V{self.BOUNDARY}.EOF")
        assert look(ports) == 1
        assert not any(job.replaces == both.job_id for job in jobs_of(ports))
        publish(ports, orbit_name())
        assert look(ports) == 2
        assert any(job.replaces == both.job_id for job in jobs_of(ports))
        assert look(ports) == 0

    @pytest.mark.parametrize("fails", [False, True])
    def test_what_was_made_of_one_slice_first_is_made_again_of_both_only(
        self, ports: Ports, clock: ManualClock, fails: bool
    ) -> None:
        order(ports, grid=None, within_s=None)
        put_safe(ports.blobs)
        seen_at = clock.now()
        for wait_s in (0, 3600, 0):
            clock.advance(wait_s)
            take_upload(ports, f"{ROME}.SAFE/manifest.safe", Waiting(3600, seen_at))
        plan_all(ports)
        put_safe(ports.blobs, NEXT_SLICE, NEXT_RING)
        take_upload(ports, f"{NEXT_SLICE}.SAFE/manifest.safe", Waiting(3600, clock.now()))
        plan_all(ports)
        asked = jobs_of(ports)
        (both,) = [job for job in asked if job.replaces]
        if fails:
            change_job(ports, both, lambda one: one.changed(final_state=JobState.FAILED.value))
        publish(ports, orbit_name())
        assert look(ports) == len(asked) - 1
        again = {job.replaces for job in jobs_of(ports) if job.job_id not in {one.job_id for one in asked}}
        assert (both.job_id in again) is not fails
        assert (both.replaces in again) is fails
        assert rows(ports) == []

    def test_killed_anywhere_none_is_forgotten(self) -> None:
        for at in range(60):
            ports = memory_ports()
            both = self.seam(ports)
            publish(ports, orbit_name())
            if _killed(redo_with_precise_orbits, ports, at):
                redo_with_precise_orbits(ports)
            plan_all(ports)
            redone = [job.replaces for job in jobs_of(ports) if job.request_id.startswith("p")]
            assert (at, len(redone), len(set(redone)), both.job_id in redone) == (at, 3, 3, True)
            if not _blown:
                break
        assert at > 3


class TestKilled:
    """At every write, and repeated as its trigger repeats it."""

    def test_between_the_plan_and_the_note(self) -> None:
        for at in range(60):
            ports = memory_ports()
            order(ports)
            put_safe(ports.blobs)
            take_upload(ports, f"{ROME}.SAFE/manifest.safe")
            if _killed(plan_all, ports, at):
                _redeliver(ports)
                plan_all(ports)
            publish(ports, orbit_name())
            assert (at, look(ports)) == (at, 1)
            assert len(jobs_of(ports)) == 2
            if not _blown:
                break
        assert at > 5

    @pytest.mark.parametrize("another", [False, True])
    def test_between_asking_and_forgetting(self, another: bool) -> None:
        for at in range(60):
            ports = memory_ports()
            order(ports)
            arrive(ports)
            publish(ports, orbit_name())
            if _killed(redo_with_precise_orbits, ports, at):
                if another:  # a precise orbit that is better still comes just then
                    publish(ports, orbit_name(created="20230112T112345"))
                redo_with_precise_orbits(ports)
                redo_with_precise_orbits(ports)
            plan_all(ports)
            old, new = jobs_of(ports)
            assert new.replaces == old.job_id
            assert new.n_outputs == 1
            assert rows(ports) == []
            if not _blown:
                break
        assert at > 3

    def test_what_is_noted_while_its_day_is_tidied_away_is_not_forgotten(self) -> None:
        for at in range(60):
            ports = memory_ports()
            order(ports)
            arrive(ports)
            publish(ports, orbit_name())
            fuse = Fuse(at, meanwhile=lambda ports=ports: _note_another(ports))  # type: ignore[misc]
            redo_with_precise_orbits(fused(ports, fuse))
            redo_with_precise_orbits(ports)
            assert [row for row in rows(ports) if row.partition != DAYS] == []
            assert sum(job.replaces != "" for job in jobs_of(ports)) == (2 if fuse.blown else 1)
            if not fuse.blown:
                break
        assert at > 3

    def test_a_planner_held_up_while_its_day_is_tidied_away_notes_it_all_the_same(self) -> None:
        for at in range(60):
            ports = memory_ports()
            order(ports)
            arrive(ports)
            put_safe(ports.blobs, f"{ROME[:-4]}AB13")
            take_upload(ports, f"{ROME[:-4]}AB13.SAFE/manifest.safe")

            def tidied_away(ports: Ports = ports) -> None:
                publish(ports, orbit_name())
                redo_with_precise_orbits(ports)

            fuse = Fuse(at, meanwhile=tidied_away)
            plan_all(fused(ports, fuse))
            publish(ports, orbit_name())
            redo_with_precise_orbits(ports)
            assert rows(ports) == []
            plan_all(ports)
            jobs = jobs_of(ports)
            precise = [job for job in jobs if "POEORB" in "".join(orbits_of(ports, job))]
            assert {job.replaces or job.job_id for job in precise} == {job.job_id for job in jobs if not job.replaces}
            if not fuse.blown:
                break
        assert at > 5


class CountedTables(MemoryTables):
    n_rows = 0

    def query(self, table: str, **how: Any) -> Any:
        for row in super().query(table, **how):
            self.n_rows += table == names.TABLE_REDOS
            yield row


def test_a_look_reads_only_what_may_be_due() -> None:
    """Twenty days of 500 products a day wait: without an orbit nothing of them is read, with one that one's day."""
    ports, tables = memory_ports(), CountedTables()
    ports = Ports(ports.blobs, ports.queues, tables, ports.links, ports.bell, ports.clock)
    mine = order(ports)
    for day in range(20):
        for number in range(500):
            start = START.replace(hour=0, minute=0, second=0) + timedelta(days=day, seconds=172 * number)
            _note(ports, mine, start, number)
    publish(ports, orbit_name("RESORB", day=3))
    assert redo_with_precise_orbits(ports) == 0
    assert tables.n_rows == 20
    tables.n_rows = 0
    publish(ports, orbit_name(day=3))
    assert 500 <= redo_with_precise_orbits(ports) <= 545  # and of both its neighbours' hour
    assert tables.n_rows < 20 + 560
    tables.n_rows = 0
    assert redo_with_precise_orbits(ports) == 0
    assert tables.n_rows < 30


def test_a_look_ends_in_time_and_the_next_goes_on(clock: ManualClock) -> None:
    ports = memory_ports(clock)
    mine = order(ports)
    for number in range(250):
        _note(ports, mine, START + timedelta(seconds=number), number)
    publish(ports, orbit_name())
    queues = ports.queues
    assert isinstance(queues, MemoryQueues)
    send = queues.send

    def slowly(queue: str, body: str, *, visible_in_s: float = 0) -> None:
        clock.advance(3)
        send(queue, body, visible_in_s=visible_in_s)

    queues.send = slowly  # type: ignore[method-assign]
    assert [redo_with_precise_orbits(ports) for _ in range(4)] == [100, 100, 50, 0]


def _note(ports: Ports, mine: StandingOrder, start: datetime, number: int) -> None:
    day = f"folder|S1B|{start:%Y-%m-%d}"
    midnight = start.replace(hour=0, minute=0, second=0)
    row = RedoRecord(
        day=day, key=f"{start:%H%M%S}-{number:05d}", user=mine.user, order_id=mine.order_id,
        order_created_at=mine.created_at, request_id=f"o{start:%Y%m%d}-{number}", job_id=f"j{number}",
        refs=json.dumps([f"products/{ROME}.SAFE"]), platform="S1B", start=start, stop=start + timedelta(seconds=25),
    )  # fmt: skip
    ports.tables.put(RedoRecord.TABLE, row.to_row())
    noted = RedoDayRecord(day=day, folder="aux/orbits", platform="S1B", date=midnight, noted_at=ports.clock.now())
    ports.tables.put(RedoDayRecord.TABLE, noted.to_row())


def _note_another(ports: Ports) -> None:
    """Of the same day, planned before the precise orbit came."""
    there = publish(ports, orbit_name()).removeprefix("aux/")
    ports.blobs.delete("aux", there)
    arrive(ports, f"{ROME[:-4]}AB13")
    publish(ports, orbit_name())


_blown: list[int] = []


def _killed(work: Callable[[Ports], object], ports: Ports, at: int) -> bool:
    _blown.clear()
    try:
        work(fused(ports, Fuse(at)))
    except (Crash, BaseExceptionGroup):
        _blown.append(at)
        return True
    return False


def _redeliver(ports: Ports) -> None:
    clock = ports.clock
    assert isinstance(clock, ManualClock)
    clock.advance(61)


def _plan(ports: Ports, job: JobRecord) -> Plan:
    made = read_plan(ports, job.job_id)
    assert made is not None
    return made
