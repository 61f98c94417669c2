"""The API as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp

from orthocontracts.requests import MAX_PRODUCTS, MAX_TILES
from orthofunctions.api import (
    archive,
    batches,
    callbacks,
    campaigns,
    doors,
    jobs,
    landing,
    loads,
    metrics,
    operations,
    orders,
    page,
    people,
    pins,
    problems,
    processes,
    products,
    stac,
    trace,
)
from orthofunctions.api.answers import AnswerHeaders
from orthofunctions.api.traces import CallersTrace
from orthofunctions.bootstrap import System


class _Api(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """Outside of everything, so that errors nobody expected have the headers too."""
        return AnswerHeaders(CallersTrace(super().build_middleware_stack()))


def create_app(system: Callable[[], System]) -> FastAPI:
    """The application. ``system`` is asked at the first request, so that making it connects to nothing.

    Documentation pages are off: they would load scripts from outside.
    """
    app = _Api(
        title="orthoburst",
        version="1.0.0",
        description=f"OGC API - Processes 1.0. One request names up to {MAX_PRODUCTS} products and {MAX_TILES} tiles.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # ours is 3.0, see api.openapi
    )
    app.state.system = system
    problems.install(app)
    app.include_router(page.router)
    app.include_router(landing.router)
    app.include_router(processes.router)
    app.include_router(jobs.router)
    app.include_router(trace.router)
    app.include_router(pins.router)
    app.include_router(callbacks.router)
    app.include_router(operations.router)
    app.include_router(products.router)
    app.include_router(archive.router)
    app.include_router(people.router)
    app.include_router(batches.router)
    app.include_router(stac.router)
    app.include_router(doors.router)
    app.include_router(loads.router)
    app.include_router(metrics.router)
    app.include_router(orders.router)
    app.include_router(campaigns.router)
    return app
