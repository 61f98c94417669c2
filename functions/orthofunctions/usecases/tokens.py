"""A bearer token of the site's issuer: its signature, then what it says."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from orthofunctions.domain.principals import Principal
from orthofunctions.domain.tokens import ALGORITHMS, TokenRefusedError, TokenRules, principal_of_claims
from orthofunctions.ports import SigningKeys

if TYPE_CHECKING:
    from jwt.types import Options

_LONGEST = 16 * 1024
_SIGNATURE_ONLY: Options = {  # what the token says is judged by the domain, by the clock of the ports
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def prove_token(token: str, rules: TokenRules, keys: SigningKeys, now: datetime) -> Principal:
    """The bearer of a token.

    Which algorithm is used is the token's word only among those that the key is made for, and none of them takes a
    public key for a shared secret.

    Raises
    ------
    TokenRefusedError
        Where it does not count.
    IssuerDownError
        Where its key is not known and the issuer cannot be asked.
    """
    import jwt  # noqa: PLC0415 — with cryptography a third of a second, for whoever sees a token only

    if len(token) > _LONGEST:
        raise TokenRefusedError(f"the token is longer than {_LONGEST} characters")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, RecursionError) as error:
        raise TokenRefusedError("this is neither an API key nor a signed token (JWT)") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefusedError(f"the token is signed by {str(algorithm)[:20]}; {', '.join(sorted(ALGORITHMS))} count")
    found = keys.find(key_id)
    if found is None or found.algorithm not in (None, algorithm):
        raise TokenRefusedError("the issuer has no such key: get a new token")
    try:
        claims: dict[str, Any] = jwt.decode(token, found.key, algorithms=[algorithm], options=_SIGNATURE_ONLY)
    except (
        jwt.PyJWTError,
        TypeError,
        ValueError,
    ) as error:  # a key of another kind than the algorithm's is a TypeError
        raise TokenRefusedError("the token's signature is wrong") from error
    return principal_of_claims(claims, rules, now)
