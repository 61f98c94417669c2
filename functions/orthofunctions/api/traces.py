"""A caller's trace: what a call makes goes on with it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from orthocontracts.tracing import traceparent_or_none
from orthofunctions.telemetry import going_on


class CallersTrace:
    """Reads the header ``traceparent`` (W3C Trace Context). A wrong one, or two of them, are as good as none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = [value for name, value in scope.get("headers", ()) if name == b"traceparent"]
        told = sent[0].decode("latin-1").strip() if len(sent) == 1 else None
        with going_on(traceparent_or_none(told)):
            await self._app(scope, receive, send)
