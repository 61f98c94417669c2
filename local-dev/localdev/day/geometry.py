"""What touches what, by shapely: the judge of code that does without it, and shares nothing with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shapely import Polygon
from shapely.affinity import translate

LonLat = tuple[float, float]

STEP_DEG = 0.05
"""Between points along a great circle: a straight line between them is off by a metre."""


def around(ring_lonlat: Sequence[LonLat], *, great_circles: bool = False) -> Polygon:
    """A polygon whose longitudes go on beyond 180 rather than jump; edges straight, or along great circles."""
    ring = list(ring_lonlat)
    if great_circles:
        ring = [point for here, there in zip(ring, ring[1:] + ring[:1], strict=True) for point in _along(here, there)]
    lons = [ring[0][0]]
    for lon, _ in ring[1:]:
        lons.append(lon - 360.0 * round((lon - lons[-1]) / 360.0))
    return Polygon(list(zip(lons, (lat for _, lat in ring), strict=True)))


def onto(moved: Polygon, other: Polygon) -> Polygon:
    """The polygon on the turn around the globe that lies nearest to another's."""
    moved = around(list(moved.exterior.coords)[:-1])
    west, _, east, _ = moved.bounds
    left, _, right, _ = other.bounds
    return translate(moved, xoff=360.0 * round(((left + right) - (west + east)) / 720.0))


def _along(here: LonLat, there: LonLat) -> list[LonLat]:
    """From one point up to before the other, on the globe's shortest way."""
    a, b = _vector(here), _vector(there)
    angle = _angle(a, b)
    n_steps = max(1, math.ceil(math.degrees(angle) / STEP_DEG))
    points = [here]
    for n in range(1, n_steps):
        share = n / n_steps
        one, two = math.sin((1 - share) * angle), math.sin(share * angle)
        x, y, z = (one * p + two * q for p, q in zip(a, b, strict=True))
        points.append((math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))))
    return points


def _angle(a: Sequence[float], b: Sequence[float]) -> float:
    return math.acos(max(-1.0, min(1.0, sum(p * q for p, q in zip(a, b, strict=True)))))


def _vector(point: LonLat) -> tuple[float, float, float]:
    lon, lat = math.radians(point[0]), math.radians(point[1])
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)
