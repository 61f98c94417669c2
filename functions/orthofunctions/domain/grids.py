"""From the grid that a request asks for, or what suits the product, to pixels on a map. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orthocontracts.outputs import GridSpec
from orthocontracts.requests import EPSG_LONLAT, MAX_PIXELS, AreaGrid, BoundsGrid, FootprintGrid, TileGrid
from orthocontracts.tiles import TILE_SIZE_M, tile_bounds
from orthofunctions.domain.drawn import map_of, outlines
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import OffProductError, TooLargeError
from orthofunctions.domain.footprints import (
    Bounds,
    bounds_in,
    bounds_of,
    crosses_antimeridian,
    map_of_swath,
    utm_of_middle,
)
from orthofunctions.domain.suits import Traits

METRES_PER_DEGREE = 111_319.490793
"""On the equator: pi / 180 of the semi-major axis of WGS 84."""


def suitable_grid(traits: Traits) -> TileGrid | FootprintGrid:
    """What is taken where no grid was asked for."""
    return FootprintGrid(kind="footprint") if traits.is_wide else TileGrid()


def tile_grid(name: str, spacing_m: float) -> GridSpec:
    """An MGRS tile, by its canonical name."""
    bounds = tile_bounds(name)
    n_pixels = round(TILE_SIZE_M / spacing_m)
    return GridSpec(
        epsg=bounds.epsg,
        left=bounds.left,
        top=bounds.top,
        spacing=spacing_m,
        n_rows=n_pixels,
        n_cols=n_pixels,
        tile=name,
    )


def bounds_grid(grid: BoundsGrid) -> GridSpec:
    """Upper left corner as asked for; the last row and column are whole pixels."""
    return GridSpec(
        epsg=grid.epsg,
        left=grid.left,
        top=grid.top,
        spacing=grid.spacing,
        n_rows=_count(grid.top - grid.bottom, grid.spacing),
        n_cols=_count(grid.right - grid.left, grid.spacing),
    )


def footprint_grid(grid: FootprintGrid, slices: Sequence[ProductFacts]) -> GridSpec:
    """The rectangle around the products of a pass.

    Raises
    ------
    OffProductError
        Where the map that was asked for ends inside a product.
    TooLargeError
    """
    spacing_m = grid.spacing_m or slices[0].traits.footprint_spacing_m
    rings = [one.reach_lonlat for one in slices]
    epsg = grid.epsg or _map_of(slices)
    if epsg == EPSG_LONLAT and crosses_antimeridian(rings):
        raise OffProductError(f"{slices[0].name} crosses the antimeridian, 4326 ends there: leave the EPSG code out")
    return _around(_clipped(bounds_in(epsg, rings), epsg, slices), epsg, spacing_m)


def area_grid(grid: AreaGrid, slices: Sequence[ProductFacts]) -> GridSpec:
    """The rectangle around an area.

    Raises
    ------
    OffProductError
        Where the map that was asked for, or the zone of its middle, does not reach over the area.
    TooLargeError
    """
    rings = outlines(grid.area)
    epsg = map_of(rings, grid.epsg)
    bounds = bounds_of(epsg, [point for ring in rings for point in ring])
    return _around(bounds, epsg, grid.spacing_m or slices[0].traits.footprint_spacing_m)


def bounds_of_grid(spec: GridSpec) -> Bounds:
    """The rectangle that a grid's pixels fill."""
    return spec.left, spec.top - spec.n_rows * spec.spacing, spec.left + spec.n_cols * spec.spacing, spec.top


def _around(bounds: Bounds, epsg: int, spacing_m: float) -> GridSpec:
    """Pixels over a rectangle of a map, whose corner is a multiple of the spacing."""
    left, bottom, right, top = bounds
    if epsg == EPSG_LONLAT:
        per_degree = max(1, round(METRES_PER_DEGREE / spacing_m))
        spacing = 1 / per_degree
        left, top = math.floor(left * per_degree) / per_degree, math.ceil(top * per_degree) / per_degree
    else:
        spacing = spacing_m
        left, top = math.floor(left / spacing_m) * spacing_m, math.ceil(top / spacing_m) * spacing_m
    n_rows, n_cols = _count(top - bottom, spacing), _count(right - left, spacing)
    if n_rows * n_cols > MAX_PIXELS:
        raise TooLargeError(
            f"at {spacing_m} m these are {n_rows * n_cols:.3g} pixels; {MAX_PIXELS:.3g} are possible: "
            "take a coarser spacing, tiles, or a smaller area"
        )
    return GridSpec(epsg=epsg, left=left, top=top, spacing=spacing, n_rows=n_rows, n_cols=n_cols)


def _map_of(slices: Sequence[ProductFacts]) -> int:
    rings = [one.reach_lonlat for one in slices]
    if slices[0].traits.is_wide:
        return map_of_swath(rings)
    zones = {tile_bounds(one.own_tile).epsg if one.own_tile else None for one in slices}
    of_tiles = zones.pop() if len(zones) == 1 else None
    return of_tiles or utm_of_middle(rings)


def _clipped(bounds: Bounds, epsg: int, slices: Sequence[ProductFacts]) -> Bounds:
    """Products on tiles of this map have nothing outside them."""
    on = [tile_bounds(one.own_tile) for one in slices if one.own_tile]
    if len(on) < len(slices) or any(tile.epsg != epsg for tile in on):
        return bounds
    left, bottom, right, top = bounds
    return (
        max(left, min(tile.left for tile in on)),
        max(bottom, min(tile.bottom for tile in on)),
        min(right, max(tile.right for tile in on)),
        min(top, max(tile.top for tile in on)),
    )


def _count(extent: float, spacing: float) -> int:
    # 1e-6 of a pixel over is rounding, not a further pixel
    return max(1, math.ceil(extent / spacing - 1e-6))
