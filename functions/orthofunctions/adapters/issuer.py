"""The public keys of an OpenID Connect issuer: found by its discovery document, kept, fetched again with care."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests

from orthofunctions.domain.tokens import check_issuer_url
from orthofunctions.ports import IssuerDownError, SigningKey

logger = logging.getLogger(__name__)

FRESH_S = 3600.0
"""After this keys are fetched again, so that one the issuer has withdrawn goes."""
KEPT_S = 86_400.0
"""For so long they count while the issuer does not answer."""
FLOOR_S = 30.0
"""Between two fetches, whatever tokens name: random key ids cost the issuer two calls in this time."""

_TIMEOUT_S = (2.0, 3.0)
_WAIT_S = 2.0  # for another thread's fetch: they share few, and known keys must not wait behind unknown ones
_MOST_BYTES = 1024 * 1024
_MOST_KEYS = 100
_LEAST_RSA_BITS = 2048


class _UnusableError(ValueError):
    """What the issuer answered is of no use."""


class IssuerKeys:
    """``orthofunctions.ports.SigningKeys`` of one issuer, fetched when the first token comes."""

    def __init__(
        self, issuer: str, session: requests.Session, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer, self._session, self._now_s = issuer, session, monotonic_s
        self._fetching = threading.Lock()
        self._keys: Mapping[str, SigningKey] = {}
        self._fetched_s = self._tried_s = float("-inf")
        self._answered = False

    def find(self, key_id: str | None) -> SigningKey | None:
        found = self._known(key_id)
        if found is not None and self._now_s() - self._fetched_s <= FRESH_S:
            return found
        # A known key waits for nobody: threads are few.
        knows = self._refresh(wait_s=_WAIT_S if found is None else 0.0)
        found = self._known(key_id)
        if found is None and not knows:
            again_s = self._tried_s + FLOOR_S - self._now_s()
            raise IssuerDownError(
                "the issuer of tokens does not answer, and the token's key is not known here",
                max(1, math.ceil(again_s)) if again_s > 0 else 1,
            )
        return found

    def _known(self, key_id: str | None) -> SigningKey | None:
        keys = self._keys
        if self._now_s() - self._fetched_s > KEPT_S:
            return None
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    def _refresh(self, *, wait_s: float) -> bool:
        """Fetch the keys, unless that was tried a moment ago. False where we do not know what the issuer has now."""
        if self._now_s() - self._tried_s < FLOOR_S:
            return self._answered
        taken = self._fetching.acquire(timeout=wait_s) if wait_s else self._fetching.acquire(blocking=False)
        if not taken:
            return False
        try:
            if self._now_s() - self._tried_s < FLOOR_S:  # by whoever had the lock before us
                return self._answered
            try:
                keys = self._read()
            except (requests.RequestException, ValueError, RecursionError) as error:
                logger.warning("%s: %s", self._issuer, error, extra={"action": "issuer_down"})
                self._answered = False
            else:
                self._keys, self._answered = keys, True
                self._fetched_s = self._now_s()
            self._tried_s = self._now_s()
            return self._answered
        finally:
            self._fetching.release()

    def _read(self) -> dict[str, SigningKey]:
        about = self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if about.get("issuer") != self._issuer:
            raise _UnusableError(f"its discovery document is that of {str(about.get('issuer'))[:200]!r}")
        listed = self._get(str(about.get("jwks_uri"))).get("keys")
        if not isinstance(listed, list):
            raise _UnusableError("its jwks_uri has no list of keys")
        keys = {}
        for number, one in enumerate(listed[:_MOST_KEYS]):
            if isinstance(one, dict) and (key := _usable(one)) is not None:
                keys[str(one.get("kid", f"#{number}"))] = key
        if not keys:
            raise _UnusableError("none of its keys can be used")
        return keys

    def _get(self, url: str) -> dict[str, Any]:
        check_issuer_url(url)
        with self._session.get(url, timeout=_TIMEOUT_S, stream=True, allow_redirects=False) as answer:
            if answer.status_code != 200:
                raise _UnusableError(f"{url} answers {answer.status_code}")
            data = b""
            for chunk in answer.iter_content(64 * 1024):
                data += chunk
                if len(data) > _MOST_BYTES:
                    raise _UnusableError(f"{url} sends more than {_MOST_BYTES} bytes")
        document = json.loads(data)
        if not isinstance(document, dict):
            raise _UnusableError(f"{url} is not a JSON object")
        return document


def _usable(jwk: Mapping[str, Any]) -> SigningKey | None:
    """A key that signatures may be checked with; None for those that encrypt, are secrets, are short or not known."""
    import jwt  # noqa: PLC0415 — slow: see usecases/tokens.py

    if jwk.get("kty") not in ("RSA", "EC", "OKP") or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    try:
        key = jwt.PyJWK(dict(jwk)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if getattr(key, "key_size", _LEAST_RSA_BITS) < _LEAST_RSA_BITS and jwk["kty"] == "RSA":
        return None
    algorithm = jwk.get("alg")
    return SigningKey(key, algorithm if isinstance(algorithm, str) else None)
