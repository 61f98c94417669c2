"""One way to turn a document into a hash, so that equal meaning gives equal digests in every process."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel

from orthocontracts.model import JsonObject
from orthocontracts.outputs import OutputIdentity

_MARK_DIGITS = 4


def canonical_json(document: BaseModel | JsonObject) -> bytes:
    """Sorted keys, no spaces, no absent fields; floats as the shortest text that reads back the same."""
    value = document.model_dump(mode="json", exclude_none=True) if isinstance(document, BaseModel) else document
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def sha256_of(document: BaseModel | JsonObject) -> str:
    return hashlib.sha256(canonical_json(document)).hexdigest()


def output_digest(identity: OutputIdentity) -> str:
    """64 hex digits that name an output.

    Products are unordered: the same set in any order is the same output. Options at their default are left out, so
    that an option that is new later does not rename the outputs that never asked for it.
    """
    in_order = tuple(sorted(identity.products, key=lambda source: source.ref))
    document = identity.model_copy(update={"products": in_order}).model_dump(mode="json", exclude_none=True)
    return sha256_of({**document, "options": identity.options.model_dump(mode="json", exclude_defaults=True)})


def job_id_of(user: str, request_id: str) -> str:
    """The job of a request: derived, so that a request delivered twice is one job.

    Its first digits are its user's mark, so that a job's owner can be looked for among few.
    """
    return f"j{user_mark(user)}{sha256_of({'user': user, 'request_id': request_id})[:19]}"


def user_mark(user: str) -> str:
    """Four digits that few users share: too few to tell from a job's id whose it is."""
    return sha256_of({"user": user})[:_MARK_DIGITS]


def mark_in(job_id: str) -> str:
    """The mark of a job's user."""
    return job_id[1 : 1 + _MARK_DIGITS]
