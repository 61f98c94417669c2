"""What is promised: one image on one grid, known by the digest of everything that decides its pixels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orthocontracts.model import Digest, Document, Identifier
from orthocontracts.requests import Options


class GridSpec(Document):
    """A resolved grid: upper left corner, square pixels, north up."""

    epsg: int
    left: float
    top: float
    spacing: float = Field(gt=0, description="units of the coordinate system")
    n_rows: int = Field(ge=1)
    n_cols: int = Field(ge=1)
    tile: str | None = Field(default=None, description="MGRS tile this grid is, if it is one")

    @property
    def megapixels(self) -> float:
        return self.n_rows * self.n_cols / 1e6


class Source(Document):
    """A product or auxiliary file as it was when the plan was made.

    ``content`` identifies the bytes: an MD5, or a hash over the member list of a zip or folder.
    """

    ref: str
    content: str
    size_bytes: int = Field(ge=0)
    kind: Literal["file", "folder"] = "file"


class ResolvedTerrain(Document):
    """Where heights come from; nothing for products that need none.

    Of a folder of tiles ``tiles`` are those that are needed; ``dem`` is then the folder, without what it holds besides.
    """

    dem: Source | None = None
    tiles: tuple[Source, ...] | None = None
    geoid: Source | None = None
    height_m: float | None = None


class Instrument(Document):
    """What Sentinel-2 L1B is looked through with: a folder of the instrument's parameters, and Earth's orientation."""

    gipp: Source
    iers: Source | None = None


class OutputIdentity(Document):
    """All that decides an output's pixels, and nothing else: its digest is the output's name everywhere."""

    process: str
    products: tuple[Source, ...]
    grid: GridSpec
    options: Options
    terrain: ResolvedTerrain
    instrument: Instrument | None = None
    orbits: tuple[Source, ...] | None = Field(default=None, description="orbit files; None: the products' own orbits")
    trust: str = Field(description="who may read the sources: outputs are shared only within one scope")
    result_version: int


class OutputSpec(Document):
    digest: Digest
    grid: GridSpec
    title: str = Field(max_length=200, description="for people: product and tile")


class FileFacts(Document):
    """A delivered file as its worker measured it while delivering."""

    blob: str = Field(description="container/path, or site://store/path where it stays on site")
    size_bytes: int = Field(ge=1)
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")


FileKind = Literal[
    "image",
    "mask",
    "browse",
    "item",
    "layover_shadow",
    "local_incidence",
    "scattering_area",
    "scene_classification",
    "detector",
    "quality",
    "acquisition",
]
FILE_SUFFIX: dict[FileKind, str] = {
    "image": ".tif",
    "mask": "_mask.tif",
    "browse": ".png",
    "item": ".json",
    "layover_shadow": "_layover_shadow.tif",
    "local_incidence": "_local_incidence.tif",
    "scattering_area": "_scattering_area.tif",
    "scene_classification": "_scene_classification.tif",
    "detector": "_detector.tif",
    "quality": "_quality.tif",
    "acquisition": "_acquisition.tif",
}


def file_kinds(options: Options) -> tuple[FileKind, ...]:
    """The files of an output made with these options: just these are delivered, and none may be missing."""
    return ("image", "mask", "browse", "item", *options.extras)


class CatalogueEntry(Document):
    """``catalogue/<digest>.json``: written once, by the collector, and never changed."""

    v: Literal[1] = 1
    digest: Digest
    identity: OutputIdentity
    files: dict[FileKind, FileFacts]
    task_id: Identifier
    release: int
    delivery: int
    pool: str
    agent: str
    committed_at: str
    figures: dict[str, float] = Field(default_factory=dict)
