"""From what a request names and what its products' metadata say to outputs and tasks. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orthocontracts.digests import output_digest
from orthocontracts.outputs import GridSpec, Instrument, OutputIdentity, OutputSpec, ResolvedTerrain, Source
from orthocontracts.products import Mission
from orthocontracts.requests import EPSG_LONLAT, MAX_PIXELS, BoundsGrid, Extra, FootprintGrid, Request, TileGrid
from orthocontracts.tasks import TaskSpec, task_id_of
from orthocontracts.tiles import TILE_SIZE_M, parse_tile, tile_bounds
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.faults import AuxiliaryMissingError, OffProductError, TooLargeError
from orthofunctions.domain.footprints import (
    Bounds,
    LonLat,
    bounds_in,
    crosses_antimeridian,
    map_of_swath,
    may_touch,
    tiles_called_for,
    tiles_touched,
    utm_of_middle,
)
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.suits import RPC, SENTINEL1_GRD, TRAITS, Traits, check_options

TILES_OF_A_FRAME_PER_TASK = 16
"""A wide frame touches a hundred tiles, each with a thousandth of a Sentinel-2 tile's pixels: what costs is to fetch the
frame. A report on so many, extras and all, still fits into a queue message."""
METRES_PER_DEGREE = 111_319.490793
"""On the equator: pi / 180 of the semi-major axis of WGS 84."""


@dataclass(frozen=True)
class ProductFacts:
    """A product as its metadata describe it. Those with the same ``pass_key`` are slices of one pass, or tiles of one
    datatake."""

    source: Source
    mission: Mission
    name: str
    pass_key: str
    footprint_lonlat: tuple[LonLat, ...]
    reach_lonlat: tuple[LonLat, ...]
    """Points whose bounding box holds the whole image, whatever the height of its terrain."""
    bytes_at: Mapping[str, int] = field(default_factory=dict)
    """Bytes that lie in stores of a site rather than in blob storage."""
    product_type: str = ""
    """``L1C``, ``OL_1_EFR``, ...: a key of `suits.TRAITS`, where the mission has more than one."""
    own_tile: str | None = None
    """The MGRS tile that its pixels lie on already."""
    lacks: frozenset[Extra] = frozenset()
    """Of the extras that its kind has."""

    @property
    def traits(self) -> Traits:
        return TRAITS[self.product_type or (SENTINEL1_GRD if self.mission == "sentinel-1" else RPC)]


@dataclass(frozen=True)
class Limits:
    """Sizes the site allows: of one task, so that a retry is cheap, and of one request."""

    max_outputs_per_task: int = 4
    max_megapixels_per_task: float = 500.0
    max_outputs_per_job: int = 1000


@dataclass(frozen=True)
class _Wanted:
    products: tuple[ProductFacts, ...]
    grid: GridSpec
    title: str


def make_plan(
    job_id: str,
    request: Request,
    products: Sequence[ProductFacts],
    terrain: ResolvedTerrain | None,
    *,
    instrument: Instrument | None = None,
    trust: str,
    limits: Limits,
    now: datetime,
) -> Plan:
    """The plan of a request: one output per pass and grid, tasks of neighbouring outputs of one pass.

    ``terrain`` and ``instrument`` go to the passes that need them: the names of the others' images do not depend on
    them. ``trust`` is the scope in which the outputs are shared, see `access`.

    Raises
    ------
    UnfitOptionError
        Where the options are not those of a product: of radar for an optical one, a band it does not have.
    AuxiliaryMissingError
        Where a product needs heights and there is no terrain, or parameters of its instrument.
    OffProductError
        Where a tile that was asked for, or the whole grid, touches no product.
    TooLargeError
        Where the outputs are more than the site allows.
    """
    check_options(request.options, products)
    passes: dict[str, list[ProductFacts]] = {}
    for product in sorted(products, key=lambda one: one.source.ref):
        passes.setdefault(product.pass_key, []).append(product)
    wanted = [list(_outputs_of_pass(request, slices)) for slices in passes.values()]
    _check_all_found(request, wanted)
    n_outputs = sum(map(len, wanted))
    if n_outputs > limits.max_outputs_per_job:
        raise TooLargeError(f"{n_outputs} outputs; one request may have {limits.max_outputs_per_job}: split it")

    outputs: list[PlannedOutput] = []
    tasks: list[TaskSpec] = []
    for of_pass in wanted:
        for group in _grouped(of_pass, limits):
            task_id = task_id_of(job_id, len(tasks) + 1)
            heights = _heights(group[0].products[0], terrain)
            seen_with = _instrument(group[0].products[0], instrument)
            planned = [_planned(request, one, heights, seen_with, task_id, trust) for one in group]
            outputs += planned
            needed = {product.source.ref: product for one in group for product in one.products}
            tasks.append(
                TaskSpec(
                    task_id=task_id,
                    job_id=job_id,
                    user=request.user,
                    process=request.process,
                    result_version=KERNEL_RESULT_VERSION,
                    products=tuple(needed[ref].source for ref in sorted(needed)),
                    terrain=heights,
                    instrument=seen_with,
                    options=request.options,
                    outputs=tuple(
                        OutputSpec(digest=each.digest, grid=each.identity.grid, title=each.title) for each in planned
                    ),
                    created_at=now,
                    deadline=request.deadline,
                    patience_s=request.patience_s,
                    urgent=request.urgent,
                    input_bytes_at=_bytes_at(needed.values()),
                )
            )
    return Plan(job_id=job_id, request=request, made_at=now, outputs=tuple(outputs), tasks=tuple(tasks))


def _heights(product: ProductFacts, terrain: ResolvedTerrain | None) -> ResolvedTerrain:
    if not product.traits.needs_terrain:
        return ResolvedTerrain()
    if terrain is None:
        raise AuxiliaryMissingError(f"{product.name} needs heights: name a dem or height_m")
    return terrain


def _instrument(product: ProductFacts, instrument: Instrument | None) -> Instrument | None:
    if not product.traits.needs_instrument:
        return None
    if instrument is None:
        raise AuxiliaryMissingError(f"{product.name} needs the parameters of its instrument: name their folder as gipp")
    return instrument


def _outputs_of_pass(request: Request, slices: Sequence[ProductFacts]) -> Iterator[_Wanted]:
    match request.grid or _suitable_grid(slices[0].traits):
        case TileGrid() as grid:
            yield from _tiles_of_pass(grid, slices)
        case BoundsGrid() as grid:
            bounds = (grid.left, grid.bottom, grid.right, grid.top)
            there = tuple(one for one in slices if may_touch(grid.epsg, bounds, one.reach_lonlat))
            if there:
                yield _Wanted(there, _bounds_grid(grid), _title(there, f"EPSG:{grid.epsg}"))
        case FootprintGrid() as grid:
            spec = _footprint_grid(grid, slices)
            yield _Wanted(tuple(slices), spec, _title(slices, f"EPSG:{spec.epsg}"))


def _suitable_grid(traits: Traits) -> TileGrid | FootprintGrid:
    return FootprintGrid(kind="footprint") if traits.is_wide else TileGrid()


def _tiles_of_pass(grid: TileGrid, slices: Sequence[ProductFacts]) -> Iterator[_Wanted]:
    """Products that lie on a tile already make that tile alone, and call for no other: of the eight around it they
    have 9.8 km, which those tiles' own products have as well."""
    spacing_m = grid.spacing_m or slices[0].traits.tile_spacing_m
    if grid.tiles is not None:
        names = {parse_tile(tile) for tile in grid.tiles}
    else:
        names = {tile for one in slices for tile in _called_for(one)}
    touched: dict[str, frozenset[str]] = {}
    for name in sorted(names):
        there = tuple(one for one in slices if one.own_tile == name)
        if not there:
            touched = touched or {one.source.ref: tiles_touched(one.footprint_lonlat) for one in slices}
            there = tuple(one for one in slices if name in touched[one.source.ref])
        if there:
            yield _Wanted(there, _tile_grid(name, spacing_m), _title(there, name))


def _called_for(product: ProductFacts) -> frozenset[str]:
    return frozenset({product.own_tile}) if product.own_tile else tiles_called_for(product.footprint_lonlat)


def _check_all_found(request: Request, wanted: Sequence[Sequence[_Wanted]]) -> None:
    grid = request.grid
    if isinstance(grid, TileGrid) and grid.tiles is not None:
        found = {one.grid.tile for of_pass in wanted for one in of_pass}
        missing = sorted({parse_tile(tile) for tile in grid.tiles} - {name for name in found if name})
        if missing:
            raise OffProductError(f"no product touches tile {', '.join(missing)}: leave it out, or name its products")
    if not any(wanted):
        raise OffProductError("no product touches the grid: check its coordinates and its EPSG code")


def _grouped(of_pass: Sequence[_Wanted], limits: Limits) -> Iterator[list[_Wanted]]:
    """Outputs in tile order, cut where a task would grow beyond its size; a single large output stands alone."""
    group: list[_Wanted] = []
    megapixels = 0.0
    for one in of_pass:
        is_wide = one.products[0].traits.is_wide
        most = max(limits.max_outputs_per_task, TILES_OF_A_FRAME_PER_TASK if is_wide else 0)
        too_many = len(group) >= most
        if group and (too_many or megapixels + one.grid.megapixels > limits.max_megapixels_per_task):
            yield group
            group, megapixels = [], 0.0
        group.append(one)
        megapixels += one.grid.megapixels
    if group:
        yield group


def _bytes_at(products: Iterable[ProductFacts]) -> dict[str, int]:
    found: dict[str, int] = {}
    for product in products:
        for store, n_bytes in product.bytes_at.items():
            found[store] = found.get(store, 0) + n_bytes
    return found


def _planned(
    request: Request,
    one: _Wanted,
    terrain: ResolvedTerrain,
    instrument: Instrument | None,
    task_id: str,
    trust: str,
) -> PlannedOutput:
    identity = OutputIdentity(
        process=request.process,
        products=tuple(product.source for product in one.products),
        grid=one.grid,
        options=request.options,
        terrain=terrain,
        instrument=instrument,
        trust=trust,
        result_version=KERNEL_RESULT_VERSION,
    )
    return PlannedOutput(digest=output_digest(identity), title=one.title, identity=identity, task_id=task_id)


def _title(products: Sequence[ProductFacts], place: str) -> str:
    more = f" + {len(products) - 1}" if len(products) > 1 else ""
    return f"{products[0].name[:150]}{more} {place}"


def _tile_grid(name: str, spacing_m: float) -> GridSpec:
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


def _bounds_grid(grid: BoundsGrid) -> GridSpec:
    """Upper left corner as asked for; the last row and column are whole pixels."""
    return GridSpec(
        epsg=grid.epsg,
        left=grid.left,
        top=grid.top,
        spacing=grid.spacing,
        n_rows=_count(grid.top - grid.bottom, grid.spacing),
        n_cols=_count(grid.right - grid.left, grid.spacing),
    )


def _footprint_grid(grid: FootprintGrid, slices: Sequence[ProductFacts]) -> GridSpec:
    spacing_m = grid.spacing_m or slices[0].traits.footprint_spacing_m
    rings = [one.reach_lonlat for one in slices]
    epsg = grid.epsg or _map_of(slices)
    if epsg == EPSG_LONLAT and crosses_antimeridian(rings):
        raise OffProductError(f"{slices[0].name} crosses the antimeridian, 4326 ends there: leave the EPSG code out")
    left, bottom, right, top = _clipped(bounds_in(epsg, rings), epsg, slices)
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
            f"the products at {spacing_m} m make {n_rows * n_cols:.3g} pixels; {MAX_PIXELS:.3g} are possible: "
            "take a coarser spacing, tiles, or bounds"
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
