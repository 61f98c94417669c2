"""The end of an aiohttp server whose event loop ends right after it."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

_ROUNDS_TO_LET_IN: Final = 5
"""Of the loop, from a connection that waits to a handler that knows it: accepted, a task, its transport, two calls."""


async def clean_up(runner: web.BaseRunner) -> None:
    """As ``runner.cleanup``, and no connection stays open or half closed, which nobody could close without a loop.

    asyncio loses one that it has accepted, and not let in yet, when the server closes; others it closes only when all
    is written.
    """
    server = runner.server
    assert server is not None
    for _ in range(_ROUNDS_TO_LET_IN):
        await asyncio.sleep(0)
    transports = [one.transport for one in server.connections]
    await runner.cleanup()
    for transport in transports:
        if transport is not None:
            transport.abort()
    await asyncio.sleep(0)  # they are closed in the loop's next round
