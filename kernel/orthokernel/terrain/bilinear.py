"""The inner loops of the terrain: bilinear heights at points, and along the rows of a block."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from orthokernel.terrain.flags import NODATA, OK, SEA, UNUSABLE

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]


@njit(cache=True, nogil=True, inline="always")
def _interpolate_fast(values: Float32Array, row: float, col: float) -> float:
    """Bilinear value in float32; NaN where one of the four cells has none. Rows and columns are not negative."""
    # Unsigned indices: numba tests signed ones for being negative, at a third of the loop's time.
    i = np.uint32(row)
    j = np.uint32(col)
    i1 = i + np.uint32(1)
    j1 = j + np.uint32(1)
    v = np.float32(row - i)
    u = np.float32(col - j)
    top = values[i, j] + (values[i, j1] - values[i, j]) * u
    bottom = values[i1, j] + (values[i1, j1] - values[i1, j]) * u
    return top + (bottom - top) * v  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _interpolate_some(values: Float32Array, classes: UInt8Array, row: float, col: float) -> float:
    """Bilinear value, in float64, of the cells that have one, their weights renormalised.

    So half a cell inside the edge of a DEM, or beside a void, its surface goes on at the last cells' height instead of
    falling to sea level.
    """
    i = int(row)
    j = int(col)
    v = row - i
    u = col - j
    total = 0.0
    weights = 0.0
    for di in range(2):
        for dj in range(2):
            if classes[i + di, j + dj] & UNUSABLE == 0:
                weight = (v if di else 1.0 - v) * (u if dj else 1.0 - u)
                total += weight * values[i + di, j + dj]
                weights += weight
    return total / weights


@njit(cache=True, nogil=True)
def _height_and_class(values: Float32Array, classes: UInt8Array, row: float, col: float) -> tuple[float, int]:
    """Height at a point anywhere, and the class of the cell that holds it."""
    kind = classes[int(row + 0.5), int(col + 0.5)]
    if kind == SEA:
        return 0.0, kind
    if kind == NODATA:
        return np.nan, kind
    return _interpolate_some(values, classes, row, col), kind


@njit(cache=True, nogil=True, parallel=True)
def sample_points(
    values: Float32Array,
    classes: UInt8Array,
    row: Float64Array,
    col: Float64Array,
    out: Float64Array,
    flags: UInt8Array,
) -> None:
    """Bilinear values at points.

    Parameters
    ----------
    values, classes : (R, C) float32, uint8
        Cells (see `Mosaic.region`), with at least one more on each side than the points reach.
    row, col : (N,) float64
        0-based, integers at cell centres; finite.
    out, flags : (N,) float64, uint8
        Written: value and class of the cell that holds the point; 0 where SEA, NaN where NODATA.
    """
    for k in prange(row.size):
        height, kind = _height_and_class(values, classes, row[k], col[k])
        out[k] = height
        flags[k] = kind


@njit(cache=True, nogil=True, parallel=True)
def fill_block(
    values: Float32Array,
    classes: UInt8Array,
    all_plain: bool,
    nodes: Float64Array,
    step: int,
    height_m: Float32Array,
    flags: UInt8Array,
    row_stats: Float64Array,
) -> None:
    """Heights of a block, its coordinates interpolated between the nodes of a lattice.

    Parameters
    ----------
    values, classes : (R, C) float32, uint8
        Cells of the DEM, as in `sample_points`.
    all_plain : bool
        Whether all classes are OK, so that they need not be looked at.
    nodes : (3, I, J) float64
        DEM row, DEM column (counted in ``values``) and geoid height (m) every ``step`` pixels of the block.
    step : int
    height_m, flags : (n_rows, n_cols) float32, uint8
        Written.
    row_stats : (n_rows, 3) float64
        Written: lowest height, highest height (inf, -inf where a row has none), number of pixels from the DEM.
    """
    n_rows, n_cols = height_m.shape
    for r in prange(n_rows):
        i = min(r // step, nodes.shape[1] - 2)
        v = (r - i * step) / step
        from_dem = 0
        for j in range(nodes.shape[2] - 1):
            # Linear between the lattice cell's left and right side on this row: one multiply-add per coordinate.
            row0 = nodes[0, i, j] * (1.0 - v) + nodes[0, i + 1, j] * v
            row_slope = (nodes[0, i, j + 1] * (1.0 - v) + nodes[0, i + 1, j + 1] * v - row0) / step
            col0 = nodes[1, i, j] * (1.0 - v) + nodes[1, i + 1, j] * v
            col_slope = (nodes[1, i, j + 1] * (1.0 - v) + nodes[1, i + 1, j + 1] * v - col0) / step
            geoid0 = nodes[2, i, j] * (1.0 - v) + nodes[2, i + 1, j] * v
            geoid_slope = (nodes[2, i, j + 1] * (1.0 - v) + nodes[2, i + 1, j + 1] * v - geoid0) / step
            start = j * step
            stop = min(start + step, n_cols)
            if not np.isfinite(row0 + row_slope + col0 + col_slope + geoid0 + geoid_slope):
                # Off the map projection, or off the geoid.
                height_m[r, start:stop] = np.nan
                flags[r, start:stop] = NODATA
                continue
            # Kept bare, so that the compiler can keep it in vector registers: NaN marks what needs a second look.
            for c in range(start, stop):
                k = float(c - start)
                height = _interpolate_fast(values, row0 + row_slope * k, col0 + col_slope * k)
                height_m[r, c] = height + np.float32(geoid0 + geoid_slope * k)
            if all_plain:
                flags[r, start:stop] = OK
                from_dem += stop - start
                continue
            for c in range(start, stop):
                k = float(c - start)
                row = row0 + row_slope * k
                col = col0 + col_slope * k
                kind = classes[np.uint32(row + 0.5), np.uint32(col + 0.5)]
                flags[r, c] = kind
                if kind & UNUSABLE == 0:
                    from_dem += 1
                    if np.isnan(height_m[r, c]):
                        height = _interpolate_some(values, classes, row, col)
                        height_m[r, c] = height + geoid0 + geoid_slope * k
                elif kind == SEA:
                    height_m[r, c] = geoid0 + geoid_slope * k
                else:
                    height_m[r, c] = np.nan
        low = np.float32(np.inf)
        high = np.float32(-np.inf)
        for c in range(n_cols):
            height = height_m[r, c]
            low = height if height < low else low
            high = height if height > high else high
        row_stats[r, 0] = low
        row_stats[r, 1] = high
        row_stats[r, 2] = from_dem
