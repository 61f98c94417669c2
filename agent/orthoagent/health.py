"""``/healthz`` and ``/metrics`` on a loopback port, for whoever supervises the worker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from orthoagent.logs import log
from orthoagent.status import StatusBoard
from orthoagent.worker import Vitals


@contextlib.asynccontextmanager
async def health_page(
    port: int | None, vitals: Vitals, board: StatusBoard, broker_is_up: Callable[[], bool]
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
        return web.Response(text=metrics_text(vitals, board, broker_is_up()), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        log("health_page", port=port)
        yield
    finally:
        await runner.cleanup()


def metrics_text(vitals: Vitals, board: StatusBoard, broker_up: bool) -> str:
    """Prometheus' text format."""
    lines = [
        "# TYPE orthoagent_slots gauge",
        f"orthoagent_slots {board.slots}",
        "# TYPE orthoagent_running gauge",
        f"orthoagent_running {board.running}",
        "# TYPE orthoagent_broker_up gauge",
        f"orthoagent_broker_up {int(broker_up)}",
        "# TYPE orthoagent_storage_answers gauge",
        f"orthoagent_storage_answers {int(vitals.storage_answers)}",
        "# TYPE orthoagent_taken_total counter",
        f"orthoagent_taken_total {vitals.taken}",
        "# TYPE orthoagent_ended_total counter",
        *(f'orthoagent_ended_total{{how="{state}"}} {count}' for state, count in vitals.ended.items()),
    ]
    return "\n".join(lines) + "\n"
