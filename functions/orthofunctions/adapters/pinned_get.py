"""GET from a host that somebody named: from an address that was looked at, in bounded time, of bounded size.

The name is resolved once, every address it has is judged, and the connection goes to one of those, with the name in
``Host`` and in the TLS handshake: a name that resolves to something else a moment later changes nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from orthofunctions.ports import RemoteDownError

PORTS = {"https": 443, "http": 80}
Resolver = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True)
class Answer:
    """``headers`` by their names in lower case; ``body`` is cut at what was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def get(
    url: str,
    headers: Mapping[str, str],
    *,
    most_bytes: int,
    judge: Callable[[str], None],
    timeout_s: float,
    resolver: Resolver = resolve,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One GET, whatever it answers. ``judge`` is shown every address of the host, and raises where one is no good.

    Raises
    ------
    RemoteDownError
        No answer in time, or a broken one.
    """
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
    deadline = time.monotonic() + timeout_s
    try:
        addresses = resolver(host, port)
    except OSError as error:
        raise RemoteDownError(f"{host} cannot be resolved: {error}") from None
    for address in addresses:
        judge(address)
    trouble = f"{host} has no address"
    for address in addresses:
        try:
            connected = socket.create_connection((address, port), timeout=_left_s(deadline))
        except OSError as error:
            trouble = f"{host} does not answer: {error}"
            continue
        return _exchange(connected, url, headers, most_bytes, deadline, tls)
    raise RemoteDownError(trouble)


def _exchange(
    connected: socket.socket,
    url: str,
    headers: Mapping[str, str],
    most_bytes: int,
    deadline: float,
    tls: ssl.SSLContext | None,
) -> Answer:
    parts = urlsplit(url)
    host = str(parts.hostname)
    # A socket's own timeout begins anew with every byte: whoever sends one a second would hold us for ever.
    watchdog = threading.Timer(_left_s(deadline), _shut, [connected])
    watchdog.daemon = True
    watchdog.start()
    connection = http.client.HTTPConnection(host, parts.port or PORTS[parts.scheme])
    try:
        if parts.scheme == "https":
            connected = (tls or ssl.create_default_context()).wrap_socket(connected, server_hostname=host)
        connected.settimeout(_left_s(deadline))
        connection.sock = connected
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={**headers, "Host": parts.netloc, "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        promised = answer.length  # http.client counts it down
        body = answer.read(most_bytes)
        if promised is not None and len(body) < min(promised, most_bytes):
            raise http.client.IncompleteRead(body)
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)
    except (OSError, http.client.HTTPException) as error:
        if time.monotonic() >= deadline - 0.01:
            raise RemoteDownError(f"{host} takes too long") from None
        raise RemoteDownError(f"{host}: {type(error).__name__}: {str(error)[:200]}") from None
    finally:
        watchdog.cancel()
        connection.close()
        connected.close()


def _left_s(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
