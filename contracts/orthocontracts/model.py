"""The base of every document that crosses a process border."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from orthocontracts.tracing import TraceParent


class Document(BaseModel):
    """Immutable, and strict about what it reads: an unknown field or a NaN is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)


class Message(BaseModel):
    """A document between parts that may be one release apart: fields it does not know are ignored.

    ``v`` rises where ignoring would be wrong, and a version that is not known is refused, never guessed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    v: Literal[1] = 1
    traceparent: TraceParent = None

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)


def _aware_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, for example 2026-05-01T12:00:00Z")
    return moment.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_aware_utc)]

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""Ids that become queue, container, blob and topic names: lower case, digits and hyphens."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

JsonObject = dict[str, Any]
