"""Stores of a site as a worker sees them: read in place, never left, never overwritten. And stubs that point there."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from fakes.products import ROME, manifest, members
from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.origins import Origins
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.transfer import Transfer
from orthoagent.adapters.upload import Uploader
from orthoagent.errors import FaultError
from orthoburst.cli import main
from orthoburst.errors import OrthoburstError
from orthoburst.stub import make_stub
from orthocontracts.inputs import InputFile
from orthocontracts.outputs import FileFacts
from orthocontracts.stores import Elsewhere
from orthocontracts.tickets import OutputFile


def fetch(sites: Sites, url: str, into: Path, size_bytes: int = 6) -> list[int]:
    told: list[int] = []

    async def run() -> None:
        async with aiohttp.ClientSession() as http:
            file = InputFile(path="products/a/b.tiff", url=url, size_bytes=size_bytes)
            await Fetcher(Transfer(Origins(http)), sites, None, parallel=1).fetch([file], into, told.append)

    asyncio.run(run())
    return told


def put(sites: Sites, path: Path, url: str) -> FileFacts:
    async def run() -> FileFacts:
        async with aiohttp.ClientSession() as http:
            to = OutputFile(blob=url, url=url)
            return await Uploader(http, sites).put(path, to, until=datetime.now(UTC) + timedelta(seconds=5))

    return asyncio.run(run())


def test_an_input_is_read_where_it_lies(tmp_path: Path) -> None:
    archive, scratch = tmp_path / "archive", tmp_path / "scratch"
    (archive / "2026").mkdir(parents=True)
    (archive / "2026/b.tiff").write_bytes(b"pixels")
    assert fetch(Sites({"archive": archive}), "site://archive/2026/b.tiff", scratch) == [6]
    there = scratch / "products/a/b.tiff"
    assert there.is_symlink()
    assert there.read_bytes() == b"pixels"


@pytest.mark.parametrize(
    ("url", "size_bytes", "kind", "permanent"),
    [
        ("site://archive/2026/none.tiff", 6, "InputMissing", True),
        ("site://archive/2026/b.tiff", 7, "InputChanged", True),
        ("site://elsewhere/2026/b.tiff", 6, "StoreMissing", False),
        ("site://archive/../secret", 6, "UnsafePath", True),
        ("site://archive/out/secret", 6, "UnsafePath", True),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, url: str, size_bytes: int, kind: str, permanent: bool) -> None:
    archive, outside = tmp_path / "archive", tmp_path / "outside"
    (archive / "2026").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (archive / "2026/b.tiff").write_bytes(b"pixels")
    (archive / "out").symlink_to(outside)
    with pytest.raises(FaultError) as caught:
        fetch(Sites({"archive": archive}), url, tmp_path / "scratch", size_bytes)
    assert (caught.value.fault.kind, caught.value.fault.permanent) == (kind, permanent)


def test_an_image_is_kept_whole_and_over_nothing(tmp_path: Path) -> None:
    store, made = tmp_path / "store", tmp_path / "made.tif"
    store.mkdir()
    made.write_bytes(b"image")
    url = "site://archive/results/t-1/1/x.tif"
    facts = put(Sites({"archive": store}), made, url)
    assert facts == FileFacts(blob=url, size_bytes=5, md5=hashlib.md5(b"image").hexdigest())
    assert (store / "results/t-1/1/x.tif").read_bytes() == b"image"
    made.write_bytes(b"other")
    with pytest.raises(FaultError, match="is there already"):
        put(Sites({"archive": store}), made, url)
    assert [path.name for path in (store / "results/t-1/1").iterdir()] == ["x.tif"]
    assert (store / "results/t-1/1/x.tif").read_bytes() == b"image"


def archived(root: Path) -> Path:
    product = root / "2021" / f"{ROME}.SAFE"
    for path, data in members(ROME).items():
        (product / path).parent.mkdir(parents=True, exist_ok=True)
        (product / path).write_bytes(data)
    (product / "manifest.safe").write_bytes(manifest(members(ROME)))
    return product


def test_a_stub_has_the_small_files_and_says_where_the_large_ones_lie(tmp_path: Path) -> None:
    product = archived(tmp_path / "root")
    stub = make_stub(product, tmp_path / "out", store="archive", root=tmp_path / "root", least_bytes=50)
    there = {path.relative_to(stub).as_posix() for path in stub.rglob("*") if path.is_file()}
    image = next(path for path in members(ROME) if path.startswith("measurement/"))
    assert there == {*members(ROME), "manifest.safe", "elsewhere.json"} - {image}
    elsewhere = Elsewhere.model_validate_json((stub / "elsewhere.json").read_text())
    assert elsewhere.store == "archive"
    assert elsewhere.files[image].path == f"2021/{ROME}.SAFE/{image}"
    with pytest.raises(OrthoburstError, match="is there already"):
        make_stub(product, tmp_path / "out", store="archive", root=tmp_path / "root", least_bytes=50)


def test_the_command_refuses_what_lies_outside_or_is_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    product = archived(tmp_path / "root")
    for root, why in ((tmp_path / "other", "is not a folder below"), (tmp_path / "root", "upload it as it is")):
        assert main(["stub", str(product), str(tmp_path / "out"), "--store", "archive", "--root", str(root)]) == 1
        assert why in capsys.readouterr().err
