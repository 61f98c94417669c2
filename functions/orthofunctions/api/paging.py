"""Pages of a list: where the next one begins is in a token that only we read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from orthofunctions.api.problems import error, invalid


class _Linker(Protocol):
    def link(self, path: str, rel: str, title: str, media_type: str = ...) -> dict[str, str]: ...


def write_token(*parts: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_token(token: str, n_parts: int) -> list[str]:
    """The parts of a token.

    Raises
    ------
    ProblemError
        400 where it is not one of ours.
    """
    try:
        parts = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        if isinstance(parts, list) and len(parts) == n_parts and all(isinstance(one, str) for one in parts):
            return parts
    except (ValueError, RecursionError):
        pass
    raise invalid(
        [error("query.token", "no token of this list", found=token, expected="that of a link to the next page")]
    )


def next_link(where: _Linker, path: str, query: Mapping[str, Any]) -> dict[str, str]:
    """A link to the next page: the same query, with its token. Lists are written with commas, None is left out."""
    asked = {
        name: ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        for name, value in query.items()
        if value is not None and value != []
    }
    return where.link(f"{path}?{urlencode(asked)}", "next", "the next page")
