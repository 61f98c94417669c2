"""The plan of a job: written once to ``plans/<job>.json`` before anything else, replayed by every redelivery."""

from __future__ import annotations

from typing import Literal

from orthocontracts.model import Digest, Document, Identifier, UtcTime
from orthocontracts.outputs import OutputIdentity
from orthocontracts.requests import Request
from orthocontracts.tasks import TaskSpec


class PlannedOutput(Document):
    digest: Digest
    title: str
    identity: OutputIdentity
    task_id: Identifier


class FoundProduct(Document):
    """A product that was named by id, its place, and in words how that was found."""

    asked: str
    ref: str
    how: str


class Plan(Document):
    """Everything a request became. Digests already in the catalogue, or claimed by others, are settled on replay."""

    v: Literal[1] = 1
    job_id: Identifier
    request: Request
    made_at: UtcTime
    outputs: tuple[PlannedOutput, ...]
    tasks: tuple[TaskSpec, ...]
    found: tuple[FoundProduct, ...] | None = None
