"""Which network addresses we connect to when somebody else names the host: public ones, and no others.

A name that is allowed may still resolve to a neighbour in our own network, or to the cloud's metadata service.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
_AZURE = IPv4Address("168.63.129.16")
"""What every machine in Azure is spoken to by; it looks public."""
_NOT_PUBLIC = {
    IPv6Network("64:ff9b:1::/48"): "local translation",
    IPv6Network("2001::/23"): "reserved for protocols",
    IPv6Network("2001:db8::/32"): "for documentation",
    IPv6Network("fec0::/10"): "site-local",
    IPv6Network("::/96"): "reserved",
}


def refusal(address: str) -> str | None:
    """Why nothing may be sent to an address; None where it may.

    An IPv4 address in the clothes of an IPv6 one (mapped, 6to4, NAT64) is looked at as what it is.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return "it is no address"
    if isinstance(ip, IPv6Address):
        inner = _inner(ip)
        if inner is not None:
            ip = inner
        else:
            for network, why in _NOT_PUBLIC.items():
                if ip in network and not (ip.is_loopback or ip.is_unspecified):
                    return why
    return _of_family(ip)


def is_loopback(address: str) -> bool:
    """Loopback by its own family: 127.0.0.0/8 or ::1."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _inner(ip: IPv6Address) -> IPv4Address | None:
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    return IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None


def _of_family(ip: IPv4Address | IPv6Address) -> str | None:
    kinds = {
        "unspecified": ip.is_unspecified,
        "loopback": ip.is_loopback,
        "link-local": ip.is_link_local,
        "multicast": ip.is_multicast,
        "private": ip.is_private,
        "reserved": ip.is_reserved,
        "not public": not ip.is_global or ip == _AZURE,  # what is left: CGNAT
    }
    return next((kind for kind, holds in kinds.items() if holds), None)
