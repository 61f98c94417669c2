"""The inner loops of the terrain: bilinear heights at points, and along the rows of a block."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from orthokernel.terrain.flags import NODATA, OK, SEA, UNUSABLE

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]


_LONG_RUN_SLOPE = 0.125
"""DEM cells a pixel below which a row is filled cell by cell: runs of eight pixels and more, a vector register."""


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
def _pixels_left(position: float, slope: float) -> float:
    """How many further pixels a coordinate stays within its cell."""
    if slope > 0.0:
        return np.ceil((np.floor(position) + 1.0 - position) / slope)  # type: ignore[no-any-return]
    if slope < 0.0:
        return np.floor((position - np.floor(position)) / -slope) + 1.0  # type: ignore[no-any-return]
    return np.inf


@njit(cache=True, nogil=True, fastmath={"contract"})
def _fill_runs(
    values: Float32Array,
    row0: float,
    row_slope: float,
    col0: float,
    col_slope: float,
    geoid0: float,
    geoid_slope: float,
    out: Float32Array,
) -> None:
    """Bilinear heights along a part of a row that is much finer than the DEM.

    Its pixels come in runs within one DEM cell, where the height is a polynomial of second degree in the pixel: no
    loads and no indices in the inner loop, so that it becomes vector code. A pixel that rounding counts to the cell
    before belongs to both: the surface is continuous.
    """
    at = 0
    while at < out.size:
        row = row0 + row_slope * at
        col = col0 + col_slope * at
        i = int(row)
        j = int(col)
        left = max(1.0, min(_pixels_left(row, row_slope), _pixels_left(col, col_slope)))
        run = int(min(left, float(out.size - at)))
        base = values[i, j]
        by_col = values[i, j + 1] - base
        by_row = values[i + 1, j] - base
        by_both = values[i + 1, j + 1] - values[i + 1, j] - by_col
        u, du = np.float32(col - j), np.float32(col_slope)
        v, dv = np.float32(row - i), np.float32(row_slope)
        start = base + by_col * u + by_row * v + by_both * u * v + np.float32(geoid0 + geoid_slope * at)
        first = by_col * du + by_row * dv + by_both * (u * dv + v * du) + np.float32(geoid_slope)
        second = by_both * du * dv
        part = out[at : at + run]
        for n in range(run):
            k = np.float32(n)
            part[n] = start + k * (first + k * second)
        at += run


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
            if max(abs(row_slope), abs(col_slope)) < _LONG_RUN_SLOPE:
                _fill_runs(values, row0, row_slope, col0, col_slope, geoid0, geoid_slope, height_m[r, start:stop])
            else:
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
