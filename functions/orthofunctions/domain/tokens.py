"""What a signed token says of its bearer. Signatures are checked before; here it is decided whether they count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from orthofunctions.domain.loopback import is_this_machine
from orthofunctions.domain.principals import Principal, Scope, with_implied
from orthofunctions.domain.usernames import identifier_of

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Those with a private key that stays with the issuer. Never ``none``, and no shared secrets."""

LEEWAY_S: Final = 30.0
ROLE_PREFIX: Final = "orthoburst."
_LONGEST_NAME = 1000
_MOST_GROUPS = 1000


class TokenRefusedError(Exception):
    """The token does not count. The message says why, and nothing the bearer does not know."""


@dataclass(frozen=True)
class TokenRules:
    """What a token must say.

    Attributes
    ----------
    issuer, audience : str
        What ``iss`` must be and ``aud`` must name, to the letter.
    user_claim, groups_claim, roles_claim : str
        Where the user's name, groups and roles are; dots lead into objects, ``realm_access.roles``.
    roles : mapping of str to Scope
        Roles of the site's own, beside ``orthoburst.read`` and so on.
    default_scopes : frozenset of Scope
        What every valid token may.
    """

    issuer: str
    audience: str
    user_claim: str = "sub"
    groups_claim: str = "groups"
    roles_claim: str = "roles"
    roles: Mapping[str, Scope] = field(default_factory=dict)
    default_scopes: frozenset[Scope] = frozenset({Scope.READ})


def principal_of_claims(claims: Mapping[str, Any], rules: TokenRules, now: datetime) -> Principal:
    """The bearer of a token with these claims.

    Raises
    ------
    TokenRefusedError
        Of another issuer, for another audience, over, not begun, or without a name.
    """
    if claims.get("iss") != rules.issuer:
        raise TokenRefusedError(f"the token is not of the issuer {rules.issuer}")
    audience = claims.get("aud")
    if rules.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenRefusedError(f"the token is not for the audience {rules.audience}")
    now_s = now.timestamp()
    ends_s = _moment(claims, "exp")
    if ends_s is None:
        raise TokenRefusedError("the token has no end (exp)")
    if now_s >= ends_s + LEEWAY_S:
        raise TokenRefusedError("the token has expired: get a new one")
    for name in ("nbf", "iat"):
        begins_s = _moment(claims, name)
        if begins_s is not None and now_s < begins_s - LEEWAY_S:
            raise TokenRefusedError(f"the token does not hold yet ({name}): is your clock right?")
    name = _claim(claims, rules.user_claim)
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise TokenRefusedError(f"the token names nobody: it has no text in its claim {rules.user_claim}")
    groups = _words(_claim(claims, rules.groups_claim))[:_MOST_GROUPS]
    return Principal(
        user=identifier_of(rules.issuer, name),
        scopes=_scopes(_words(_claim(claims, rules.roles_claim)), rules),
        groups=frozenset(identifier_of(rules.issuer, group) for group in groups),
        via="token",
    )


def check_issuer_url(url: str) -> None:
    """Raise ValueError unless it is https, or http to this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and is_this_machine(parts.hostname or ""):
        return
    raise ValueError(f"{url[:200]!r} is not https: keys that came over http could be anybody's")


def _scopes(roles: list[str], rules: TokenRules) -> frozenset[Scope]:
    known = {f"{ROLE_PREFIX}{scope}": scope for scope in Scope} | dict(rules.roles)
    return with_implied(rules.default_scopes | {known[role] for role in roles if role in known})


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenRefusedError(f"the token's {name} is no time")
    return float(value)


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim of that very name (some are addresses, with dots), else one inside objects."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _words(value: Any) -> list[str]:
    """A list of texts, or a text with blanks between its words, as ``scope`` is."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return [one for one in value if isinstance(one, str) and 0 < len(one) <= _LONGEST_NAME]
    return []
