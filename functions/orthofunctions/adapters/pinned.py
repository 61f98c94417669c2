"""POST to an address that a user named: to the address that was checked, and to nothing it might send us on to.

The name is resolved once; every address it has is looked at, and the connection goes to one of those, with the name in
``Host`` and in the TLS handshake. So a name that resolves to something else a moment later changes nothing. Redirects
are answers like any other, bodies are not read, and the whole takes no longer than its time.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from orthocontracts.addresses import is_loopback, refusal
from orthofunctions.domain.targets import AllowedHosts, Target, TargetError
from orthofunctions.ports import NotToldError

Resolver = Callable[[str, int], Sequence[str]]
_TIMEOUT_S = 15.0


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PinnedPoster:
    """Implements ``ports.Poster``.

    Parameters
    ----------
    hosts : AllowedHosts
    timeout_s : float
        For everything after the name was resolved.
    tls : ssl.SSLContext, optional
        The system's certificate authorities where it is not given.
    """

    def __init__(
        self,
        hosts: AllowedHosts,
        *,
        resolver: Resolver = resolve,
        timeout_s: float = _TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts, self._resolver, self._timeout_s, self._tls = hosts, resolver, timeout_s, tls

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            target = self._hosts.target(url)
        except TargetError as error:
            raise NotToldError(str(error)) from None
        deadline = time.monotonic() + self._timeout_s
        addresses = self._addresses(target)
        trouble = ""
        for address in addresses:
            try:
                connected = socket.create_connection((address, target.port), timeout=self._left_s(deadline))
            except OSError as error:
                trouble = f"{target.host} does not answer: {error}"
                continue
            return self._exchange(connected, target, headers, body, deadline)
        raise NotToldError(trouble)

    def _addresses(self, target: Target) -> Sequence[str]:
        """All of them are good, or none is taken: whoever mixes in one of ours means no good."""
        try:
            addresses = self._resolver(target.host, target.port)
        except OSError as error:
            raise NotToldError(f"{target.host} cannot be resolved: {error}") from None
        if not addresses:
            raise NotToldError(f"{target.host} has no address")
        for address in addresses:
            why = refusal(address)
            if why is not None and not (self._hosts.loopback and is_loopback(address)):
                raise NotToldError(f"{target.host} resolves to {address}, which is {why}: that is not called")
        return addresses

    def _exchange(
        self, connected: socket.socket, target: Target, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> int:
        connection = http.client.HTTPConnection(target.host, target.port)
        status, trouble = 0, ""
        with _Watchdog(connected, self._left_s(deadline)) as watched:
            try:
                if target.scheme == "https":
                    watched.wrap(self._tls or ssl.create_default_context(), target.host)
                connection.sock = watched.connected
                connection.request("POST", target.path, body, {**headers, "Host": target.host_header})
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                trouble = f"{target.host}: {type(error).__name__}: {str(error)[:300]}"
            finally:
                connection.close()
        if watched.bit:  # what was read until then only looks like an answer
            raise NotToldError(f"{target.host} did not answer within {self._timeout_s:g} s")
        if trouble:
            raise NotToldError(trouble)
        return status

    @staticmethod
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
