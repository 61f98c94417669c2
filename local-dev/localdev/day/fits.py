"""Which products fit which standing orders, and which tiles a product must make: by shapely, with room for doubt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import cos, radians

from shapely import Polygon
from shapely.affinity import scale

from localdev.day.geometry import around, onto
from localdev.day.run import ARCHIVE, COVERED
from localdev.day.scenes import Scene
from orthocontracts.orders import StandingOrder
from orthocontracts.requests import FootprintGrid
from orthocontracts.tiles import tile_ring_lonlat, tiles_intersecting

EDGE_DEG = 0.02
"""Two kilometres: by so much a footprint's edges are off the great circles they stand for."""
SURE_OF_A_TILE_DEG = 0.12
"""A tile that a footprint enters by more is touched by more than a sliver."""


DEFAULT = "default"
"""The order of what no other fits."""


@dataclass
class Wanted:
    """Orders of a user that a product fits: those that it does for certain, and these and those that it may."""

    sure: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Area:
    """Of an order; no polygons: everywhere."""

    order: StandingOrder
    polygons: tuple[Polygon, ...]

    @property
    def is_of_footprints(self) -> bool:
        """Whether each image is of one product, whatever lies beside."""
        return isinstance(self.order.grid, FootprintGrid)


Fits = Mapping[str, Mapping[str, Wanted]]
"""By product and user."""


@dataclass(frozen=True)
class Fitting:
    """What fits what, the default order for what no other fits.

    Attributes
    ----------
    orders : mapping
        All but the default one.
    slices : mapping
        Of slices of a pass, those whose images are tiles: neighbours share them.
    single : mapping
        All others: each has one job of a product.
    """

    orders: Fits
    slices: Fits
    single: Fits


def fitting(scenes: Sequence[Scene], orders: Sequence[StandingOrder]) -> Fitting:
    areas = [_area(order) for order in orders]
    capped = {order.order_id for order in orders if order.products_per_month is not None}
    found, slices, single = {}, {}, {}
    for scene in scenes:
        found[scene.ref] = wanted = _wanted_of(scene, areas)
        default = {ARCHIVE: _default_of(scene, wanted, capped)}
        if scene.mission == "sentinel-1":
            slices[scene.ref] = default | _wanted_of(scene, [one for one in areas if not one.is_of_footprints])
            single[scene.ref] = _wanted_of(scene, [one for one in areas if one.is_of_footprints])
        else:
            single[scene.ref] = default | wanted
    return Fitting(found, slices, single)


def _wanted_of(scene: Scene, areas: Sequence[_Area]) -> dict[str, Wanted]:
    """Of a product, by user. Where it lies so near to an area's edge that a rounding decides, it may fit."""
    wanted: dict[str, Wanted] = {}
    ring = around(scene.ring_lonlat, great_circles=True)
    sure, perhaps = ring.buffer(-EDGE_DEG), ring.buffer(EDGE_DEG)
    for area in areas:
        if not _suits(area.order, scene):
            continue
        is_sure = not area.polygons or any(onto(one, sure).intersects(sure) for one in _near(area, sure))
        if is_sure or any(onto(one, perhaps).intersects(perhaps) for one in _near(area, perhaps)):
            of_user = wanted.setdefault(area.order.user, Wanted())
            of_user.perhaps.add(area.order.order_id)
            if is_sure:
                of_user.sure.add(area.order.order_id)
    return wanted


def _default_of(scene: Scene, wanted: Mapping[str, Wanted], capped: Set[str]) -> Wanted:
    """What the default order wants of a product, given what all others do: those with a cap may be full."""
    if scene.mission not in COVERED or any(one.sure - capped for one in wanted.values()):
        return Wanted()
    return Wanted(set() if any(one.perhaps for one in wanted.values()) else {DEFAULT}, {DEFAULT})


def sure_tiles(scene: Scene) -> list[str]:
    """Tiles that an image of all that a product touches must be made of."""
    if scene.tile is not None:
        return [scene.tile]
    return [tile for tile in tiles_intersecting(list(scene.ring_lonlat)) if _meets(scene, tile, -SURE_OF_A_TILE_DEG)]


def may_touch(scene: Scene, tile: str) -> bool:
    """Whether a product has part of a tile, or lies so near to it that a rounding decides."""
    return scene.tile == tile if scene.tile is not None else _meets(scene, tile, EDGE_DEG)


def _meets(scene: Scene, tile: str, margin_deg: float) -> bool:
    ring = around(scene.ring_lonlat, great_circles=True)
    width = cos(radians(ring.centroid.y))
    square = scale(onto(around(tile_ring_lonlat(tile)[:-1]), ring), width, 1.0, origin=(0, 0))
    return bool(square.intersects(scale(ring, width, 1.0, origin=(0, 0)).buffer(margin_deg)))


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


def _area(order: StandingOrder) -> _Area:
    area = order.products.area
    return _Area(order, () if area is None else tuple(around(rings[0][:-1]) for rings in area.polygons()))


def _near(area: _Area, ring: Polygon) -> Iterator[Polygon]:
    """Those whose latitudes meet a footprint's, and whose longitudes do on some turn."""
    west, south, east, north = ring.bounds
    for one in area.polygons:
        left, bottom, right, top = one.bounds
        turn = 360.0 * round(((west + east) - (left + right)) / 720.0)
        if bottom <= north and top >= south and left + turn <= east and right + turn >= west:
            yield one
