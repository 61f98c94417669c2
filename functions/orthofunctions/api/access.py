"""Who asks. A token of the site's issuer, an API key, or, on this machine and while there is neither, the local user.

Credentials that are shown are always checked: a wrong one is refused, and never falls back to the local user.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from fastapi import Request

from orthofunctions.api.answers import answer_headers
from orthofunctions.api.problems import ProblemError
from orthofunctions.bootstrap import System
from orthofunctions.domain.keytext import PREFIX
from orthofunctions.domain.loopback import is_this_machine
from orthofunctions.domain.peers import network_of
from orthofunctions.domain.principals import ALL_SCOPES, Principal
from orthofunctions.domain.rates import Taken
from orthofunctions.domain.tokens import TokenRefusedError
from orthofunctions.domain.usernames import LOCAL_USER
from orthofunctions.ports import IssuerDownError
from orthofunctions.usecases.tokens import prove_token

_LOCAL = Principal(LOCAL_USER, ALL_SCOPES)
_OF_PROXIES = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "client-ip",
    "x-arr-log-id",
    "x-azure-ref",
)
"""Headers by which a request shows that somebody handed it on: then its host name says nothing of its caller."""


def principal_of(request: Request, system: System) -> Principal:
    """The caller of a request, with the groups they are in, counted against what they may call in a minute.

    Raises
    ------
    ProblemError
        401 where nothing proves who asks, 429 where they call too often, 503 where a token's issuer is down.
    """
    authorization = request.headers.get("authorization")
    if authorization is None:
        _check_local(request, system)
        principal = _LOCAL
    else:
        principal = _proved(authorization, request, system)
        _count(principal, request, system)
    site = system.callers.site(system.ports)
    group = site.group_of(principal.user) if site is not None else None
    return replace(principal, groups=principal.groups | {group.name}) if group is not None else principal


def peer_of(request: Request) -> str:
    """Where a request comes from, as far as one can know: an address, or the network a caller has all addresses of.

    The Functions host tells no peer. Azure's front end adds the caller's address at the end of X-Forwarded-For: all
    before it is what the caller says.
    """
    if request.client is not None:
        return network_of(request.client.host)
    return network_of(request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip())


def _check_local(request: Request, system: System) -> None:
    allowed = system.settings.local_user
    if allowed is None:
        allowed = not (system.callers.in_azure or system.issuer is not None or system.callers.any_key(system.ports))
    if not allowed:
        raise ProblemError(401, "Not allowed", "send an API key or a token: Authorization: Bearer <key>")
    if not _is_from_here(request):
        raise ProblemError(
            401, "Not allowed", "without an API key or a token this service answers callers on its own machine only"
        )


def _is_from_here(request: Request) -> bool:
    """Called by a name of this machine, from this machine, by nobody on behalf of another.

    A web page that rebinds its own name to 127.0.0.1 calls by another name; one that sends here from the browser of
    somebody on this machine shows its Origin.
    """
    if not is_this_machine(request.url.hostname or ""):
        return False
    if request.client is not None and not is_this_machine(request.client.host):
        return False
    if any(name in request.headers for name in _OF_PROXIES):
        return False
    origin = request.headers.get("origin")
    return origin is None or is_this_machine(urlsplit(origin).hostname or "")


def _proved(authorization: str, request: Request, system: System) -> Principal:
    scheme, _, shown = authorization.partition(" ")
    shown = shown.strip()
    if scheme.lower() != "bearer" or not shown:
        raise ProblemError(401, "Not allowed", "send your API key or token: Authorization: Bearer <key>")
    keys, per_minute = system.callers.keys, system.settings.failed_proofs_per_minute
    peer, now_s = f"peer {peer_of(request)}", system.ports.clock.now().timestamp()
    if keys.known(system.ports, shown) is None:  # whoever was proved a moment ago does not pay for their neighbours
        _check_rate(system.callers.rates.take(peer, per_minute, now_s, 0), request, "wrong keys or tokens")
    try:
        return _principal_shown(shown, request, system)
    except TokenRefusedError as error:
        system.callers.rates.take(peer, per_minute, now_s)
        raise ProblemError(401, "Not allowed", str(error)) from error


def _principal_shown(shown: str, request: Request, system: System) -> Principal:
    rules = system.settings.token_rules()
    if shown.startswith(PREFIX) or system.issuer is None or rules is None:
        principal = system.callers.keys.prove(system.ports, shown)
        if principal is None:
            raise TokenRefusedError("there is no such API key, or it has expired or was revoked")
        return principal
    try:
        return prove_token(shown, rules, system.issuer, system.ports.clock.now())
    except IssuerDownError as error:
        answer_headers(request)["Retry-After"] = str(error.retry_after_s)
        raise ProblemError(503, "Try again", str(error)) from error


def _count(principal: Principal, request: Request, system: System) -> None:
    per_minute = system.settings.calls_per_minute
    if not per_minute:
        return
    now_s = system.ports.clock.now().timestamp()
    taken = system.callers.rates.take(f"user {principal.user}", per_minute, now_s)
    # draft-ietf-httpapi-ratelimit-headers-06, the last with a field for each figure
    answer_headers(request).update(
        {
            "RateLimit-Limit": str(taken.limit),
            "RateLimit-Remaining": str(taken.remaining),
            "RateLimit-Reset": str(taken.full_in_s),
            "RateLimit-Policy": f"{per_minute};w=60",
        }
    )
    _check_rate(taken, request, "calls")


def _check_rate(taken: Taken, request: Request, what: str) -> None:
    if not taken.allowed:
        answer_headers(request)["Retry-After"] = str(taken.next_in_s)
        raise ProblemError(
            429, "Too many", f"{taken.limit} {what} a minute; try again in {taken.next_in_s} s", limit=taken.limit
        )
