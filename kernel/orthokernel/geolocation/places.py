"""Where the pixels of a map are on the plane of a swath: exactly at nodes, by cubics between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from orthokernel.geolocation.plane import Plane
from orthokernel.grid import Grid
from orthokernel.ground import anchor_of

Float64Array = NDArray[np.float64]

NODE_STEP_PX: Final = 16
"""Output pixels between nodes. A cubic is off by 3/128 of the fourth power of the step over the distance on which the
map bends, times that distance: for 300 m pixels on any map of degrees or metres well under a micrometre."""


@dataclass(frozen=True)
class Nodes:
    """Places of pixels ``(row + (i - 1) * NODE_STEP_PX, col + (j - 1) * NODE_STEP_PX)`` of a window of a map.

    ``xy`` (2, I, J) float64 on the plane; not finite off the map projection. ``row, col`` are at or before the first
    pixel.
    """

    window: Grid
    plane: Plane
    xy: Float64Array
    row: int
    col: int

    def unknown_pixels(self) -> NDArray[np.bool_] | None:
        """The window's pixels (rows, columns) that want a node which there is not; None where there are none such."""
        missing: NDArray[np.bool_] = np.any(~np.isfinite(self.xy), axis=0)
        if not missing.any():
            return None
        around: NDArray[np.bool_] = np.any(sliding_window_view(missing, (4, 4)), axis=(2, 3))
        rows = (np.arange(self.window.n_rows) - self.row) // NODE_STEP_PX
        cols = (np.arange(self.window.n_cols) - self.col) // NODE_STEP_PX
        return around[np.ix_(rows, cols)]


def nodes_over(window: Grid, plane: Plane) -> Nodes:
    """The nodes around a window, at multiples of their step on the map: windows share them."""
    anchor = anchor_of(window)
    row, col = -(anchor[0] % NODE_STEP_PX), -(anchor[1] % NODE_STEP_PX)
    rows = row + NODE_STEP_PX * np.arange(-1, (window.n_rows - 1 - row) // NODE_STEP_PX + 3)
    cols = col + NODE_STEP_PX * np.arange(-1, (window.n_cols - 1 - col) // NODE_STEP_PX + 3)
    x, y = plane.place(*window.lonlat(rows[:, None], cols[None, :]))
    return Nodes(window, plane, np.stack([x, y]), row, col)
