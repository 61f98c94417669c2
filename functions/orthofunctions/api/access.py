"""Who asks. One local user on loopback; everywhere else a key, until there is something better to ask for."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from fastapi import Request

from orthofunctions.api.problems import ProblemError
from orthofunctions.bootstrap import System
from orthofunctions.domain.principals import ALL_SCOPES, Principal

LOCAL_USER = "local"
_LOCAL = Principal(LOCAL_USER, ALL_SCOPES)


def principal_of(request: Request, system: System) -> Principal:
    """The caller of a request.

    Without a key configured the API answers only where it is called by a loopback name: a service that was put on a
    network by accident stays shut, and a web page that rebinds its own name to 127.0.0.1 is refused too.

    Raises
    ------
    ProblemError
        401 without the right key.
    """
    api_key_sha256 = system.settings.api_key_sha256
    if api_key_sha256 is None:
        if _is_loopback(request.url.hostname or ""):
            return _LOCAL
        raise ProblemError(401, "Not allowed", "no API key is configured, so this service answers on loopback only")
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    sent = hashlib.sha256(key.strip().encode()).hexdigest()
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent, api_key_sha256):
        raise ProblemError(401, "Not allowed", "send your API key: Authorization: Bearer <key>")
    return _LOCAL


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
