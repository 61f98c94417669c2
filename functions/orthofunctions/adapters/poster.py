"""POST to an address that a user named, and to nothing it might send us on to. The body of its answer is not read."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from orthocontracts.addresses import is_loopback, refusal
from orthofunctions.adapters.pinned import Call, NotAnsweredError, Resolver, ask, resolve
from orthofunctions.domain.targets import AllowedHosts, TargetError
from orthofunctions.ports import NotToldError

_TIMEOUT_S = 15.0


class PinnedPoster:
    """Implements ``ports.Poster``. ``timeout_s`` is for everything after the name was resolved."""

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

        def judge(address: str) -> None:
            why = refusal(address)
            if why is not None and not (self._hosts.loopback and is_loopback(address)):
                raise NotToldError(f"{target.host} resolves to {address}, which is {why}: that is not called")

        sent = {**headers, "Host": target.host_header}
        try:
            return ask(
                Call("POST", target.scheme, target.host, target.port, target.path, sent, body),
                lambda answer: answer.status,
                judge=judge,
                timeout_s=self._timeout_s,
                resolver=self._resolver,
                tls=self._tls,
            )
        except NotAnsweredError as error:
            raise NotToldError(str(error)) from None
