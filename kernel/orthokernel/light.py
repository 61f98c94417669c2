"""The sun's light on the ground: by what reflectance is divided, pixel by pixel.

The cosine of the sun's zenith angle is laid on nodes at multiples of a step on the map, so that images that share
pixels agree, and goes in straight lines between them. Nodes are at most 5 km apart, and it bends with the Earth's
radius: that is within 8e-8.
"""

# numba infers the types of what it compiles
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.grid import Grid
from orthokernel.ground import extent_of

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Cosine = Callable[[Float64Array, Float64Array], Float64Array]
"""Of the sun's zenith angle, at the moment a place was seen: from ``lon_deg, lat_deg``, arrays of one shape."""

_LARGEST_STEP_PX: Final = 64
_LARGEST_STEP_M: Final = 5_000.0


@dataclass(frozen=True)
class Light:
    """What is still to be done to the pixels of a layer when they come from the loop.

    ``value = pixel / cosine``, and the number of a file is ``(value - shift) / scale``.
    """

    cosine: Cosine
    scale: float = 1.0
    shift: float = 0.0


class LightNodes(NamedTuple):
    """The cosine around a window: at row ``row0 + i * step_px`` and column ``col0 + j * step_px`` of it."""

    row0: int
    col0: int
    step_px: int
    cosine: Float64Array


def light_over(light: Light, window: Grid) -> LightNodes:
    """Nodes around all pixels of a window of the output."""
    step = _LARGEST_STEP_PX
    while step > 1 and step * window.spacing_m > _LARGEST_STEP_M:
        step //= 2
    extent = extent_of(window, 1)
    rows, cols = extent.rows(step), extent.cols(step)
    lon, lat = window.lonlat(rows[:, None], cols[None, :])
    return LightNodes(int(rows[0]), int(cols[0]), step, light.cosine(lon, lat))


@njit(cache=True, nogil=True, error_model="numpy")
def under_light(values, row0, col0, nodes, scale, shift):
    """Divide by the cosine, in place; where the sun is not above the horizon there is no data.

    Parameters
    ----------
    values : (bands, rows, cols) float32
        Of a part of a window.
    row0, col0 : int
        Of the window, where the part begins.
    nodes : LightNodes
    scale, shift : float
        See `Light`.
    """
    step = nodes.step_px
    for i in range(values.shape[1]):
        k = (row0 + i - nodes.row0) // step
        down = (row0 + i - nodes.row0 - k * step) / step
        for j in range(values.shape[2]):
            m = (col0 + j - nodes.col0) // step
            right = (col0 + j - nodes.col0 - m * step) / step
            upper = nodes.cosine[k, m] + right * (nodes.cosine[k, m + 1] - nodes.cosine[k, m])
            lower = nodes.cosine[k + 1, m] + right * (nodes.cosine[k + 1, m + 1] - nodes.cosine[k + 1, m])
            cosine = upper + down * (lower - upper)
            for band in range(values.shape[0]):
                if cosine > 0.0:
                    values[band, i, j] = (values[band, i, j] / cosine - shift) / scale
                else:
                    values[band, i, j] = np.nan
