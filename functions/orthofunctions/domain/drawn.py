"""Areas that people draw: their rings beside each other, and the map they go onto. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from orthocontracts.areas import MultiPolygon, Polygon
from orthocontracts.polygons import polygons_touch
from orthocontracts.requests import EPSG_LONLAT
from orthocontracts.tiles import tile_ring_lonlat
from orthocontracts.utm import central_meridian_deg, utm_zone
from orthofunctions.domain.faults import OffProductError
from orthofunctions.domain.footprints import LonLat

UTM_REACH_DEG = 12.0
"""From a zone's central meridian: there pixels are 2 % larger than they say."""
STEP_DEG = 0.05
"""Between points along an edge: 5 km, whose middle lies half a metre off a straight line on the map."""


def outlines(area: Polygon | MultiPolygon) -> list[list[LonLat]]:
    """Its outlines with points along their edges, all within half a turn of the first: what was cut at the antimeridian
    lies side by side.

    Edges are straight in longitude and latitude, as GeoJSON has them.
    """
    rings = area.outlines()
    origin = _middle(rings[0])
    return [_dense(ring, 360.0 * round((origin - _middle(ring)) / 360.0)) for ring in rings]


def touches_tile(area: Polygon | MultiPolygon, tile: str) -> bool:
    """Whether an area has any part of a Sentinel-2 tile."""
    ring = tile_ring_lonlat(tile)
    middle = _middle(ring)
    return any(
        polygons_touch([(lon + 360.0 * round((middle - _middle(one)) / 360.0), lat) for lon, lat in one], ring)
        for one in area.outlines()
    )


def map_of(rings: Sequence[Sequence[LonLat]], epsg: int | None) -> int:
    """EPSG code of an area's map: the one asked for, or the UTM zone of its middle.

    Raises
    ------
    OffProductError
        Where the map does not reach over the area.
    """
    lons, lats = [lon for ring in rings for lon, _ in ring], [lat for ring in rings for _, lat in ring]
    if epsg is None:
        lon, lat = (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2
        epsg = (32700 if lat < 0 else 32600) + utm_zone(lon, lat)
    if epsg == EPSG_LONLAT and (min(lons) < -180.0 or max(lons) > 180.0):
        raise OffProductError("the area crosses the antimeridian, 4326 ends there: leave the EPSG code out")
    if epsg // 100 in (326, 327):
        middle = central_meridian_deg(epsg % 100)
        off_deg = max(abs((lon - middle + 180.0) % 360.0 - 180.0) for lon in lons)
        if off_deg > UTM_REACH_DEG:
            raise OffProductError(
                f"the area reaches {off_deg:.1f} degrees from the middle of EPSG:{epsg}, {UTM_REACH_DEG:g} may be: "
                "name another EPSG code, for example 4326, or draw a smaller area"
            )
    return epsg


def _middle(ring: Sequence[LonLat]) -> float:
    lons = [lon for lon, _ in ring]
    return (min(lons) + max(lons)) / 2


def _dense(ring: Sequence[LonLat], shift_deg: float) -> list[LonLat]:
    points: list[LonLat] = []
    for (lon0, lat0), (lon1, lat1) in pairwise(ring):
        n_steps = max(1, math.ceil(max(abs(lon1 - lon0), abs(lat1 - lat0)) / STEP_DEG))
        points += [
            (lon0 + (lon1 - lon0) * n / n_steps + shift_deg, lat0 + (lat1 - lat0) * n / n_steps) for n in range(n_steps)
        ]
    return points
