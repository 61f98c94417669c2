"""What worker and child process say to each other: one JSON document a line, over pipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from orthocontracts.messages import Fault
from orthocontracts.model import Digest, Document
from orthocontracts.outputs import FileKind, GridSpec, OutputSpec
from orthocontracts.requests import Options


class ComputeJob(Document):
    """To the child: make these outputs from files that lie here. Paths are absolute."""

    folder: Path = Field(description="the delivery's own; images go to out/, other temporary files to tmp/")
    products: tuple[Path, ...]
    dem: Path | None = None
    geoid: Path | None = None
    height_m: float | None = None
    gipp: Path | None = None
    iers: Path | None = None
    orbits: Path | None = Field(default=None, description="folder of the orbit files that were planned")
    options: Options = Options()
    outputs: tuple[OutputSpec, ...]


class OutputOrder(Document):
    """What a compute function is asked for: one output of a job."""

    products: tuple[Path, ...]
    dem: Path | None
    geoid: Path | None
    height_m: float | None
    gipp: Path | None = None
    iers: Path | None = None
    orbits: Path | None = Field(default=None, description="folder of the orbit files that were planned")
    grid: GridSpec
    options: Options
    out: Path = Field(description="the image to write; the other files go beside it")


class OutputMade(Document):
    """What a compute function returns: the files it wrote, and figures worth keeping."""

    files: dict[FileKind, Path]
    figures: dict[str, float] = Field(default_factory=dict)


class Ready(Document):
    kind: Literal["ready"] = "ready"


class Progress(Document):
    kind: Literal["progress"] = "progress"
    digest: Digest
    fraction: float


class Made(Document):
    kind: Literal["made"] = "made"
    digest: Digest
    made: OutputMade


class Failed(Document):
    kind: Literal["failed"] = "failed"
    digest: Digest
    fault: Fault


class End(Document):
    """The job is over; the child waits for the next one."""

    kind: Literal["end"] = "end"


ChildLine = Annotated[Ready | Progress | Made | Failed | End, Field(discriminator="kind")]
CHILD_LINE: TypeAdapter[Ready | Progress | Made | Failed | End] = TypeAdapter(ChildLine)
