"""Areas as people draw them: GeoJSON polygons of longitude and latitude, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from orthocontracts.model import Document
from orthocontracts.planar import MOST_TESTS, TooIntricateError, crossing
from orthocontracts.polygons import unwrap

MAX_AREA_POINTS = 10_000

Lon = Annotated[float, Field(ge=-180.0, le=180.0)]
Lat = Annotated[float, Field(ge=-90.0, le=90.0)]
Position = tuple[Lon, Lat]
Ring = Annotated[tuple[Position, ...], Field(min_length=4)]
"""The first position is the last one too (RFC 7946, section 3.1.6)."""

Rings = Annotated[tuple[Ring, ...], Field(min_length=1)]
"""The outline, then holes."""


class CrossingError(ValueError):
    """A polygon whose edges cross or touch each other: what is inside it nobody can tell."""


class _Area(Document):
    def polygons(self) -> Sequence[Rings]:
        """Rings as given, polygon by polygon."""
        raise NotImplementedError

    def outlines(self) -> list[list[tuple[float, float]]]:
        """The outlines without holes, closed, each longitude within half a turn of the one before it.

        An edge goes the shorter way around: a ring with longitudes 179 and -179 crosses the antimeridian, as does a
        pair of polygons cut there.
        """
        return [unwrap(rings[0]) for rings in self.polygons()]

    @model_validator(mode="after")
    def _is_simple(self) -> Self:
        n_points = sum(len(ring) for rings in self.polygons() for ring in rings)
        if n_points > MAX_AREA_POINTS:
            raise ValueError(f"the area has {n_points} points; {MAX_AREA_POINTS} are possible: simplify it")
        budget = iter(range(MOST_TESTS))
        for rings in self.polygons():
            for ring in rings:
                if ring[0] != ring[-1]:
                    raise ValueError(f"a ring begins at {ring[0]} and ends at {ring[-1]}: close it")
                _check_simple(unwrap(ring), budget)
        return self


class Polygon(_Area):
    type: Literal["Polygon"]
    coordinates: Rings

    def polygons(self) -> Sequence[Rings]:
        return (self.coordinates,)


class MultiPolygon(_Area):
    type: Literal["MultiPolygon"]
    coordinates: Annotated[tuple[Rings, ...], Field(min_length=1)]

    def polygons(self) -> Sequence[Rings]:
        return self.coordinates


Area = Annotated[Polygon | MultiPolygon, Field(discriminator="type")]


def _check_simple(ring: Sequence[tuple[float, float]], budget: Iterator[int]) -> None:
    """Raise where the ring has no extent, or crosses or touches itself."""
    apart = [ring[0], *(there for here, there in pairwise(ring) if there != here)]
    if len(set(apart)) < 3:
        raise ValueError(f"a ring needs three different points, this one has {len(set(apart))}")
    try:
        place = crossing(apart, budget)
    except TooIntricateError as error:
        raise ValueError(f"the area cannot be checked, {error}: simplify it") from error
    if place is not None:
        lon, lat = (place[0] + 180) % 360 - 180, place[1]
        raise CrossingError(f"the area's outline crosses or touches itself near {lon:.4f}, {lat:.4f}")
