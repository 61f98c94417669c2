"""What an API key looks like, and what is kept of it: its SHA-256, never the key."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

PREFIX: Final = "ob_"
"""So that people, and scanners of leaked secrets, see what it is."""

_BYTES = 32
_SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_ID_DIGITS = 12
_ID_SHAPE = re.compile(rf"[0-9a-f]{{{_ID_DIGITS}}}")


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(_BYTES)


def is_key(text: str) -> bool:
    """Whether it has the shape of a key: what has not is looked up nowhere."""
    return _SHAPE.fullmatch(text) is not None


def digest_of(key: str) -> str:
    """A plain SHA-256 will do: the key is 256 random bits, which nobody guesses however fast they hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def shelf_of(digest_or_id: str) -> str:
    """The partition a key's row lies in."""
    return digest_or_id[:2]


def id_of(digest: str) -> str:
    """What a key is called where it is listed and revoked: the first digits of its hash."""
    return digest[:_ID_DIGITS]


def is_key_id(text: str) -> bool:
    return _ID_SHAPE.fullmatch(text) is not None
