"""Rings on the globe: the little geometry a plan needs, without a geometry library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from orthocontracts.polygons import unwrap
from orthocontracts.requests import EPSG_LONLAT, POLAR_STEREOGRAPHIC
from orthocontracts.tiles import tiles_intersecting
from orthocontracts.utm import utm_forward, utm_inverse, utm_zone
from orthofunctions.domain.polar import polar_forward

LonLat = tuple[float, float]
Bounds = tuple[float, float, float, float]
"""``left, bottom, right, top``"""

POINTS_PER_EDGE = 8
MANY_CORNERS = 32
"""Rings of more, as Sentinel-3's, have corners every hundred kilometres or less."""
LONLAT_UP_TO_DEG = 75.0
"""Beyond, a pixel that is square in degrees is four times as high as wide, or more."""
SLIVER_M = 4_900.0
"""By how much a footprint is shrunk before it may call for a tile of its own. Manifest corners are off by hundreds of
metres, and at the edge of a swath a mountain of 3 km lies 5 km from where they say: a tile touched only by that may be
an empty image. Nothing is lost: neighbouring tiles overlap by 9.8 km, so what reaches less far into a tile is in its
neighbour too."""
LARGEST_SLIVER = 0.25
"""Of the footprint's radius: a small image keeps its middle."""
EARTH_RADIUS_M = 6_371_000.0
HALF_AROUND_M = 2.0e7
"""Half of the Earth's circumference: UTM has no place farther out, and its series overflow there."""
_FOOTPRINTS_KEPT = 256


def along_great_circles(ring: Sequence[LonLat], points_per_edge: int | None = None) -> list[LonLat]:
    """The ring with points between its corners, eight to an edge unless the corners are many. A swath's edges are
    nearly great circles: straight in longitude and latitude they would be off by 1 km at 42° and 5 km at 75° on a
    Sentinel-1 frame."""
    points_per_edge = points_per_edge or (2 if len(ring) > MANY_CORNERS else POINTS_PER_EDGE)
    vectors = [vector_of(point) for point in ring]
    dense: list[LonLat] = []
    for here, there in zip(vectors, vectors[1:] + vectors[:1], strict=True):
        for n in range(points_per_edge):
            part = n / points_per_edge
            dense.append(lonlat_of(tuple((1 - part) * a + part * b for a, b in zip(here, there, strict=True))))
    return dense


def radius_m(ring: Sequence[LonLat]) -> float:
    """Mean distance of a ring's points from its centre, metres along the chord."""
    vectors = [vector_of(point) for point in ring]
    centre = tuple(math.fsum(vector[i] for vector in vectors) / len(vectors) for i in range(3))
    return EARTH_RADIUS_M * math.fsum(math.dist(vector, centre) for vector in vectors) / len(vectors)


def shrunk(ring: Sequence[LonLat], share: float) -> list[LonLat]:
    """Every point moved towards the ring's centre by a share of its distance."""
    vectors = [vector_of(point) for point in ring]
    centre = tuple(math.fsum(vector[i] for vector in vectors) / len(vectors) for i in range(3))
    return [lonlat_of(tuple((1 - share) * a + share * c for a, c in zip(v, centre, strict=True))) for v in vectors]


def widened(ring: Sequence[LonLat], reach_m: float = SLIVER_M) -> list[LonLat]:
    """The ring moved outward by as much as a mountain, or an inexact corner, may lie beyond it.

    By ``reach_m`` on average: less where the ring is narrow, more at its far ends.
    """
    dense = along_great_circles(ring)
    return shrunk(dense, -reach_m / radius_m(dense))


def tiles_touched(ring: Sequence[LonLat]) -> frozenset[str]:
    """Tiles with any part of the footprint."""
    return _tiles_touched(tuple(ring))


# A batch of a thousand requests names a product again and again, and each look takes 10 ms.
@lru_cache(maxsize=_FOOTPRINTS_KEPT)
def _tiles_touched(ring: tuple[LonLat, ...]) -> frozenset[str]:
    return frozenset(tiles_intersecting(along_great_circles(ring)))


def tiles_called_for(ring: Sequence[LonLat]) -> frozenset[str]:
    """Tiles with more than a sliver of the footprint: what "all that the products touch" means."""
    return _tiles_called_for(tuple(ring))


@lru_cache(maxsize=_FOOTPRINTS_KEPT)
def _tiles_called_for(ring: tuple[LonLat, ...]) -> frozenset[str]:
    dense = along_great_circles(ring)
    share = min(SLIVER_M / radius_m(dense), LARGEST_SLIVER)
    return frozenset(tiles_intersecting(shrunk(dense, share)))


def utm_bounds(rings: Iterable[Sequence[LonLat]]) -> tuple[int, Bounds]:
    """EPSG code of the UTM zone of the rings' centre, and the rectangle around them in it, metres."""
    known = list(rings)
    epsg = utm_of_middle(known)
    return epsg, bounds_in(epsg, known)


def utm_of_middle(rings: Iterable[Sequence[LonLat]]) -> int:
    """EPSG code of the UTM zone of the rings' centre."""
    vectors = [vector_of(point) for ring in rings for point in along_great_circles(ring)]
    lon, lat = lonlat_of(tuple(math.fsum(v[i] for v in vectors) / len(vectors) for i in range(3)))
    return (32700 if lat < 0 else 32600) + utm_zone(lon, lat)


def map_of_swath(rings: Iterable[Sequence[LonLat]]) -> int:
    """EPSG code of the map for an image of a thousand kilometres and more, which no UTM zone is made for.

    Longitude and latitude, so that all frames share one grid; polar stereographic where it reaches beyond 75 degrees;
    the UTM zone of its middle where it crosses the antimeridian in between.
    """
    known = list(rings)
    lats = [lat for ring in known for _, lat in along_great_circles(ring)]
    north, south = POLAR_STEREOGRAPHIC
    if max(lats) > LONLAT_UP_TO_DEG or min(lats) < -LONLAT_UP_TO_DEG:
        return north if max(lats) > -min(lats) else south
    return utm_of_middle(known) if crosses_antimeridian(known) else EPSG_LONLAT


def crosses_antimeridian(rings: Iterable[Sequence[LonLat]]) -> bool:
    """Whether a ring has edges from one side of it to the other."""
    return any(abs(lon) > 180.0 for ring in rings for lon, _ in unwrap([*ring, ring[0]]))


def bounds_in(epsg: int, rings: Iterable[Sequence[LonLat]]) -> Bounds:
    """The rectangle around rings on a map: 4326 in degrees, UTM, 3413 or 3031 in metres."""
    dense = (along_great_circles(ring) for ring in rings)
    return bounds_of(epsg, [point for ring in dense for point in (unwrap(ring) if epsg == EPSG_LONLAT else ring)])


def bounds_of(epsg: int, points: Sequence[LonLat]) -> Bounds:
    """The rectangle around points on a map, as `bounds_in` has it."""
    points = _on_map(epsg, points)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def is_reckoned(epsg: int) -> bool:
    """Whether points are put onto this map here: 4326, UTM, 3413 and 3031."""
    return epsg in (EPSG_LONLAT, *POLAR_STEREOGRAPHIC) or (epsg // 100 in (326, 327) and 1 <= epsg % 100 <= 60)


def on_map(epsg: int, ring: Sequence[LonLat], *, near: float) -> list[tuple[float, float]]:
    """A ring on a map of those; on 4326 on the turn of the globe whose longitudes are nearest to ``near``."""
    if epsg != EPSG_LONLAT:
        return _on_map(epsg, ring)
    whole = unwrap(ring)
    turn = 360.0 * round((near - sum(lon for lon, _ in whole) / len(whole)) / 360.0)
    return [(lon + turn, lat) for lon, lat in whole]


def _on_map(epsg: int, points: Sequence[LonLat]) -> list[tuple[float, float]]:
    if epsg in POLAR_STEREOGRAPHIC:
        return [polar_forward(*point, epsg) for point in points]
    if epsg == EPSG_LONLAT:
        return list(points)
    zone, south = epsg % 100, epsg // 100 == 327
    return [utm_forward(*point, zone, south=south) for point in points]


def may_touch(epsg: int, bounds: Bounds, ring: Sequence[LonLat]) -> bool:
    """Whether a rectangle can have any of the footprint. False is certain; systems other than UTM always may."""
    left, bottom, right, top = bounds
    if epsg == 4326:
        edge = [(left, bottom), (right, bottom), (right, top), (left, top)]
    elif epsg // 100 in (326, 327) and 1 <= epsg % 100 <= 60:
        if max(left, bottom) > HALF_AROUND_M or min(right, top) < -HALF_AROUND_M:
            return False
        parts = [n / POINTS_PER_EDGE for n in range(POINTS_PER_EDGE + 1)]
        edge = [
            utm_inverse(left + (right - left) * x, bottom + (top - bottom) * y, epsg % 100, south=epsg // 100 == 327)
            for x in parts
            for y in (parts if x in (0.0, 1.0) else (0.0, 1.0))
        ]
    else:
        return True
    if not all(math.isfinite(lon) for lon, _ in edge):
        return True  # it reaches beyond its map
    return _boxes_meet(edge, along_great_circles(ring))


def _boxes_meet(one: Sequence[LonLat], other: Sequence[LonLat]) -> bool:
    if max(lat for _, lat in one) < min(lat for _, lat in other):
        return False
    if min(lat for _, lat in one) > max(lat for _, lat in other):
        return False
    # longitudes as turns from the first point of ``other``, so that ±180° is no seam
    origin = other[0][0]
    here = [_turn(lon - origin) for lon, _ in one]
    there = [_turn(lon - origin) for lon, _ in other]
    return max(here) >= min(there) and min(here) <= max(there)


def _turn(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0


def vector_of(point: LonLat) -> tuple[float, ...]:
    """A place as a unit vector."""
    lon, lat = math.radians(point[0]), math.radians(point[1])
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def lonlat_of(vector: Sequence[float]) -> LonLat:
    """The place that a vector of any length points at."""
    x, y, z = vector
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))
