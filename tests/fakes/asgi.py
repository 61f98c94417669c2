"""Calls an ASGI application in process."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx


class AsgiClient:
    """``get``, ``post`` and ``delete`` as httpx has them.

    An exception that leaves the application is raised: Azure would not answer.
    """

    def __init__(self, app: Any, base_url: str) -> None:
        self._app, self._base_url = app, base_url

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self._call("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self._call("POST", path, **arguments)

    def delete(self, path: str, **arguments: Any) -> httpx.Response:
        return self._call("DELETE", path, **arguments)

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url) as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(call())
