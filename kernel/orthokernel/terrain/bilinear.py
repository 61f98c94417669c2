"""The inner loop of the terrain: bilinear heights at points."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from orthokernel.terrain.flags import NODATA, SEA, UNUSABLE

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]


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
