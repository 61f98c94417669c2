"""A worker's status as it reaches queue ``capacity``: plain, or in the envelope of what routed it there."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any


class NoStatusError(ValueError):
    """A message that holds no status in any form we know."""


def status_text(body: str) -> str | None:
    """The status' JSON, unwrapped.

    Known are the plain status, a CloudEvent (``data``, or ``data_base64`` as Event Grid sends MQTT 3.1.1 payloads),
    and an Event Grid event (``data``). None for an empty payload: a retained status that is being cleared.

    Raises
    ------
    NoStatusError
        For anything else.
    """
    if not body.strip():
        return None
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoStatusError("it is not JSON") from error
    if not isinstance(message, dict):
        raise NoStatusError("it is no JSON object")
    if "data_base64" in message:
        return _decoded(message["data_base64"])
    if "data" in message and ("specversion" in message or "eventType" in message):
        return _data(message["data"])
    if "specversion" in message:
        return None  # a CloudEvent without data
    return body


def is_several(text: str) -> bool:
    """Whether unwrapped JSON holds the statuses of several workers. Raises NoStatusError where it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoStatusError("what it wraps is not JSON") from error
    return isinstance(message, dict) and "statuses" in message


def _decoded(text: Any) -> str | None:
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (TypeError, binascii.Error, UnicodeDecodeError) as error:
        raise NoStatusError("its data_base64 is not base64 of UTF-8") from error
    return decoded if decoded.strip() else None


def _data(data: Any) -> str | None:
    if isinstance(data, str):
        return data if data.strip() else None
    if data is None:
        return None
    return json.dumps(data)
