"""From what a request names and what its products' metadata say to outputs and tasks. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orthocontracts.digests import output_digest
from orthocontracts.outputs import GridSpec, OutputIdentity, OutputSpec, ResolvedTerrain, Source
from orthocontracts.products import Mission
from orthocontracts.requests import MAX_PIXELS, BoundsGrid, FootprintGrid, Options, Request, TileGrid
from orthocontracts.tasks import TaskSpec, task_id_of
from orthocontracts.tiles import TILE_SIZE_M, parse_tile, tile_bounds
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.faults import OffProductError, TooLargeError, UnfitOptionError
from orthofunctions.domain.footprints import LonLat, may_touch, tiles_called_for, tiles_touched, utm_bounds
from orthofunctions.domain.plans import Plan, PlannedOutput


@dataclass(frozen=True)
class ProductFacts:
    """A product as its metadata describe it. Those with the same ``pass_key`` are slices of one pass."""

    source: Source
    mission: Mission
    name: str
    pass_key: str
    footprint_lonlat: tuple[LonLat, ...]
    reach_lonlat: tuple[LonLat, ...]
    """Points whose bounding box holds the whole image, whatever the height of its terrain."""
    bytes_at: Mapping[str, int] = field(default_factory=dict)
    """Bytes that lie in stores of a site rather than in blob storage."""


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
    terrain: ResolvedTerrain,
    *,
    trust: str,
    limits: Limits,
    now: datetime,
) -> Plan:
    """The plan of a request: one output per pass and grid, tasks of neighbouring outputs of one pass.

    ``trust`` is the scope in which the outputs are shared, see `access`.

    Raises
    ------
    UnfitOptionError
        Where the options are those of radar and a product is not.
    OffProductError
        Where a tile that was asked for, or the whole grid, touches no product.
    TooLargeError
        Where the outputs are more than the site allows.
    """
    _check_options(request.options, products)
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
            planned = [_planned(request, one, terrain, task_id, trust) for one in group]
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
                    terrain=terrain,
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


def _check_options(options: Options, products: Sequence[ProductFacts]) -> None:
    """Refuse here what a worker could only refuse after it has fetched gigabytes."""
    other = next((product.name for product in products if product.mission != "sentinel-1"), None)
    if other is None:
        return
    radar_only = [f"radiometry {options.radiometry}"] if options.radiometry not in (None, "dn") else []
    radar_only += ["noise_removal"] if options.noise_removal else []
    radar_only += [f"extra {extra}" for extra in options.extras if extra != "acquisition"]
    if radar_only:
        raise UnfitOptionError(f"{other} is not a radar product: leave out {', '.join(radar_only)}")


def _outputs_of_pass(request: Request, slices: Sequence[ProductFacts]) -> Iterator[_Wanted]:
    match request.grid:
        case TileGrid() as grid:
            touched = {one.source.ref: tiles_touched(one.footprint_lonlat) for one in slices}
            if grid.tiles is not None:
                names = {parse_tile(tile) for tile in grid.tiles}
            else:
                names = {tile for one in slices for tile in tiles_called_for(one.footprint_lonlat)}
            for name in sorted(names):
                there = tuple(one for one in slices if name in touched[one.source.ref])
                if there:
                    yield _Wanted(there, _tile_grid(name, grid.spacing_m), _title(there, name))
        case BoundsGrid() as grid:
            bounds = (grid.left, grid.bottom, grid.right, grid.top)
            there = tuple(one for one in slices if may_touch(grid.epsg, bounds, one.reach_lonlat))
            if there:
                yield _Wanted(there, _bounds_grid(grid), _title(there, f"EPSG:{grid.epsg}"))
        case FootprintGrid() as grid:
            spec = _footprint_grid(slices, grid.spacing_m)
            yield _Wanted(tuple(slices), spec, _title(slices, f"EPSG:{spec.epsg}"))


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
        too_many = len(group) >= limits.max_outputs_per_task
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


def _planned(request: Request, one: _Wanted, terrain: ResolvedTerrain, task_id: str, trust: str) -> PlannedOutput:
    identity = OutputIdentity(
        process=request.process,
        products=tuple(product.source for product in one.products),
        grid=one.grid,
        options=request.options,
        terrain=terrain,
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


def _footprint_grid(slices: Sequence[ProductFacts], spacing_m: float) -> GridSpec:
    epsg, (left, bottom, right, top) = utm_bounds([one.reach_lonlat for one in slices])
    left, top = math.floor(left / spacing_m) * spacing_m, math.ceil(top / spacing_m) * spacing_m
    n_rows, n_cols = _count(top - bottom, spacing_m), _count(right - left, spacing_m)
    if n_rows * n_cols > MAX_PIXELS:
        raise TooLargeError(
            f"the products at {spacing_m} m make {n_rows * n_cols:.3g} pixels; {MAX_PIXELS:.3g} are possible: "
            "take a coarser spacing, tiles, or bounds"
        )
    return GridSpec(epsg=epsg, left=left, top=top, spacing=spacing_m, n_rows=n_rows, n_cols=n_cols)


def _count(extent: float, spacing: float) -> int:
    # 1e-6 of a pixel over is rounding, not a further pixel
    return max(1, math.ceil(extent / spacing - 1e-6))
