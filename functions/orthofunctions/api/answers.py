"""Headers that every answer carries, errors included, whoever makes it."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "orthoburst.headers"


def answer_headers(request: Request) -> dict[str, str]:
    """What will be added to the answer of this request: put more in."""
    headers: dict[str, str] = request.scope[_KEY]
    return headers


class AnswerHeaders:
    """The outermost layer of the application: it reads no body and holds none back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added: dict[str, str] = {}
        scope[_KEY] = added

        is_answered = False

        async def sending(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode("latin-1")) for name, value in added.items()]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            # Starlette has logged it and answered, and raises it again: Azure would then answer for us, with nothing
            if not is_answered:
                raise
