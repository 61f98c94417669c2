"""Many requests handed over at once: what is kept of them, and the message that has them sent on."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from orthocontracts.model import Document, Identifier, UtcTime
from orthocontracts.requests import Request

MAX_EXECUTIONS: Final = 1000
"""In one batch."""


class BatchOrder(Document):
    """``requests/batches/<user>/<batch>.json``: what was asked for, written once, before anything follows from it."""

    version: Literal[1] = 1
    batch: Identifier
    user: Identifier
    name: str | None = Field(default=None, max_length=200, description="for people")
    requests: tuple[Request, ...] = Field(min_length=1, max_length=MAX_EXECUTIONS)

    @model_validator(mode="after")
    def _of_one_user(self) -> Self:
        if any(request.user != self.user for request in self.requests):
            raise ValueError("the requests of a batch are its user's")
        return self

    def asks_for(self, other: BatchOrder) -> bool:
        """Whether it is the same as another, by whatever name the API was called."""
        return self._without_address() == other._without_address()

    def _without_address(self) -> list[Request]:
        return [
            request.model_copy(update={"asked": request.asked.model_copy(update={"base_url": ""})})
            if request.asked
            else request
            for request in self.requests
        ]


class BatchEnvelope(Document):
    """On queue ``requests``, so that a batch is done with to its end whatever becomes of the call that asked for it.

    ``send``: every request of the batch is to be planned. ``cancel``: every job of it that was there ``at`` that moment
    and is not over leaves its work.
    """

    v: Literal[1] = 1
    batch: Identifier
    user: Identifier
    action: Literal["send", "cancel"] = "send"
    at: UtcTime
