"""Areas as people draw them: GeoJSON polygons of longitude and latitude, checked before anything is made of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from orthocontracts.model import Document
from orthocontracts.polygons import segments_touch, unwrap

MAX_AREA_POINTS = 10_000
MAX_COMPARISONS = 500_000
"""Pairs of edges that are looked at for crossings: a coast of ten thousand points needs a tenth, a scribble is refused
after a second or two."""

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
        budget = iter(range(MAX_COMPARISONS))
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
    """Raise where two edges meet that are not neighbours, or where the ring has no extent.

    Edges are gone through along one axis, each beside those that have not ended yet: a plane sweep, with a list where
    the textbook has a tree. A ring whose edges lie beside each other along either axis runs out of ``budget``.
    """
    points = [here for here, there in pairwise(ring) if here != there]
    if len(set(points)) < 3:
        raise ValueError(f"a ring needs three different points, this one has {len(set(points))}")
    edges = list(pairwise([*points, points[0]]))
    n_edges = len(edges)
    begins, ends = min((_spans(edges, axis) for axis in (0, 1)), key=_count_pairs)
    active: list[int] = []
    for number in sorted(range(n_edges), key=begins.__getitem__):
        p, q = edges[number]
        active = [other for other in active if ends[other] >= begins[number]]
        for other in active:
            if next(budget, None) is None:
                raise ValueError("the area's outline is too intricate to be checked: simplify it")
            if (other - number) % n_edges in (1, n_edges - 1):
                _check_no_return(edges, number, other)
            elif segments_touch(p, q, *edges[other]):
                raise CrossingError(f"the area's outline crosses or touches itself near {_near(p, q)}")
        active.append(number)


_Edge = tuple[tuple[float, float], tuple[float, float]]


def _spans(edges: Sequence[_Edge], axis: int) -> tuple[list[float], list[float]]:
    """Where every edge begins and ends along an axis."""
    return [min(p[axis], q[axis]) for p, q in edges], [max(p[axis], q[axis]) for p, q in edges]


def _count_pairs(spans: tuple[list[float], list[float]]) -> int:
    """How many pairs of edges lie beside each other."""
    begins, ends = (sorted(one) for one in spans)
    return sum(bisect_right(begins, begin) - bisect_left(ends, begin) for begin in begins)


def _check_no_return(edges: Sequence[_Edge], one: int, other: int) -> None:
    """Neighbours share a point; they must not run back over each other."""
    first, second = (one, other) if (other - one) % len(edges) == 1 else (other, one)
    (a, b), (_, c) = edges[first], edges[second]
    cross = (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
    dot = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    if cross == 0 and dot < 0:
        raise CrossingError(f"the area's outline runs back over itself near {_near(a, b)}")


def _near(p: tuple[float, float], q: tuple[float, float]) -> str:
    lon = (p[0] + q[0]) / 2
    return f"{(lon + 180) % 360 - 180:.4f}, {(p[1] + q[1]) / 2:.4f}"
