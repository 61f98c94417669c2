"""``orthoagent procure``: what it does with a product that is wanted, and what it believes of what it is sent."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from fakes.memory_ports import memory_ports
from fakes.products import ROME, S2_RINGS, S2_TILE, manifest, manifest_of, members, packed, safe_zip
from orthoagent.adapters.storage import Outbox
from orthoagent.adapters.wanted import WantedHold, WantedQueue
from orthoagent.archive.announce import Announcer
from orthoagent.errors import LeaseLostError
from orthoagent.procure.procurer import MOST_DELIVERIES, MOST_PROVIDERS, TRIES_OF_WHOLE, Procurer
from orthoagent.procure.runner import Attempt, collection_of
from orthoagent.procure.shelves import Archive, Shelf, Uploads
from orthoagent.procure.whole import NotWholeError, whole_product
from orthoagent.settings import ProcureSettings
from orthocontracts.messages import Fault
from orthocontracts.procurement import Procured, Wanted
from orthocontracts.stores import Elsewhere
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.upload import take_upload
from orthofunctions.usecases.whereabouts import is_here

pytestmark = pytest.mark.alone

Send = Callable[[Path], str | None]
"""Writes what a provider sends into a folder; says what went wrong."""


@dataclass
class Container:
    """Container ``products``, which functions can look into."""

    ports: Any = field(default_factory=memory_ports)
    order: list[str] = field(default_factory=list)

    async def md5_of(self, name: str) -> bytes | None:
        facts = self.ports.blobs.facts("products", name)
        return bytes.fromhex(facts.md5) if facts else None

    async def put(self, name: str, data: bytes) -> None:
        self.ports.blobs.write("products", name, data)
        self.order.append(name)

    async def put_file(self, name: str, path: Path, md5: bytes) -> None:
        data = await asyncio.to_thread(path.read_bytes)
        assert hashlib.md5(data).digest() == md5
        await self.put(name, data)


@dataclass
class Provider:
    name: str
    sends: list[Send]


@dataclass
class Providers:
    """EODAG, as far as it is seen from here: each provider sends the next of its list, the last for ever."""

    all: list[Provider]
    asked: list[str] = field(default_factory=list)
    takes_s: float = 0.0

    async def fetch(self, name: str, folder: Path, without: list[str]) -> Attempt:
        await asyncio.sleep(self.takes_s)
        trouble = []
        for provider in self.all:
            if provider.name in without:
                continue
            self.asked.append(provider.name)
            send = provider.sends.pop(0) if len(provider.sends) > 1 else provider.sends[0]
            why = send(folder)
            if why is None:
                return Attempt(provider.name)
            trouble.append(f"{provider.name} {why}")
        if trouble:
            return Attempt(fault=Fault(kind="FetchFailed", message="; ".join(trouble)))
        return Attempt(fault=Fault(kind="ProductMissing", message="no provider lists it"))


@dataclass
class Hold:
    wanted: Wanted
    delivery: int = 1
    renewals: int = 1000
    deleted: bool = False
    freed: bool = False

    async def renew(self) -> None:
        self.renewals -= 1
        if self.renewals < 0:
            raise LeaseLostError("taken by another")

    async def delete(self) -> None:
        self.deleted = True

    async def free(self) -> None:
        self.freed = True


@dataclass
class Desk:
    """Both queues."""

    holds: list[Hold] = field(default_factory=list)
    said: list[Procured] = field(default_factory=list)

    async def take(self) -> WantedHold | None:
        waiting = [hold for hold in self.holds if not getattr(hold, "taken", False)]
        if not waiting:
            return None
        waiting[0].taken = True  # type: ignore[attr-defined]
        return cast(WantedHold, waiting[0])

    async def send(self, body: str) -> None:
        self.said.append(Procured.model_validate_json(body))


def wanted(name: str = ROME, **changes: Any) -> Wanted:
    until = datetime.now(UTC) + timedelta(hours=1)
    return Wanted.model_validate({"name": name, "ask": "0" * 32, "until": until, **changes})


def procure(
    tmp_path: Path, desk: Desk, providers: Providers, shelf: Shelf, *, enough: Callable[[], bool] | None = None
) -> None:
    procurer = Procurer(
        agent="fetcher",
        queue=cast(WantedQueue, desk),
        outbox=cast(Outbox, desk),
        shelf=shelf,
        eodag=providers,
        work=tmp_path / "work",
        poll_s=0.01,
        renew_s=0.02,
    )
    done = enough or (lambda: all(hold.deleted for hold in desk.holds))

    async def run() -> None:
        task = asyncio.create_task(procurer.run())
        async with asyncio.timeout(20):
            while not done():
                assert not task.done(), task.result()
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(run())
    assert not list((tmp_path / "work").glob("*")), "nothing is left behind"


def sends(data: bytes, at: str = f"{ROME}.zip") -> Send:
    def send(folder: Path) -> None:
        (folder / at).parent.mkdir(parents=True, exist_ok=True)
        (folder / at).write_bytes(data)

    return send


def fails(why: str) -> Send:
    return lambda folder: why


def sends_folder(at: str = f"{ROME}.SAFE", **changed: bytes) -> Send:
    def send(folder: Path) -> None:
        files = members(ROME)
        whole = {**files, "manifest.safe": manifest(files), **changed}
        for path, data in whole.items():
            sends(data, f"{at}/{path}")(folder)

    return send


class TestWhatIsDone:
    def test_a_zip_is_uploaded_checked_and_found(self, tmp_path: Path) -> None:
        container, desk = Container(), Desk([Hold(wanted())])
        procure(tmp_path, desk, Providers([Provider("geodes", [sends(safe_zip())])]), Uploads(container))
        assert [one.kind for one in desk.said] == ["started", "fetched"]
        assert container.order == [f"{ROME}.zip"]
        assert is_here(container.ports, load_site(container.ports), ROME)
        assert inspect_product(container.ports.blobs, f"products/{ROME}.zip").name == ROME

    def test_a_folder_is_uploaded_its_manifest_last(self, tmp_path: Path) -> None:
        container, desk = Container(), Desk([Hold(wanted())])
        providers = Providers([Provider("bucket", [sends_folder("deep/some-name")])])
        procure(tmp_path, desk, providers, Uploads(container))
        assert container.order[-1] == f"{ROME}.SAFE/manifest.safe"
        assert inspect_product(container.ports.blobs, f"products/{ROME}.SAFE").name == ROME

    def test_into_a_store_of_the_site_only_the_stub_is_uploaded(self, tmp_path: Path) -> None:
        archive = tmp_path / "archive"
        (archive / "2026").mkdir(parents=True)
        container, desk = Container(), Desk([Hold(wanted())])
        large = bytes(2 << 20)
        files = members(ROME) | {"measurement/big.tiff": large}
        changed = {"measurement/big.tiff": large, "manifest.safe": manifest(files)}
        shelf = Archive(Announcer(container, "archive", archive), archive / "2026")
        procure(tmp_path, desk, Providers([Provider("geodes", [sends_folder(**changed)])]), shelf)
        assert (archive / "2026" / f"{ROME}.SAFE" / "measurement" / "big.tiff").read_bytes() == large
        assert not any(data.endswith("big.tiff") for data in container.order)
        said = container.ports.blobs.read("products", f"{ROME}.SAFE/elsewhere.json")
        assert Elsewhere.model_validate_json(said).files["measurement/big.tiff"].path.startswith("2026/")
        assert take_upload(container.ports, f"{ROME}.SAFE/manifest.safe") == []
        assert is_here(container.ports, load_site(container.ports), ROME)

    @pytest.mark.parametrize("in_store", [False, True])
    def test_what_is_there_is_not_fetched_again(self, tmp_path: Path, in_store: bool) -> None:
        container, providers = Container(), Providers([])
        shelf: Shelf = Uploads(container)
        if in_store:  # it was moved there, and whoever did it died before it was announced
            shelf = Archive(Announcer(container, "archive", tmp_path), tmp_path)
            sends_folder()(tmp_path)
        else:
            container.ports.blobs.write("products", f"{ROME}.SAFE/manifest.safe", b"<xml/>")
        desk = Desk([Hold(wanted(), delivery=99)])
        procure(tmp_path, desk, providers, shelf)
        assert [one.kind for one in desk.said] == ["fetched"]
        assert container.ports.blobs.facts("products", f"{ROME}.SAFE/manifest.safe") is not None

    def test_another_provider_is_tried_where_one_sends_something_else(self, tmp_path: Path) -> None:
        container, desk = Container(), Desk([Hold(wanted())])
        page = Provider("geodes", [sends(b"<html>please log in</html>")])
        good = Provider("cop_dataspace", [sends(safe_zip())])
        procure(tmp_path, desk, Providers([page, good]), Uploads(container))
        assert desk.said[-1].kind == "fetched"
        container, desk = Container(), Desk([Hold(wanted())])
        procure(tmp_path, desk, Providers([page, Provider("creodias", [fails("broke off")])]), Uploads(container))
        assert desk.said[-1].fault is not None
        wrong = "geodes does not send the product: it lacks the end of the zip"
        assert desk.said[-1].fault.message == f"{wrong}; creodias broke off"
        assert not container.order

    def test_nobody_is_asked_for_ever(self, tmp_path: Path) -> None:
        desk = Desk([Hold(wanted())])
        providers = Providers([Provider(f"p{n}", [sends(b"")]) for n in range(20)])
        procure(tmp_path, desk, providers, Uploads(Container()))
        assert len(providers.asked) == MOST_PROVIDERS * TRIES_OF_WHOLE

    def test_what_is_not_whole_is_asked_for_once_more(self, tmp_path: Path) -> None:
        container, desk = Container(), Desk([Hold(wanted())])
        providers = Providers([Provider("geodes", [sends(safe_zip()[:-30]), sends(safe_zip())])])
        procure(tmp_path, desk, providers, Uploads(container))
        assert providers.asked == ["geodes", "geodes"]
        assert desk.said[-1].kind == "fetched"

    def test_what_nobody_lists_is_said_so(self, tmp_path: Path) -> None:
        desk = Desk([Hold(wanted())])
        procure(tmp_path, desk, Providers([]), Uploads(Container()))
        assert desk.said[-1].fault == Fault(kind="ProductMissing", message="no provider lists it")

    def test_what_is_wanted_no_longer_is_left(self, tmp_path: Path) -> None:
        desk, providers = Desk([Hold(wanted(until=datetime(2020, 1, 1, tzinfo=UTC)))]), Providers([])
        procure(tmp_path, desk, providers, Uploads(Container()))
        assert not desk.said

    def test_a_message_that_kills_whoever_takes_it_is_given_up(self, tmp_path: Path) -> None:
        desk, providers = Desk([Hold(wanted(), delivery=MOST_DELIVERIES + 1)]), Providers([])
        procure(tmp_path, desk, providers, Uploads(Container()))
        assert [one.kind for one in desk.said] == ["failed"]
        assert not providers.asked

    def test_who_loses_the_message_stops_and_says_nothing(self, tmp_path: Path) -> None:
        hold = Hold(wanted(), renewals=2)
        desk = Desk([hold])
        providers = Providers([Provider("geodes", [sends(safe_zip())])], takes_s=30)
        procure(tmp_path, desk, providers, Uploads(Container()), enough=lambda: hold.renewals < 0)
        assert [one.kind for one in desk.said] == ["started"]
        assert not hold.deleted

    def test_who_is_told_to_end_leaves_it_to_others_at_once(self, tmp_path: Path) -> None:
        hold = Hold(wanted())
        desk = Desk([hold])
        providers = Providers([Provider("geodes", [sends(safe_zip())])], takes_s=30)
        procure(tmp_path, desk, providers, Uploads(Container()), enough=lambda: bool(desk.said))
        assert hold.freed
        assert not hold.deleted


def damaged_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{ROME}.SAFE/measurement/pixels", b"0123456789" * 50)
    body = bytearray(buffer.getvalue())
    body[body.index(b"0123456789")] ^= 1
    return bytes(body)


def of_another() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{S2_TILE}.SAFE/manifest.safe", b"<xml/>")
    return buffer.getvalue()


class TestWhatIsBelieved:
    @pytest.mark.parametrize(
        ("send", "why"),
        [
            (sends(b"<html>please log in</html>"), "the end of the zip"),
            (sends(b""), "the end of the zip"),
            (sends(safe_zip()[:-30]), "the end of the zip"),
            (sends(damaged_zip()), "member .* is damaged"),
            (sends(of_another()), f"it holds {S2_TILE}.SAFE, not {ROME}.SAFE"),
            (sends(b"x", "something/else.txt"), "neither a zip nor a folder"),
            (sends(manifest(members(ROME)), f"{ROME}.SAFE/manifest.safe"), "it lacks"),
            (sends_folder(**{f"annotation/{ROME.lower()}-vv-001.xml": b"<prod"}), "it lacks annotation/.* bytes"),
            (
                sends_folder(**{f"annotation/{ROME.lower()}-vv-001.xml": b"<product!>"}),
                "checksum is not the manifest's",
            ),
        ],
    )
    def test_no_provider(self, tmp_path: Path, send: Send, why: str) -> None:
        send(tmp_path)
        with pytest.raises(NotWholeError, match=why):
            whole_product(tmp_path, ROME)

    def test_what_is_whole_gets_its_official_name(self, tmp_path: Path) -> None:
        folder, files = packed(S2_TILE, "2")
        for path, data in {**files, "manifest.safe": manifest_of(files, S2_RINGS[S2_TILE], "2")}.items():
            sends(data, f"download/x/{path}")(tmp_path)
        assert whole_product(tmp_path, S2_TILE) == tmp_path / folder

    def test_its_kind_is_what_eodag_calls_it(self) -> None:
        sentinel3 = "S3A_OL_1_EFR____20211021T073827_20211021T074112_20211021T091357_0164_077_334_4320_LN1_O_NR_002"
        assert list(map(collection_of, [ROME, S2_TILE, sentinel3])) == ["S1_SAR_GRD", "S2_MSI_L1C", "S3_EFR"]


class TestSettings:
    def test_a_store_and_its_folder_go_together(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORTHOAGENT_STORAGE", "unused")
        assert ProcureSettings().place is None
        kept = ProcureSettings(store="archive", root=tmp_path, folder=tmp_path / "new")
        assert kept.work == tmp_path / "new" / ".procure"
        for wrong in ({"store": "archive"}, {"root": tmp_path}, {"store": "a", "root": tmp_path, "folder": "/tmp"}):
            with pytest.raises(ValidationError):
                ProcureSettings.model_validate(wrong)
