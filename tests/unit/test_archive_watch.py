"""``orthoagent watch``: products that come into an archive, whole or bit by bit."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.memory_ports import memory_ports
from fakes.products import NEXT_SLICE, ROME, manifest, members
from figures import tell
from orthoagent.adapters.inotify import Inotify
from orthoagent.archive import announce, watch
from orthoagent.archive.announce import Announcer
from orthoagent.archive.journal import Journal, JournalError, JournalInUseError
from orthoagent.archive.look import CLOCKS_DIFFER_S, Look, has_settled, look_at
from orthoagent.archive.scan import Found, Scanner
from orthoagent.archive.watch import Pace, Watch
from orthoagent.errors import StorageSilentError
from orthocontracts.stores import Elsewhere
from orthocontracts.stubs import StubError, stub_of
from orthofunctions.usecases.inspect import inspect_product

pytestmark = pytest.mark.alone

LARGE = 40
"""Bytes from which a file of these tests stays in the archive."""


class Crash(BaseException):
    pass


@dataclass
class MemoryProducts:
    """Container ``products``; at its n-th call it does not come back, or is silent."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    crash_at: int | None = None
    silent: int = 0
    calls: int = 0

    def _call(self) -> None:
        if self.silent:
            self.silent -= 1
            raise StorageSilentError("down")
        if self.calls == self.crash_at:
            raise Crash
        self.calls += 1

    async def md5_of(self, name: str) -> bytes | None:
        self._call()
        data = self.blobs.get(name)
        return None if data is None else hashlib.md5(data).digest()

    async def put(self, name: str, data: bytes) -> None:
        self._call()
        self.blobs[name] = data
        self.order.append(name)


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def stub(product: Path, *, store: str, root: Path) -> Any:
        return stub_of(product, store=store, root=root, least_bytes=LARGE)

    monkeypatch.setattr(announce, "stub_of", stub)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is logged, with its fields."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def log(action: str, **fields: Any) -> None:
        seen.append((action, fields))

    for module in ("scan", "watch"):
        monkeypatch.setattr(f"orthoagent.archive.{module}.log", log)
    monkeypatch.setattr("orthoagent.adapters.inotify.log", log)
    return seen


def put(folder: Path, stem: str = ROME) -> Path:
    """A whole product, its manifest last."""
    product = folder / f"{stem}.SAFE"
    for path, data in members(stem).items():
        (product / path).parent.mkdir(parents=True, exist_ok=True)
        (product / path).write_bytes(data)
    (product / "manifest.safe").write_bytes(manifest(members(stem)))
    return product


def put_zip(folder: Path, stem: str = ROME) -> Path:
    path = folder / f"{stem}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in {**members(stem), "manifest.safe": manifest(members(stem))}.items():
            packed.writestr(f"{stem}.SAFE/{name}", data)
    return path


def pace(**changes: Any) -> Pace:
    return Pace(**{"settle_s": 0.2, "rescan_s": 600, "parallel": 2, **changes})


@contextlib.contextmanager
def watcher(archive: Path, products: MemoryProducts, *, notices: bool = True, **changes: Any) -> Iterator[Watch]:
    with Journal(archive.parent / "journal", "archive") as journal, contextlib.ExitStack() as stack:
        seen = Inotify.on(archive) if notices else None
        if seen is not None:
            stack.callback(seen.close)
        yield Watch(archive, Announcer(products, "site", archive), journal, seen, pace(**changes))


def run_once(archive: Path, products: MemoryProducts, **changes: Any) -> None:
    """All that is whole now, as a start of the command would find it much later."""
    with watcher(
        archive, products, notices=False, once=True, **{"settle_s": -CLOCKS_DIFFER_S - 1, **changes}
    ) as program:
        asyncio.run(program.run())


async def run_until(program: Watch, done: Any, limit_s: float = 20) -> None:
    task = asyncio.create_task(program.run())
    end = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end, "waited in vain"
        assert not task.done(), task
        await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def announced(products: MemoryProducts) -> list[str]:
    """Products whose manifest has been written, each time."""
    return [name.rpartition("/")[0] for name in products.order if name.endswith("/manifest.safe")]


class TestAnnouncing:
    def test_the_stub_of_a_folder_goes_up_manifest_last_and_can_be_planned(self, archive: Path) -> None:
        put(archive / "2021" / "12")
        products = MemoryProducts()
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"]
        assert products.order[-2:] == [f"{ROME}.SAFE/elsewhere.json", f"{ROME}.SAFE/manifest.safe"]
        elsewhere = Elsewhere.model_validate_json(products.blobs[f"{ROME}.SAFE/elsewhere.json"])
        (image,) = (path for path in members(ROME) if path.startswith("measurement/"))
        assert elsewhere.files[image].path == f"2021/12/{ROME}.SAFE/{image}"
        blobs = memory_ports().blobs
        for name, data in products.blobs.items():
            blobs.write("products", name, data)
        facts = inspect_product(blobs, f"products/{ROME}.SAFE")
        assert facts.bytes_at == {"site": len(members(ROME)[image])}

    def test_a_zip_is_announced_as_the_folder_it_holds_and_makes_the_same_images(self, archive: Path) -> None:
        put_zip(archive)
        products = MemoryProducts()
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"]
        elsewhere = Elsewhere.model_validate_json(products.blobs[f"{ROME}.SAFE/elsewhere.json"])
        (image,) = (path for path in members(ROME) if path.startswith("measurement/"))
        assert elsewhere.files[image].path == f"{ROME}.zip"
        assert elsewhere.files[image].member == f"{ROME}.SAFE/{image}"
        assert elsewhere.files[image].size_bytes == len(members(ROME)[image])
        contents = set()
        for folder in (archive, archive / "unpacked"):
            blobs = memory_ports().blobs
            put(folder)
            stub = stub_of(folder / f"{ROME}.SAFE", store="site", root=archive, least_bytes=LARGE)
            for name, data in stub.parts() if folder != archive else ():
                blobs.write("products", f"{ROME}.SAFE/{name}", data)
            for name, data in products.blobs.items() if folder == archive else ():
                blobs.write("products", name, data)
            contents.add(inspect_product(blobs, f"products/{ROME}.SAFE").source.content)
        assert len(contents) == 1

    @pytest.mark.parametrize("at", range(7))
    def test_who_dies_at_any_call_goes_on_there_and_nothing_is_announced_twice(self, archive: Path, at: int) -> None:
        put(archive)
        products = MemoryProducts(crash_at=at)
        with pytest.raises(BaseExceptionGroup) if at < 5 else contextlib.nullcontext():
            run_once(archive, products)
        before = list(announced(products))
        products.crash_at = None
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"], before
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"]

    def test_who_dies_between_the_manifest_and_the_journal_announces_nothing_again(
        self, archive: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(archive)
        products = MemoryProducts()

        def die(*_: object) -> None:
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "add", die)
            with pytest.raises(BaseExceptionGroup):
                run_once(archive, products)
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"]
        (archive.parent / "journal").unlink()  # lost: blob storage knows it too
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"]

    def test_a_product_that_was_moved_within_the_archive_is_found_and_not_announced_again(self, archive: Path) -> None:
        product = put(archive / "incoming")
        products = MemoryProducts()
        run_once(archive, products)
        (archive / "2021").mkdir()
        product.rename(archive / "2021" / product.name)
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"]
        assert f'"2021/{ROME}.SAFE/measurement' in products.blobs[f"{ROME}.SAFE/elsewhere.json"].decode()

    def test_silent_storage_is_waited_for(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("orthoagent.patience.pauses_s", lambda: iter([0.0] * 9))
        put(archive)
        products = MemoryProducts(silent=3)
        run_once(archive, products)
        assert announced(products) == [f"{ROME}.SAFE"]

    def test_only_new_leaves_alone_what_was_there_whatever_stops_it(self, archive: Path) -> None:
        put(archive)
        products = MemoryProducts()
        with Journal(archive.parent / "journal", "archive") as journal:
            journal.began_s += CLOCKS_DIFFER_S + 10
            program = Watch(archive, Announcer(products, "site", archive), journal, None, pace(
                once=True, only_new=True, settle_s=-CLOCKS_DIFFER_S - 1))  # fmt: skip
            asyncio.run(program.run())
            assert len(journal) == 1
        put(archive, NEXT_SLICE)
        run_once(archive, products, only_new=True)
        assert announced(products) == [f"{NEXT_SLICE}.SAFE"]


class TestWaiting:
    def test_files_that_come_bit_by_bit_are_announced_when_the_last_is_whole(self, archive: Path) -> None:
        """The manifest first, as nobody should, then everything half, then the rest."""
        products = MemoryProducts()
        product = archive / f"{ROME}.SAFE"

        async def write() -> None:
            product.mkdir()
            (product / "manifest.safe").write_bytes(manifest(members(ROME)))
            for path, data in members(ROME).items():
                await asyncio.sleep(0.1)
                (product / path).parent.mkdir(parents=True, exist_ok=True)
                (product / path).write_bytes(data[:-1])
            await asyncio.sleep(0.5)
            assert not products.order
            for path, data in members(ROME).items():
                with (product / path).open("ab") as file:
                    file.write(data[-1:])
                    await asyncio.sleep(0.1)
                    assert not products.order

        async def both(program: Watch) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(write())
                await run_until(program, lambda: announced(products))

        with watcher(archive, products) as program:
            asyncio.run(both(program))
        assert announced(products) == [f"{ROME}.SAFE"]

    @pytest.mark.parametrize("notices", [True, False])
    def test_what_comes_later_is_found_by_inotify_and_by_the_rescan(self, archive: Path, notices: bool) -> None:
        products = MemoryProducts()
        put(archive.parent / "elsewhere", NEXT_SLICE)

        async def come() -> None:
            await asyncio.sleep(0.1)
            put(archive / "new" / "folder")
            await asyncio.sleep(0.1)
            (archive.parent / "elsewhere" / f"{NEXT_SLICE}.SAFE").rename(archive / "new" / f"{NEXT_SLICE}.SAFE")

        async def both(program: Watch) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(come())
                await run_until(program, lambda: len(announced(products)) == 2)

        with watcher(archive, products, notices=notices, rescan_s=600 if notices else 0.1) as program:
            asyncio.run(both(program))
        assert sorted(announced(products)) == sorted([f"{ROME}.SAFE", f"{NEXT_SLICE}.SAFE"])

    def test_a_half_written_zip_is_waited_for(self, archive: Path) -> None:
        whole = put_zip(archive.parent).read_bytes()
        target = archive / f"{ROME}.zip"
        for n_bytes in (0, 10, len(whole) // 2, len(whole) - 1):
            target.write_bytes(whole[:n_bytes])
            assert look_at(target).missing == "the end of the zip"
        # as a transfer in parallel streams leaves it for a while: the end is there, and not what lies before
        target.write_bytes(whole[len(whole) // 2 :])
        assert look_at(target).missing == "members of the zip"
        target.write_bytes(whole)
        assert look_at(target).missing is None

    def test_a_product_that_goes_away_meanwhile_is_forgotten_and_may_come_again(
        self, archive: Path, monkeypatch: pytest.MonkeyPatch, events: list[tuple[str, dict[str, Any]]]
    ) -> None:
        product = put(archive)
        hidden = archive.parent / "hidden"
        products = MemoryProducts()

        def vanish(*arguments: Any, **more: Any) -> Any:
            stub = stub_of(*arguments, **more, least_bytes=LARGE)
            product.rename(hidden)
            return stub

        with monkeypatch.context() as patch:
            patch.setattr(announce, "stub_of", vanish)
            run_once(archive, products)
        assert ("product_gone", {"path": product.name}) in events
        assert not announced(products)
        hidden.rename(product)
        run_once(archive, products)
        assert announced(products) == [product.name]

    def test_an_archive_that_is_not_mounted_for_a_while_loses_nothing(self, archive: Path) -> None:
        products = MemoryProducts()
        for folder in (archive, put(archive / "2021").parent):
            os.utime(folder, (1, 1))

        async def away(program: Watch) -> None:
            program._folder = archive.parent / "unmounted"  # what was seen by the walk is not there when looked at
            async with asyncio.TaskGroup() as group:
                group.create_task(mount(program))
                await run_until(program, lambda: announced(products))

        async def mount(program: Watch) -> None:
            await asyncio.sleep(0.3)
            assert not products.order
            program._folder = archive

        with watcher(archive, products, notices=False, rescan_s=0.1, settle_s=0.1) as program:
            asyncio.run(asyncio.wait_for(away(program), 20))

    @pytest.mark.parametrize(
        ("look", "before", "same_for_s", "settled"),
        [
            (Look("x.tiff"), Look("x.tiff"), 999, False),
            (Look(marks=1, changed_s=1000 - 71), None, 0, True),  # by the file server's clock
            (Look(marks=1, changed_s=1000 - 69), None, 0, False),  # its clock may be wrong
            (Look(marks=1, changed_s=2000), None, 0, False),
            (Look(marks=1, changed_s=2000), Look(marks=1), 10, True),  # by ours
            (Look(marks=1, changed_s=2000), Look(marks=1), 9.9, False),
            (Look(marks=2, changed_s=2000), Look(marks=1), 99, False),
        ],
    )
    def test_settled_is_by_our_clock_or_long_ago_by_the_servers(
        self, look: Look, before: Look | None, same_for_s: float, settled: bool
    ) -> None:
        assert has_settled(look, before, same_for_s, now_s=1000, settle_s=10) is settled

    def test_copied_times_do_not_make_a_product_old(self, archive: Path) -> None:
        product = put(archive)
        for path in product.rglob("*"):
            os.utime(path, (1, 1))
        assert look_at(product).changed_s > time.time() - 60


class TestPassedOver:
    def test_links_unreadable_folders_and_odd_names_are_named_once(
        self, archive: Path, events: list[tuple[str, dict[str, Any]]]
    ) -> None:
        put(archive.parent / "other")
        (archive / "link").symlink_to(archive.parent / "other")
        (archive / f"{ROME}.SAFE").symlink_to(archive.parent / "other" / f"{ROME}.SAFE")
        (archive / "with space").mkdir()
        put(archive / "with space")
        (archive / ".snapshot").mkdir()
        put(archive / ".snapshot")
        closed = archive / "closed"
        closed.mkdir(mode=0)
        scanner = Scanner(archive)
        try:
            for _ in range(2):
                assert list(scanner.walk()) == []
        finally:
            closed.chmod(0o700)
        told = {(action, fields["path"]) for action, fields in events}
        wanted = {
            ("link_passed_over", "link"),
            ("link_passed_over", f"{ROME}.SAFE"),
            ("name_passed_over", "with space"),
        }
        if os.getuid() != 0:  # root may look everywhere
            wanted.add(("folder_unreadable", "closed"))
        assert told == wanted
        assert len(events) == len(told)

    def test_only_products_that_images_are_made_of_and_nothing_inside_them(self, archive: Path) -> None:
        for name in ("S1A_IW_SLC__1SDV_20211223T051122_20211223T051149_041123_04E2C1_5371.SAFE", "odd.SAFE", "x.zip"):
            (archive / name).mkdir()
        put(archive / "odd.SAFE")
        (archive / f"{NEXT_SLICE}.zip").mkdir()  # a folder
        (archive / f"{NEXT_SLICE}.SAFE").write_bytes(b"")  # a file
        (archive / f"{ROME}.SAFE.part").mkdir()
        assert list(Scanner(archive).walk()) == []
        put(archive)
        assert [found.path for found in Scanner(archive).walk()] == [f"{ROME}.SAFE"]

    def test_a_member_that_is_a_link_out_of_the_store_is_refused_and_told_once(
        self, archive: Path, events: list[tuple[str, dict[str, Any]]]
    ) -> None:
        product = put(archive)
        (image,) = product.glob("measurement/*")
        image.rename(archive.parent / "image")
        image.symlink_to(archive.parent / "image")
        products = MemoryProducts()
        run_once(archive, products)
        assert not products.order
        (why,) = (fields["why"] for action, fields in events if action == "product_refused")
        assert "is a link out of" in why

    @pytest.mark.parametrize(
        ("text", "missing"),
        [
            (b"<XFDU>", "a manifest.safe that can be read"),
            (b"<XFDU/>", "a manifest.safe that can be read"),
            (b'<!DOCTYPE x [<!ENTITY a "b">]><XFDU/>', "a manifest.safe that can be read"),
            (manifest({"../../etc/passwd": b"x"}), "a manifest.safe with plain paths"),
            (manifest({"a/b": b"x"}), "a/b"),
            (manifest({"manifest.safe/b": b"x"}), "manifest.safe/b"),
            (None, "manifest.safe"),
        ],
    )
    def test_a_manifest_that_says_nothing_useful_is_waited_for(
        self, archive: Path, text: bytes | None, missing: str
    ) -> None:
        product = put(archive)
        (product / "manifest.safe").unlink()
        if text is not None:
            (product / "manifest.safe").write_bytes(text)
        assert look_at(product).missing == missing

    @pytest.mark.parametrize("tops", [("a.SAFE", "b.SAFE"), ("a",), ("",)])
    def test_a_zip_of_something_else_has_no_stub(self, archive: Path, tops: tuple[str, ...]) -> None:
        with zipfile.ZipFile(archive / f"{ROME}.zip", "w") as packed:
            for top in tops:
                packed.writestr(f"{top}/manifest.safe" if top else "manifest.safe", b"x")
        with pytest.raises(StubError, match="does not hold one folder"):
            stub_of(archive / f"{ROME}.zip", store="site", root=archive)


class TestJournal:
    def test_it_knows_what_was_added_after_a_torn_line_too(self, tmp_path: Path) -> None:
        path = tmp_path / "state" / "journal"
        one, two = Found("2021/a.SAFE", 7), Found("2021/b.SAFE", 8)
        with Journal(path, "archive") as journal:
            began_s = journal.began_s
            journal.add(one)
        with path.open("ab") as file:
            file.write(b"8 2021/b")
        with Journal(path, "archive") as journal:
            assert one in journal
            assert two not in journal
            assert Found("2021/a.SAFE", 9) not in journal  # another of the same name
            journal.add(two)
        with Journal(path, "archive") as journal:
            assert (one in journal, two in journal, len(journal)) == (True, True, 2)
            assert journal.began_s == pytest.approx(began_s, abs=0.01)

    def test_one_watcher_and_one_archive(self, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        with Journal(path, "archive"), pytest.raises(JournalInUseError):
            Journal(path, "archive")
        with pytest.raises(JournalError, match=r"is the journal of archive, not of other one"):
            Journal(path, "other one")
        (tmp_path / "text").write_text("hello\n")
        with pytest.raises(JournalError):
            Journal(tmp_path / "text", "archive")


@pytest.fixture
def archive_in_memory() -> Iterator[Path]:
    """Where the machine has a place for it: a hundred thousand folders on a disk take a minute to make."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        (Path(folder) / "archive").mkdir()
        yield Path(folder) / "archive"


@pytest.mark.slow
def test_a_hundred_thousand_products_cost_seconds_once_and_nothing_at_a_rescan(archive_in_memory: Path) -> None:
    """In three hundred folders of days, as empty folders: a walk does not look into products."""
    archive = archive_in_memory
    n_products, n_days = 100_000, 300
    for day in range(n_days):
        folder = archive / f"2021/{day:03d}"
        folder.mkdir(parents=True)
        for n in range(n_products // n_days + 1):
            (folder / f"{ROME[:-11]}{day:03X}{n:03X}_{n:04X}.SAFE").mkdir()
        os.utime(folder, (1, 1))
    products = MemoryProducts()
    with Journal(archive.parent / "journal", "archive") as journal:
        scanner = Scanner(archive)
        began_s = time.perf_counter()
        found = list(scanner.walk())
        first_s = time.perf_counter() - began_s
        assert len(found) >= n_products
        for one in found:
            journal.add(one)
    began_s = time.perf_counter()
    with Journal(archive.parent / "journal", "archive") as journal:
        opened_s = time.perf_counter() - began_s
        began_s = time.perf_counter()
        assert all(one in journal for one in found)
        known_s = time.perf_counter() - began_s
        began_s = time.perf_counter()
        put(archive / "2021/017")
        assert ROME in "".join(one.path for one in scanner.walk())
        again_s = time.perf_counter() - began_s
        program = watch.Watch(archive, Announcer(products, "site", archive), journal, None, pace(once=True))
        asyncio.run(program.run())
    assert not products.order  # it has not settled yet
    tell("archive of 100,000 products: first walk, s", first_s, "< 10")
    tell("archive of 100,000 products: a rescan with one new product, s", again_s, "< 0.5")
    tell("archive of 100,000 products: the journal read, s", opened_s, "< 5")
    assert (first_s < 10, again_s < 0.5, opened_s < 5, known_s < 5) == (True,) * 4
