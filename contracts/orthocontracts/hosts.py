"""Which servers a site reads products from: hosts by pattern, and which of them may be neighbours of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from orthocontracts.addresses import refusal

_PORTS: Final = {"https": 443, "http": 80}


class HostRefusedError(Exception):
    """A server that is not asked for anything. The message is for whoever named it, and names the setting."""


@dataclass(frozen=True)
class Hosts:
    """What a site allows.

    Attributes
    ----------
    patterns : tuple of str
        ``data.example.org``, ``*.example.org`` (every name below it); with ``:8443`` behind it for that port, else for
        the usual one.
    internal : tuple of str
        Those, of the same form, that may resolve to addresses that are not public, and be asked over plain http.
    settings : tuple of str
        The names of the two settings, for messages.
    """

    patterns: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    settings: tuple[str, str] = ("", "")

    @classmethod
    def of(cls, patterns: str, internal: str, settings: tuple[str, str]) -> Hosts:
        """From settings: patterns separated by commas."""
        return cls(patterns_in(patterns), patterns_in(internal), settings)

    def check(self, url: str) -> None:
        """Raises HostRefusedError where this address must not be asked."""
        scheme, host, port = _address(url)
        if self._is_internal(scheme, host, port):
            return
        both = " or ".join(self.settings)
        if not any(matches(pattern, scheme, host, port) for pattern in self.patterns):
            known = ", ".join((*self.patterns, *self.internal)) or "none"
            raise HostRefusedError(f"{host} is not among the hosts that products are read from ({both}: {known})")
        if scheme == "http":
            raise HostRefusedError(f"{host}: only https, unless {self.settings[1]} names it")

    def check_address(self, host: str, port: int, address: str) -> None:
        """Raises HostRefusedError where a host resolves to an address that must not be asked."""
        why = refusal(address)
        if why is not None and not any(self._is_internal(scheme, host, port) for scheme in _PORTS):
            raise HostRefusedError(f"{host} resolves to {address}, which is {why}: {self.settings[1]} does not name it")

    def _is_internal(self, scheme: str, host: str, port: int) -> bool:
        return any(matches(pattern, scheme, host, port) for pattern in self.internal)


def patterns_in(text: str) -> tuple[str, ...]:
    """Of a setting, separated by commas."""
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def _address(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise HostRefusedError(f"{url[:200]!r} is no address: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise HostRefusedError(f"{url[:200]!r} is no address of https://HOST/PATH")
    return parts.scheme, parts.hostname.rstrip("."), port or _PORTS[parts.scheme]


def matches(pattern: str, scheme: str, host: str, port: int) -> bool:
    """Whether a pattern of a setting means a host, which is a name or an address without brackets."""
    wanted, wanted_port = _split(pattern)
    if (wanted_port or _PORTS[scheme]) != port:
        return False
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted


def _split(pattern: str) -> tuple[str, int | None]:
    host, colon, port = pattern.rpartition(":")
    if colon and port.isdigit() and not (":" in host and not host.startswith("[")):
        return host.strip("[]"), int(port)
    return pattern.strip("[]"), None
