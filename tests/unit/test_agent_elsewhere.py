"""What lies on other people's servers: fetched in parts side by side, only from where this worker may, one version."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import ResolveResult
from blake3 import blake3

from fakes.file_server import FileServer, Trouble, cut, lying, moved, replaced, status, whole
from orthoagent.adapters.fetch import Fetched, Fetcher
from orthoagent.adapters.kept import KeptInputs
from orthoagent.adapters.origins import Abroad, Origins, judged
from orthoagent.adapters.pinned import JudgingResolver
from orthoagent.adapters.process import child_environment
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.throttle import Throttle
from orthoagent.adapters.transfer import Transfer
from orthoagent.adapters.zipparts import NotAZipError, directory_at, entries_of
from orthoagent.errors import FaultError
from orthoagent.settings import Settings
from orthocontracts.buckets import Bucket, Login
from orthocontracts.hosts import Hosts
from orthocontracts.inputs import InputFile
from orthocontracts.members import needed_members

pytestmark = pytest.mark.alone

BODY = bytes(range(256)) * 4096  # 1 MiB
ETAG = hashlib.md5(BODY).hexdigest()
KEY = ("AKID", "very/secret+key")
SETTINGS = ("ORTHOAGENT_HOSTS", "ORTHOAGENT_HOSTS_INTERNAL")
S1 = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371"
S2 = "S2B_MSIL2A_20230605T110619_N0509_R137_T30UVU_20230605T131150"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(files={"/a": BODY}, keys={"archive": KEY}) as running:
        yield running


def fetch(
    server: FileServer,
    folder: Path,
    *files: dict[str, Any],
    bands: tuple[str, ...] | None = None,
    kept: KeptInputs | None = None,
    part_bytes: int = 100_000,
    limit_s: float = 60,
    told: Callable[[int], None] = lambda _: None,
    throttle: Throttle | None = None,
    **abroad: Any,
) -> Fetched:
    inputs = [
        InputFile.model_validate(
            {
                "path": "x/a",
                "url": f"{server.address}/a",
                "size_bytes": len(BODY),
                "etag": ETAG,
                "foreign": True,
                **file,
            }
        )
        for file in files or ({},)
    ]
    known: dict[str, Any] = {"hosts": Hosts(internal=(server.host,), settings=SETTINGS), **abroad}

    async def run() -> Fetched:
        resolver = JudgingResolver(judged(known["hosts"], known.get("buckets", {})), known.pop("lookup", None))
        connector = aiohttp.TCPConnector(resolver=resolver)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as http:
            origins = Origins(http, Abroad(http, **known))
            transfer = Transfer(
                origins, streams=4, throttle=throttle, no_progress_limit_s=limit_s, part_bytes=part_bytes
            )
            return await Fetcher(transfer, Sites({}), kept, parallel=2).fetch(inputs, folder, told, bands=bands)

    return asyncio.run(run())


def fault_of(server: FileServer, folder: Path, *files: dict[str, Any], **changes: Any) -> tuple[str, str]:
    with pytest.raises(FaultError) as caught:
        fetch(server, folder, *files, **changes)
    return caught.value.fault.kind, caught.value.fault.message


class TestParts:
    def test_a_large_file_comes_in_parts_of_the_planned_version(self, server: FileServer, tmp_path: Path) -> None:
        got: list[int] = []
        fetched = fetch(server, tmp_path, {"checksum": f"md5:{ETAG}"}, told=got.append)
        assert (tmp_path / "x/a").read_bytes() == BODY
        asked = server.asked_of("/a")
        assert len(asked) == 11
        assert {headers["If-Match"] for headers in asked} == {f'"{ETAG}"'}
        assert (sum(got), fetched.fetched_bytes) == (len(BODY), len(BODY))

    def test_every_part_goes_on_where_it_broke(self, server: FileServer, tmp_path: Path) -> None:
        server.troubles["/a"] = [cut(60_000), cut(10_000), status(503), lying("bytes 3-12/99"), cut(0)]
        fetch(server, tmp_path, {"checksum": f"md5:{ETAG}"})
        assert (tmp_path / "x/a").read_bytes() == BODY
        assert server.sent_bytes == len(BODY)

    def test_a_server_without_ranges_sends_it_in_one(self, server: FileServer, tmp_path: Path) -> None:
        server.troubles["/a"] = [whole()] * 20
        got: list[int] = []
        fetch(server, tmp_path, told=got.append)
        assert (tmp_path / "x/a").read_bytes() == BODY
        assert sum(got) == len(BODY)

    def test_who_asks_for_patience_gets_it(self, server: FileServer, tmp_path: Path) -> None:
        server.troubles["/a"] = [status(429, Retry_After="1")]
        began = time.monotonic()
        fetch(server, tmp_path, part_bytes=10 << 20)
        assert time.monotonic() - began >= 1
        server.troubles["/a"] = [status(503, Retry_After="999")]
        assert fault_of(server, tmp_path, part_bytes=10 << 20)[0] == "InputUnreachable"

    def test_all_fetches_together_keep_to_the_limit(self, server: FileServer, tmp_path: Path) -> None:
        server.files |= {"/b": BODY}
        began = time.monotonic()
        throttle = Throttle(2e6)
        fetch(server, tmp_path, {}, {"path": "x/b", "url": f"{server.address}/b"}, throttle=throttle)
        assert time.monotonic() - began >= 0.95 * 2 * len(BODY) / 2e6

    @pytest.mark.parametrize(
        ("checksum", "good"),
        [
            (f"md5:{ETAG}", True),
            (f"sha256:{hashlib.sha256(BODY).hexdigest()}", True),
            (f"sha3-256:{hashlib.sha3_256(BODY).hexdigest()}", True),
            (f"blake3:{blake3(BODY).hexdigest()}", True),
            (f"sha3-256:{hashlib.sha256(BODY).hexdigest()}", False),
            (f"blake3:{'0' * 64}", False),
        ],
    )
    def test_checksums_are_held_against_what_came(
        self, server: FileServer, tmp_path: Path, checksum: str, good: bool
    ) -> None:
        if good:
            fetch(server, tmp_path, {"checksum": checksum})
        else:
            assert fault_of(server, tmp_path, {"checksum": checksum})[0] == "InputDamaged"


class TestVersions:
    @pytest.mark.parametrize("heeds_conditions", [True, False])
    def test_another_version_than_the_planned_one_is_none(
        self, server: FileServer, tmp_path: Path, heeds_conditions: bool
    ) -> None:
        if not heeds_conditions:
            server.etag_of = lambda data: f'W/"{hashlib.md5(data).hexdigest()}"'
        server.files["/a"] = BODY[::-1]
        assert fault_of(server, tmp_path)[0] == "InputChanged"

    def test_what_changes_midway_is_noticed(self, server: FileServer, tmp_path: Path) -> None:
        async def nothing(*_: object) -> None:
            return None

        server.troubles["/a"] = [nothing, nothing, nothing, replaced(BODY[::-1])]
        kind, message = fault_of(server, tmp_path, {"etag": None})
        assert kind == "InputChanged", message

    @pytest.mark.parametrize("by", [BODY + b"x", BODY[:-1], b""])
    def test_of_another_length(self, server: FileServer, tmp_path: Path, by: bytes) -> None:
        server.files["/a"] = by
        server.etag_of = lambda _: None
        assert fault_of(server, tmp_path, {"etag": None})[0] == "InputChanged"

    def test_without_etag_by_when_it_was_written(self, server: FileServer, tmp_path: Path) -> None:
        server.etag_of = lambda _: None
        modified = "Sun, 13 Sep 2020 12:26:40 GMT"
        fetch(server, tmp_path, {"etag": None, "modified": modified})
        assert server.asked[0][1]["If-Unmodified-Since"] == modified
        server.modified_s = 1_600_000_001
        assert fault_of(server, tmp_path, {"etag": None, "modified": modified})[0] == "InputChanged"


class TestWhoIsAsked:
    def test_nobody_whom_the_settings_do_not_name(self, server: FileServer, tmp_path: Path) -> None:
        kind, message = fault_of(server, tmp_path, hosts=Hosts(settings=SETTINGS))
        assert (kind, "ORTHOAGENT_HOSTS" in message) == ("HostNotAllowed", True)
        kind, message = fault_of(server, tmp_path, {"url": "s3://archive/a"})
        assert (kind, "ORTHOAGENT_BUCKETS" in message) == ("HostNotAllowed", True)
        assert server.asked == []

    @pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "168.63.129.16"])
    def test_no_neighbour_behind_a_name(self, server: FileServer, tmp_path: Path, address: str) -> None:
        async def lookup(host: str, port: int) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host=address, port=port, family=2, proto=6, flags=0)]

        url = f"https://data.example.org:{server.port}/a"
        hosts = Hosts(patterns=(f"data.example.org:{server.port}",), settings=SETTINGS)
        kind, message = fault_of(server, tmp_path, {"url": url}, hosts=hosts, lookup=lookup)
        assert (kind, address in message) == ("HostNotAllowed", True)
        assert server.asked == []

    def test_no_neighbour_by_its_number(self, server: FileServer, tmp_path: Path) -> None:
        url = f"https://127.0.0.1:{server.port}/a"
        hosts = Hosts(patterns=(f"127.0.0.1:{server.port}",), settings=SETTINGS)
        assert fault_of(server, tmp_path, {"url": url}, hosts=hosts)[0] == "HostNotAllowed"

    @pytest.mark.parametrize("to", ["http://169.254.169.254/", "https://evil.example.org/a", "file:///etc/passwd"])
    def test_nobody_they_send_on_to(self, server: FileServer, tmp_path: Path, to: str) -> None:
        server.troubles["/a"] = [moved(to)] * 20
        assert fault_of(server, tmp_path)[0] == "HostNotAllowed"

    def test_a_login_stays_with_its_host(
        self, server: FileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with FileServer(files={"/a": BODY}) as other:
            server.troubles["/a"] = [moved(f"{other.address}/a")] * 20
            login = Login.model_validate({"user": "me", "password": "s3cret"})
            hosts = Hosts(internal=(server.host, other.host), settings=SETTINGS)
            fetch(server, tmp_path, hosts=hosts, logins={server.host: login})
            assert server.asked[0][1]["Authorization"].startswith("Basic ")
            assert all("Authorization" not in headers for _, headers in other.asked)
        assert "s3cret" not in caplog.text

    def test_the_netrc_of_whoever_runs_it_counts(
        self, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
        monkeypatch.setenv("NETRC", str(netrc))

        async def run() -> None:
            async with aiohttp.ClientSession(trust_env=True, auto_decompress=False) as http:
                hosts = Hosts(internal=(server.host,), settings=SETTINGS)
                file = InputFile(path="a", url=f"{server.address}/a", size_bytes=len(BODY), foreign=True)
                fetcher = Fetcher(Transfer(Origins(http, Abroad(http, hosts))), Sites({}), None, parallel=1)
                await fetcher.fetch([file], tmp_path / "in", lambda _: None)

        asyncio.run(run())
        assert server.asked[0][1]["Authorization"].startswith("Basic ")

    def test_buckets_by_signature(self, server: FileServer, tmp_path: Path) -> None:
        server.files["/archive/S1/x y+z/a.tif"] = BODY
        url = "s3://archive/S1/x y+z/a.tif"
        bucket = Bucket.model_validate({"endpoint": server.address, "key_id": KEY[0], "secret": KEY[1]})
        fetch(server, tmp_path, {"url": url}, buckets={"archive": bucket})
        assert (tmp_path / "x/a").read_bytes() == BODY
        assert server.refused == []

        async def lookup(host: str, port: int) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=6, flags=0)]

        named = bucket.model_copy(update={"endpoint": f"http://minio.example.org:{server.port}"})
        fetch(server, tmp_path / "named", {"url": url}, buckets={"archive": named}, lookup=lookup)
        wrong = bucket.model_copy(update={"key_id": "OTHER"})
        kind, message = fault_of(server, tmp_path, {"url": url}, buckets={"archive": wrong})
        assert (kind, KEY[1] in message) == ("InputRefused", False)

    def test_secrets_do_not_reach_the_child(self) -> None:
        base = {"ORTHOAGENT_LOGINS": "x", "ORTHOAGENT_BUCKETS": "y", "PATH": "z"}
        found = child_environment(base, numba_cache=Path("n"), threads=1)
        assert {"ORTHOAGENT_LOGINS", "ORTHOAGENT_BUCKETS"}.isdisjoint(found)

    def test_settings_hold_them_and_do_not_show_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORTHOAGENT_STORAGE", "x")
        monkeypatch.setenv("ORTHOAGENT_POOL", "hpc")
        monkeypatch.setenv("ORTHOAGENT_LOGINS", '{"data.example.org": {"token": "s3cret"}}')
        text = '{"archive": {"endpoint": "https://s3.example.org", "key_id": "k", "secret": "s3cret"}}'
        monkeypatch.setenv("ORTHOAGENT_BUCKETS", text)
        settings = Settings()
        assert settings.logins["data.example.org"].authorization == "Bearer s3cret"
        assert "s3cret" not in repr(settings)


def product_zip(method: int) -> bytes:
    """A dual-polarised Sentinel-1 and nothing in it but numbers."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(f"{S1}.SAFE/manifest.safe", b"<manifest/>")
        for band in ("vv", "vh"):
            name = f"s1b-iw-grd-{band}-20211223t051122-20211223t051147-030148-039993-001"
            archive.writestr(f"{S1}.SAFE/annotation/{name}.xml", b"<product/>")
            pixels = hashlib.shake_128(band.encode()).digest(2_000_000)
            archive.writestr(f"{S1}.SAFE/measurement/{name}.tiff", pixels)
    return buffer.getvalue()


class TestOnlyWhatIsNeeded:
    @pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_of_a_zip_the_members_of_the_bands(self, server: FileServer, tmp_path: Path, method: int) -> None:
        body = server.files[f"/{S1}.zip"] = product_zip(method)
        file = {"path": f"x/{S1}.zip", "url": f"{server.address}/{S1}.zip", "size_bytes": len(body),
                "etag": hashlib.md5(body).hexdigest()}  # fmt: skip
        got: list[int] = []
        fetched = fetch(server, tmp_path, file, bands=("vv",), told=got.append)
        assert server.sent_bytes < 0.6 * len(body)
        assert 0 < fetched.fetched_bytes < 0.6 * len(body)
        assert sum(got) == len(body)
        with zipfile.ZipFile(io.BytesIO(body)) as all_of_it, zipfile.ZipFile(tmp_path / f"x/{S1}.zip") as part:
            assert part.testzip() is None
            wanted = [name for name in all_of_it.namelist() if "measurement" not in name or "-vv-" in name]
            assert part.namelist() == wanted
            assert all(part.read(name) == all_of_it.read(name) for name in wanted)

    @pytest.mark.parametrize("bands", [None, ("vv", "vh")])
    def test_all_of_it_where_that_is_no_less(
        self, server: FileServer, tmp_path: Path, bands: tuple[str, ...] | None
    ) -> None:
        body = server.files[f"/{S1}.zip"] = product_zip(zipfile.ZIP_STORED)
        file = {"path": f"x/{S1}.zip", "url": f"{server.address}/{S1}.zip", "size_bytes": len(body), "etag": None}
        fetch(server, tmp_path, file, bands=bands)
        assert (tmp_path / f"x/{S1}.zip").read_bytes() == body

    def test_what_is_damaged_on_the_way_is_noticed(self, server: FileServer, tmp_path: Path) -> None:
        body = bytearray(product_zip(zipfile.ZIP_STORED))
        at = body.find(b"-vv-", 0) + 500_000
        body[at] ^= 1
        server.files[f"/{S1}.zip"] = bytes(body)
        file = {"path": f"x/{S1}.zip", "url": f"{server.address}/{S1}.zip", "size_bytes": len(body), "etag": None}
        kind, message = fault_of(server, tmp_path, file, bands=("vv",))
        assert (kind, "CRC-32" in message) == ("InputDamaged", True)

    def test_parts_are_kept_by_what_they_hold(self, server: FileServer, tmp_path: Path) -> None:
        kept = KeptInputs(tmp_path / "kept", 1 << 30)
        kept.open()
        body = server.files[f"/{S1}.zip"] = product_zip(zipfile.ZIP_STORED)
        file = {"path": f"x/{S1}.zip", "url": f"{server.address}/{S1}.zip", "size_bytes": len(body),
                "etag": hashlib.md5(body).hexdigest()}  # fmt: skip
        fetch(server, tmp_path / "1", file, bands=("vv",), kept=kept)
        before = server.sent_bytes
        assert fetch(server, tmp_path / "2", file, bands=("vv",), kept=kept).local_bytes == len(body)
        assert server.sent_bytes == before
        fetch(server, tmp_path / "3", file, kept=kept)
        assert (tmp_path / "3" / f"x/{S1}.zip").read_bytes() == body
        before = server.sent_bytes
        assert fetch(server, tmp_path / "4", file, bands=("vh",), kept=kept).local_bytes == len(body)
        assert server.sent_bytes == before

    def test_what_is_no_zip_is_brought_whole_for_the_kernel_to_say_so(self, server: FileServer, tmp_path: Path) -> None:
        body = server.files[f"/{S1}.zip"] = product_zip(zipfile.ZIP_STORED)[:-1000]
        file = {"path": f"x/{S1}.zip", "url": f"{server.address}/{S1}.zip", "size_bytes": len(body), "etag": None}
        fetch(server, tmp_path, file, bands=("vv",))
        assert (tmp_path / f"x/{S1}.zip").read_bytes() == body

    def test_directories_beyond_four_gigabytes(self, tmp_path: Path) -> None:
        path = tmp_path / "large.zip"
        with path.open("wb") as raw:
            raw.truncate(5 << 30)  # a hole
            raw.seek(5 << 30)
            with zipfile.ZipFile(raw, "w") as archive:
                archive.writestr("a", b"1")
                archive.writestr("b", b"22")
        size = path.stat().st_size
        with path.open("rb") as raw:
            raw.seek(size - 60_000)
            tail = raw.read()
            start, stop = directory_at(tail, size)
            raw.seek(start)
            directory = raw.read(stop - start)
        entries = entries_of(directory)
        assert [(entry.name, entry.size_bytes) for entry in entries] == [("a", 1), ("b", 2)]
        assert entries[0].offset == 5 << 30
        for nonsense in (b"", tail[:-30], b"PK\x05\x06" + bytes(18)):
            with pytest.raises(NotAZipError):
                directory_at(nonsense, size)
        with pytest.raises(NotAZipError):
            entries_of(directory[:-5] + b"PK\x01\x02")

    def test_which_members_hold_other_bands(self) -> None:
        tile = f"{S2}.SAFE/GRANULE/L2A_T30UVU_A0/IMG_DATA"
        members = [
            f"{S2}.SAFE/MTD_MSIL2A.xml", f"{tile}/R10m/T30UVU_20230605T110619_B04_10m.jp2",
            f"{tile}/R20m/T30UVU_20230605T110619_B8A_20m.jp2", f"{tile}/R20m/T30UVU_20230605T110619_SCL_20m.jp2",
            f"{tile}/R10m/T30UVU_20230605T110619_TCI_10m.jp2", f"{S2}.SAFE/GRANULE/x/QI_DATA/MSK_DETFOO_B8A.jp2",
        ]  # fmt: skip
        left = set(members) - needed_members(S2, members, ["b04"])
        assert left == {members[2], members[4]}
        assert needed_members(S2, members, None) == set(members)
        assert needed_members("a.tif", ["a.tif"], ["b1"]) == {"a.tif"}
        olci = ["Oa01_radiance.nc", "Oa02_radiance.nc", "geo_coordinates.nc"]
        stem = "S3A_OL_1_EFR____20230605T103015_20230605T103315_20230605T123456_0179_099_279_2160_PS1_O_NR_003"
        assert needed_members(stem, olci, ["oa02_unc"]) == set(olci[1:])


def test_each_trouble_is_told_apart(server: FileServer, tmp_path: Path) -> None:
    troubles: dict[str, list[Trouble]] = {
        "InputMissing": [status(404)] * 20,
        "InputRefused": [status(401)] * 20,
        "InputUnreachable": [status(500)] * 20,
    }
    for kind, trouble in troubles.items():
        server.troubles["/a"] = list(trouble)
        assert fault_of(server, tmp_path / kind, part_bytes=10 << 20, limit_s=0)[0] == kind
