"""What a new product's images are made of: it alone, or its neighbours too; now, or when a neighbour has come. Pure.

A tile on the seam of two slices is whole with both only. It waits for the one that is not there yet, and is made again
when that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from orthocontracts.outputs import GridSpec, Source
from orthocontracts.polygons import near_polygons_touch, polygons_touch, unwrap
from orthocontracts.requests import AreaGrid, BoundsGrid, FootprintGrid, GridRequest, TileGrid
from orthocontracts.tiles import parse_tile
from orthofunctions.domain.drawn import touches_tile
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.flight import End, ends_of
from orthofunctions.domain.footprints import (
    along_great_circles,
    is_reckoned,
    lonlat_of,
    may_touch,
    on_map,
    tiles_touched,
    vector_of,
)
from orthofunctions.domain.grids import area_grid, bounds_grid, bounds_of_grid, suitable_grid

_Place = str | GridSpec
"""A tile by its name, or a rectangle of a map."""

_BOTH = 2
"""Neighbours that a slice has: more of a pass have images with it on large areas only."""


@dataclass(frozen=True)
class Part:
    """Images of the same products.

    Attributes
    ----------
    products : tuple
        Those that touch all of them, by reference.
    grid : GridRequest or None
        Of a request; None: what the order says.
    waits : bool
        Whether a neighbour would have part of them that is not there.
    """

    products: tuple[ProductFacts, ...]
    grid: GridRequest | None
    waits: bool

    @property
    def refs(self) -> frozenset[str]:
        return frozenset(one.source.ref for one in self.products)

    @property
    def sources(self) -> list[Source]:
        return [one.source for one in self.products]


def parts_of(
    grid: GridRequest | None,
    product: ProductFacts,
    wanted: Sequence[ProductFacts],
    slices: Sequence[ProductFacts],
    *,
    may_wait: bool,
) -> list[Part]:
    """The images that a product makes or changes, by what they are made of.

    Parameters
    ----------
    grid : GridRequest or None
        Of the order.
    product : ProductFacts
        The one that has come.
    wanted : sequence of ProductFacts
        Those that the order is for: their tiles are made, whoever else has part of them.
    slices : sequence of ProductFacts
        All of the pass that are there, ``product`` and ``wanted`` among them.
    may_wait : bool
        Where nothing waits, images of the same products are one part, whoever is missing.

    Returns
    -------
    list of Part
        One without a grid where all is made of the product alone, at once: that is what the order says.
    """
    if not may_be_cut(product) or isinstance(grid, FootprintGrid):
        return [Part((product,), None, False)] if product in wanted else []
    touching = {}
    for place in _places(grid or suitable_grid(product.traits), wanted):
        there = tuple(one for one in slices if one.own_tile == place or _touches(one.footprint_lonlat, place))
        if product in there and any(one in there for one in wanted):
            touching[place] = there
    open_ends = {one.source.ref: _open_ends(one, slices) for one in slices} if may_wait else {}
    found: dict[tuple[tuple[str, ...], frozenset[tuple[str, int]]], list[_Place]] = {}
    for place, there in touching.items():
        missing = frozenset(
            (one.source.ref, n)
            for one in there
            for n, end in open_ends.get(one.source.ref, ())
            if _touches(end.neighbour_lonlat, place)
        )
        found.setdefault((tuple(one.source.ref for one in there), missing), []).append(place)
    parts = [Part(touching[places[0]], _grid_of(grid, places), bool(missing)) for (_, missing), places in found.items()]
    if product in wanted and (not parts or [(one.products, one.waits) for one in parts] == [((product,), False)]):
        return [Part((product,), None, False)]  # also where nothing is found: its job says why
    return sorted(parts, key=lambda part: (len(part.products), part.waits))


def before(
    part: Part,
    grid: GridRequest | None,
    wanted: Sequence[ProductFacts],
    slices: Sequence[ProductFacts],
    *,
    may_wait: bool,
) -> list[Part]:
    """What may have been made instead of a part, while some of its products were not there yet."""
    found: list[Part] = []
    for n_missing in range(1, len(part.products)):
        for missing in combinations(part.products, n_missing):
            then = [one for one in slices if one not in missing]
            for_whom = [one for one in wanted if one in then]
            for product in (one for one in part.products if one in then and for_whom):
                earlier = parts_of(grid, product, for_whom, then, may_wait=may_wait)
                whole = Part((product,), None, False)
                found += [one for one in (*earlier, whole) if one.refs < part.refs and share_places(one, part)]
    return found


def share_places(earlier: Part, part: Part) -> bool:
    """Whether an image of one may show what one of the other does."""
    if earlier.grid is None:
        return True
    places = _places(part.grid, part.products) if part.grid else ()
    return not set(places).isdisjoint(_places(earlier.grid, earlier.products))


def ever(grid: GridRequest | None, product: ProductFacts, slices: Sequence[ProductFacts]) -> list[Part]:
    """What may have been asked for when a product had come, whichever of its neighbours were there then, and whether
    or not these were waited for. An order that is for the product is meant."""
    found = []
    for may_wait in (True, False):
        now = parts_of(grid, product, [product], slices, may_wait=may_wait)
        others = [one for one in slices if one is not product and any(one in part.products for part in now)]
        found += now
        for n_missing in range(1, len(others) + 1) if len(others) <= _BOTH else (1, _BOTH, len(others)):
            for missing in combinations(others, n_missing):
                then = [one for one in slices if one not in missing]
                found += parts_of(grid, product, [product], then, may_wait=may_wait)
    return found


def may_be_cut(product: ProductFacts) -> bool:
    """Whether others may have the rest of its images: slices of a pass, and products of one tile or datatake of
    Sentinel-2, where that was received in two pieces. Frames of Sentinel-3 are images of their own."""
    return product.mission in ("sentinel-1", "sentinel-2")


def has_ends(product: ProductFacts) -> bool:
    """Whether a product of its kind goes on beyond where it ends, in others of the pass: these are waited for.

    What a tile of Sentinel-2 lacks, no other has, as a rule: it lies off the swath.
    """
    return product.mission == "sentinel-1"


def one_of_each(slices: Iterable[ProductFacts]) -> list[ProductFacts]:
    """Slices without those that show what another before them does: processed twice, or listed in two places."""
    chosen: list[ProductFacts] = []
    for one in slices:
        if not any(_is_same(one, other) for other in chosen):
            chosen.append(one)
    return sorted(chosen, key=lambda one: one.source.ref)


def _is_same(one: ProductFacts, other: ProductFacts) -> bool:
    """By their times, of which half are shared, or by their places, where one has the middle of the other."""
    if one.name == other.name:
        return True
    if one.start and one.stop and other.start and other.stop:
        shared_s = (min(one.stop, other.stop) - max(one.start, other.start)).total_seconds()
        return shared_s > 0.5 * min((one.stop - one.start).total_seconds(), (other.stop - other.start).total_seconds())
    return _has(one.footprint_lonlat, _middle(other)) or _has(other.footprint_lonlat, _middle(one))


def _middle(product: ProductFacts) -> tuple[float, float]:
    vectors = [vector_of(point) for point in along_great_circles(product.footprint_lonlat)]
    return lonlat_of([sum(parts) for parts in zip(*vectors, strict=True)])


def _places(grid: GridRequest, wanted: Sequence[ProductFacts]) -> Sequence[_Place]:
    match grid:
        case TileGrid():
            if grid.tiles is not None:
                tiles = {parse_tile(tile) for tile in grid.tiles}
            else:
                tiles = {tile for one in wanted for tile in one.calls_for}
            within = grid.within
            return sorted(tile for tile in tiles if within is None or touches_tile(within, tile))
        case BoundsGrid():
            return [bounds_grid(grid)] if is_reckoned(grid.epsg) else []
        case AreaGrid():
            try:
                return [area_grid(grid, wanted)]
            except PlanError:  # its job will say so
                return []
        case FootprintGrid():
            return []


def _grid_of(grid: GridRequest | None, places: Sequence[_Place]) -> GridRequest | None:
    tiles = tuple(place for place in places if isinstance(place, str))
    if not tiles:
        return grid
    wanted = grid if isinstance(grid, TileGrid) else TileGrid()
    return wanted.model_copy(update={"tiles": tiles, "within": None})


def _touches(footprint_lonlat: Sequence[tuple[float, float]], place: _Place) -> bool:
    if isinstance(place, str):
        return place in tiles_touched(footprint_lonlat)
    left, bottom, right, top = bounds = bounds_of_grid(place)
    if not may_touch(place.epsg, bounds, footprint_lonlat):
        return False
    ring = on_map(place.epsg, along_great_circles(footprint_lonlat), near=left)
    return polygons_touch(
        [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)], [*ring, ring[0]]
    )


def _open_ends(product: ProductFacts, slices: Sequence[ProductFacts]) -> list[tuple[int, End]]:
    """Ends beyond which a neighbour that is not there may have image, and which of the two they are."""
    if not has_ends(product):
        return []
    ends = enumerate(ends_of(product.footprint_lonlat, product.orbit_direction))
    return [
        (n, end)
        for n, end in ends
        if not any(_has(one.footprint_lonlat, end.beyond_lonlat) for one in slices if one is not product)
    ]


def _has(footprint_lonlat: Sequence[tuple[float, float]], point: tuple[float, float]) -> bool:
    dense = unwrap(along_great_circles(footprint_lonlat))
    lon = point[0] + 360.0 * round((dense[0][0] - point[0]) / 360.0)
    return near_polygons_touch([(lon, point[1]), (lon, point[1])], [*dense, dense[0]])
