"""GET from a host that somebody named, of bounded size."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from orthofunctions.adapters.pinned import Call, NotAnsweredError, Resolver, ask, resolve
from orthofunctions.ports import RemoteDownError

PORTS = {"https": 443, "http": 80}


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
    """One GET, whatever it answers; `pinned.ask` says what the rest is.

    Raises
    ------
    RemoteDownError
        No answer in time, or a broken one.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {**headers, "Host": parts.netloc, "Accept-Encoding": "identity"}
    port = parts.port or PORTS[parts.scheme]

    def read(answer: http.client.HTTPResponse) -> Answer:
        promised = answer.length  # http.client counts it down
        body = answer.read(most_bytes)
        if promised is not None and len(body) < min(promised, most_bytes):
            raise http.client.IncompleteRead(body)
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)

    try:
        return ask(
            Call("GET", parts.scheme, str(parts.hostname), port, path, sent),
            read,
            judge=judge,
            timeout_s=timeout_s,
            resolver=resolver,
            tls=tls,
        )
    except NotAnsweredError as error:
        raise RemoteDownError(str(error)) from None
