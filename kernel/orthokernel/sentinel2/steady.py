"""The rigorous model in two parts: a satellite that stands steady, and what its shaking moves in the image.

A real platform shakes by microradians many times a second, and ESA's processing samples that in steps of a tenth of a
second, with joints of up to 0.02 px. A lattice over the map would have to have nodes every few metres to follow. The
steady part, a polynomial of time, it follows with nodes kilometres apart; shaking depends on the line, hardly on the
sample and not on the ground, so it goes into a table by line that the loop adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.sensor import BreakLines
from orthokernel.sentinel2.pushbroom import PushbroomModel
from orthokernel.sentinel2.table import LineTable

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]

_ROWS_A_RECORD: Final = 4
"""Of the table of positions and attitudes, 6 ms: shaking is straight so long to less than a thousandth of a pixel."""
_ROWS_A_DEGREE: Final = 1_200
"""Two seconds."""
_LARGEST_DEGREE: Final = 12
_BEYOND_ROWS: Final = 300
_SAMPLES: Final = 3
_HEIGHT_M: Final = 500.0
_NOTHING_PX: Final = 5e-4


class SteadyModel:
    """A `SensorModel` that is the exact one, in a way that a lattice can follow. Lines count from 0.

    Parameters
    ----------
    exact : PushbroomModel
        See `PushbroomModel.from_first_line`.
    """

    def __init__(self, exact: PushbroomModel) -> None:
        self.n_lines, self.n_samples = exact.n_lines, exact.n_samples
        self._exact = exact
        steady = PushbroomModel(_steadied(exact), (0, exact.n_lines))
        shaking = _shaking(exact, steady)
        still = max(shaking.reach_px) < _NOTHING_PX
        self._steady = exact if still else steady
        self._break_lines = None if still else shaking

    @property
    def height_support_m(self) -> tuple[float, float]:
        """See `PushbroomModel`."""
        return self._exact.height_support_m

    @property
    def break_lines(self) -> BreakLines | None:
        """What shaking adds; None where there is next to none."""
        return self._break_lines

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """As the exact model."""
        return self._exact.ground_to_image(lon_deg, lat_deg, height_m)

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """As a satellite that does not shake would see it."""
        return self._steady.ground_to_smooth(lon_deg, lat_deg, height_m)

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """As the exact model."""
        return self._exact.image_to_ground(line, sample, height_m)

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """As the exact model."""
        return self._exact.image_to_terrain(line, sample, terrain)


def _steadied(exact: PushbroomModel) -> LineTable:
    """The table with the turns of the satellite as polynomials of time. They need not be pure turns: what they are off
    is in the shaking."""
    table = exact.table
    n_rows = table.to_itrf.shape[0]
    degree = min(3 + n_rows // _ROWS_A_DEGREE, _LARGEST_DEGREE, max(1, n_rows // 8))
    time = np.linspace(-1.0, 1.0, n_rows)
    fitted = np.polynomial.chebyshev.chebfit(time, table.to_itrf.reshape(n_rows, 9), degree)
    values = np.polynomial.chebyshev.chebval(time, fitted).T.reshape(n_rows, 3, 3)
    to_itrf = np.ascontiguousarray(values, np.float64)
    return table._replace(to_itrf=to_itrf, from_itrf=np.ascontiguousarray(np.linalg.inv(to_itrf)))


def _shaking(exact: PushbroomModel, steady: PushbroomModel) -> BreakLines:
    table = exact.table
    first, last = table.first_line, table.first_line + (table.position_m.shape[0] - 1) / table.rows_per_line
    beyond = _BEYOND_ROWS / table.rows_per_line
    first, last = max(first, -beyond), min(last, exact.n_lines + beyond)
    line = np.arange(first, last, _ROWS_A_RECORD / table.rows_per_line)
    step = (exact.n_samples - 1) / (_SAMPLES - 1)
    sample = np.arange(_SAMPLES) * step
    ground = steady.image_to_ground(line[:, None], sample[None, :], _HEIGHT_M)
    seen_line, seen_sample = exact.ground_to_smooth(*ground, _HEIGHT_M)
    return BreakLines(line, 0.0, step, seen_sample - sample, "linear", seen_line - line[:, None])
