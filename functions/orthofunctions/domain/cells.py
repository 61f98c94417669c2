"""Cells of longitude and latitude that things on the globe are kept under, so that a search reads few of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orthofunctions.domain.footprints import Bounds, LonLat

CELL_DEG = 5


def cells_of(points: Sequence[LonLat], cell_deg: int = CELL_DEG) -> frozenset[str]:
    """Cells under the box around a ring's points, each longitude within half a turn of the one before it."""
    lons, lats = [lon for lon, _ in points], [lat for _, lat in points]
    return cells_in((min(lons), min(lats), max(lons), max(lats)), cell_deg)


def cells_in(bounds: Bounds, cell_deg: int = CELL_DEG) -> frozenset[str]:
    """Cells that a box touches. ``right`` may lie beyond 180, or below ``left``: then it crosses the antimeridian."""
    left, bottom, right, top = bounds
    if right < left:
        right += 360.0
    n_columns, n_rows = 360 // cell_deg, 180 // cell_deg
    first, last = math.floor(left / cell_deg), math.floor(right / cell_deg)
    columns = {column % n_columns for column in range(first, min(last, first + n_columns - 1) + 1)}
    lowest, highest = (min(n_rows - 1, max(0, math.floor((lat + 90.0) / cell_deg))) for lat in (bottom, top))
    return frozenset(f"{column:02d}-{row:02d}" for column in columns for row in range(lowest, highest + 1))


def box_meets(bounds: Bounds, points: Sequence[LonLat]) -> bool:
    """Whether a box and the box around a ring's points share a place; longitudes of both as above."""
    left, bottom, right, top = bounds
    if right < left:
        right += 360.0
    lons, lats = [lon for lon, _ in points], [lat for _, lat in points]
    if max(lats) < bottom or min(lats) > top:
        return False
    turns = (-720.0, -360.0, 0.0, 360.0, 720.0)
    return any(min(lons) + turn <= right and max(lons) + turn >= left for turn in turns)
