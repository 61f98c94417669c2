"""Requests to hosts that somebody named: to addresses that were looked at, in bounded time.

The name is resolved once; every address it has is judged, and the connection goes to one of those, with the name in
``Host`` and in the TLS handshake. So a name that resolves to something else a moment later changes nothing. Redirects
are answers like any other.
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
from typing import TypeVar

T = TypeVar("T")
Resolver = Callable[[str, int], Sequence[str]]


class NotAnsweredError(Exception):
    """No answer in time, or a broken one, and why."""


@dataclass(frozen=True)
class Call:
    """What is sent, and where: ``path`` has the query too, ``host`` is a name or an address without brackets."""

    method: str
    scheme: str
    host: str
    port: int
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def ask(
    call: Call,
    read: Callable[[http.client.HTTPResponse], T],
    *,
    judge: Callable[[str], None],
    timeout_s: float,
    resolver: Resolver = resolve,
    tls: ssl.SSLContext | None = None,
) -> T:
    """Send a call; what ``read`` makes of its answer.

    Parameters
    ----------
    judge : callable
        Is shown every address of the host, and raises where one is no good: all of them are, or none is taken.
    timeout_s : float
        For everything after the name was resolved.
    tls : ssl.SSLContext, optional
        The system's certificate authorities where it is not given.

    Raises
    ------
    NotAnsweredError
    """
    try:
        addresses = resolver(call.host, call.port)
    except OSError as error:
        raise NotAnsweredError(f"{call.host} cannot be resolved: {error}") from None
    for address in addresses:
        judge(address)
    deadline = time.monotonic() + timeout_s
    trouble = f"{call.host} has no address"
    for address in addresses:
        try:
            connected = socket.create_connection((address, call.port), timeout=_left_s(deadline))
        except OSError as error:
            trouble = f"{call.host} does not answer: {error}"
            continue
        return _exchange(connected, call, read, deadline, timeout_s, tls)
    raise NotAnsweredError(trouble)


def _exchange(
    connected: socket.socket,
    call: Call,
    read: Callable[[http.client.HTTPResponse], T],
    deadline: float,
    timeout_s: float,
    tls: ssl.SSLContext | None,
) -> T:
    connection = http.client.HTTPConnection(call.host, call.port)
    found: list[T] = []
    trouble = ""
    with _Watchdog(connected, _left_s(deadline)) as watched:
        try:
            if call.scheme == "https":
                watched.wrap(tls or ssl.create_default_context(), call.host)
            connection.sock = watched.connected
            connection.request(call.method, call.path, call.body, dict(call.headers))
            found.append(read(connection.getresponse()))
        except (OSError, http.client.HTTPException) as error:
            trouble = f"{call.host}: {type(error).__name__}: {str(error)[:300]}"
        finally:
            connection.close()
    if watched.bit:  # what was read until then only looks like an answer
        raise NotAnsweredError(f"{call.host} did not answer within {timeout_s:g} s")
    if trouble:
        raise NotAnsweredError(trouble)
    return found[0]


def _left_s(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())


class _Watchdog:
    """Shuts a connection when its time is over.

    A socket's own timeout begins anew with every byte: whoever sends one a second would hold us for ever.
    """

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self.connected, self.bit = connected, False
        connected.settimeout(seconds)
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True

    def __enter__(self) -> _Watchdog:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.connected.close()

    def wrap(self, context: ssl.SSLContext, host: str) -> None:
        """Go on over TLS. The socket that is watched is the new one before a byte is exchanged."""
        self.connected = context.wrap_socket(self.connected, server_hostname=host, do_handshake_on_connect=False)
        self.connected.do_handshake()

    def _bite(self) -> None:
        self.bit = True
        with contextlib.suppress(OSError):
            # of the plain socket below: that of TLS would first say good-bye
            socket.socket.shutdown(self.connected, socket.SHUT_RDWR)
