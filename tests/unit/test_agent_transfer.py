"""Fetch and upload against a real HTTP server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from localdev.servers.closing import clean_up
from orthoagent.adapters.fetch import Fetcher
from orthoagent.adapters.origins import Origins
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.transfer import Transfer
from orthoagent.adapters.upload import Uploader
from orthoagent.errors import FaultError
from orthocontracts.inputs import InputFile
from orthocontracts.outputs import FileFacts
from orthocontracts.tickets import OutputFile

BODY = bytes(range(256)) * 8192  # 2 MiB
MD5 = hashlib.md5(BODY).hexdigest()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serving(handler: Handler, use: Callable[[aiohttp.ClientSession, str], Awaitable[None]]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{name:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        async with aiohttp.ClientSession() as http:
            await use(http, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await clean_up(runner)


def fetch(handler: Handler, folder: Path, *files: dict[str, object], limit_s: float = 300) -> list[int]:
    """Fetch the files from the handler; the counts of bytes that were told."""
    told: list[int] = []

    async def use(http: aiohttp.ClientSession, address: str) -> None:
        inputs = [
            InputFile.model_validate({"size_bytes": len(BODY), "url": f"{address}/{file['path']}?sig=SECRET", **file})
            for file in files
        ]
        transfer = Transfer(Origins(http), streams=2, no_progress_limit_s=limit_s)
        await Fetcher(transfer, Sites({}), None, parallel=2).fetch(inputs, folder, told.append)

    asyncio.run(serving(handler, use))
    return told


class CutsOff:
    """Sends a part, then breaks the connection; honours ranges."""

    def __init__(self, cuts: Sequence[int], etag: str = '"one"') -> None:
        self.cuts, self.etag = list(cuts), etag
        self.asked: list[tuple[str | None, str | None]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range")
        self.asked.append((wanted, request.headers.get("If-Match")))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = BODY[start:]
        answer = web.StreamResponse(status=206 if wanted else 200, headers={"ETag": self.etag})
        answer.content_length = len(body)
        await answer.prepare(request)
        if not self.cuts:
            await answer.write(body)
            return answer
        await answer.write(body[: self.cuts.pop(0)])
        assert request.transport is not None
        request.transport.close()
        return answer


def test_files_arrive_below_the_folder_with_their_sub_folders(tmp_path: Path) -> None:
    told = fetch(CutsOff([]), tmp_path, {"path": "products/A.SAFE/manifest.safe", "md5": MD5}, {"path": "aux/dem.tif"})
    assert (tmp_path / "products/A.SAFE/manifest.safe").read_bytes() == BODY
    assert (tmp_path / "aux/dem.tif").read_bytes() == BODY
    assert sum(told) == 2 * len(BODY)


def test_a_cut_transfer_is_resumed_where_it_broke_and_only_if_the_file_is_the_same(tmp_path: Path) -> None:
    server = CutsOff([700_000, 500_000])
    fetch(server, tmp_path, {"path": "a", "md5": MD5})
    assert (tmp_path / "a").read_bytes() == BODY
    assert server.asked[0] == (None, None)
    ranges = [wanted for wanted, _ in server.asked[1:]]
    assert len(ranges) == 2
    assert all(wanted is not None and wanted != "bytes=0-" for wanted in ranges)
    assert {match for _, match in server.asked[1:]} == {'"one"'}


def test_a_server_in_trouble_is_asked_again(tmp_path: Path) -> None:
    tries = 0

    async def busy_first(request: web.Request) -> web.StreamResponse:
        nonlocal tries
        tries += 1
        return web.Response(status=503) if tries == 1 else web.Response(body=BODY)

    fetch(busy_first, tmp_path, {"path": "a", "md5": MD5})
    assert tries == 2


def answers(status: int, body: bytes = b"") -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return handler


@pytest.mark.parametrize(
    ("handler", "file", "kind", "permanent"),
    [
        (answers(404), {}, "InputMissing", True),
        (answers(403), {}, "InputRefused", False),
        (answers(200, BODY + b"x"), {}, "InputChanged", True),
        (answers(200, BODY[:-1]), {}, "InputChanged", True),
        (answers(200, BODY), {"md5": "0" * 32}, "InputDamaged", False),
        (answers(500), {}, "InputUnreachable", False),
        (answers(200, BODY), {"path": "../out"}, "UnsafePath", True),
        (answers(200, BODY), {"path": "/etc/passwd"}, "UnsafePath", True),
        (answers(200, BODY), {"path": "a/../../b"}, "UnsafePath", True),
        (answers(200, BODY), {"size_bytes": 10**17}, "DiskFull", False),
    ],
)
def test_each_trouble_has_its_fault_and_none_shows_the_link(
    tmp_path: Path, handler: Handler, file: dict[str, object], kind: str, permanent: bool
) -> None:
    with pytest.raises(FaultError) as caught:
        fetch(handler, tmp_path / "in", {"path": "a", **file}, limit_s=0)
    assert (caught.value.fault.kind, caught.value.fault.permanent) == (kind, permanent)
    assert "SECRET" not in caught.value.fault.message
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "b").exists()


def put(handler: Handler, path: Path, *, links_s: float = 60) -> FileFacts:
    facts: list[FileFacts] = []

    async def use(http: aiohttp.ClientSession, address: str) -> None:
        to = OutputFile(blob="results/t/1/x.tif", url=f"{address}/results/x.tif?sig=SECRET")
        facts.append(
            await Uploader(http, Sites({})).put(path, to, until=datetime.now(UTC) + timedelta(seconds=links_s))
        )

    asyncio.run(serving(handler, use))
    return facts[0]


class Store:
    """A blob store that takes a name once."""

    def __init__(self, *first: int) -> None:
        self.first = list(first)
        self.stored: dict[str, bytes] = {}
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        body = await request.read()
        status = self.first.pop(0) if self.first else 201
        if status == 0:  # it is stored, but nobody learns of it
            self.stored[request.path] = body
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if request.path in self.stored:
            return web.Response(status=409, headers={"x-ms-error-code": "BlobAlreadyExists"})
        if status == 201:
            self.stored[request.path] = body
        return web.Response(status=status)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "x.tif"
    path.write_bytes(BODY)
    return path


def test_a_file_is_put_once_whole_and_with_its_md5(image: Path) -> None:
    store = Store()
    facts = put(store, image)
    assert (facts.blob, facts.size_bytes, facts.md5) == ("results/t/1/x.tif", len(BODY), MD5)
    assert store.stored["/results/x.tif"] == BODY
    (headers,) = store.headers
    assert headers["Content-MD5"] == base64.b64encode(bytes.fromhex(MD5)).decode()
    assert (headers["If-None-Match"], headers["x-ms-blob-type"]) == ("*", "BlockBlob")
    assert headers["Content-Length"] == str(len(BODY))
    assert "Transfer-Encoding" not in headers


@pytest.mark.parametrize("trouble", [503, 429, 0])
def test_a_put_without_success_is_tried_again_and_an_unheard_success_counts(image: Path, trouble: int) -> None:
    store = Store(trouble)
    assert put(store, image).md5 == MD5
    assert store.stored["/results/x.tif"] == BODY
    assert len(store.headers) == 2


@pytest.mark.parametrize("status", [403, 409, 400])
def test_a_refused_put_is_a_fault_at_once(image: Path, status: int) -> None:
    store = Store(status)
    with pytest.raises(FaultError, match="DeliveryRefused") as caught:
        put(store, image)
    assert len(store.headers) == 1
    assert "SECRET" not in str(caught.value)


def test_tries_end_with_the_link(image: Path) -> None:
    with pytest.raises(FaultError, match="DeliveryFailed"):
        put(Store(503, 503, 503), image, links_s=-1)
