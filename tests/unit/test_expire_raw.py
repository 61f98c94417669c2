"""Uploaded products expire once nobody needs them, whoever comes or dies meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, memory_ports
from fakes.products import NEXT_SLICE, ROME, affine_rpc, put_safe, rpc_text, rpc_tiff, safe_zip
from orthocontracts import names
from orthocontracts.requests import Request
from orthocontracts.states import JobState, OutputState, TaskState
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.raw_rules import ArchiveFileError, parse_raw_rules
from orthofunctions.domain.records import (
    ArchiveRecord,
    InventoryRecord,
    JobRecord,
    NeedRecord,
    OutputRecord,
    RawState,
    TaskRecord,
)
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import BlobFacts, Ports
from orthofunctions.usecases import expire_raw
from orthofunctions.usecases.archive import keep_product, release_product
from orthofunctions.usecases.backup import back_up
from orthofunctions.usecases.check_archive import check_archive
from orthofunctions.usecases.deletions import finish_all
from orthofunctions.usecases.expire import expire_job
from orthofunctions.usecases.expire_raw import Waits, expire_product, expire_products, read_rules
from orthofunctions.usecases.inventory import all_products
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.raw_state import state_of
from orthofunctions.usecases.rebuild import rebuild
from orthofunctions.usecases.rows import find, load, swap
from orthofunctions.usecases.submit import read_request, submit
from orthofunctions.usecases.tallies import tallies
from orthofunctions.usecases.upload import take_upload

DAY_S = 86_400.0
MANIFEST = f"{ROME}.SAFE/manifest.safe"
REF = f"products/{ROME}.SAFE"


@dataclass
class Archive:
    """A site that keeps products for three days, and one that is old and was asked for."""

    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.ports = memory_ports(self.clock)
        self.rule(days=3)
        self.upload()

    def rule(self, **rule: object) -> None:
        text = json.dumps({"raw": [rule]}).encode()
        self.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_ARCHIVE, text)

    def upload(self, ports: Ports | None = None) -> None:
        ports = ports or self.ports
        put_safe(ports.blobs, ROME)
        take_upload(ports, MANIFEST)

    def ask(self, request_id: str = "one", ports: Ports | None = None) -> JobRecord:
        """Submit a request for it and plan it."""
        ports = ports or self.ports
        request = Request.model_validate(
            {
                "request_id": request_id,
                "products": [REF],
                "grid": {"kind": "mgrs", "tiles": ["33TUG"]},
                "terrain": {"height_m": 0},
            }
        )
        submit(ports, request, "http")
        return self.plan(ports)

    def plan(self, ports: Ports | None = None) -> JobRecord:
        ports = ports or self.ports
        (body,) = ports.queues.drain(names.QUEUE_REQUESTS, 10)
        return plan_request(ports, read_request(ports, body), Limits(), Rules())

    def end(self, job: JobRecord) -> None:
        """As if its tasks had run."""
        tables = self.ports.tables
        for task in find(tables, TaskRecord, partition=job.job_id):
            swap(tables, task.changed(state=TaskState.CANCELLED, ended_at=self.clock.now()))
        for output in find(tables, OutputRecord, partition=job.job_id):
            swap(tables, output.changed(state=OutputState.CANCELLED))
        there = find_job(self.ports, job.user, job.job_id)
        assert there is not None
        swap(tables, there.changed(final_state=str(JobState.FAILED), ended_at=self.clock.now(), settled=True))

    def asked_long_ago(self) -> None:
        self.end(self.ask())
        self.clock.advance(4 * DAY_S)

    def listed(self) -> InventoryRecord:
        (one,) = all_products(self.ports)
        return one

    def expire(self, ports: Ports | None = None) -> Waits | None:
        ports = ports or self.ports
        found = list(all_products(self.ports))
        return expire_product(ports, read_rules(ports), found[0]) if found else None

    def blobs(self) -> list[BlobFacts]:
        return list(self.ports.blobs.list(names.CONTAINER_PRODUCTS))

    def state(self) -> ArchiveRecord:
        found = state_of(self.ports, REF)
        assert found is not None
        return found

    def check(self) -> bool:
        """Nobody ever sees half a product, and the inventory says what there is. Whether it is there."""
        there = self.blobs()
        by_cell: dict[str, set[str]] = {}
        for row in self.ports.tables.query(InventoryRecord.TABLE):
            if row.key < ":":
                by_cell.setdefault(row.partition, set()).add(row.key)
        if there:
            assert len(there) == 4
            assert MANIFEST in {one.name for one in there}
            assert self.state().state is RawState.HERE
            assert {"gone"} ^ by_cell.keys() > {"all", "gone"}, "listed under its cells, and not among the gone"
        else:
            assert (self.state().state, by_cell.keys()) == (RawState.GONE, {"gone"})
        for cell in ("all", "gone"):
            rows = list(all_products(self.ports, cell))
            counted = list(tallies(self.ports, cell))
            assert sum(one.n_products for one in counted) == len(rows)
            assert sum(one.n_bytes for one in counted) == sum(one.size_bytes for one in rows)
        assert list(self.ports.blobs.list(names.CONTAINER_CONTROL, names.FOLDER_DELETIONS)) == []
        return bool(there)


@pytest.fixture
def archive() -> Archive:
    return Archive()


def test_without_a_rule_nothing_ever_expires(archive: Archive) -> None:
    archive.ports.blobs.delete(names.CONTAINER_SETTINGS, names.BLOB_ARCHIVE)
    archive.asked_long_ago()
    assert expire_products(archive.ports) == 0
    archive.rule(prefix="products/other/", days=1)
    assert expire_products(archive.ports) == 0
    archive.rule()
    assert expire_products(archive.ports) == 0
    assert archive.check()


def test_a_look_that_takes_too_long_is_gone_on_with(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire_raw, "_AT_ONCE", 1)
    monkeypatch.setattr(expire_raw, "LOOK_S", -1.0)
    for number in range(3):
        archive.ports.blobs.write("products", f"{number}.tif", rpc_tiff(affine_rpc()))
        take_upload(archive.ports, f"{number}.tif")
    archive.rule(days=3, unasked=True)
    archive.clock.advance(4 * DAY_S)
    assert [expire_products(archive.ports) for _ in range(5)] == [1, 1, 1, 1, 0]
    assert expire_products(archive.ports) == 0


def test_a_file_that_is_wrong_keeps_everything(archive: Archive) -> None:
    archive.asked_long_ago()
    archive.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_ARCHIVE, b"raw: [{days: soon}]")
    assert expire_products(archive.ports) == 0
    assert archive.check()


def test_what_is_old_and_was_asked_for_goes_and_its_next_request_says_when(archive: Archive) -> None:
    archive.asked_long_ago()
    assert expire_products(archive.ports) == 1
    assert not archive.check()
    job = archive.ask("two")
    assert job.fault_kind == "ProductGone"
    assert job.fault_message == (
        f"{REF} has gone on 2026-05-05 12:00 UTC: this site keeps such products for 3 days, and no job needed it any "
        "longer; upload it again, and ask again"
    )
    assert expire_products(archive.ports) == 0


def test_a_request_for_what_has_gone_names_where_it_is_too(archive: Archive) -> None:
    archive.ports.blobs.write("products", f"{ROME}.zip", safe_zip())
    take_upload(archive.ports, f"{ROME}.zip")
    archive.rule(prefix=REF, days=3)
    archive.asked_long_ago()
    assert expire_products(archive.ports) == 1
    job = archive.ask("two")
    assert (job.fault_message or "").endswith(f"; ask for products/{ROME}.zip, where it is too")


def test_what_is_needed_young_idle_for_too_short_or_kept_stays(archive: Archive) -> None:
    job = archive.ask()
    assert archive.expire() is None, "it is young"
    archive.clock.advance(4 * DAY_S)
    assert archive.expire() is Waits.NEEDED
    archive.rule(days=3, idle_days=2)
    archive.end(job)
    assert archive.expire() is Waits.IDLE
    archive.clock.advance(2 * DAY_S)
    swap(archive.ports.tables, archive.state().changed(kept_by="eva"))
    assert archive.expire() is Waits.KEPT
    swap(archive.ports.tables, archive.state().changed(kept_by=""))
    assert archive.check()
    assert archive.expire() is Waits.GONE


def test_what_nobody_ever_asked_for_stays_unless_the_site_says_so(archive: Archive) -> None:
    archive.clock.advance(4 * DAY_S)
    assert archive.expire() is Waits.UNASKED
    archive.rule(days=3, unasked=True)
    assert archive.expire() is Waits.GONE


def test_a_request_that_waits_for_its_plan_keeps_its_product(archive: Archive) -> None:
    archive.asked_long_ago()
    request = Request.model_validate({"request_id": "two", "products": [REF], "terrain": {"height_m": 0}})
    submit(archive.ports, request, "http")
    assert archive.expire() is Waits.NEEDED
    archive.plan()
    assert archive.expire() is Waits.NEEDED


def test_a_forgotten_job_counts_as_one_that_asked(archive: Archive) -> None:
    job = archive.ask()
    archive.end(job)
    there = find_job(archive.ports, job.user, job.job_id)
    assert there is not None
    archive.clock.advance(4 * DAY_S)
    assert expire_job(archive.ports, there)
    assert list(find(archive.ports.tables, NeedRecord, partition=archive.state().product, job_id=job.job_id)) == []
    assert archive.state().idle_since is not None
    assert archive.expire() is Waits.GONE


def test_a_need_whose_job_was_never_opened_ends_after_a_day(archive: Archive) -> None:
    archive.asked_long_ago()
    request = Request.model_validate({"request_id": "two", "products": [REF], "terrain": {"height_m": 0}})
    fuse = Fuse(2)
    with pytest.raises(Crash):
        submit(fused(archive.ports, fuse), request, "http")
    for row in list(archive.ports.tables.query(names.TABLE_JOBS, equal={"request_id": "two"})):
        archive.ports.tables.delete(names.TABLE_JOBS, row.partition, row.key)
    need = NeedRecord(product=archive.state().product, row="job-x", user="local", job_id="x", since=archive.clock.now())
    archive.ports.tables.put(NeedRecord.TABLE, need.to_row())
    assert archive.expire() is Waits.NEEDED
    archive.clock.advance(2 * DAY_S)
    assert archive.expire() is Waits.GONE


def test_what_nothing_is_known_of_is_left_for_another_day(archive: Archive) -> None:
    archive.rule(days=3, unasked=True)
    archive.clock.advance(4 * DAY_S)
    for row in list(archive.ports.tables.query(ArchiveRecord.TABLE)):
        archive.ports.tables.delete(ArchiveRecord.TABLE, row.partition, row.key)  # the table was lost
    assert archive.expire() is Waits.IDLE
    archive.clock.advance(DAY_S - 1)
    assert archive.expire() is Waits.IDLE
    archive.clock.advance(1)
    assert archive.expire() is Waits.GONE


def test_after_all_tables_were_lost_jobs_need_their_products_and_kept_ones_are_kept(archive: Archive) -> None:
    zipped = f"products/{ROME}.zip"
    archive.ports.blobs.write("products", f"{ROME}.zip", safe_zip())
    take_upload(archive.ports, f"{ROME}.zip")
    job = archive.ask()
    keep_product(archive.ports, zipped, "eva")
    assert back_up(archive.ports)
    for table in names.TABLES:
        for row in list(archive.ports.tables.query(table)):
            archive.ports.tables.delete(table, row.partition, row.key)
    archive.rule(days=1, unasked=True)
    assert rebuild(archive.ports, Rules()).n_jobs == 1
    after, n_listed = "", 0
    for _ in range(9):
        part = check_archive(archive.ports, after)
        n_listed, after = n_listed + len(part.listed), part.more
        if not after:
            break
    assert n_listed == 2
    archive.clock.advance(9 * DAY_S)
    assert expire_products(archive.ports) == 0
    assert {
        one.job_id for one in find(archive.ports.tables, NeedRecord, partition=archive.state().product, user="local")
    }
    release_product(archive.ports, zipped)
    archive.end(job)
    assert expire_products(archive.ports) == 2


def test_an_image_goes_with_the_file_of_its_name_that_holds_its_rpc(archive: Archive) -> None:
    blobs = archive.ports.blobs
    for name, data in (
        ("a.tif", rpc_tiff(affine_rpc())),
        ("a_RPC.TXT", rpc_text(affine_rpc())),
        ("b.tif", rpc_tiff(affine_rpc())),
    ):
        blobs.write("products", f"own/{name}", data)
    take_upload(archive.ports, "own/a.tif")
    archive.rule(missions=["rpc"], days=3, unasked=True)
    archive.clock.advance(4 * DAY_S)
    assert expire_products(archive.ports) == 1
    assert [one.name for one in blobs.list("products", "own/")] == ["own/b.tif"]


def test_an_image_that_is_uploaded_again_is_listed_once(archive: Archive) -> None:
    for _ in range(2):
        archive.ports.blobs.write("products", "a.tif", rpc_tiff(affine_rpc()))
        take_upload(archive.ports, "a.tif")
        archive.clock.advance(60)
    assert sorted(one.ref for one in all_products(archive.ports)) == [REF, "products/a.tif"]
    assert sum(one.n_products for one in tallies(archive.ports, "all")) == 2


def test_what_has_gone_and_is_uploaded_again_is_there_again(archive: Archive) -> None:
    archive.asked_long_ago()
    assert archive.expire() is Waits.GONE
    put_safe(archive.ports.blobs, ROME)  # its event is on its way
    job = archive.ask("two")
    assert job.planned
    take_upload(archive.ports, MANIFEST)
    take_upload(archive.ports, MANIFEST)
    assert archive.check()
    assert archive.expire() is None


# Races and deaths ------------------------------------------------------------------------------------------------


def after_a_death(archive: Archive) -> None:
    """What the timer does next, twice."""
    for _ in range(2):
        archive.expire()
        finish_all(archive.ports)


def test_an_expiry_that_dies_anywhere_is_never_half_a_product_and_is_completed_by_the_next() -> None:
    for at in range(100):
        archive = Archive()
        archive.asked_long_ago()
        fuse = Fuse(at)
        try:
            archive.expire(fused(archive.ports, fuse))
        except Crash:
            there = {one.name for one in archive.blobs()}
            assert len(there) == 4 or MANIFEST not in there, "what looks like a product is one"
            after_a_death(archive)
            archive.clock.advance(2 * DAY_S)  # lists that nobody's row names
            after_a_death(archive)
        assert not archive.check()
        if not fuse.blown:
            assert at > 10
            return
    raise AssertionError("it never ends")


def held_up_everywhere(
    held_up: Callable[[Archive, Ports], object], meanwhile: Callable[[Archive], object]
) -> list[Archive]:
    """Hold a process up before each of its writes in turn, and let another do its work there."""
    archives = []
    for at in range(100):
        archive = Archive()
        archive.asked_long_ago()
        fuse = Fuse(at, meanwhile=lambda archive=archive: meanwhile(archive))  # type: ignore[misc]
        held_up(archive, fused(archive.ports, fuse))
        if not fuse.blown:
            return archives
        archives.append(archive)
    raise AssertionError("it never ends")


def check_job(archive: Archive) -> bool:
    """Job two has its product, or was told that it is gone. Whether it has."""
    (job,) = [one for one in find(archive.ports.tables, JobRecord) if one.request_id == "two"]
    after_a_death(archive)
    archive.clock.advance(2 * DAY_S)
    after_a_death(archive)
    has = archive.check()
    if has:
        assert job.planned
        assert job.fault_kind is None
        assert archive.expire() is Waits.NEEDED
    else:
        assert job.fault_kind == "ProductGone"
    return has


def test_a_request_at_any_moment_of_an_expiry_keeps_its_product_or_is_told() -> None:
    archives = held_up_everywhere(lambda archive, ports: archive.expire(ports), lambda archive: archive.ask("two"))
    kept = [check_job(archive) for archive in archives]
    assert len(kept) > 10
    assert any(kept)
    assert not all(kept)


def test_an_expiry_at_any_moment_of_a_request_is_told_or_keeps_its_product() -> None:
    archives = held_up_everywhere(lambda archive, ports: archive.ask("two", ports), lambda archive: archive.expire())
    kept = [check_job(archive) for archive in archives]
    assert len(kept) > 5
    assert any(kept)
    assert not all(kept)


def test_an_upload_at_any_moment_of_an_expiry_is_there_afterwards() -> None:
    for archive in held_up_everywhere(lambda archive, ports: archive.expire(ports), lambda archive: archive.upload()):
        after_a_death(archive)
        archive.clock.advance(2 * DAY_S)
        after_a_death(archive)
        assert archive.check()


def test_an_expiry_at_any_moment_of_an_upload_leaves_the_product() -> None:
    for archive in held_up_everywhere(
        lambda archive, ports: archive.upload(ports), lambda archive: expire_products(archive.ports)
    ):
        after_a_death(archive)
        take_upload(archive.ports, MANIFEST)  # its event comes again, where its process was too late
        archive.clock.advance(2 * DAY_S)
        after_a_death(archive)
        assert archive.check()


def test_two_expiries_side_by_side_and_a_request_in_between() -> None:
    def meanwhile(archive: Archive) -> None:
        archive.expire()
        archive.ask("two")

    archives = held_up_everywhere(lambda archive, ports: archive.expire(ports), meanwhile)
    assert len([check_job(archive) for archive in archives]) > 5


# Rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"raw: [{days: 0}]", "raw.0.days: Input should be greater than or equal to"),
        (b"raw: [{idle_days: 3}]", "without days a product is kept"),
        (b"raw: [{prefix: aux/, days: 3}]", "raw.0.prefix"),
        (b"raw: [{missions: [landsat], days: 3}]", "raw.0.missions.0"),
        (b"raw: [{dais: 3}]", "raw.0.dais"),
        (b"raw: 3", "raw: Input should be a valid tuple"),
        (b"[", "is no YAML"),
        (b"\xff", "is no YAML"),
        (b"3", "settings/archive.yaml"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text: bytes, says: str) -> None:
    with pytest.raises(ArchiveFileError) as told:
        parse_raw_rules(text)
    assert says in str(told.value)


def test_the_first_rule_that_fits_counts(archive: Archive) -> None:
    text = b"raw: [{prefix: products/own/}, {missions: [sentinel-1], product_types: [GRD], days: 2}, {days: 9}]"
    rules = parse_raw_rules(text)
    listed = archive.listed()
    days = [
        (record, rule.days if (rule := rules.of(record)) else None)
        for record in (
            listed,
            listed.changed(product_type="SLC"),
            listed.changed(ref="products/own/x.zip"),
            listed.changed(arrived="", ref="s3://eodata/x"),
            listed.changed(store="archive"),
        )
    ]
    assert [found for _, found in days] == [2, 9, None, None, None]
    assert load(archive.ports.tables, InventoryRecord, "all", listed.key) == listed
    assert NEXT_SLICE not in listed.ref
