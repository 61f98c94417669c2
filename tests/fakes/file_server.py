"""A server of files for tests: over http or https, with ranges, versions and buckets; it misbehaves on demand."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Self
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from aiohttp import web

from localdev.servers.closing import clean_up

Trouble = Callable[["FileServer", web.Request, bytes], Awaitable[web.StreamResponse | None]]
MODIFIED_S = 1_600_000_000


@dataclass
class FileServer:
    """Serves ``files`` (by path, ``/`` first) until the end of the ``with``.

    ``troubles`` are taken one by one for each path that has some: each answers instead, or lets the file be served.
    ``keys`` opens buckets: path ``/BUCKET/KEY`` of a bucket that is named there wants a signature by its secret.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    troubles: dict[str, list[Trouble]] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By bucket: the id of its key, and the secret."""
    etag_of: Callable[[bytes], str | None] = lambda data: f'"{hashlib.md5(data).hexdigest()}"'
    modified_s: float | None = MODIFIED_S
    tls: ssl.SSLContext | None = None
    page_keys: int = 1000
    most_at_once: int | None = None
    """Answers that are under way at a time; one more gets status 429."""
    piece_s: float = 0.0
    """For which every 64 KiB take."""
    ranges: bool = True
    """Whether parts are given."""
    at_once: int = 0
    peak: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent_bytes: int = 0
    refused: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._over, self._ready = asyncio.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    @property
    def address(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked_of(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.asked if asked == path]

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # which ends what is left at its end
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        self.port: int = runner.addresses[0][1]
        self._ready.set()
        await self._over.wait()
        await clean_up(runner)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.rel_url.raw_path)
        self.asked.append((path, dict(request.headers)))
        bucket = path.split("/")[1]
        if bucket in self.keys:
            why = self._badly_signed(request, *self.keys[bucket])
            if why:
                self.refused.append(why)
                return web.Response(status=403, text=why)
            if "list-type" in request.query or path == f"/{bucket}":
                return self._listed(request, bucket)
        waiting = self.troubles.get(path)
        if waiting:
            answer = await waiting.pop(0)(self, request, self.files.get(path, b""))
            if answer is not None:
                return answer
        if path not in self.files:
            return web.Response(status=404)
        return await self.serve(request, self.files[path])

    async def serve(self, request: web.Request, data: bytes, *, cut_after: int | None = None) -> web.StreamResponse:
        """The file, or its range; with ``cut_after`` the connection breaks after so many bytes."""
        headers = self.headers(data)
        wanted_version = request.headers.get("If-Match")
        if wanted_version is not None and wanted_version.strip('"') != headers.get("ETag", "").strip('"'):
            return web.Response(status=412)
        if self.at_once == self.most_at_once:
            return web.Response(status=429)
        wanted = request.headers.get("Range")
        if not self.ranges or request.headers.get("If-Range", headers.get("ETag")) != headers.get("ETag"):
            wanted = None
        start, stop = 0, len(data)
        if wanted is not None:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1 if last else len(data), len(data))
            if start >= len(data):
                return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        body = data[start:stop]
        answer = web.StreamResponse(status=206 if wanted else 200, headers=headers)
        answer.content_length = len(body)
        await answer.prepare(request)
        part = body if cut_after is None else body[:cut_after]
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        try:
            for at in range(0, len(part), 1 << 16):
                await asyncio.sleep(self.piece_s)
                if request.transport is None or request.transport.is_closing():
                    break  # who asked has heard enough
                piece = part[at : at + (1 << 16)]
                await answer.write(piece)
                self.sent_bytes += len(piece)
        finally:
            self.at_once -= 1
        if cut_after is not None and request.transport is not None:
            request.transport.close()
        return answer

    def headers(self, data: bytes) -> dict[str, str]:
        etag = self.etag_of(data)
        found = {"Accept-Ranges": "bytes"} | ({"ETag": etag} if etag else {})
        return found | ({"Last-Modified": formatdate(self.modified_s, usegmt=True)} if self.modified_s else {})

    def _listed(self, request: web.Request, bucket: str) -> web.Response:
        prefix = request.query.get("prefix", "")
        after = request.query.get("continuation-token", request.query.get("marker", ""))
        start = f"/{bucket}/"
        keys = sorted(path.removeprefix(start) for path in self.files if path.startswith(start + prefix))
        left = [key for key in keys if key > after]
        page = left[: self.page_keys]
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2020-09-13T12:26:40.000Z</LastModified>"
            f"<ETag>&quot;{hashlib.md5(self.files[start + key]).hexdigest()}&quot;</ETag>"
            f"<Size>{len(self.files[start + key])}</Size></Contents>"
            for key in page
        )
        more = ""
        if len(left) > len(page):
            last = escape(page[-1])
            more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
            more += f"<NextMarker>{last}</NextMarker>"
        text = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{more}{rows}</ListBucketResult>'
        return web.Response(text=text, content_type="application/xml")

    def _badly_signed(self, request: web.Request, key_id: str, secret: str) -> str | None:
        """Why a request's signature is none: reckoned anew from what arrived, as Amazon's documentation says."""
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith("AWS4-HMAC-SHA256 "):
            return "not signed"
        parts = dict(part.strip().split("=", 1) for part in authorization.removeprefix("AWS4-HMAC-SHA256 ").split(","))
        given_id, date, region, service, _ = parts["Credential"].split("/")
        if given_id != key_id:
            return "unknown key"
        query = "&".join(sorted(f"{quote(n, safe='~')}={quote(v, safe='~')}" for n, v in request.query.items()))
        names = parts["SignedHeaders"].split(";")
        lines = [
            "GET",
            request.rel_url.raw_path,
            query,
            *(f"{name}:{request.headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            request.headers["x-amz-content-sha256"],
        ]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{date}/{region}/{service}/aws4_request\n{digest}"
        key = b"AWS4" + secret.encode()
        for step in (date, region, service, "aws4_request", text):
            key = hmac.digest(key, step.encode(), "sha256")
        return None if key.hex() == parts["Signature"] else "wrong signature"


async def served(server: FileServer, request: web.Request, data: bytes) -> None:
    """No trouble at this request."""


def cut(after: int) -> Trouble:
    """The connection breaks after so many bytes of the answer."""

    async def trouble(server: FileServer, request: web.Request, data: bytes) -> web.StreamResponse | None:
        return await server.serve(request, data, cut_after=after)

    return trouble


def status(code: int, **headers: str) -> Trouble:
    async def trouble(server: FileServer, request: web.Request, data: bytes) -> web.StreamResponse | None:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return trouble


def moved(to: str) -> Trouble:
    return status(302, Location=to)


def replaced(by: bytes) -> Trouble:
    """From now on it is another file."""

    async def trouble(server: FileServer, request: web.Request, data: bytes) -> web.StreamResponse | None:
        server.files[unquote(request.rel_url.raw_path)] = by
        return None

    return trouble


def whole() -> Trouble:
    """Ranges are ignored."""

    async def trouble(server: FileServer, request: web.Request, data: bytes) -> web.StreamResponse | None:
        return web.Response(body=data, headers=server.headers(data))

    return trouble


def lying(content_range: str) -> Trouble:
    """Another range than the one that was asked for, with ten bytes of it."""

    async def trouble(server: FileServer, request: web.Request, data: bytes) -> web.StreamResponse | None:
        headers = {**server.headers(data), "Content-Range": content_range}
        return web.Response(status=206, body=data[:10], headers=headers)

    return trouble


def slow(first: bytes, every_s: float) -> Trouble:
    """Promises much and sends a byte now and then."""

    async def trouble(server: FileServer, request: web.Request, data: bytes) -> web.StreamResponse | None:
        answer = web.StreamResponse(status=206, headers={"Content-Range": f"bytes 0-999/{len(data)}"})
        answer.content_length = 1000
        await answer.prepare(request)
        await answer.write(first)
        for _ in range(1000):
            await asyncio.sleep(every_s)
            await answer.write(b"x")
        return answer

    return trouble
