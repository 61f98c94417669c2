"""A product that somebody else's catalogue has, as whichever door told of it says it. Pure."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, field_validator

from orthocontracts.manifests import LonLat, OrbitDirection, SafeManifest
from orthocontracts.model import Message, UtcTime
from orthocontracts.outputs import Source
from orthocontracts.polygons import unwrap
from orthocontracts.products import images_are_made_of, parse_product

MOST_CORNERS: Final = 256
"""Of a footprint: an outline of more is thinned. Sentinel-3's have some hundreds."""

Word = Annotated[str, StringConstraints(max_length=300)]


class NotAnnouncedError(Exception):
    """What a catalogue told of is nothing that images are made of; the message says why."""


class Announced(Message):
    """A message on queue ``announced``.

    Attributes
    ----------
    catalogue : str
        Who told of it: ``cdse``, or a name of ``settings/catalogues.yaml``.
    id : str
        In that catalogue.
    name : str
        The product's, without ``.SAFE``.
    ref : str
        Where it lies, as requests name it: ``s3://eodata/…/NAME.SAFE``.
    checksum : str, optional
        Of the whole product, as the catalogue has it: ``md5:…`` or ``blake3:…``.
    seen_at : datetime, optional
        When it was taken in first, where some of its images waited for a neighbour since.
    """

    catalogue: Word
    id: Word
    name: Word
    ref: Annotated[str, StringConstraints(max_length=600)]
    footprint_lonlat: tuple[LonLat, ...] = Field(min_length=3, max_length=MOST_CORNERS)
    start: UtcTime
    stop: UtcTime | None = None
    published_at: UtcTime
    size_bytes: int = Field(default=0, ge=0)
    checksum: Word | None = None
    orbit_direction: OrbitDirection | None = None
    relative_orbit: int | None = Field(default=None, ge=1, le=385)
    cloud_cover_percent: float | None = Field(default=None, ge=0, le=100)
    seen_at: UtcTime | None = None

    @field_validator("footprint_lonlat")
    @classmethod
    def _on_the_globe(cls, ring: tuple[LonLat, ...]) -> tuple[LonLat, ...]:
        if not all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring):
            raise ValueError("a corner beyond 180 degrees east or 90 degrees north")
        return ring

    def source(self) -> Source:
        return announced_source(self.name, self.ref, self.size_bytes)

    def manifest(self) -> SafeManifest:
        """What a plan will read of its manifest, but for the files."""
        return SafeManifest(
            start=self.start,
            stop=self.stop,
            footprint_lonlat=self.footprint_lonlat,
            polarisations=(),
            files=(),
            orbit_direction=self.orbit_direction,
            relative_orbit=self.relative_orbit,
        )


def announced_source(name: str, ref: str, size_bytes: int) -> Source:
    """Its content goes by its name: whichever catalogue tells of it, with or without a checksum, it is one."""
    content = hashlib.sha256(name.encode()).hexdigest()
    return Source(ref=ref, content=content, size_bytes=size_bytes, kind="folder")


def stem_of(name: str) -> str:
    """A product's name without what says how it is packed.

    Raises
    ------
    NotAnnouncedError
        Where it is no product of a kind that images are made of.
    """
    if not images_are_made_of(name):
        raise NotAnnouncedError(f"{name[:100]} is no product that images are made of")
    stem = parse_product(name).stem
    if not name.startswith(stem):  # "test-notification-S1A_…"
        raise NotAnnouncedError(f"{name[:100]} only holds a product's name")
    return stem


def ring_of(geometry: Any) -> tuple[LonLat, ...]:
    """The outline of a GeoJSON Polygon, or around a MultiPolygon: a footprint that was cut at the antimeridian is one
    again. Longitudes are within ±180; the first point is not repeated.

    Raises
    ------
    NotAnnouncedError
        Where there is no outline.
    """
    try:
        kind, parts = geometry["type"], geometry["coordinates"]
        rings = [[(float(point[0]), float(point[1])) for point in part[0]] for part in _parts(kind, parts)]
        ring = rings[0] if len(rings) == 1 else _around(rings)
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise NotAnnouncedError("it has no footprint that can be read") from error
    ring = [(lon - 360.0 * round(lon / 360.0) if abs(lon) <= 540.0 else lon, lat) for lon, lat in ring]
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()
    step = -(-len(ring) // MOST_CORNERS)
    ring = ring[:: step or 1]
    if len(ring) < 3:
        raise NotAnnouncedError("it has no footprint of three or more corners")
    return tuple(ring)


def _parts(kind: str, coordinates: Any) -> list[Any]:
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(kind)
    return [coordinates] if kind == "Polygon" else list(coordinates)


def _around(rings: list[list[LonLat]]) -> list[LonLat]:
    """The convex outline around all of them, each on the turn of the globe nearest to the first."""
    first = unwrap(rings[0])
    middle = sum(lon for lon, _ in first) / len(first)
    points = set(first)
    for ring in map(unwrap, rings[1:]):
        turn = 360.0 * round((middle - sum(lon for lon, _ in ring) / len(ring)) / 360.0)
        points |= {(lon + turn, lat) for lon, lat in ring}
    ordered = sorted(points)
    lower, upper = _chain(ordered), _chain(ordered[::-1])
    return lower[:-1] + upper[:-1]


def _chain(points: list[LonLat]) -> list[LonLat]:
    """One half of the convex outline of points in order (Andrew's monotone chain)."""
    chain: list[LonLat] = []
    for point in points:
        while len(chain) > 1 and _turns_right(chain[-2], chain[-1], point):
            chain.pop()
        chain.append(point)
    return chain


def _turns_right(a: LonLat, b: LonLat, c: LonLat) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0
