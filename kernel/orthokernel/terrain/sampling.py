"""Values of a mosaic at scattered points, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orthokernel.terrain.bilinear import sample_points
from orthokernel.terrain.flags import NODATA
from orthokernel.terrain.mosaic import Mosaic

Float64Array = NDArray[np.float64]

_MAX_REGION_CELLS = 2**24
_MAX_FEW_POINTS_CELLS = 2**18


def sample_mosaic(
    mosaic: Mosaic, lon_deg: Float64Array, lat_deg: Float64Array
) -> tuple[Float64Array, NDArray[np.uint8]]:
    """Exact bilinear values at points.

    Parameters
    ----------
    lon_deg, lat_deg : (N,) float64

    Returns
    -------
    values : (N,) float64
        Metres; 0 where SEA, NaN where NODATA.
    classes : (N,) uint8
    """
    values = np.full(lon_deg.shape, np.nan)
    classes = np.full(lon_deg.shape, NODATA, np.uint8)
    finite = np.flatnonzero(np.isfinite(lon_deg) & np.isfinite(lat_deg))
    if finite.size:
        first = finite[:1]
        near_col = float(mosaic.rowcol(lon_deg[first], lat_deg[first], None)[1][0])
        row, col = mosaic.rowcol(lon_deg[finite], lat_deg[finite], near_col)
        mapped = np.isfinite(row) & np.isfinite(col)
        _sample_part(mosaic, row[mapped], col[mapped], finite[mapped], values, classes)
    return values, classes


def _sample_part(
    mosaic: Mosaic,
    row: Float64Array,
    col: Float64Array,
    index: NDArray[np.int64],
    values: Float64Array,
    classes: NDArray[np.uint8],
) -> None:
    if not index.size:
        return
    row0, row1 = int(np.floor(row.min())) - 1, int(np.floor(row.max())) + 3
    col0, col1 = int(np.floor(col.min())) - 1, int(np.floor(col.max())) + 3
    cells = (row1 - row0) * (col1 - col0)
    # Few points far apart: halve until each part's cells are worth assembling.
    if index.size > 1 and cells > max(_MAX_FEW_POINTS_CELLS, min(_MAX_REGION_CELLS, 64 * index.size)):
        along = row if row1 - row0 >= col1 - col0 else col
        if along.min() < along.max():
            middle = (along.min() + along.max()) / 2
            for part in (along <= middle, along > middle):
                _sample_part(mosaic, row[part], col[part], index[part], values, classes)
            return
    cell_values, cell_classes = mosaic.region(1, row0, row1, col0, col1)
    part_values = np.empty(index.size)
    part_classes = np.empty(index.size, np.uint8)
    sample_points(cell_values, cell_classes, row - row0, col - col0, part_values, part_classes)
    values[index] = part_values
    classes[index] = part_classes
