"""Areas on the globe as people give them: GeoJSON geometries and boxes of longitude and latitude.

Edges are straight in longitude and latitude, as GeoJSON has them. One of more than 180 degrees goes the short way
round, across the antimeridian; one of exactly 360 is the edge of a map of the world. A ring that goes once around the
globe holds the pole that it is nearer to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from orthocontracts.planar import MOST_TESTS, Bounds, Part, Point, TooIntricateError, boxes_meet, crossing, touch

MOST_POINTS = 20_000
_MOST_NESTED = 4
_LARGEST_LON = 540.0


class AreaError(ValueError):
    """Not a geometry or a box, and why."""


@dataclass(frozen=True)
class Area:
    """Pieces of the globe, each continuous in longitude, which may run beyond ±180."""

    parts: tuple[Part, ...]

    @cached_property
    def boxes(self) -> tuple[Bounds, ...]:
        return tuple(part.bounds for part in self.parts)

    @property
    def n_points(self) -> int:
        return sum(len(ring) for part in self.parts for ring in part.rings)

    def touches(self, other: Area) -> bool:
        """Whether they share a point, seen as pieces of the globe."""
        return any(
            touch(mine, its if by_x == 0 else its.moved(by_x))
            for mine in self.parts
            for its in other.parts
            for by_x in _turns(mine.bounds, its.bounds)
        )


def _turns(one: Bounds, other: Bounds) -> Iterator[float]:
    """By how much the second is to be moved so that their boxes meet: whole turns of the globe."""
    first, last = math.ceil((one[0] - other[2]) / 360.0), math.floor((one[2] - other[0]) / 360.0)
    for number in range(first, last + 1):
        yield 360.0 * number


def box_area(numbers: Sequence[float]) -> Area:
    """``west, south, east, north``, or with heights ``west, south, low, east, north, high``; west > east crosses the
    antimeridian.

    Raises
    ------
    AreaError
    """
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4:
        raise AreaError(f"a bbox has 4 numbers, or 6 with heights, not {len(numbers)}")
    if not all(math.isfinite(number) for number in numbers):
        raise AreaError("a bbox is of finite numbers")
    west, south, east, north = numbers
    if not (-180.0 <= west <= 180.0 and -180.0 <= east <= 180.0):
        raise AreaError(f"longitudes {west:g} and {east:g} are not between -180 and 180")
    if not -90.0 <= south <= north <= 90.0:
        raise AreaError(f"latitudes {south:g} to {north:g}: give south, then north, between -90 and 90")
    if west > east:
        east += 360.0
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return Area((Part((corners,), is_polygon=True),))


def parse_area(document: object, *, strict: bool = True) -> Area:
    """A GeoJSON geometry. What is not ``strict`` may cross itself: then a point is inside by the even-odd rule.

    Raises
    ------
    AreaError
    """
    area = Area(tuple(_parts(document, 0)))
    if not area.parts:
        raise AreaError("the geometry is empty")
    if area.n_points > MOST_POINTS:
        raise AreaError(f"the geometry has {area.n_points} points; {MOST_POINTS} are possible: simplify it")
    if strict:
        budget = iter(range(MOST_TESTS))
        for part in area.parts:
            _check_rings(part, budget)
    return area


def area_box(area: Area) -> list[float]:
    """The bbox of an area: west > east where it crosses the antimeridian."""
    if len(area.boxes) > 1 and (cut := _joined_at_antimeridian(area.boxes)):
        return cut
    west, south = min(box[0] for box in area.boxes), min(box[1] for box in area.boxes)
    east, north = max(box[2] for box in area.boxes), max(box[3] for box in area.boxes)
    if east - west >= 360.0:
        return [-180.0, south, 180.0, north]
    return [_wrapped(west), south, _wrapped(east, upper=True), north]


def _joined_at_antimeridian(boxes: Sequence[Bounds]) -> list[float] | None:
    """Pieces that were cut there: those that end at 180, and those that begin at -180."""
    west_side = [box for box in boxes if box[0] > 0 and box[2] <= 180.0]
    east_side = [box for box in boxes if box[2] < 0 and box[0] >= -180.0]
    if not west_side or not east_side or len(west_side) + len(east_side) < len(boxes):
        return None
    if max(box[2] for box in west_side) < 180.0 or min(box[0] for box in east_side) > -180.0:
        return None
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    return [min(box[0] for box in west_side), south, max(box[2] for box in east_side), north]


def _wrapped(lon: float, *, upper: bool = False) -> float:
    if -180.0 <= lon <= 180.0:
        return lon
    wrapped = (lon + 180.0) % 360.0 - 180.0
    return 180.0 if upper and wrapped == -180.0 else wrapped


def _parts(document: object, depth: int) -> Iterator[Part]:
    if not isinstance(document, dict):
        raise AreaError("a geometry is a GeoJSON object")
    kind, coordinates = document.get("type"), document.get("coordinates")
    match kind:
        case "GeometryCollection":
            inner = document.get("geometries")
            if not isinstance(inner, list) or depth >= _MOST_NESTED:
                raise AreaError(f"a GeometryCollection has geometries, nested at most {_MOST_NESTED} deep")
            for one in inner:
                yield from _parts(one, depth + 1)
        case "Point":
            yield Part(((_point(coordinates),),), is_polygon=False)
        case "MultiPoint":
            yield from (Part(((_point(one),),), is_polygon=False) for one in _list(coordinates, "MultiPoint"))
        case "LineString":
            yield _line(coordinates)
        case "MultiLineString":
            yield from (_line(one) for one in _list(coordinates, "MultiLineString"))
        case "Polygon":
            yield _polygon(coordinates)
        case "MultiPolygon":
            yield from (_polygon(one) for one in _list(coordinates, "MultiPolygon"))
        case _:
            raise AreaError(f"{str(kind)[:40]!r} is no GeoJSON geometry type")


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise AreaError(f"the coordinates of a {what} are an array")
    return value


def _point(value: object) -> Point:
    """A position; a height is left out."""
    numbers = value if isinstance(value, list | tuple) else []
    if not 2 <= len(numbers) <= 3 or not all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in numbers
    ):
        raise AreaError(f"a position is [longitude, latitude], not {str(value)[:60]}")
    lon, lat = float(numbers[0]), float(numbers[1])
    if not (-_LARGEST_LON <= lon <= _LARGEST_LON and -90.0 <= lat <= 90.0):
        raise AreaError(f"[{lon}, {lat}] is no longitude and latitude in degrees")
    return lon, lat


def _line(value: object) -> Part:
    points = [_point(one) for one in _list(value, "LineString")]
    if len(points) < 2:
        raise AreaError("a LineString has at least two positions")
    return Part((tuple(_unwrapped(points)),), is_polygon=False)


def _polygon(value: object) -> Part:
    rings = [_ring(one) for one in _list(value, "Polygon")]
    if not rings:
        raise AreaError("a Polygon has at least one ring")
    shell = rings[0]
    return Part((shell, *(_beside(ring, shell) for ring in rings[1:])), is_polygon=True)


def _ring(value: object) -> tuple[Point, ...]:
    points = [_point(one) for one in _list(value, "ring")]
    if len(points) < 4 or points[0] != points[-1]:
        raise AreaError("a ring has at least four positions, and its last is its first")
    ring = _unwrapped(points)
    if ring[0][0] != ring[-1][0]:  # once around the globe
        pole = math.copysign(90.0, math.fsum(lat for _, lat in ring))
        ring += [(ring[-1][0], pole), (ring[0][0], pole), ring[0]]
    kept = [ring[0], *(here for before, here in pairwise(ring) if here != before)]
    return tuple(kept) if len(kept) > 1 else (ring[0], ring[0])


def _beside(hole: tuple[Point, ...], shell: tuple[Point, ...]) -> tuple[Point, ...]:
    """The hole, moved by whole turns to where its shell is."""
    middle = (min(x for x, _ in shell) + max(x for x, _ in shell)) / 2
    turns = round((middle - (min(x for x, _ in hole) + max(x for x, _ in hole)) / 2) / 360.0)
    return tuple((x + 360.0 * turns, y) for x, y in hole) if turns else hole


def _unwrapped(points: Sequence[Point]) -> list[Point]:
    out, turns = [points[0]], 0
    for (before, _), (lon, lat) in pairwise(points):
        step = lon - before
        if abs(step) > 180.0 and abs(step) != 360.0:
            turns -= round(step / 360.0)
        out.append((lon + 360.0 * turns, lat))
    return out


def _check_rings(part: Part, budget: Iterator[int]) -> None:
    if not part.is_polygon:
        return
    for ring in part.rings:
        if len(ring) < 4:
            raise AreaError("a ring has at least three different corners")
        try:
            place = crossing(ring, budget)
        except TooIntricateError as error:
            raise AreaError(f"a ring of the polygon cannot be checked: {error}") from error
        if place is not None:
            raise AreaError(f"a ring of the polygon crosses itself near [{_wrapped(place[0]):g}, {place[1]:g}]")


def boxes_touch(one: Area, other: Area) -> bool:
    """Whether the boxes around their pieces meet: cheap, and necessary."""
    return any(
        boxes_meet(a, (b[0] + by_x, b[1], b[2] + by_x, b[3]))
        for a in one.boxes
        for b in other.boxes
        for by_x in _turns(a, b)
    )
