"""What the radar sees of the ground under a part of the output: hidden or shared, how large, under which angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orthokernel.blocks import Geometry, Ground, Walk, Window
from orthokernel.flattening.incidence import STEP_PX, local_incidence, look_nodes
from orthokernel.flattening.lookup import look_up
from orthokernel.flattening.ring import AreaArrays
from orthokernel.loop import BreakTable, SourceArrays, fill_heights, locate_part
from orthokernel.sentinel1.range_doppler import RangeDopplerModel

Float32Array = NDArray[np.float32]

_ROWS_AT_ONCE = 32  # three coordinates of 1024 columns stay in the second-level cache


@dataclass(frozen=True)
class Sight:
    """Of a part of the output, all (rows, cols).

    Attributes
    ----------
    visibility : uint8
        Bits of `orthokernel.flattening`: VISIBLE, SHADOW, LAYOVER; 0 where nothing is known.
    area : float32
        Projected over flat area of the samples around the pixel; NaN where unknown.
    """

    visibility: NDArray[np.uint8]
    area: Float32Array


def sight_of(
    part: Window,
    ground: Ground,
    geometry: Geometry,
    table: BreakTable,
    source: SourceArrays,
    areas: AreaArrays,
    walk: Walk,
    model: RangeDopplerModel,
) -> Sight:
    """Look the pixels of a part up in the areas of an image's lines."""
    shape = part[1] - part[0], part[3] - part[2]
    visibility, area = np.empty(shape, np.uint8), np.empty(shape, np.float32)
    size, held = (source.n_lines, source.n_samples), (source.line0, source.line1)
    for row in range(0, shape[0], _ROWS_AT_ONCE):
        stop = min(row + _ROWS_AT_ONCE, shape[0])
        rows = part[0] + row, part[0] + stop, part[2], part[3]
        line, sample, flat = _located(rows, ground, geometry, table, walk, model)
        look_up(line, sample, flat, size, held, source.sample0, *areas, visibility[row:stop], area[row:stop])
    return Sight(visibility, area)


def _located(
    rows: Window, ground: Ground, geometry: Geometry, table: BreakTable, walk: Walk, model: RangeDopplerModel
) -> NDArray[np.float64]:
    """Line, sample and flat sample ``(3, R, C)``."""
    out = np.empty((3, rows[1] - rows[0], rows[3] - rows[2]))
    if geometry.lattice is not None:
        lattice = geometry.lattice.arrays
        locate_part(ground.dem, rows, ground.extent.anchor, lattice, table, walk.loop_block_px, *out)
        return out
    assert geometry.exact is not None
    here = np.s_[rows[0] : rows[1], rows[2] : rows[3]]
    out[0], out[1] = geometry.exact[0][here], geometry.exact[1][here]
    every_row, every_col = np.arange(rows[0], rows[1])[:, None], np.arange(rows[2], rows[3])[None, :]
    out[2] = model.ground_to_smooth(*ground.grid.lonlat(every_row, every_col), 0.0)[1]
    return out


def incidence_of(part: Window, ground: Ground, walk: Walk, model: RangeDopplerModel) -> Float32Array:
    """Local incidence angle in degrees over a part of the output.

    Made for whole blocks of the loop, so that it does not depend on where the output ends. The DEM must reach over the
    neighbouring blocks, too (`ground_under` with one further).
    """
    size, anchor = walk.loop_block_px, ground.extent.anchor
    row0, row1, col0, col1 = part
    first_row, first_col = row0 - (row0 + anchor[0]) % size, col0 - (col0 + anchor[1]) % size
    stop_row, stop_col = row1 + -(row1 + anchor[0]) % size, col1 + -(col1 + anchor[1]) % size
    shape = stop_row - first_row, stop_col - first_col
    heights = np.empty((shape[0] + 2, shape[1] + 2), np.float32)
    flags = np.empty(heights.shape, np.uint8)
    # Counted from a pixel before the first block.
    dem = ground.dem._replace(row0=ground.dem.row0 - first_row + 1, col0=ground.dem.col0 - first_col + 1)
    moved = anchor[0] + first_row - 1, anchor[1] + first_col - 1
    fill_heights(dem, (0, heights.shape[0], 0, heights.shape[1]), moved, size, heights, flags)
    out, angles = np.empty(shape, np.float32), np.empty((size, size), np.float32)
    for row in range(0, shape[0], size):
        for col in range(0, shape[1], size):
            block = np.s_[row : row + size, col : col + size]
            where = first_row + row, first_row + row + size, first_col + col, first_col + col + size
            # Whole arrays, whatever the part's size: of views another kind would be compiled.
            around = np.ascontiguousarray(heights[row : row + size + 2, col : col + size + 2])
            local_incidence(around, look_nodes(model, ground.grid.window(*where)), STEP_PX, angles)
            out[block] = angles
    return out[row0 - first_row : row1 - first_row, col0 - first_col : col1 - first_col]
