"""What a message says of the trace that it belongs to: W3C Trace Context, Level 1 (``traceparent``, version 00)."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_or_none(found: Any) -> str | None:
    """What was found, where it is a traceparent. Nothing else is refused for it: no work is lost for a trace."""
    return found if isinstance(found, str) and _TRACEPARENT.fullmatch(found) else None


TraceParent = Annotated[str | None, BeforeValidator(traceparent_or_none)]
"""``00-<trace id>-<parent span id>-<flags>``, or None."""


def traceparent_in(message: str) -> str | None:
    """What a message in JSON says of its trace, whatever else it is."""
    try:
        document = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return traceparent_or_none(document.get("traceparent")) if isinstance(document, dict) else None


def trace_id_of(traceparent: str | None) -> str | None:
    """The 32 hexadecimal digits under which a backend keeps the trace."""
    plain = traceparent_or_none(traceparent)
    return plain.split("-")[1] if plain else None
