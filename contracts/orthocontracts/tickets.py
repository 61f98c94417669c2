"""The ticket: what a worker may do for one release of one task, and until when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orthocontracts.inputs import InputFile
from orthocontracts.model import Digest, Document, UtcTime
from orthocontracts.outputs import FileKind
from orthocontracts.tasks import TaskSpec

MAX_TICKET_BYTES = 64 * 1024 * 1024
NOT_UNDERSTOOD = "the ticket is not one this worker understands"
"""How the reason begins with which a worker refuses a ticket of another release's words."""
MAX_DELIVERIES = 8
"""How often one release's queue message may be delivered: each delivery has a folder of its own."""


class OutputFile(Document):
    """One file to deliver: where it goes, and the create-only link that lets exactly this file be written once.

    Where it is to stay on site, both are ``site://store/path``.
    """

    blob: str
    url: str = Field(description="create-only, expiring; a secret: never logged")


class Delivery(Document):
    number: int = Field(ge=1, le=MAX_DELIVERIES)
    files: dict[Digest, dict[FileKind, OutputFile]]


class Ticket(Document):
    v: Literal[1] = 1
    spec: TaskSpec
    release: int = Field(ge=1)
    pool: str
    token: str = Field(description="goes into every report on this release: who has no ticket cannot report; a secret")
    wanted: tuple[Digest, ...] = Field(min_length=1, description="outputs not yet committed")
    inputs: tuple[InputFile, ...]
    deliveries: tuple[Delivery, ...]
    time_limit_s: float = Field(gt=0)
    end_s: float | None = Field(
        default=None,
        gt=0,
        description="when all of a delivery is over, its upload too: there is no money for more; None: what was made "
        "in time is uploaded for as long as the links hold",
    )
    expected_s: float | None = Field(default=None, gt=0, description="one run in ten takes longer; None: not known")
    expires_at: UtcTime = Field(description="when its links end")
