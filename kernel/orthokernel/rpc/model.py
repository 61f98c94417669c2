"""The RPC sensor model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.rpc import polynomial
from orthokernel.rpc.coefficients import RpcCoefficients
from orthokernel.sensor import BreakLines, within
from orthokernel.terrain.sight import first_hit

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]


class RpcModel:
    """Rational polynomials from ground to image (a `SensorModel`).

    Parameters
    ----------
    coefficients : RpcCoefficients
        For this image: a crop's offset already taken off (`RpcCoefficients.rebased`).
    n_lines, n_samples : int
        Size of the image.
    """

    def __init__(self, coefficients: RpcCoefficients, n_lines: int, n_samples: int) -> None:
        self.coefficients = coefficients
        self.n_lines = n_lines
        self.n_samples = n_samples
        self._polynomials = coefficients.polynomials()
        self._normalisation = coefficients.normalisation()

    @property
    def height_support_m(self) -> tuple[float, float] | None:
        """None: coefficients are fitted for the heights of one place."""
        return None

    @property
    def break_lines(self) -> BreakLines | None:
        """None: rational polynomials are smooth."""
        return None

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points; NaN outside the image."""
        line, sample = self.ground_to_smooth(lon_deg, lat_deg, height_m)
        return within(line, sample, self.n_lines, self.n_samples)

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points, inside the image or not; NaN beyond `polynomial.MAX_NORMALISED`."""
        (lon, lat, height), shape = _flat(lon_deg, lat_deg, height_m)
        line, sample = np.empty_like(lon), np.empty_like(lon)
        polynomial.ground_to_image(self._polynomials, self._normalisation, lon, lat, height, line, sample)
        return line.reshape(shape), sample.reshape(shape)

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of image points at ellipsoidal heights, by Newton; NaN where there is no answer."""
        (lines, samples, height), shape = _flat(line, sample, height_m)
        lon, lat = np.empty_like(lines), np.empty_like(lines)
        polynomial.image_to_ground(self._polynomials, self._normalisation, lines, samples, height, lon, lat)
        return lon.reshape(shape), lat.reshape(shape)

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """``lon_deg, lat_deg, height_m`` where the line of sight first meets the terrain, from above.

        NaN where it meets none: the terrain has no height there.
        """
        return first_hit(self.image_to_ground, line, sample, terrain)


def _flat(*values: ArrayLike) -> tuple[tuple[Float64Array, ...], tuple[int, ...]]:
    arrays = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in values])
    return tuple(np.ascontiguousarray(a).reshape(-1) for a in arrays), arrays[0].shape
