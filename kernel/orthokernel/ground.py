"""The DEM under a window of the output, as the loop reads it: cells, and where the pixels lie among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import TooManyCellsError
from orthokernel.grid import Grid
from orthokernel.loop import DemArrays, fill_heights
from orthokernel.terrain import Terrain
from orthokernel.terrain.flags import SEA

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

COORDINATE_TOLERANCE_CELLS = 0.01
GEOID_TOLERANCE_M = 0.01
_COARSEST_STEP_PX = 128
_ROWS_BY_POINTS = 64
_ANCHORED_PX = 1e-6


@dataclass(frozen=True)
class Extent:
    """The pixels, counted from a window of the output, that whole blocks of the loop under it reach over.

    Attributes
    ----------
    row0, row1, col0, col1 : int
        Half-open; may lie outside the window on all sides.
    anchor : (int, int)
        What is added to a row and to a column to count from the map's origin.
    """

    row0: int
    row1: int
    col0: int
    col1: int
    anchor: tuple[int, int]

    def rows(self, step_px: int) -> NDArray[np.int64]:
        """Rows, multiples of a step on the map, from at or before the first to at or after the last and one more."""
        return _multiples(self.row0, self.row1, step_px, self.anchor[0])

    def cols(self, step_px: int) -> NDArray[np.int64]:
        """As `rows`."""
        return _multiples(self.col0, self.col1, step_px, self.anchor[1])


def _multiples(start: int, stop: int, step: int, anchor: int) -> NDArray[np.int64]:
    first = (start + anchor) // step
    return np.arange(first, (stop - 1 + anchor) // step + 2) * step - anchor


def extent_of(window: Grid, block_px: int, further: int = 0) -> Extent:
    """The whole blocks that a window touches, and so many further ones on each side."""
    row, col = anchor = anchor_of(window)
    return Extent(
        (row // block_px - further) * block_px - row,
        (-(-(row + window.n_rows) // block_px) + further) * block_px - row,
        (col // block_px - further) * block_px - col,
        (-(-(col + window.n_cols) // block_px) + further) * block_px - col,
        anchor,
    )


def anchor_of(grid: Grid) -> tuple[int, int]:
    """Row and column of a grid's first pixel counted from the map's origin; (0, 0) where its pixels are not so aligned.

    Blocks and nodes are laid out from there, so that grids of one map and spacing share them.
    """
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    if b != 0 or d != 0 or a <= 0 or e >= 0:
        return 0, 0
    row, col = f / e, c / a
    if abs(row - round(row)) > _ANCHORED_PX or abs(col - round(col)) > _ANCHORED_PX:
        return 0, 0
    return round(row), round(col)


def dem_under(terrain: Terrain, window: Grid, extent: Extent) -> DemArrays:
    """The DEM under whole blocks; where the grid is coarser by two or more, its cells are averaged to match.

    Nodes are as far apart as leaves bilinear interpolation between them within 0.01 DEM cells, and 1 cm of geoid,
    tested at the centre of every lattice cell.
    """
    level = terrain.level_for(window.spacing_m)
    middle = np.array([[(window.n_rows - 1) / 2]]), np.array([[(window.n_cols - 1) / 2]])
    near_col = terrain.column_near(*window.lonlat(*middle))
    step = _COARSEST_STEP_PX
    while True:
        rows, cols = extent.rows(step), extent.cols(step)
        lon, lat = window.lonlat(rows[:, None], cols[None, :])
        nodes = terrain.nodes(lon, lat, level, near_col)
        if step == 1 or _good_enough(terrain, window, rows, cols, nodes, level, near_col):
            break
        step //= 2
    try:
        found = terrain.window(nodes, level)
    except TooManyCellsError:
        return cells_at_pixels(terrain, window, extent)
    plain = found.all_plain and bool(np.isfinite(nodes).all())
    return DemArrays(
        found.cells, found.classes, plain, found.row0, found.col0,
        nodes, step, int(rows[0]), int(cols[0]),
    )  # fmt: skip


def height_bounds(dem: DemArrays) -> tuple[float, float]:
    """Bounds of the heights over all of it, metres above the ellipsoid; ``(inf, -inf)`` where it has none."""
    geoid_m = dem.nodes[2]
    known = np.isfinite(dem.nodes).all(axis=0)
    low, high = float(dem.cells.min()), float(dem.cells.max())
    if np.isnan(low):
        low, high = (float(way.reduce(dem.cells, axis=None)) for way in (np.fmin, np.fmax))
        low, high = (np.inf, -np.inf) if np.isnan(low) else (low, high)
    if not dem.plain and (dem.classes == SEA).any():
        low, high = min(low, 0.0), max(high, 0.0)
    if not known.any() or low > high:
        return np.inf, -np.inf
    return low + float(geoid_m[known].min()), high + float(geoid_m[known].max())


def heights_over(terrain: Terrain, window: Grid, block_px: int = 256) -> tuple[Float32Array, NDArray[np.uint8]]:
    """Heights above the ellipsoid and `TerrainFlag` bits at the pixels of a window (a few Mpx), as the loop has them.

    Returns
    -------
    height_m : (n_rows, n_cols) float32
        NaN where flagged NODATA.
    flags : (n_rows, n_cols) uint8
    """
    extent = extent_of(window, block_px)
    dem = dem_under(terrain, window, extent)
    heights, flags = np.empty(window.shape, np.float32), np.empty(window.shape, np.uint8)
    fill_heights(dem, (0, window.n_rows, 0, window.n_cols), extent.anchor, block_px, heights, flags)
    return heights, flags


def _good_enough(
    terrain: Terrain,
    window: Grid,
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    nodes: Float64Array,
    level: int,
    near_col: float | None,
) -> bool:
    lon, lat = window.lonlat((rows[:-1] + rows[1:])[:, None] / 2, (cols[:-1] + cols[1:])[None, :] / 2)
    middle = terrain.nodes(lon, lat, level, near_col)
    between = (nodes[:, :-1, :-1] + nodes[:, :-1, 1:] + nodes[:, 1:, :-1] + nodes[:, 1:, 1:]) / 4
    error = np.abs(between - middle)
    both_missing = np.isnan(between) & np.isnan(middle)
    limits = np.array([COORDINATE_TOLERANCE_CELLS, COORDINATE_TOLERANCE_CELLS, GEOID_TOLERANCE_M])[:, None, None]
    return bool(np.all((error < limits) | both_missing))


def cells_at_pixels(terrain: Terrain, window: Grid, extent: Extent) -> DemArrays:
    """The DEM under whole blocks with the pixels themselves, each looked up, as cells.

    For a window that is small on the ground and endless in the DEM, as one over a pole may be; and for benches.
    """
    rows, cols = extent.rows(_COARSEST_STEP_PX), extent.cols(_COARSEST_STEP_PX)
    shape = (int(rows[-1] - rows[0]) + 2, int(cols[-1] - cols[0]) + 2)
    heights, flags = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    every_col = (cols[0] + np.arange(shape[1]))[None, :]
    for row in range(0, shape[0], _ROWS_BY_POINTS):
        part = np.arange(row, min(row + _ROWS_BY_POINTS, shape[0]))
        lon, lat = window.lonlat((rows[0] + part)[:, None], every_col)
        heights[part], flags[part] = terrain.heights(lon, lat)
    # What has a height here is taken as it is: the sea's is the geoid's already.
    classes = np.where(flags == SEA, 0, flags).astype(np.uint8)
    where = np.meshgrid(rows - rows[0], cols - cols[0], indexing="ij")
    nodes = np.stack([*where, np.zeros(where[0].shape)]).astype(np.float64)
    return DemArrays(
        heights, classes, not classes.any(), 0, 0, nodes, _COARSEST_STEP_PX, int(rows[0]), int(cols[0])
    )  # fmt: skip
