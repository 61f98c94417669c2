"""Products that requests name and nobody here has: what is asked of ``orthoagent procure``, and what it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orthocontracts.messages import Fault
from orthocontracts.model import Identifier, Message, UtcTime

Name = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Za-z0-9_]{10,200}$")]
"""A product's official name, without ``.SAFE`` or ``.SEN3``."""

Ask = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""One attempt to have a product fetched: answers to earlier ones count for nothing."""


class Wanted(Message):
    """A message on queue ``wanted``."""

    name: Name
    ask: Ask
    until: UtcTime = Field(description="from then on nobody waits for it any longer")


class Procured(Message):
    """A message on queue ``procured``. ``fetched``: it lies in container ``products``, whole or as its stub."""

    kind: Literal["started", "fetched", "failed"]
    name: Name
    ask: Ask
    agent: Identifier
    at: UtcTime
    fault: Fault | None = None
