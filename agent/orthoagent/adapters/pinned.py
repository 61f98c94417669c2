"""Names of servers that somebody else named: resolved to addresses that were looked at, and to no others.

aiohttp connects to what its resolver returns and asks it again for each new connection: so what was judged is what is
connected to.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from orthocontracts.hosts import HostRefusedError, Hosts

Lookup = Callable[[str, int], Awaitable[list[ResolveResult]]]


class JudgingResolver(AbstractResolver):
    """Resolves hosts; all addresses of one are good, or none is taken."""

    def __init__(self, hosts: Hosts, lookup: Lookup | None = None) -> None:
        self._hosts = hosts
        self._lookup = lookup or ThreadedResolver().resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises HostRefusedError, where aiohttp expects OSError: it comes through as it is."""
        found = await self._lookup(host, port)
        for one in found:
            self._hosts.check_address(host, port, one["host"])
        return found

    async def close(self) -> None:
        pass


def check_literal(hosts: Hosts, host: str, port: int) -> None:
    """An address instead of a name is asked of no resolver. Raises HostRefusedError."""
    try:
        ip_address(host)
    except ValueError:
        return
    hosts.check_address(host, port, host)


__all__ = ["HostRefusedError", "JudgingResolver", "check_literal"]
