"""Names that an issuer gives its people and groups, as identifiers of ours."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from pydantic import TypeAdapter, ValidationError

from orthocontracts.model import Identifier

LOCAL_USER = "local"
"""Whose jobs are those of uploads, and of callers on this machine. No issuer can name anybody so."""

_HASH_DIGITS = 20
_READABLE = 40
_DERIVED = re.compile(rf"-[0-9a-f]{{{_HASH_DIGITS}}}$")
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


def is_identifier(name: str) -> bool:
    try:
        _IDENTIFIER.validate_python(name)
    except ValidationError:
        return False
    return True


def identifier_of(issuer: str, name: str) -> str:
    """A name of an issuer as an identifier: itself where it is one, else its readable part and a hash.

    The hash is over issuer and name, 80 bits of SHA-256, so two names, or one name of two issuers, do not meet. Names
    that look as if they were made here, and that of the local user, are hashed too: nobody gets another's by
    choosing their own.
    """
    if is_identifier(name) and name != LOCAL_USER and not _DERIVED.search(name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain)[:_READABLE].strip("-") or "user"
    digest = hashlib.sha256(f"{issuer}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{readable}-{digest[:_HASH_DIGITS]}"
