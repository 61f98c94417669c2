"""The output in blocks: what is prepared for one, how its parts run on threads, what is overlapped with what.

While the threads run the loop over one block of rows, one more thread prepares the next (terrain, lattice, source
lines) and another writes the one before. The loop's functions are compiled without the interpreter's lock and are
handed to plain threads, part by part: this takes exactly as many threads as asked for, whatever else the process
runs, and no numba threading layer has a say in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from orthokernel.grid import Grid
from orthokernel.lattice import Lattice, build_lattice, polynomial
from orthokernel.loop import AVERAGE, PAD, BreakTable, SourceArrays, warp_points, warp_strip
from orthokernel.sensor import SensorModel
from orthokernel.source import SourceRing
from orthokernel.terrain import Terrain

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Window = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last."""

BLOCK_ROWS = 512
BLOCK_COLS = 16384
_TERRAIN_PX = 4_000_000
_PART_ROWS, _PART_COLS = 256, 1024
_ANY_HEIGHT_M = (-500.0, 9000.0)


@dataclass(frozen=True)
class Walk:
    """How the output is walked, which depends on how many source samples a pixel spans."""

    method: int
    block_rows: int
    loop_block_px: int

    @classmethod
    def over(cls, span_px: float, method: int, n_cols: int = 2**30) -> Walk:
        """Blocks that keep the source lines of one block, and the window of the loop, to a bounded size.

        Narrow grids get blocks of more rows, because a block costs some calls whatever its size.
        """
        coarser = 2 ** max(0, round(np.log2(max(span_px, 1.0))))
        more = 2 if n_cols <= 6000 else 1
        return cls(method, max(more * BLOCK_ROWS // coarser, 16), max(256 // coarser, 8))

    def windows(self, grid: Grid) -> Iterator[Window]:
        """The blocks, row by row."""
        for row in range(0, grid.n_rows, self.block_rows):
            for col in range(0, grid.n_cols, BLOCK_COLS):
                yield row, min(row + self.block_rows, grid.n_rows), col, min(col + BLOCK_COLS, grid.n_cols)


@dataclass(frozen=True)
class Ground:
    """Terrain under one block of the output; ``heights`` and ``flags`` (rows, cols)."""

    grid: Grid
    heights: Float32Array
    flags: NDArray[np.uint8]
    coverage: float
    low_m: float
    high_m: float


@dataclass(frozen=True)
class Geometry:
    """Where one block of the output lies in one image: a lattice, or coordinates of every pixel (for proofs)."""

    lattice: Lattice | None
    exact: tuple[Float64Array, Float64Array] | None
    footprints: Float64Array | None
    lines: tuple[int, int]
    samples: tuple[int, int]

    @property
    def reaches_image(self) -> bool:
        """Whether any source sample is wanted."""
        return self.lines[0] < self.lines[1] and self.samples[0] < self.samples[1]


def ground_under(terrain: Terrain, block: Grid) -> Ground:
    """Heights of a block, taken in windows of the size that `Terrain.block` likes."""
    n = max(1, round(block.n_rows * block.n_cols / _TERRAIN_PX))
    if n == 1:
        whole = terrain.block(block)
        low, high = (whole.height_min_m, whole.height_max_m) if np.isfinite(whole.height_min_m) else (np.inf, -np.inf)
        return Ground(block, whole.height_m, whole.flags, whole.coverage, low, high)
    heights = np.empty(block.shape, np.float32)
    flags = np.empty(block.shape, np.uint8)
    edges = np.linspace(0, block.n_cols, n + 1).astype(int)
    covered, low, high = 0.0, np.inf, -np.inf
    for first, last in itertools.pairwise(edges):
        part = terrain.block(block.window(0, block.n_rows, int(first), int(last)))
        heights[:, first:last], flags[:, first:last] = part.height_m, part.flags
        covered += part.coverage * (last - first)
        if np.isfinite(part.height_min_m):
            low, high = min(low, part.height_min_m), max(high, part.height_max_m)
    return Ground(block, heights, flags, float(covered / block.n_cols), float(low), float(high))


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


def lattice_geometry(model: SensorModel, ground: Ground, method: int, first_step_px: int | None = None) -> Geometry:
    """The lattice of a block, and the source lines and samples that the loop will ask for."""
    if not np.isfinite(ground.low_m):
        return Geometry(None, None, None, (0, 0), (0, 0))
    lattice = build_lattice(model, ground.grid, ground.low_m, ground.high_m, first_step_px)
    if not lattice.reaches_image:
        return Geometry(lattice, None, None, (0, 0), (0, 0))
    arrays = lattice.arrays
    c = arrays.coefficients
    low, high = arrays.height_low_m - arrays.height_mid_m, arrays.height_high_m - arrays.height_mid_m
    at_heights = np.stack([c[:, 0], *(polynomial(np.moveaxis(c, 1, 0), h) for h in (low, high))])
    beyond = np.nanmax(np.abs(at_heights[1] - 2 * at_heights[0] + at_heights[2]), axis=(1, 2), initial=0.0) / 8.0
    slopes = [
        np.nanmax(np.abs(np.diff(c[:, 0], axis=axis)), axis=(1, 2), initial=0.0) / arrays.step_px for axis in (1, 2)
    ]
    reach = np.sum(slopes, axis=0) + 2.0 if method == AVERAGE else np.zeros(2)
    table = model.break_lines
    correction = 0.0 if table is None else float(np.max(np.abs(table.correction_px)))
    margin = beyond + reach + PAD + 2.0 + np.array([0.0, correction])
    lines = _clipped(np.nanmin(at_heights[:, 0]) - margin[0], np.nanmax(at_heights[:, 0]) + margin[0], model.n_lines)
    samples = _clipped(
        np.nanmin(at_heights[:, 1]) - margin[1], np.nanmax(at_heights[:, 1]) + margin[1], model.n_samples
    )
    return Geometry(lattice, None, None, lines, samples)


def exact_geometry(model: SensorModel, ground: Ground, walk: Walk) -> Geometry:
    """Coordinates of every pixel of a block from the model itself."""
    block = ground.grid
    rows, cols = np.arange(block.n_rows)[:, None], np.arange(block.n_cols)[None, :]
    line, sample = model.ground_to_image(*block.lonlat(rows, cols), ground.heights.astype(np.float64))
    known = np.isfinite(line) & np.isfinite(sample)
    if not known.any():
        return Geometry(None, (line, sample), None, (0, 0), (0, 0))
    size = walk.loop_block_px
    row = np.arange(0, block.n_rows, size)[:, None] + size / 2
    col = np.arange(0, block.n_cols, size)[None, :] + size / 2
    middle = 0.5 * (ground.low_m + ground.high_m)
    footprints = np.zeros((row.shape[0], col.shape[1], 4))
    for k, (d_row, d_col) in enumerate(((0.5, 0.0), (0.0, 0.5))):
        after = model.ground_to_smooth(*block.lonlat(row + d_row, col + d_col), middle)
        before = model.ground_to_smooth(*block.lonlat(row - d_row, col - d_col), middle)
        footprints[:, :, k], footprints[:, :, 2 + k] = after[0] - before[0], after[1] - before[1]
    largest = np.nanmax(np.abs(footprints), initial=0.0)
    reach = PAD + 2.0 + (2 * float(largest) + 2.0 if walk.method == AVERAGE else 0.0)
    lines = _clipped(np.min(line[known]) - reach, np.max(line[known]) + reach, model.n_lines)
    samples = _clipped(np.min(sample[known]) - reach, np.max(sample[known]) + reach, model.n_samples)
    return Geometry(None, (line, sample), np.nan_to_num(footprints), lines, samples)


def parts_of(shape: tuple[int, int], walk: Walk) -> list[Window]:
    """The windows of a block that one thread takes at a time: multiples of the loop's own blocks."""
    rows = max(_PART_ROWS // walk.loop_block_px, 1) * walk.loop_block_px
    cols = max(_PART_COLS // walk.loop_block_px, 1) * walk.loop_block_px
    return [
        (row, min(row + rows, shape[0]), col, min(col + cols, shape[1]))
        for row in range(0, shape[0], rows)
        for col in range(0, shape[1], cols)
    ]


def run_part(
    part: Window,
    ground: Ground,
    geometry: Geometry,
    table: BreakTable,
    source: SourceArrays,
    walk: Walk,
    power: bool,
    scratch: Float32Array,
    out: Float32Array,
) -> None:
    """Fill one part of a block: ``out`` (rows, cols) of the whole block."""
    if geometry.exact is not None:
        first_row, first_col = part[0] // walk.loop_block_px, part[2] // walk.loop_block_px
        assert geometry.footprints is not None
        footprints = np.ascontiguousarray(geometry.footprints[first_row:, first_col:])
        line, sample = geometry.exact
        warp_points(line, sample, part, source, walk.method, power, walk.loop_block_px, footprints, scratch, out)
    elif geometry.lattice is not None:
        lattice = geometry.lattice.arrays
        warp_strip(ground.heights, part, lattice, table, source, walk.method, power, walk.loop_block_px, scratch, out)


def source_lines(ring: SourceRing, geometry: Geometry, keep: tuple[int, int]) -> SourceArrays:
    """Read what a block wants and the ring lacks."""
    return ring.prepare(geometry.lines, geometry.samples, keep)


def limit_numba_threads(threads: int) -> None:
    """Hold the compiled terrain and model functions that this thread calls to a number of threads."""
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(max(1, min(threads, most)))


def _clipped(low: float, high: float, n: int) -> tuple[int, int]:
    start, stop = max(int(np.floor(low)), 0), min(int(np.ceil(high)) + 1, n)
    return (start, stop) if start < stop else (0, 0)
