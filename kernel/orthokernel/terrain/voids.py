"""Averaging cells, and filling the holes of a DEM from their rims."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from orthokernel.terrain.flags import FILLED, NODATA, OK, SEA

FILL_REACH = 64
"""Cells a rim may be away (2 km of a 30 m DEM). Wider holes keep a NODATA core: nothing near says how high it is."""
_MIN_RIMS = 3
_RAYS = np.array([(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)], np.int64)


def fill_voids(
    values: NDArray[np.float32], classes: NDArray[np.uint8], margin: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Fill NODATA cells from what eight rays meet within `FILL_REACH` cells, weighted by inverse square distance.

    A cell with fewer than three rims in reach stays NODATA. Sea stops a ray.

    Parameters
    ----------
    values : (R, C) float32
    classes : (R, C) uint8
    margin : int
        Rows and columns on each side that only serve to fill the rest.

    Returns
    -------
    values, classes : (R - 2 margin, C - 2 margin)
    """
    rows, cols = values.shape
    out_values = values[margin : rows - margin, margin : cols - margin].copy()
    out_classes = classes[margin : rows - margin, margin : cols - margin].copy()
    _fill(values, classes, margin, _RAYS, out_values, out_classes)
    return out_values, out_classes


@njit(cache=True, nogil=True, parallel=True)
def _fill(
    values: NDArray[np.float32],
    classes: NDArray[np.uint8],
    margin: int,
    rays: NDArray[np.int64],
    out_values: NDArray[np.float32],
    out_classes: NDArray[np.uint8],
) -> None:
    n_rows, n_cols = values.shape
    for i in prange(out_values.shape[0]):
        for j in range(out_values.shape[1]):
            if out_classes[i, j] != NODATA:
                continue
            total = 0.0
            weights = 0.0
            rims = 0
            for k in range(rays.shape[0]):
                length = np.sqrt(float(rays[k, 0] ** 2 + rays[k, 1] ** 2))
                for step in range(1, FILL_REACH + 1):
                    r = i + margin + step * rays[k, 0]
                    c = j + margin + step * rays[k, 1]
                    if r < 0 or c < 0 or r >= n_rows or c >= n_cols or classes[r, c] == SEA:
                        break
                    if classes[r, c] == OK:
                        weight = 1.0 / (step * length) ** 2
                        total += weight * values[r, c]
                        weights += weight
                        rims += 1
                        break
            if rims >= _MIN_RIMS:
                out_values[i, j] = total / weights
                out_classes[i, j] = FILLED


@njit(cache=True, nogil=True, parallel=True)
def average_cells(
    fine: NDArray[np.float32], level: int, values: NDArray[np.float32], classes: NDArray[np.uint8]
) -> None:
    """Mean of each ``level x level`` square of cells, where at least half have a height.

    Parameters
    ----------
    fine : (R * level, C * level) float32
        NaN for a void, +inf where there is no raster.
    values : (R, C) float32
    classes : (R, C) uint8
        Written: SEA where most of the square has no raster, NODATA where most of the rest is void.
    """
    for i in prange(values.shape[0]):
        for j in range(values.shape[1]):
            total = 0.0
            sea = 0
            valid = 0
            for r in range(i * level, (i + 1) * level):
                for c in range(j * level, (j + 1) * level):
                    v = fine[r, c]
                    if v == np.inf:
                        sea += 1
                    elif v == v:  # noqa: PLR0124 - not NaN
                        total += v
                        valid += 1
            if 2 * sea > level * level:
                values[i, j] = np.nan
                classes[i, j] = SEA
            elif 2 * valid < level * level - sea or valid == 0:
                values[i, j] = np.nan
                classes[i, j] = NODATA
            else:
                values[i, j] = total / valid
                classes[i, j] = OK
