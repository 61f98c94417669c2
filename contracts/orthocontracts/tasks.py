"""A unit of work: the products of one pass and the outputs wanted from them."""

from __future__ import annotations

from pydantic import Field

from orthocontracts.inputs import InputFile
from orthocontracts.model import Document, Identifier, UtcTime
from orthocontracts.outputs import Instrument, OutputSpec, ResolvedTerrain, Source
from orthocontracts.requests import Options

COPY = "copy"
"""The process that brings images from a store of a site into blob storage: of each product an output is the copy."""


class TaskSpec(Document):
    """What a worker needs to know, apart from where it may read and write (the ticket adds that)."""

    task_id: Identifier
    job_id: Identifier
    user: Identifier
    process: str
    result_version: int
    products: tuple[Source, ...] = Field(min_length=1)
    terrain: ResolvedTerrain
    instrument: Instrument | None = None
    orbits: tuple[Source, ...] | None = None
    options: Options
    outputs: tuple[OutputSpec, ...] = Field(min_length=1)
    created_at: UtcTime
    deadline: UtcTime | None = None
    patience_s: float | None = None
    urgent: bool = False
    input_bytes_at: dict[str, int] = Field(
        default_factory=dict, description="of its products, by the store they lie in where that is not blob storage"
    )
    elsewhere: tuple[InputFile, ...] | None = Field(
        default=None, description="files of sources that are not in blob storage, as the plan found them"
    )

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that a worker has to fetch."""
        tiles = self.terrain.tiles
        beside = [*(tiles if tiles is not None else (self.terrain.dem,)), self.terrain.geoid, *(self.orbits or ())]
        if self.instrument is not None:
            beside += [self.instrument.gipp, self.instrument.iers]
        return (*self.products, *(one for one in beside if one is not None))

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(output.digest for output in self.outputs)

    @property
    def megapixels(self) -> float:
        return sum(output.grid.megapixels for output in self.outputs)


def task_id_of(job_id: str, number: int) -> str:
    return f"{job_id}-{number:04d}"


def job_of_task(task_id: str) -> str:
    """The partition of a task's row: queue messages carry the task's id only."""
    return task_id.rsplit("-", 1)[0]
