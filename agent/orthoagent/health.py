"""``/healthz`` and ``/metrics``, for whoever supervises the worker; on loopback unless told otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

from aiohttp import web

from orthoagent.logs import log
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
        return web.Response(text=metrics_text(vitals, board, broker_is_up()), content_type="text/plain")

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


def metrics_text(vitals: Vitals, board: StatusBoard, broker_up: bool) -> str:
    """Prometheus' text format."""
    return "".join(
        [
            _metric("slots", "gauge", "tasks it may run at a time", board.slots),
            _metric("running", "gauge", "tasks it runs", board.running),
            _metric("broker_up", "gauge", "1 while the doorbell works", int(broker_up)),
            _metric("storage_answers", "gauge", "1 while storage answers", int(vitals.storage_answers)),
            _metric("taken_total", "counter", "deliveries taken", vitals.taken),
            _metric("ended_total", "counter", "deliveries ended, by how", vitals.ended, "how"),
            _metric("fetched_bytes_total", "counter", "inputs that came over the network", vitals.fetched_bytes),
            _metric("local_bytes_total", "counter", "inputs that were on site or kept", vitals.local_bytes),
            _metric("compute_seconds_total", "counter", "time in the kernel", vitals.compute_s),
            _metric("children_lost_total", "counter", "kernels that died, by why", vitals.children_lost, "why"),
        ]
    )


def _metric(name: str, kind: str, meaning: str, value: float | Mapping[str, float], label: str = "") -> str:
    whole = f"orthoagent_{name}"
    values = value.items() if isinstance(value, Mapping) else [("", value)]
    lines = [f'{whole}{{{label}="{key}"}} {number:.15g}' if key else f"{whole} {number:.15g}" for key, number in values]
    return "\n".join([f"# HELP {whole} {meaning}", f"# TYPE {whole} {kind}", *lines, ""])
