"""Members of zips that lie in a store of the site: unpacked where they are asked for, or named where they cannot be."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import aiohttp
import pytest

from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.sites import Sites
from orthoagent.errors import FaultError
from orthocontracts.stores import site_url, split_member
from orthocontracts.tickets import InputFile

PIXELS = b"pixels" * 1000


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.SAFE/b.tiff", PIXELS)
    data = bytearray((folder / "a.zip").read_bytes())
    data[60] ^= 0xFF
    (folder / "damaged.zip").write_bytes(data)
    (folder / "none.zip").write_bytes(b"no zip")
    return folder


def fetch(archive: Path, url: str, size_bytes: int = len(PIXELS), limit_bytes: int | None = None) -> Path:
    into = archive.parent / "scratch"

    async def run() -> None:
        async with aiohttp.ClientSession() as http:
            file = InputFile(path="products/a.SAFE/b.tiff", url=url, size_bytes=size_bytes)
            fetcher = Fetcher(http, Sites({"archive": archive}), None, parallel=1)
            await fetcher.fetch([file], into, lambda _: None, limit_bytes=limit_bytes)

    asyncio.run(run())
    return into / "products/a.SAFE/b.tiff"


def test_a_member_is_unpacked(archive: Path) -> None:
    there = fetch(archive, site_url("archive", "a.zip", "a.SAFE/b.tiff"))
    assert there.read_bytes() == PIXELS
    assert not there.is_symlink()


@pytest.mark.parametrize(
    ("url", "size_bytes", "kind"),
    [
        ("site://archive/c.zip#a.SAFE/b.tiff", len(PIXELS), "InputMissing"),
        ("site://archive/a.zip#a.SAFE/c.tiff", len(PIXELS), "InputMissing"),
        ("site://archive/a.zip#a.SAFE/b.tiff", len(PIXELS) + 1, "InputChanged"),
        ("site://archive/damaged.zip#a.SAFE/b.tiff", len(PIXELS), "InputDamaged"),
        ("site://archive/none.zip#a.SAFE/b.tiff", len(PIXELS), "InputDamaged"),
        ("site://archive/a.zip#../b.tiff", len(PIXELS), "UnsafePath"),
        ("site://archive/../a.zip#a.SAFE/b.tiff", len(PIXELS), "UnsafePath"),
        ("site://archive/a.zip#", len(PIXELS), "UnsafePath"),
    ],
)
def test_what_cannot_be_unpacked_is_named(archive: Path, url: str, size_bytes: int, kind: str) -> None:
    with pytest.raises(FaultError) as raised:
        fetch(archive, url, size_bytes)
    assert (raised.value.fault.kind, raised.value.fault.permanent) == (kind, True)


def test_unpacked_members_count_against_the_scratch_limit(archive: Path) -> None:
    with pytest.raises(FaultError, match="the inputs are"):
        fetch(archive, "site://archive/a.zip#a.SAFE/b.tiff", limit_bytes=100)


def test_only_addresses_of_stores_name_members() -> None:
    assert split_member("https://x.example/a#b") == ("https://x.example/a#b", None)
    assert split_member("site://s/a.zip#b/c") == ("site://s/a.zip", "b/c")
    assert split_member("site://s/a") == ("site://s/a", None)
