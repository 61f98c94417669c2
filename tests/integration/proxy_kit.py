"""A site's HTTP proxy: passes on requests and CONNECT tunnels, and keeps which."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_HEAD_LIMIT = 64 * 1024


class Proxy:
    """``asked`` is a line for each request: ``GET http://…`` without its query, or ``CONNECT host:port``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._one, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._over.wait()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: its answer ends with it."""
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self.asked.append(f"{method} {target.partition('?')[0]}")
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                first = b""
            else:
                url = urlsplit(target)
                host, port = url.hostname or "", str(url.port or 80)
                first = _as_asked_of_the_server(head, target)
            there, to_there = await asyncio.open_connection(host, int(port))
            to_there.write(first)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with contextlib.closing(to_there):
                ways = [asyncio.create_task(_pass_on(*way)) for way in ((reader, to_there), (there, writer))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()


def _as_asked_of_the_server(head: bytes, target: str) -> bytes:
    first, rest = head.split(b"\r\n", 1)
    url = urlsplit(target)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    kept = [line for line in rest.split(b"\r\n") if not line.lower().startswith((b"connection:", b"proxy-"))]
    line = first.replace(target.encode(), path.encode())
    return b"\r\n".join([line, b"Connection: close", *kept])


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()


@contextlib.contextmanager
def proxy() -> Iterator[Proxy]:
    server = Proxy()
    server.start()
    try:
        yield server
    finally:
        server.stop()
