"""Addresses that users name and we call: whether a site allows them, by their text alone.

What the host's name resolves to is looked at when we connect, see ``orthocontracts.addresses``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from orthocontracts.addresses import is_loopback
from orthocontracts.hosts import matches, patterns_in

_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*\.?|\[[0-9a-f:.]+\]")
_PORTS = {"https": 443, "http": 80}


class TargetError(ValueError):
    """An address that is not called. Says why; the message is for whoever named it."""


@dataclass(frozen=True)
class Target:
    """Where a request goes: ``host`` is a name or an address without brackets, ``path`` has the query too."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


@dataclass(frozen=True)
class AllowedHosts:
    """What a site allows.

    Attributes
    ----------
    patterns : tuple of str
        ``hooks.example.com``, ``*.example.com`` (every name below it), ``*`` (every name that is public); with
        ``:8443`` behind it for that port, else for the usual one. None: nothing is allowed.
    loopback : bool
        Plain http, and this machine itself, are allowed too, for the hosts the patterns name: for tests, and for
        a site on one machine.
    """

    patterns: tuple[str, ...] = ()
    loopback: bool = False

    @classmethod
    def of(cls, text: str, *, loopback: bool = False) -> AllowedHosts:
        """Patterns as a setting has them, separated by commas."""
        return cls(patterns_in(text), loopback)

    def target(self, url: str) -> Target:
        """The parts of an address that is allowed.

        Raises
        ------
        TargetError
            Where it is none, or not allowed.
        """
        target = _parsed(url)
        if target.scheme != "https" and not self.loopback:
            raise TargetError("only https is called")
        if not self.patterns:
            raise TargetError("this site calls nobody: no callback_hosts are set")
        if not any(_matches(pattern, target) for pattern in self.patterns):
            raise TargetError(
                f"{target.host_header} is not among the hosts this site calls: {', '.join(self.patterns)}"
            )
        if is_loopback(target.host) and not self.loopback:
            raise TargetError(f"{target.host} is this machine itself")
        return target


def _parsed(url: str) -> Target:
    if not url.isascii() or any(letter <= " " or letter in '\\"<>^`{|}\x7f' for letter in url):
        raise TargetError("it holds letters that an address cannot have: percent-encode them, write hosts in punycode")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TargetError(f"it is no address: {error}") from None
    if parts.scheme not in _PORTS:
        raise TargetError(f"{parts.scheme or 'no scheme'!s}: an https address is expected")
    if "@" in parts.netloc:
        raise TargetError("it holds a user name: nothing is called with a password")
    if parts.fragment:
        raise TargetError("it holds a fragment (#): leave it out")
    host = parts.netloc.rsplit(":", 1)[0] if port is not None else parts.netloc.rstrip(":")
    if not _HOST.fullmatch(host.lower()) or port == 0:
        raise TargetError(f"{parts.netloc[:100]!r} is no host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host.lower().strip("[]").rstrip("."), port or _PORTS[parts.scheme], path)


def _matches(pattern: str, target: Target) -> bool:
    if pattern.partition(":")[0] == "*":  # this very host, then
        pattern = f"[{target.host}]{pattern[1:]}"
    return matches(pattern, target.scheme, target.host, target.port)
