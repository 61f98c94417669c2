"""``/healthz`` and ``/metrics``, for whoever supervises the worker; on loopback unless told otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from orthoagent.logs import log
from orthoagent.metrics import CONTENT_TYPE, metrics_text
from orthoagent.status import StatusBoard
from orthoagent.vitals import Vitals


@contextlib.asynccontextmanager
async def health_page(
    host: str, port: int | None, vitals: Vitals, board: StatusBoard, broker_is_up: Callable[[], bool]
) -> AsyncIterator[None]:
    """Serve while the block runs; nothing where no port is set."""
    if port is None:
        yield
        return

    async def healthz(_request: web.Request) -> web.Response:
        document = {
            "ready": vitals.ready,
            "storage": vitals.storage_answers,
            "broker": broker_is_up(),
            "state": board.state,
            "slots": board.slots,
            "running": board.running,
        }
        return web.json_response(document, status=200 if vitals.ready and vitals.storage_answers else 503)

    async def metrics(_request: web.Request) -> web.Response:
        text = metrics_text(vitals, board, broker_is_up())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        log("health_page", host=host, port=port)
        yield
    finally:
        await runner.cleanup()
