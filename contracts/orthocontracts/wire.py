"""Reading a message at a door: its size is looked at before it is parsed, its version before anything is believed."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

MAX_QUEUE_BYTES: Final = 48 * 1024
"""A queue message holds 64 KiB after base64."""
MAX_MQTT_BYTES: Final = 64 * 1024

M = TypeVar("M", bound=BaseModel)


class NotUnderstoodError(ValueError):
    """A message that is refused. Says why, and repeats no value of what was sent: it may be a secret, or huge."""


def read_message(kind: type[M], body: bytes | str, *, most_bytes: int = MAX_QUEUE_BYTES) -> M:
    """The message a body holds.

    Raises
    ------
    NotUnderstoodError
        Where it is larger than ``most_bytes``, no JSON, of no version that is known here, or no such message.
    """
    check_size(body, most_bytes)
    try:
        message = kind.model_validate_json(body)
    except ValidationError as error:
        raise NotUnderstoodError(f"no {kind.__name__}: {explain(error)}") from None
    if "v" in kind.model_fields and "v" not in message.model_fields_set:
        raise NotUnderstoodError(f"no {kind.__name__}: it says no version")
    return message


def check_size(body: bytes | str, most_bytes: int = MAX_QUEUE_BYTES) -> None:
    """Raises NotUnderstoodError for a body of more bytes than that."""
    size = len(body) if isinstance(body, bytes) or len(body) > most_bytes else len(body.encode(errors="replace"))
    if size > most_bytes:
        raise NotUnderstoodError(f"it has at least {size} bytes, {most_bytes} are the most")


def explain(error: ValidationError) -> str:
    """The first few faults of a document in one line, without repeating what was sent."""
    faults = error.errors(include_url=False, include_input=False)
    shown = "; ".join(map(_words, faults[:5]))
    return shown + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")


def _words(fault: Any) -> str:
    where = ".".join(map(str, fault["loc"])) or "document"
    if fault["loc"][-1:] == ("v",):
        return "its version is not one that is known here"
    return f"{where[:200]}: {fault['msg'][:300]}"
