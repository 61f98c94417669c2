"""Which products fit which standing orders, and which tiles a product must make: by shapely, with room for doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, radians

from shapely import Polygon
from shapely.affinity import scale

from localdev.day.geometry import around, onto
from localdev.day.scenes import Scene
from orthocontracts.orders import StandingOrder
from orthocontracts.tiles import tile_ring_lonlat, tiles_intersecting

EDGE_DEG = 0.02
"""Two kilometres: by so much a footprint's edges are off the great circles they stand for."""
SURE_OF_A_TILE_DEG = 0.12
"""A tile that a footprint enters by more is touched by more than a sliver."""


@dataclass
class Wanted:
    """How many jobs a user may have, at least and at most."""

    least: int = 0
    most: int = 0


@dataclass(frozen=True)
class Area:
    """Of an order; no polygons: everywhere."""

    order: StandingOrder
    polygons: tuple[Polygon, ...]


def areas_of(orders: Sequence[StandingOrder]) -> list[Area]:
    return [_area(order) for order in orders]


def wanted_of(scene: Scene, areas: Sequence[Area]) -> dict[str, Wanted]:
    """Of a product, by user. Where it lies so near to an area's edge that a rounding decides, one less will do."""
    wanted: dict[str, Wanted] = {}
    ring = around(scene.ring_lonlat, great_circles=True)
    sure, perhaps = ring.buffer(-EDGE_DEG), ring.buffer(EDGE_DEG)
    for area in areas:
        if not _suits(area.order, scene):
            continue
        is_sure = not area.polygons or any(onto(one, sure).intersects(sure) for one in _near(area, sure))
        if is_sure or any(onto(one, perhaps).intersects(perhaps) for one in _near(area, perhaps)):
            of_user = wanted.setdefault(area.order.user, Wanted())
            of_user.least += is_sure
            of_user.most += 1
    return wanted


def sure_tiles(scene: Scene) -> list[str]:
    """Tiles that an image of all that a product touches must be made of."""
    if scene.tile is not None:
        return [scene.tile]
    ring = around(scene.ring_lonlat, great_circles=True)
    width = cos(radians(ring.centroid.y))
    inside = scale(ring, width, 1.0, origin=(0, 0)).buffer(-SURE_OF_A_TILE_DEG)
    return [
        tile
        for tile in tiles_intersecting(list(scene.ring_lonlat))
        if scale(onto(around(tile_ring_lonlat(tile)[:-1]), ring), width, 1.0, origin=(0, 0)).intersects(inside)
    ]


def _suits(order: StandingOrder, scene: Scene) -> bool:
    asked = order.products
    most_clouds = asked.max_cloud_cover_percent
    is_radar = scene.mission == "sentinel-1"
    return (
        (asked.missions is None or scene.mission in asked.missions)
        and (asked.product_types is None or scene.kind in asked.product_types)
        and (asked.platforms is None or scene.platform in asked.platforms)
        and (asked.modes is None or (is_radar and "IW" in asked.modes))
        and (asked.polarisations is None or (is_radar and {"vv", "vh"} >= set(asked.polarisations)))
        and (asked.relative_orbits is None or scene.relative_orbit in asked.relative_orbits)
        and (asked.orbit_direction is None or (asked.orbit_direction == "ascending") == scene.ascends)
        and (most_clouds is None or (scene.clouds_percent is not None and scene.clouds_percent <= most_clouds))
        and (order.since is None or scene.start >= order.since)
        and (order.until is None or scene.start <= order.until)
    )


def _area(order: StandingOrder) -> Area:
    area = order.products.area
    return Area(order, () if area is None else tuple(around(rings[0][:-1]) for rings in area.polygons()))


def _near(area: Area, ring: Polygon) -> Iterator[Polygon]:
    """Those whose latitudes meet a footprint's, and whose longitudes do on some turn."""
    west, south, east, north = ring.bounds
    for one in area.polygons:
        left, bottom, right, top = one.bounds
        turn = 360.0 * round(((west + east) - (left + right)) / 720.0)
        if bottom <= north and top >= south and left + turn <= east and right + turn >= west:
            yield one
