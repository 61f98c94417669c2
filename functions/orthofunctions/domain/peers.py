"""Callers' addresses, as they are counted."""

from __future__ import annotations

import ipaddress
import re

_PORT = re.compile(r"^(?:\[(?P<six>[^\]]+)\]|(?P<four>[0-9.]+))(?::\d+)?$")  # Azure writes the caller's port too


def network_of(address: str) -> str:
    """An IPv4 address, or the /64 network of an IPv6 one, which a caller has as a whole; anything else is "unknown"."""
    found = _PORT.match(address)
    bare = (found["six"] or found["four"]) if found else address
    try:
        ip = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
