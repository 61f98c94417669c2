"""Polygons of longitude and latitude: rings across the antimeridian, and whether two of them touch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def unwrap(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same ring with each longitude within half a turn of the one before it."""
    out = [ring[0]]
    for lon, lat in ring[1:]:
        out.append((lon - 360.0 * round((lon - out[-1][0]) / 360.0), lat))
    return out


def polygons_touch(a: Sequence[tuple[float, float]], b: Sequence[tuple[float, float]]) -> bool:
    """Whether two closed rings share a point: an edge crossing, or one inside the other."""
    if (
        max(p[0] for p in a) < min(p[0] for p in b)
        or max(p[0] for p in b) < min(p[0] for p in a)
        or max(p[1] for p in a) < min(p[1] for p in b)
        or max(p[1] for p in b) < min(p[1] for p in a)
    ):
        return False
    return near_polygons_touch(a, b)


def near_polygons_touch(a: Sequence[tuple[float, float]], b: Sequence[tuple[float, float]]) -> bool:
    """The same of rings that are known to lie near each other: the boxes around them are not compared."""
    if _inside(a[0], b) or _inside(b[0], a):  # first: it costs an edge each, not every pair of them
        return True
    return any(_segments_touch(p, q, r, s) for p, q in pairwise(a) for r, s in pairwise(b))


def _turn(p: tuple[float, float], q: tuple[float, float], r: tuple[float, float]) -> float:
    return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])


def _segments_touch(
    p: tuple[float, float], q: tuple[float, float], r: tuple[float, float], s: tuple[float, float]
) -> bool:
    if (
        max(p[0], q[0]) < min(r[0], s[0])
        or max(r[0], s[0]) < min(p[0], q[0])
        or max(p[1], q[1]) < min(r[1], s[1])
        or max(r[1], s[1]) < min(p[1], q[1])
    ):
        return False
    return _turn(p, q, r) * _turn(p, q, s) <= 0 and _turn(r, s, p) * _turn(r, s, q) <= 0


def _inside(point: tuple[float, float], ring: Sequence[tuple[float, float]]) -> bool:
    """Even-odd rule along a ray to the east."""
    x, y = point
    odd = False
    for (x0, y0), (x1, y1) in pairwise(ring):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            odd = not odd
    return odd
