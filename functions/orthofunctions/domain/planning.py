"""From what a request names and what its products' metadata say to outputs and tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from orthocontracts.digests import output_digest
from orthocontracts.outputs import GridSpec, Instrument, OutputIdentity, OutputSpec, ResolvedTerrain
from orthocontracts.requests import AreaGrid, BoundsGrid, FootprintGrid, Request, TileGrid
from orthocontracts.tasks import TaskSpec, task_id_of
from orthocontracts.tiles import parse_tile
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.beside import Beside, bytes_at, files_elsewhere
from orthofunctions.domain.drawn import touches_tile
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import OffProductError, TooLargeError
from orthofunctions.domain.footprints import may_touch, tiles_touched
from orthofunctions.domain.grids import area_grid, bounds_grid, bounds_of_grid, footprint_grid, suitable_grid, tile_grid
from orthofunctions.domain.heights import TiledDem
from orthofunctions.domain.orbits import Shelf, orbits_of_pass
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.suits import check_options

TILES_OF_A_FRAME_PER_TASK = 16
"""A wide frame touches a hundred tiles, each with a thousandth of a Sentinel-2 tile's pixels: what costs is to fetch
the frame. A report on so many, extras and all, still fits into a queue message."""


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
    terrain: ResolvedTerrain | TiledDem | None,
    *,
    instrument: Instrument | None = None,
    orbits: Shelf | None = None,
    trust: str,
    limits: Limits,
    now: datetime,
) -> Plan:
    """The plan of a request: one output per pass and grid, tasks of neighbouring outputs of one pass.

    ``terrain``, ``instrument`` and ``orbits`` go to the passes that need them: the names of the others' images do not
    depend on them; of a DEM's tiles each image has those it touches. ``trust`` is the scope in which the outputs are
    shared, see `access`.

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
    for of_pass, slices in zip(wanted, passes.values(), strict=True):
        own_orbits = orbits_of_pass(slices, orbits) if orbits else None
        for group in _grouped(of_pass, limits):
            task_id = task_id_of(job_id, len(tasks) + 1)
            beside = [Beside.of(one.products, terrain, instrument, own_orbits) for one in group]
            planned = [_planned(request, one, with_, task_id, trust) for one, with_ in zip(group, beside, strict=True)]
            outputs += planned
            needed = {product.source.ref: product for one in group for product in one.products}
            with_all = Beside.together(beside)
            tasks.append(
                TaskSpec(
                    task_id=task_id,
                    job_id=job_id,
                    user=request.user,
                    process=request.process,
                    result_version=KERNEL_RESULT_VERSION,
                    products=tuple(needed[ref].source for ref in sorted(needed)),
                    terrain=with_all.terrain,
                    instrument=with_all.instrument,
                    orbits=with_all.orbits,
                    options=request.options,
                    outputs=tuple(
                        OutputSpec(digest=each.digest, grid=each.identity.grid, title=each.title) for each in planned
                    ),
                    created_at=now,
                    deadline=request.deadline,
                    patience_s=request.patience_s,
                    urgent=request.urgent,
                    input_bytes_at=bytes_at(needed.values(), with_all, terrain, orbits),
                    elsewhere=files_elsewhere(needed.values(), with_all, terrain, orbits),
                )
            )
    return Plan(job_id=job_id, request=request, made_at=now, outputs=tuple(outputs), tasks=tuple(tasks))


def _outputs_of_pass(request: Request, slices: Sequence[ProductFacts]) -> Iterator[_Wanted]:
    match request.grid or suitable_grid(slices[0].traits):
        case TileGrid() as grid:
            yield from _tiles_of_pass(grid, slices)
        case BoundsGrid() as grid:
            bounds = (grid.left, grid.bottom, grid.right, grid.top)
            there = tuple(one for one in slices if may_touch(grid.epsg, bounds, one.reach_lonlat))
            if there:
                yield _Wanted(there, bounds_grid(grid), _title(there, f"EPSG:{grid.epsg}"))
        case AreaGrid() as grid:
            spec = area_grid(grid, slices)
            there = tuple(one for one in slices if may_touch(spec.epsg, bounds_of_grid(spec), one.reach_lonlat))
            if there:
                yield _Wanted(there, spec, _title(there, f"area in EPSG:{spec.epsg}"))
        case FootprintGrid() as grid:
            spec = footprint_grid(grid, slices)
            yield _Wanted(tuple(slices), spec, _title(slices, f"EPSG:{spec.epsg}"))


def _tiles_of_pass(grid: TileGrid, slices: Sequence[ProductFacts]) -> Iterator[_Wanted]:
    spacing_m = grid.spacing_m or slices[0].traits.tile_spacing_m
    if grid.tiles is not None:
        names = {parse_tile(tile) for tile in grid.tiles}
    else:
        names = {tile for one in slices for tile in one.calls_for}
    if grid.within is not None:
        names = {name for name in names if touches_tile(grid.within, name)}
    touched: dict[str, frozenset[str]] = {}
    for name in sorted(names):
        there = tuple(one for one in slices if one.own_tile == name)
        if not there:
            touched = touched or {one.source.ref: tiles_touched(one.footprint_lonlat) for one in slices}
            there = tuple(one for one in slices if name in touched[one.source.ref])
        if there:
            yield _Wanted(there, tile_grid(name, spacing_m), _title(there, name))


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


def _planned(
    request: Request,
    one: _Wanted,
    beside: Beside,
    task_id: str,
    trust: str,
) -> PlannedOutput:
    identity = OutputIdentity(
        process=request.process,
        products=tuple(product.source for product in one.products),
        grid=one.grid,
        options=request.options,
        terrain=beside.terrain,
        instrument=beside.instrument,
        orbits=beside.orbits,
        trust=trust,
        result_version=KERNEL_RESULT_VERSION,
    )
    return PlannedOutput(digest=output_digest(identity), title=one.title, identity=identity, task_id=task_id)


def _title(products: Sequence[ProductFacts], place: str) -> str:
    more = f" + {len(products) - 1}" if len(products) > 1 else ""
    return f"{products[0].name[:150]}{more} {place}"
