"""The sensor model of an image that lies on a map already: lines and samples are rows and columns of its grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.grid import Grid
from orthokernel.sensor import BreakLines, within

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]

_ANY_HEIGHT_M = (-500.0, 9000.0)


class MapModel:
    """See `orthokernel.sensor.SensorModel`; heights decide nothing.

    Parameters
    ----------
    grid : Grid
        Of the image's pixels.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.n_lines, self.n_samples = grid.shape

    @property
    def height_support_m(self) -> tuple[float, float]:
        """Any."""
        return _ANY_HEIGHT_M

    @property
    def break_lines(self) -> BreakLines | None:
        """None."""
        return None

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points; NaN outside ``[-0.5, n - 0.5]``."""
        return within(*self.ground_to_smooth(lon_deg, lat_deg, height_m), self.n_lines, self.n_samples)

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points; NaN where the map projection ends."""
        line, sample = self.grid.rowcol(lon_deg, lat_deg)
        known = np.isfinite(line) & np.isfinite(sample)
        line, sample = np.where(known, line, np.nan), np.where(known, sample, np.nan)
        line, sample, _ = np.broadcast_arrays(line, sample, np.asarray(height_m, np.float64))
        return line.copy(), sample.copy()

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of image points."""
        lon_deg, lat_deg = self.grid.lonlat(line, sample)
        lon_deg, lat_deg, _ = np.broadcast_arrays(lon_deg, lat_deg, np.asarray(height_m, np.float64))
        return lon_deg.copy(), lat_deg.copy()

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """``lon_deg, lat_deg, height_m``: the terrain at the point's place on the map."""
        lon_deg, lat_deg = self.grid.lonlat(line, sample)
        return lon_deg, lat_deg, terrain.heights(lon_deg, lat_deg)[0]
