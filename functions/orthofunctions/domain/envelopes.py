"""A worker's status as it reaches queue ``capacity``: plain, or in the envelope of what routed it there."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any


class NoStatusError(ValueError):
    """A message that holds no status in any form we know."""


@dataclass(frozen=True)
class Unwrapped:
    """A status' JSON, and what its envelope says of where it came from.

    Attributes
    ----------
    text : str or None
        None for an empty payload: a retained status that is being cleared.
    topic, sender : str or None
        The topic it was published on, and the name its publisher was known by at the broker, where they are told.
    """

    text: str | None
    topic: str | None = None
    sender: str | None = None


def unwrap(body: str) -> Unwrapped:
    """The status in a message of queue ``capacity``.

    Known are the plain status, a CloudEvent (``data``, or ``data_base64`` as Event Grid sends MQTT 3.1.1 payloads),
    and an Event Grid event (``data``). The topic is the envelope's ``subject``, the sender its attribute ``agent``, by
    which Event Grid is told to enrich what it routes.

    Raises
    ------
    NoStatusError
        For anything else.
    """
    if not body.strip():
        return Unwrapped(None)
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoStatusError("it is not JSON") from error
    if not isinstance(message, dict):
        raise NoStatusError("it is no JSON object")
    if "data_base64" not in message and "specversion" not in message and "eventType" not in message:
        return Unwrapped(body)
    text = _decoded(message["data_base64"]) if "data_base64" in message else _data(message.get("data"))
    return Unwrapped(text, topic=_word(message.get("subject")), sender=_word(message.get("agent")))


def is_several(text: str) -> bool:
    """Whether unwrapped JSON holds the statuses of several workers. Raises NoStatusError where it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoStatusError("what it wraps is not JSON") from error
    return isinstance(message, dict) and "statuses" in message


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


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
