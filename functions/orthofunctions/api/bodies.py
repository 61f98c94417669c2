"""Bodies of requests: of bounded size, and JSON to the letter."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from orthocontracts.model import Document
from orthofunctions.api.problems import ProblemError, error, errors_of, invalid

D = TypeVar("D", bound=Document)

JSON_TYPES = ("application/json", "application/ogcapi-processes-execute+json")


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body of a request.

    Raises
    ------
    ProblemError
        413 where it is larger; 415 where it says it is no JSON.
    """
    too_large = ProblemError(413, "Too large", f"a request has at most {most_bytes} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:20]) > most_bytes:
        raise too_large
    media_type = request.headers.get("content-type", JSON_TYPES[0]).partition(";")[0].strip().lower()
    if media_type not in JSON_TYPES:
        raise ProblemError(415, "Not JSON", f"the body is {media_type[:100]!r}; {JSON_TYPES[0]} is expected")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most_bytes:
            raise too_large
    return bytes(data)


def parse_json(body: bytes) -> Any:
    """A document without NaN, infinities, and names that are there twice.

    Raises
    ------
    ProblemError
        400.
    """
    try:
        document = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as trouble:
        raise ProblemError(400, "Not JSON", f"the body is not JSON: {str(trouble)[:200]}") from trouble
    at = _infinite(document)
    if at is not None:
        raise invalid([error(at, "it is no number that JSON has", expected="a finite number")])
    return document


def named_document(kind: type[D], id_member: str, said: dict[str, Any], **ours: Any) -> D:
    """A document that somebody names by ``id``, which its model calls otherwise; ``ours`` is not theirs to say.

    Raises
    ------
    ProblemError
        400.
    """
    named = {name: value for name, value in said.items() if name != "id"} | ours
    try:
        return kind.model_validate_json(json.dumps(named))
    except ValidationError as trouble:
        found = errors_of(trouble.errors(include_url=False))
        raise invalid([{**one, "at": "id" if one["at"] == id_member else one["at"]} for one in found]) from trouble
    except RecursionError as trouble:
        raise invalid([error("body", "it is nested too deeply")]) from trouble


def may_be_id(text: str) -> bool:
    """Whether a part of a path can be the id of something: storage is not asked for what cannot."""
    return len(text) <= 63 and text.isascii() and text.replace("-", "").isalnum()


def _infinite(document: Any) -> str | None:
    """Where a NaN or an infinity is, which Python reads and JSON does not have."""
    left: list[tuple[str, Any]] = [("", document)]
    while left:
        at, value = left.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return at.removeprefix(".") or "body"
        if isinstance(value, dict):
            left += [(f"{at}.{name}", one) for name, one in value.items() if isinstance(one, (dict, list, float))]
        elif isinstance(value, list):
            left += [(f"{at}.{i}", one) for i, one in enumerate(value) if isinstance(one, (dict, list, float))]
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:100]!r} is there twice")
        found[name] = value
    return found
