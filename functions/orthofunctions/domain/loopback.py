"""Names of this machine."""

from __future__ import annotations

from orthocontracts.addresses import is_loopback


def is_this_machine(host: str) -> bool:
    """Whether a host's name or address in a URL is this machine's own."""
    return host == "localhost" or is_loopback(host)
