"""A proxy between everybody and the storage emulator, which makes trouble when told to.

Clients and the links in tickets name the proxy's ports. A request is passed on as it came, Host header included: the
signature of a shared key covers neither, and the emulator takes the account's name from the path. Half of the requests
that meet an error or a silence have been carried out before: what a client must expect when no answer comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from localdev.chaos.trouble import Call, Service, Trouble
from localdev.servers import Azurite
from localdev.servers.azurite import ACCOUNT, connection_string
from localdev.servers.closing import clean_up
from localdev.servers.process import free_ports
from orthocontracts import names

_OF_ONE_HOP = ("Connection", "Keep-Alive", "Transfer-Encoding")
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_BODY_LIMIT = 1 << 30
_CATALOGUE = f"/{ACCOUNT}/{names.CONTAINER_CATALOGUE}/"


class StorageProxy:
    """Runs in a thread of its own; troubles may be changed from any thread.

    Attributes
    ----------
    commits : list of (time.monotonic(), digest)
        Every write into the catalogue that storage accepted.
    requests : Counter
        By service.
    """

    def __init__(self, azurite: Azurite, seed: int) -> None:
        self._azurite = azurite
        self._rng = random.Random(seed)
        self._troubles: tuple[tuple[Trouble, asyncio.Event], ...] = ()
        self._lock = threading.Lock()
        self._ports = free_ports(3)
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self.commits: list[tuple[float, str]] = []
        self.requests: Counter[str] = Counter()

    @property
    def connection_string(self) -> str:
        blob, queue, table = self._ports
        return connection_string(blob, queue, table)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(10):
            raise RuntimeError("the storage proxy did not come up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @contextlib.contextmanager
    def during(self, trouble: Trouble) -> Iterator[None]:
        """Make a trouble for as long as the block lasts."""
        made = (trouble, asyncio.Event())
        with self._lock:
            self._troubles += (made,)
        try:
            yield
        finally:
            with self._lock:
                self._troubles = tuple(one for one in self._troubles if one is not made)
            self._loop.call_soon_threadsafe(made[1].set)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # which ends what is left at its end
            runner.run(self._serve())

    async def _serve(self) -> None:
        behind: dict[Service, int] = {
            "blob": self._azurite.blob_port, "queue": self._azurite.queue_port, "table": self._azurite.table_port
        }  # fmt: skip
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        ) as http:
            runners = []
            for (service, port), listens in zip(behind.items(), self._ports, strict=True):
                runner = web.ServerRunner(web.Server(partial(self._answer, http, service, port), access_log=None))
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", listens).start()
                runners.append(runner)
            self._up.set()
            await self._stop.wait()
            for _, over in self._troubles:
                over.set()
            for runner in runners:
                await clean_up(runner)

    async def _answer(
        self, http: aiohttp.ClientSession, service: Service, port: int, request: web.BaseRequest
    ) -> web.StreamResponse:
        call = Call(service, request.method, request.path, "sig=" in request.query_string)
        self.requests[service] += 1
        body = await request.clone(client_max_size=_BODY_LIMIT).read()
        meets = next((one for one in self._troubles if one[0].befalls(call, self._rng)), None)
        if meets is not None:
            trouble, over = meets
            match trouble.kind:
                case "refusal":
                    return _refuse(403, "AuthenticationFailed")
                case "delay":
                    await asyncio.sleep(trouble.delay_s)
                case "twice":
                    await self._pass_on(http, port, call, request, body)
                case "error" | "silence":
                    if self._rng.random() < 0.5:
                        await self._pass_on(http, port, call, request, body)
                    if trouble.kind == "error":
                        return _refuse(trouble.status, "ServerBusy" if trouble.status == 503 else "InternalError")
                    await over.wait()
                    return _cut(request)
        return await self._pass_on(http, port, call, request, body)

    async def _pass_on(
        self, http: aiohttp.ClientSession, port: int, call: Call, request: web.BaseRequest, body: bytes
    ) -> web.StreamResponse:
        headers = CIMultiDict(request.headers)
        for name in _OF_ONE_HOP:
            headers.popall(name, None)
        url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
        try:
            async with http.request(
                call.method, url, headers=headers, data=io.BytesIO(body) if body else None,
                skip_auto_headers=_NOT_ADDED, allow_redirects=False,
            ) as answer:  # fmt: skip
                content = await answer.read()
                self._note(call, answer.status)
                given = CIMultiDict(answer.headers)
                for name in _OF_ONE_HOP:
                    given.popall(name, None)
                return web.Response(status=answer.status, headers=given, body=content)
        except (aiohttp.ClientError, OSError):
            return _cut(request)  # the emulator is down: so is the way to it

    def _note(self, call: Call, status: int) -> None:
        if call.method == "PUT" and status == 201 and call.path.startswith(_CATALOGUE):
            digest = call.path.removeprefix(_CATALOGUE).removesuffix(".json")
            self.commits.append((time.monotonic(), digest))


def _refuse(status: int, code: str) -> web.Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>made up</Message></Error>'
    return web.Response(
        status=status, body=body.encode(), content_type="application/xml", headers={"x-ms-error-code": code}
    )


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
