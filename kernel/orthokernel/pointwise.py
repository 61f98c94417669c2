"""The geometry of a block where no lattice can follow the model: every pixel is looked up, on the block's threads."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orthokernel.blocks import Geometry, Ground, Walk
from orthokernel.geolocation.model import GeolocationModel
from orthokernel.geolocation.places import nodes_over
from orthokernel.loop import AVERAGE, NEAREST, PAD
from orthokernel.spare import Spare

Float64Array = NDArray[np.float64]

_ARMS: Final = (0.5, 0.25, 0.125)
"""Of a block of the loop, to each side: over what length its footprint is taken; shorter where the swath ends."""


def pointwise_geometry(
    model: GeolocationModel, ground: Ground, walk: Walk, method: int, threads: int, memory: Spare[np.float64]
) -> Geometry:
    """Lines and samples of every pixel of a block, in arrays from ``memory``, and which the loop will ask for."""
    block = ground.grid
    nodes = nodes_over(block, model.index.plane)
    line, sample, lines, samples = model.locate_window(nodes, method == NEAREST, threads, memory)
    if lines[0] > lines[1]:
        return Geometry(None, (line, sample), None, (0, 0), (0, 0))
    reach = PAD + 2.0
    if method == AVERAGE:
        footprints = _footprints(model, ground, walk)
        reach += 2.0 * float(np.max(np.abs(footprints))) + 2.0
    else:
        footprints = np.zeros((*_loop_blocks(ground, walk), 4))  # nobody looks at them
    # Further measurements lie beside the grid, which only "nearest" asks for.
    n_samples = model.n_samples if method == NEAREST else model.grid_samples
    wanted = _clipped(*lines, reach, model.n_lines), _clipped(*samples, reach, n_samples)
    return Geometry(None, (line, sample), footprints, *wanted)


def _loop_blocks(ground: Ground, walk: Walk) -> tuple[int, int]:
    """Rows and columns of the blocks of the loop."""
    extent, size = ground.extent, walk.loop_block_px
    return len(range(extent.row0, extent.row1, size)), len(range(extent.col0, extent.col1, size))


def _clipped(low: float, high: float, reach: float, n: int) -> tuple[int, int]:
    return max(math.floor(low - reach), 0), min(math.ceil(high + reach) + 1, n)


def _footprints(model: GeolocationModel, ground: Ground, walk: Walk) -> Float64Array:
    """Per block of the loop dline/drow, dline/dcol, dsample/drow, dsample/dcol, from far enough apart that single
    pixels out of place hardly count; the same wherever the output ends."""
    extent, size = ground.extent, walk.loop_block_px
    row = np.arange(extent.row0, extent.row1, size)[:, None] + size / 2
    col = np.arange(extent.col0, extent.col1, size)[None, :] + size / 2
    footprints = np.full((row.shape[0], col.shape[1], 4), np.nan)
    for arm in (*(part * size for part in _ARMS), 0.5):
        for k, (d_row, d_col) in enumerate(((arm, 0.0), (0.0, arm))):
            here, after, before = (
                model.ground_to_image(*ground.grid.lonlat(row + way * d_row, col + way * d_col), 0.0)
                for way in (0, 1, -1)
            )
            for q in range(2):
                slope = (after[q] - before[q]) / (2.0 * arm)
                slope = np.where(np.isnan(slope), (after[q] - here[q]) / arm, slope)
                slope = np.where(np.isnan(slope), (here[q] - before[q]) / arm, slope)
                at = footprints[:, :, 2 * q + k]
                np.copyto(at, slope, where=np.isnan(at))
    # Off the swath: its lines and samples as they usually lie, which is along the plane's axes.
    along, across = model.index.quads.spacing
    usual = np.empty_like(footprints)
    for k, (d_row, d_col) in enumerate(((0.5, 0.0), (0.0, 0.5))):
        x1, y1 = model.index.plane.place(*ground.grid.lonlat(row + d_row, col + d_col))
        x0, y0 = model.index.plane.place(*ground.grid.lonlat(row - d_row, col - d_col))
        usual[:, :, k], usual[:, :, 2 + k] = (y1 - y0) / across, (x1 - x0) / along
    return np.nan_to_num(np.where(np.isnan(footprints), usual, footprints), posinf=0.0, neginf=0.0)
