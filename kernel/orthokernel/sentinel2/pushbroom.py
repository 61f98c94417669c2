"""The rigorous sensor model of Sentinel-2 level 1B."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.sensor import BreakLines, within
from orthokernel.sentinel2 import solver
from orthokernel.sentinel2.table import LineTable
from orthokernel.terrain.sight import first_hit

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]


class PushbroomModel:
    """Maps ground to image and back for one band of one detector; a `SensorModel`.

    Lines are those of the detector's image of the whole datastrip, 0-based.

    Parameters
    ----------
    table : LineTable
        Reaches beyond the image at both ends.
    lines : (first, stop)
        The lines that there are; others are outside the image.
    """

    def __init__(self, table: LineTable, lines: tuple[int, int]) -> None:
        self.first_line, self.n_lines = lines[0], lines[1] - lines[0]
        self.n_samples = table.tan_along.size
        self._table = table

    @property
    def height_support_m(self) -> tuple[float, float]:
        """All of the Earth: parallax is all that depends on height."""
        return -500.0, 9000.0

    def from_first_line(self) -> PushbroomModel:
        """The same, its lines counted from the first that there is."""
        table = self._table._replace(first_line=self._table.first_line - self.first_line)
        return PushbroomModel(table, (0, self.n_lines))

    @property
    def table(self) -> LineTable:
        """What it is evaluated from."""
        return self._table

    @property
    def break_lines(self) -> BreakLines | None:
        """None: see `orthokernel.sentinel2.steady` for what a lattice can follow."""
        return None

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points; NaN outside the image. See `SensorModel`."""
        line, sample = self.ground_to_smooth(lon_deg, lat_deg, height_m)
        return within(line, sample, self.n_lines, self.n_samples, self.first_line)

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points, inside the image or not. See `SensorModel`."""
        return self._solve(solver.ground_to_image, lon_deg, lat_deg, height_m)

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of image points at ellipsoidal heights. See `SensorModel`."""
        return self._solve(solver.image_to_ground, line, sample, height_m)

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """``lon_deg, lat_deg, height_m`` where the line of sight first meets the terrain, from above."""
        return first_hit(self.image_to_ground, line, sample, terrain)

    def _solve(self, solve: object, *values: ArrayLike) -> tuple[Float64Array, Float64Array]:
        arrays = np.broadcast_arrays(*[np.asarray(one, np.float64) for one in values])
        flat = [np.ascontiguousarray(one).reshape(-1) for one in arrays]
        out = np.empty((2, flat[0].size))
        solve(self._table, *flat, out)  # type: ignore[operator]  # a compiled function
        first, second = out.reshape(2, *arrays[0].shape)
        return first, second
