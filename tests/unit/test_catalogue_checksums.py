"""What a catalogue says of a product's bytes, from its announcement to whoever fetches them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from blake3 import blake3
from pydantic import SecretStr

from fakes.file_server import FileServer, cut, lying, status
from fakes.memory_ports import memory_ports
from fakes.products import ROME, ROME_RING, manifest, members, safe_zip
from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.kept import KeptInputs
from orthoagent.adapters.origins import Abroad, Origins, judged
from orthoagent.adapters.pinned import JudgingResolver
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.transfer import Transfer
from orthoagent.errors import FaultError
from orthocontracts.buckets import Bucket
from orthocontracts.hosts import Hosts
from orthocontracts.inputs import InputFile
from orthocontracts.messages import Fault
from orthocontracts.orders import StandingOrder
from orthocontracts.requests import Request
from orthofunctions.adapters.servers import Servers
from orthofunctions.domain import odata, stacitems
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.multihash import checksum_of
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.announced import take_announced
from orthofunctions.usecases.orders import add_order
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.submit import read_request

KEY = ("AKID", "very/secret+key")
PATH = f"/eodata/Sentinel-1/{ROME}.zip"
PIXELS = f"{ROME}.SAFE/measurement/s1b-iw-grd-vh-20211223t051122-20211223t051147-030148-039993-002.tiff"
BODY = safe_zip(extra={PIXELS: hashlib.shake_128(b"pixels").digest(300_000)})
RING = [[lon, lat] for lon, lat in (*ROME_RING, ROME_RING[0])]
MD5, BLAKE3 = hashlib.md5(BODY).hexdigest(), blake3(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(files={PATH: BODY}, keys={"eodata": KEY}) as running:
        yield running


@pytest.fixture
def bucket(server: FileServer) -> Bucket:
    return Bucket(endpoint=server.address, key_id=KEY[0], secret=SecretStr(KEY[1]))


@pytest.fixture
def ports(bucket: Bucket) -> Ports:
    ports = replace(memory_ports(), remote=Servers(Hosts(), {"eodata": bucket}))
    said = {"order_id": "rome", "user": "ana", "created_at": ports.clock.now(), "terrain": {"height_m": 0},
            "grid": {"kind": "mgrs", "tiles": ["33TUG"]}}  # fmt: skip
    add_order(ports, StandingOrder.model_validate(said))
    return ports


def by_odata(**checksums: str) -> Announced:
    return odata.announced_by(
        "cdse",
        {
            "Id": "1",
            "Name": f"{ROME}.SAFE",
            "S3Path": PATH,
            "ContentDate": {"Start": "2021-12-23T05:11:22Z"},
            "PublicationDate": "2021-12-23T09:00:00Z",
            "GeoFootprint": {"type": "Polygon", "coordinates": [RING]},
            "Checksum": [{"Algorithm": name, "Value": value} for name, value in checksums.items()],
        },
    )


def by_stac(checksum: object, **asset: Any) -> Announced:
    item = {
        "id": ROME,
        "geometry": {"type": "Polygon", "coordinates": [RING]},
        "properties": {"datetime": "2021-12-23T05:11:22Z", "published": "2021-12-23T09:00:00Z"},
        "assets": {
            "vv": {"href": f"s3:/{PATH}/measurement/vv.tiff", "file:checksum": f"d50110{'1' * 32}"},
            "product": {"href": f"s3:/{PATH}", "file:checksum": checksum, **asset},
        },
    }
    return stacitems.announced_by("stac", item, "published")


def planned(ports: Ports, told: Announced) -> InputFile:
    """What the worker of the order's job is told to fetch."""
    (job,) = take_announced(ports, told)
    for body in ports.queues.drain("requests", 100):
        job = plan_request(ports, read_request(ports, body), Limits(), Rules())
    assert job.fault_message is None
    plan = read_plan(ports, job.job_id)
    assert plan is not None
    (file,) = plan.tasks[0].elsewhere or ()
    return file


def fetch(bucket: Bucket, folder: Path, file: InputFile, **how: Any) -> int:
    async def run() -> int:
        buckets = {"eodata": bucket}
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=JudgingResolver(judged(Hosts(), buckets), None)),
            auto_decompress=False,
        ) as http:
            transfer = Transfer(Origins(http, Abroad(http, buckets=buckets)), part_bytes=100_000)
            fetcher = Fetcher(transfer, Sites({}), how.pop("kept", None), parallel=2, gap_bytes=0)
            return (await fetcher.fetch([file], folder, lambda _: None, **how)).fetched_bytes

    return asyncio.run(run())


def fault_of(bucket: Bucket, folder: Path, file: InputFile, **how: Any) -> Fault:
    with pytest.raises(FaultError) as caught:
        fetch(bucket, folder, file, **how)
    return caught.value.fault


def damaged() -> bytes:
    """One bit of a member's pixels is another, as long as before."""
    body = bytearray(BODY)
    body[BODY.find(PIXELS.encode()) + 1000] ^= 1
    return bytes(body)


class TestFromTheCatalogueToTheWorker:
    @pytest.mark.parametrize(
        ("told", "checksum"),
        [
            (by_odata(MD5=MD5.upper(), BLAKE3=BLAKE3), f"md5:{MD5}"),
            (by_odata(SHA1="0" * 40, BLAKE3=BLAKE3), f"blake3:{BLAKE3}"),
            (by_odata(MD5="0" * 64, BLAKE3="0" * 32), None),
            (by_odata(), None),
            (by_stac(f"1e20{BLAKE3}"), f"blake3:{BLAKE3}"),
            (by_stac(f"d50110{MD5}"), f"md5:{MD5}"),
            (by_stac(None, alternate={"there": {"href": f"s3:/{PATH}", "file:checksum": f"d50110{MD5}"}}),
             f"md5:{MD5}"),
            (by_stac(f"1114{'0' * 40}"), None),
            (by_stac(7), None),
        ],
        ids=[
            "md5 of two", "blake3 of two", "of wrong lengths", "none", "blake3", "md5", "md5 of an alternate",
            "of a kind unknown", "no text",
        ],
    )  # fmt: skip
    def test_a_worker_is_told_what_the_catalogue_says_of_a_zip(
        self, ports: Ports, told: Announced, checksum: str | None
    ) -> None:
        file = planned(ports, told)
        assert (file.url, file.checksum, file.foreign) == (f"s3:/{PATH}", checksum, True)

    def test_of_a_folder_nobody_has_the_whole(self, ports: Ports, server: FileServer) -> None:
        told = by_odata(MD5=MD5).model_copy(update={"ref": f"s3://eodata/{ROME}.SAFE"})
        take_announced(ports, told)
        (body,) = ports.queues.drain("requests", 100)
        files = members(ROME)
        server.files |= {f"/eodata/{ROME}.SAFE/{path}": data for path, data in files.items()}
        server.files[f"/eodata/{ROME}.SAFE/manifest.safe"] = manifest(files)
        job = plan_request(ports, read_request(ports, body), Limits(), Rules())
        plan = read_plan(ports, job.job_id)
        assert plan is not None
        assert f"md5:{MD5}" not in {file.checksum for file in plan.tasks[0].elsewhere or ()}

    def test_a_request_that_names_it_is_told_too_and_its_images_have_the_same_names(self, ports: Ports) -> None:
        request = {"request_id": "r", "products": [f"s3:/{PATH}"], "terrain": {"height_m": 0},
                   "grid": {"kind": "mgrs", "tiles": ["33TUG"]}}  # fmt: skip
        before = plan_request(ports, Request.model_validate({**request, "request_id": "b"}), Limits(), Rules())
        planned(ports, by_odata(MD5=MD5))
        after = plan_request(ports, Request.model_validate(request), Limits(), Rules())
        one, other = read_plan(ports, before.job_id), read_plan(ports, after.job_id)
        assert one is not None
        assert other is not None
        assert (one.tasks[0].elsewhere or ())[0].checksum is None
        assert (other.tasks[0].elsewhere or ())[0].checksum == f"md5:{MD5}"
        assert [output.digest for output in one.outputs] == [output.digest for output in other.outputs]


class TestFetched:
    @pytest.mark.parametrize("checksum", [{"MD5": MD5}, {"BLAKE3": BLAKE3}])
    def test_whole_and_right_whatever_the_line_does(
        self, ports: Ports, server: FileServer, bucket: Bucket, tmp_path: Path, checksum: dict[str, str]
    ) -> None:
        file = planned(ports, by_odata(**checksum))
        server.troubles[PATH] = [cut(7000), status(503), lying("bytes 3-12/99"), cut(0)]
        assert fetch(bucket, tmp_path, file) == len(BODY)
        assert (tmp_path / file.path).read_bytes() == BODY

    def test_other_bytes_than_the_catalogue_says_are_told_once_for_good(
        self, ports: Ports, server: FileServer, bucket: Bucket, tmp_path: Path
    ) -> None:
        """As long as before, and planned as they are: directory and manifest do not tell."""
        server.files[PATH] = wrong = damaged()
        file = planned(ports, by_odata(MD5=MD5))
        fault = fault_of(bucket, tmp_path, file)
        assert (fault.kind, fault.permanent) == ("InputDamaged", True)
        for said in (f"{ROME}.zip", f"md5:{MD5}", f"md5:{hashlib.md5(wrong).hexdigest()}"):
            assert said in fault.message
        without = file.model_copy(update={"checksum": None})
        assert fetch(bucket, tmp_path, without) == len(BODY), "nothing else would have noticed"

    def test_what_was_damaged_on_the_way_comes_again(
        self, ports: Ports, server: FileServer, bucket: Bucket, tmp_path: Path
    ) -> None:
        file = planned(ports, by_odata(BLAKE3=BLAKE3))

        async def flipped(there: FileServer, request: Any, data: bytes) -> Any:
            etag_of, there.etag_of = there.etag_of, lambda _: f'"{MD5}"'
            try:
                return await there.serve(request, bytes(byte ^ 1 for byte in data))
            finally:
                there.etag_of = etag_of

        server.troubles[PATH] = [flipped]
        fetch(bucket, tmp_path, file)
        assert (tmp_path / file.path).read_bytes() == BODY

    def test_members_alone_are_held_against_their_own_sums(
        self, ports: Ports, server: FileServer, bucket: Bucket, tmp_path: Path
    ) -> None:
        """The whole is damaged where nobody looks: of what came nothing is."""
        server.files[PATH] = damaged()
        file = planned(ports, by_odata(MD5=MD5))
        came = fetch(bucket, tmp_path, file, bands=("vv",))
        assert came < len(BODY) / 2

    def test_a_length_that_is_another_is_told_before(
        self, ports: Ports, server: FileServer, bucket: Bucket, tmp_path: Path
    ) -> None:
        file = planned(ports, by_odata(MD5=MD5)).model_copy(update={"etag": None})
        server.files[PATH] = BODY + b"more"
        fault = fault_of(bucket, tmp_path, file)
        assert (fault.kind, fault.permanent) == ("InputChanged", True)
        assert f"{len(BODY)}" in fault.message

    def test_what_is_kept_was_held_against_it(
        self, ports: Ports, server: FileServer, bucket: Bucket, tmp_path: Path
    ) -> None:
        kept = KeptInputs(tmp_path / "kept", 1 << 30)
        kept.open()
        server.files[PATH] = damaged()
        file = planned(ports, by_odata(MD5=MD5))
        fetch(bucket, tmp_path / "one", file.model_copy(update={"checksum": None}), kept=kept)
        assert fault_of(bucket, tmp_path / "two", file, kept=kept).kind == "InputDamaged"


@pytest.mark.parametrize(
    ("multihash", "checksum"),
    [
        (f"1220{'ab' * 32}", f"sha256:{'ab' * 32}"),
        (f"1620{'ab' * 32}", f"sha3-256:{'ab' * 32}"),
        (f"1E20{'AB' * 32}", f"blake3:{'ab' * 32}"),
        (f"d50110{'ab' * 16}", f"md5:{'ab' * 16}"),
        (f"1220{'ab' * 31}", None),
        (f"1220{'xy' * 32}", None),
        (f"1340{'ab' * 64}", None),
        ("", None),
        (None, None),
        ({"a": 1}, None),
    ],
)
def test_multihashes(multihash: object, checksum: str | None) -> None:
    assert checksum_of(multihash) == checksum
