"""Which catalogues are looked through for new products, and how far that has come. Pure.

What was published before the *watermark* has been seen. Each look goes back behind it by an overlap, because catalogues
list some products later than they say they were published; what is known from there is not told of again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from orthocontracts.model import Document, Identifier, UtcTime
from orthocontracts.wire import explain
from orthofunctions.domain.stacitems import BY_ACQUISITION
from orthofunctions.domain.yamlfiles import read_yaml


class CataloguesFileError(ValueError):
    """``settings/catalogues.yaml`` cannot be used."""


class CatalogueSpec(Document):
    """A catalogue of ``settings/catalogues.yaml``."""

    name: Identifier
    kind: Literal["odata", "stac"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~/-]*)?$")] = Field(
        description="of the service: https://catalogue.dataspace.copernicus.eu/odata/v1"
    )
    filter: Annotated[str, StringConstraints(max_length=2000)] = Field(default="", description="of OData, in its words")
    collections: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")], ...] = Field(
        default=(), max_length=50, description="of STAC"
    )
    published: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9:_]{0,60}$")] = Field(
        default="published",
        description="of STAC: the property that says when an Item was published; datetime where none does, and then "
        "the overlap must cover the time from acquisition to publication",
    )
    looked_through: bool = Field(
        default=True, description="for new products; false: it is only asked for products that requests name by id"
    )
    since: UtcTime | None = Field(default=None, description="the first look begins there; at its own time by default")
    every_s: float = Field(default=300, ge=30, description="between looks")
    overlap_s: float = Field(default=7200, ge=60, le=30 * 86_400, description="by how much each goes back")
    window_s: float = Field(default=3600, ge=60, description="of publication that is asked for at once")
    page_size: int = Field(default=200, ge=1, le=1000)

    @model_validator(mode="after")
    def _kinds_have_their_own(self) -> Self:
        if self.kind == "odata" and self.collections:
            raise ValueError("collections are of STAC; OData has a filter: Collection/Name eq 'SENTINEL-2'")
        if self.kind == "stac" and self.filter:
            raise ValueError("filter is of OData; STAC has collections")
        if self.kind == "stac" and self.published == BY_ACQUISITION and self.overlap_s < 86_400:
            raise ValueError("by acquisition, overlap_s must be a day or more: products come hours after it")
        return self

    def is_own(self, url: str) -> bool:
        """Whether an address is of the same service: nothing that a page says leads anywhere else."""
        return urlsplit(url)[:2] == urlsplit(self.url)[:2]


class _File(Document):
    catalogues: tuple[CatalogueSpec, ...] = Field(max_length=20)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [one.name for one in self.catalogues]
        if len(set(names)) != len(names):
            raise ValueError("two catalogues have the same name")
        return self


def parse_catalogues(text: bytes | None) -> tuple[CatalogueSpec, ...]:
    """What the file says; nothing where there is none.

    Raises
    ------
    CataloguesFileError
    """
    if text is None:
        return ()
    try:
        return _File.model_validate(read_yaml(text)[1]).catalogues
    except ValidationError as error:
        raise CataloguesFileError(f"settings/catalogues.yaml: {explain(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise CataloguesFileError(f"settings/catalogues.yaml is no YAML: {said}") from error


class Progress(Document):
    """How far the looks have come: a blob a catalogue.

    ``watermark`` is by the catalogue's times of publication, and so is ``began``, before which nothing is told of.
    ``known`` are products, and when they were published, of the overlap behind the watermark and of a window that has
    been read in part.
    """

    v: Literal[1] = 1
    began: UtcTime
    watermark: UtcTime
    looked_at: UtcTime | None = None
    known: dict[str, UtcTime] = Field(default_factory=dict)

    def window(self, spec: CatalogueSpec, now: datetime) -> tuple[datetime, datetime]:
        """From when on, and before when, what was published is asked for next."""
        overlap, most = timedelta(seconds=spec.overlap_s), timedelta(seconds=spec.window_s)
        return max(self.began, self.watermark - overlap), max(self.watermark, min(now, self.watermark + most))

    def is_due(self, spec: CatalogueSpec, now: datetime) -> bool:
        return self.looked_at is None or now - self.looked_at >= timedelta(seconds=spec.every_s)

    def with_known(self, seen: Iterable[tuple[str, datetime]]) -> Progress:
        return self.model_copy(update={"known": {**self.known, **dict(seen)}})

    def read_until(self, until: datetime, spec: CatalogueSpec) -> Progress:
        """A window has been read to its end."""
        watermark = max(self.watermark, until)
        behind = watermark - timedelta(seconds=spec.overlap_s)
        known = {id_: at for id_, at in self.known.items() if at >= behind}
        return self.model_copy(update={"watermark": watermark, "known": known})
