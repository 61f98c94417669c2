"""Where the pixels of a block lie in the DEM: a lattice of nodes, refined until it is as good as the projection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from orthokernel.grid import Grid

Float64Array = NDArray[np.float64]

COORDINATE_TOLERANCE_CELLS = 0.01
GEOID_TOLERANCE_M = 0.01
_COARSEST_STEP = 128

Exact = Callable[[Float64Array, Float64Array], Float64Array]


def refined_nodes(grid: Grid, exact: Exact) -> tuple[Float64Array, int]:
    """Nodes over a block, dense enough that bilinear interpolation agrees with the exact coordinates.

    Agreement is tested at the centre of every lattice cell: 0.01 DEM cells, and 1 cm of geoid. A block where no lattice
    will do (it holds a pole of a geographic DEM) ends at a node a pixel, which is exact.

    Parameters
    ----------
    grid : Grid
        The block.
    exact : callable
        From pixel rows and columns of the block (broadcast, fractions) to ``(3, …)``: DEM row, DEM column, geoid (m).

    Returns
    -------
    nodes : (3, I, J) float64
    step : int
        Pixels between nodes.
    """
    step = _COARSEST_STEP
    while True:
        rows, cols = _positions(grid.n_rows, step), _positions(grid.n_cols, step)
        nodes = exact(rows[:, None], cols[None, :])
        if step == 1 or _good_enough(nodes, exact, rows, cols):
            return nodes, step
        step //= 2


def _positions(n: int, step: int) -> Float64Array:
    # Up to or beyond n, not n - 1: a last node on the last pixel would leave that pixel to no lattice cell.
    return np.arange(-(-n // step) + 1, dtype=np.float64) * step


def _good_enough(nodes: Float64Array, exact: Exact, rows: Float64Array, cols: Float64Array) -> bool:
    middle = exact((rows[:-1] + rows[1:])[:, None] / 2, (cols[:-1] + cols[1:])[None, :] / 2)
    between = (nodes[:, :-1, :-1] + nodes[:, :-1, 1:] + nodes[:, 1:, :-1] + nodes[:, 1:, 1:]) / 4
    error = np.abs(between - middle)
    both_missing = np.isnan(between) & np.isnan(middle)
    limits = np.array([COORDINATE_TOLERANCE_CELLS, COORDINATE_TOLERANCE_CELLS, GEOID_TOLERANCE_M])[:, None, None]
    return bool(np.all((error < limits) | both_missing))
