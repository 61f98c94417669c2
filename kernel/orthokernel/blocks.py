"""The output in blocks: what is prepared for one, how its parts run on threads, what is overlapped with what.

While the threads run the loop over one block of rows, one more thread prepares the next (terrain, lattice, source
lines) and another writes the one before. The loop's functions are compiled without the interpreter's lock and are
handed to plain threads, part by part: this takes exactly as many threads as asked for, whatever else the process
runs, and no numba threading layer has a say in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from orthokernel.grid import Grid
from orthokernel.ground import Extent, anchor_of, dem_under, extent_of, height_bounds
from orthokernel.lattice import Lattice, build_lattice
from orthokernel.loop import AVERAGE, PAD, BreakTable, DemArrays, SourceArrays, fill_heights, warp_part, warp_points
from orthokernel.sensor import SensorModel
from orthokernel.source import Demand
from orthokernel.terrain import Terrain

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Window = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last."""

BLOCK_ROWS = 512
BLOCK_COLS = 16384
_FIRST_COLS = 2048
"""Of blocks in the first row: before the first of all is ready, threads have nothing to do."""
_PART_ROWS, _PART_COLS = 256, 1024
_DEMAND_MARGIN_PX = 32
_REACH_MARGIN_PX = 4.0
_ANY_HEIGHT_M = (-500.0, 9000.0)


@dataclass(frozen=True)
class Walk:
    """How the output is walked, which depends on how many source samples a pixel spans."""

    block_rows: int
    loop_block_px: int

    @classmethod
    def over(cls, span_px: float, n_cols: int = 2**30) -> Walk:
        """Blocks that keep the source lines of one block, and the window of the loop, to a bounded size.

        Narrow grids get blocks of more rows, because a block costs some calls whatever its size.
        """
        coarser = 2 ** max(0, round(np.log2(max(span_px, 1.0))))
        more = 2 if n_cols <= 6000 else 1
        return cls(max(more * BLOCK_ROWS // coarser, 16), max(256 // coarser, 8))

    def windows(self, grid: Grid) -> Iterator[Window]:
        """The blocks, row by row, cut where multiples of their size lie on the map; narrow ones in the first row."""
        anchor = anchor_of(grid)
        for row0, row1 in _cuts(grid.n_rows, self.block_rows, anchor[0]):
            for col0, col1 in _cuts(grid.n_cols, BLOCK_COLS if row0 else _FIRST_COLS, anchor[1]):
                yield row0, row1, col0, col1


def _cuts(n: int, size: int, anchor: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < n:
        stop = min(((start + anchor) // size + 1) * size - anchor, n)
        yield start, stop
        start = stop


@dataclass(frozen=True)
class Ground:
    """The DEM under one block of the output, and bounds of its heights (``inf, -inf`` where it has none)."""

    grid: Grid
    extent: Extent
    dem: DemArrays
    low_m: float
    high_m: float


@dataclass(frozen=True)
class Geometry:
    """Where one block of the output lies in one image: a lattice, or coordinates of every pixel."""

    lattice: Lattice | None
    exact: tuple[Float64Array, Float64Array] | None
    footprints: Float64Array | None
    lines: tuple[int, int]
    samples: tuple[int, int]

    @property
    def reaches_image(self) -> bool:
        """Whether any source sample is wanted."""
        return self.lines[0] < self.lines[1] and self.samples[0] < self.samples[1]


def ground_under(terrain: Terrain, block: Grid, walk: Walk, further: int = 0) -> Ground:
    """The terrain of a block, over the whole of the loop's blocks that it touches and so many further on each side."""
    extent = extent_of(block, walk.loop_block_px)
    dem = dem_under(terrain, block, extent_of(block, walk.loop_block_px, further))
    return Ground(block, extent, dem, *height_bounds(dem))


def may_reach(model: SensorModel, block: Grid) -> bool:
    """Whether the image can lie under a block at any height of the Earth's surface: looked at before its terrain."""
    rows = np.linspace(0, block.n_rows - 1, 5)[:, None]
    cols = np.linspace(0, block.n_cols - 1, 33)[None, :]
    lon, lat = block.lonlat(rows, cols)
    line, sample = model.ground_to_smooth(lon[None], lat[None], np.array(_ANY_HEIGHT_M)[:, None, None])
    known = np.isfinite(line) & np.isfinite(sample)
    if not known.any():
        return True  # nothing was answered: let the lattice find out
    line, sample = line[known], sample[known]
    margin_l, margin_s = 0.05 * np.ptp(line) + 32, 0.05 * np.ptp(sample) + 32
    return bool(
        line.max() > -margin_l
        and line.min() < model.n_lines + margin_l
        and sample.max() > -margin_s
        and sample.min() < model.n_samples + margin_s
    )


def demand_of(model: SensorModel, grid: Grid, walk: Walk, low_m: float, high_m: float) -> Demand:
    """Which samples all blocks of the output will want, and how many lines one of them and the next.

    An estimate, from a few points of each block: what it misses costs time, not pixels.
    """
    heights = np.array([low_m, high_m])[:, None, None]
    found = []
    for row0, row1, col0, col1 in walk.windows(grid):
        block = grid.window(row0, row1, col0, col1)
        extent = extent_of(block, walk.loop_block_px)
        rows = np.linspace(extent.row0, extent.row1, 3)[:, None]
        cols = np.linspace(extent.col0, extent.col1, 9)[None, :]
        lon, lat = block.lonlat(rows, cols)
        line, sample = model.ground_to_smooth(lon[None], lat[None], heights)
        known = np.isfinite(line) & np.isfinite(sample)
        if known.any():
            ends = line[known].min(), line[known].max(), sample[known].min(), sample[known].max()
            found.append([float(end) for end in ends])
    if not found:
        return Demand(0, (0, 0))
    least_l, most_l, least_s, most_s = np.array(found).T
    table = model.break_lines
    correction = 0.0 if table is None else float(np.max(np.abs(table.correction_px)))
    margin = 0.01 * (most_s.max() - least_s.min()) + correction + _DEMAND_MARGIN_PX
    samples = _clipped(least_s.min() - margin, most_s.max() + margin, model.n_samples)
    following = [*range(1, len(found)), len(found) - 1]
    n_lines = np.max(np.maximum(most_l, most_l[following]) - np.minimum(least_l, least_l[following]))
    return Demand(math.ceil(1.02 * n_lines + _DEMAND_MARGIN_PX), samples)


def lattice_geometry(model: SensorModel, ground: Ground, method: int, first_step_px: int | None = None) -> Geometry:
    """The lattice of a block, and the source lines and samples that the loop will ask for."""
    if not np.isfinite(ground.low_m):
        return Geometry(None, None, None, (0, 0), (0, 0))
    lattice = build_lattice(model, ground.grid, ground.low_m, ground.high_m, first_step_px, ground.extent)
    if not lattice.reaches_image:
        return Geometry(lattice, None, None, (0, 0), (0, 0))
    arrays = lattice.arrays
    c = arrays.coefficients
    low, high = ground.low_m - arrays.height_mid_m, ground.high_m - arrays.height_mid_m
    mid = 0.5 * (low + high)
    at_heights = np.stack([c[:, 0] + h * (c[:, 1] + h * (c[:, 2] + h * c[:, 3])) for h in (mid, low, high)])
    beyond = np.nanmax(np.abs(at_heights[1] - 2 * at_heights[0] + at_heights[2]), axis=(1, 2), initial=0.0) / 8.0
    slopes = [
        np.nanmax(np.abs(np.diff(c[:, 0], axis=axis)), axis=(1, 2), initial=0.0) / arrays.step_px for axis in (1, 2)
    ]
    reach = np.sum(slopes, axis=0) + 2.0 if method == AVERAGE else np.zeros(2)
    table = model.break_lines
    margin = beyond + reach + PAD + 2.0 + (0.0 if table is None else np.array(table.reach_px))
    lines = _clipped(np.nanmin(at_heights[:, 0]) - margin[0], np.nanmax(at_heights[:, 0]) + margin[0], model.n_lines)
    samples = _clipped(
        np.nanmin(at_heights[:, 1]) - margin[1], np.nanmax(at_heights[:, 1]) + margin[1], model.n_samples
    )
    return Geometry(lattice, None, None, lines, samples)


def exact_geometry(model: SensorModel, ground: Ground, walk: Walk, method: int) -> Geometry:
    """Coordinates of every pixel of a block from the model itself."""
    block = ground.grid
    rows, cols = np.arange(block.n_rows)[:, None], np.arange(block.n_cols)[None, :]
    extent, size = ground.extent, walk.loop_block_px
    heights, flags = np.empty(block.shape, np.float32), np.empty(block.shape, np.uint8)
    fill_heights(ground.dem, (0, block.n_rows, 0, block.n_cols), extent.anchor, size, heights, flags)
    line, sample = model.ground_to_image(*block.lonlat(rows, cols), heights.astype(np.float64))
    known = np.isfinite(line) & np.isfinite(sample)
    if not known.any():
        return Geometry(None, (line, sample), None, (0, 0), (0, 0))
    row = np.arange(extent.row0, extent.row1, size)[:, None] + size / 2
    col = np.arange(extent.col0, extent.col1, size)[None, :] + size / 2
    middle = 0.5 * (ground.low_m + ground.high_m)
    footprints = np.zeros((row.shape[0], col.shape[1], 4))
    for k, (d_row, d_col) in enumerate(((0.5, 0.0), (0.0, 0.5))):
        after = model.ground_to_smooth(*block.lonlat(row + d_row, col + d_col), middle)
        before = model.ground_to_smooth(*block.lonlat(row - d_row, col - d_col), middle)
        footprints[:, :, k], footprints[:, :, 2 + k] = after[0] - before[0], after[1] - before[1]
    largest = np.nanmax(np.abs(footprints), initial=0.0)
    reach = PAD + 2.0 + (2 * float(largest) + 2.0 if method == AVERAGE else 0.0)
    lines = _clipped(np.min(line[known]) - reach, np.max(line[known]) + reach, model.n_lines)
    samples = _clipped(np.min(sample[known]) - reach, np.max(sample[known]) + reach, model.n_samples)
    return Geometry(None, (line, sample), np.nan_to_num(footprints), lines, samples)


def parts_of(block: Grid, walk: Walk) -> list[Window]:
    """The windows of a block that one thread takes at a time: whole blocks of the loop, cut at the block's edges."""
    anchor = anchor_of(block)
    size = walk.loop_block_px
    rows, cols = max(_PART_ROWS // size, 1) * size, max(_PART_COLS // size, 1) * size
    return [
        (row0, row1, col0, col1)
        for row0, row1 in _cuts(block.n_rows, rows, anchor[0])
        for col0, col1 in _cuts(block.n_cols, cols, anchor[1])
    ]


def part_may_reach(part: Window, ground: Ground, geometry: Geometry, source: SourceArrays) -> bool:
    """Whether an image, within its limits, may lie under a part of a block: by the lattice's nodes around the part.

    Between nodes the lattice is linear; in height it is looked at on both ends and in the middle.
    """
    if geometry.lattice is None:
        return True
    arrays = geometry.lattice.arrays
    step = arrays.step_px
    i0, j0 = (part[0] - arrays.row0) // step, (part[2] - arrays.col0) // step
    i1, j1 = (part[1] - 1 - arrays.row0) // step + 2, (part[3] - 1 - arrays.col0) // step + 2
    c = arrays.coefficients[:, :, max(i0, 0) : i1, max(j0, 0) : j1]
    low, high = ground.low_m - arrays.height_mid_m, ground.high_m - arrays.height_mid_m
    at = np.stack([c[:, 0] + h * (c[:, 1] + h * (c[:, 2] + h * c[:, 3])) for h in (low, 0.5 * (low + high), high)])
    if not np.isfinite(at).all():
        return True
    least, most = at.min(axis=(0, 2, 3)) - _REACH_MARGIN_PX, at.max(axis=(0, 2, 3)) + _REACH_MARGIN_PX
    last_line = source.n_lines - 0.5 if math.isnan(source.last_line) else source.last_line
    last_sample = source.n_samples - 0.5 if math.isnan(source.last_sample) else source.last_sample
    return bool(
        most[0] >= source.first_line
        and least[0] <= last_line
        and most[1] >= source.first_sample
        and least[1] <= last_sample
    )


def run_part(
    part: Window,
    ground: Ground,
    geometry: Geometry,
    table: BreakTable,
    source: SourceArrays,
    walk: Walk,
    method: int,
    power: bool,
    scratch: Float32Array,
    out: Float32Array,
    flags: NDArray[np.uint8],
) -> tuple[int, int]:
    """Fill one part of a block: ``out`` (bands, rows, cols) and ``flags`` (rows, cols) of the whole block.

    Returns
    -------
    from_dem, seen : int
        Pixels in blocks of the loop that the image may reach whose height comes from the DEM, and all of those.
    """
    anchor, size = ground.extent.anchor, walk.loop_block_px
    if geometry.exact is not None:
        assert geometry.footprints is not None
        line, sample = geometry.exact
        height = np.empty(flags.shape, np.float32)
        from_dem = fill_heights(ground.dem, part, anchor, size, height, flags)
        first_row, first_col = (part[0] - ground.extent.row0) // size, (part[2] - ground.extent.col0) // size
        footprints = np.ascontiguousarray(geometry.footprints[first_row:, first_col:])
        warp_points(line, sample, part, anchor, source, method, power, size, footprints, scratch, out)
        return from_dem, (part[1] - part[0]) * (part[3] - part[2])
    assert geometry.lattice is not None
    lattice = geometry.lattice.arrays
    found: tuple[int, int] = warp_part(
        ground.dem, part, anchor, lattice, table, source, method, power, size, scratch, out, flags
    )
    return found


def limit_numba_threads(threads: int) -> None:
    """Hold the compiled terrain and model functions that this thread calls to a number of threads."""
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(max(1, min(threads, most)))


def _clipped(low: float, high: float, n: int) -> tuple[int, int]:
    start, stop = max(int(np.floor(low)), 0), min(int(np.ceil(high)) + 1, n)
    return (start, stop) if start < stop else (0, 0)
