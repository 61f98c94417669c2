"""A grant: what workers of a pool, presence, a watcher or a fetcher may do in storage, and until when.

Who has the file may.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, RootModel, StringConstraints

from orthocontracts.model import Document, Identifier, UtcTime
from orthocontracts.wire import read_message

SignedUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^?#\s]+\?\S+$")]
"""Address of one queue or container with a signature for it: a secret."""


class PoolGrant(Document):
    """For the workers of one pool and one result version."""

    v: Literal[1]
    kind: Literal["pool"]
    pool: Identifier
    result_version: int
    queue: SignedUrl
    """The pool's queue: take, renew and delete messages."""
    tickets: SignedUrl
    """The pool's tickets: read."""
    results: SignedUrl
    """Queue ``results``: add."""
    expires_at: UtcTime

    @property
    def signed_urls(self) -> tuple[str, ...]:
        return (self.queue, self.tickets, self.results)


class PresenceGrant(Document):
    """For ``orthoagent presence``."""

    v: Literal[1]
    kind: Literal["presence"]
    capacity: SignedUrl
    """Queue ``capacity``: add."""
    expires_at: UtcTime

    @property
    def signed_urls(self) -> tuple[str, ...]:
        return (self.capacity,)


class WatchGrant(Document):
    """For ``orthoagent watch``."""

    v: Literal[1]
    kind: Literal["watch"]
    products: SignedUrl
    """Container ``products``: look at blobs, write them; neither list nor delete."""
    expires_at: UtcTime

    @property
    def signed_urls(self) -> tuple[str, ...]:
        return (self.products,)


class ProcureGrant(Document):
    """For ``orthoagent procure``."""

    v: Literal[1]
    kind: Literal["procure"]
    wanted: SignedUrl
    """Queue ``wanted``: take, renew and delete messages."""
    procured: SignedUrl
    """Queue ``procured``: add."""
    products: SignedUrl
    """Container ``products``: look at blobs, write them; neither list nor delete."""
    expires_at: UtcTime

    @property
    def signed_urls(self) -> tuple[str, ...]:
        return (self.wanted, self.procured, self.products)


Grant: TypeAlias = PoolGrant | PresenceGrant | WatchGrant | ProcureGrant


class _AnyGrant(RootModel[Annotated[Grant, Field(discriminator="kind")]]):
    pass


def read_grant(text: bytes) -> Grant:
    """The grant of a file. Raises NotUnderstoodError."""
    return read_message(_AnyGrant, text).root
