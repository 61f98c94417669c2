"""One detector in one band, as a camera: where its pixels look on the ground, and which pixel sees a place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import Float64Array, normal, to_earth_centred, to_geodetic
from localdev.scene.flight import Flight, momentum_frame
from localdev.scene.msi import Directions, Mountings, MsiBand, Refining, value

_CONVERGED_M, _CONVERGED_PX = 1e-7, 1e-7
"""Of the last step: Newton's are far better than that then. Seconds of a day are rounded to 1e-8 of a line."""


@dataclass(frozen=True)
class MsiCamera:
    """Maps between the detector's image of the datastrip and the ground, each point by itself, in float64.

    ``line, sample`` are 0-based, integers in the middle of pixels; between pixels directions are linear.

    Attributes
    ----------
    first_line_s : float
        GPS second of the day at which the exposure of line 0 begins.
    line_period_s : float
        Of this band.
    middle_s : float
        Of the datastrip: what refining counts from.
    """

    band: MsiBand
    detector: str
    n_lines: int
    n_samples: int
    flight: Flight
    first_line_s: float
    line_period_s: float
    middle_s: float
    directions: Directions
    mountings: Mountings
    refining: Refining

    def sight(self, line: ArrayLike, sample: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """ITRF position of the satellite, ``line.shape + (3,)``, and direction of a pixel, ``broadcast + (3,)``."""
        position, matrix = self._stand(np.asarray(line, float))
        along, across = self._tangents(np.asarray(sample, float))
        look = np.stack([along, across, np.ones_like(along)], axis=-1)
        direction = np.einsum("...ij,...j->...i", matrix, look)
        return position, direction / np.linalg.norm(direction, axis=-1, keepdims=True)

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` where lines of sight come down to a height: Newton on the distance."""
        origin, direction = self.sight(line, sample)
        origin, direction = np.broadcast_arrays(origin, direction)
        heights = np.asarray(height_m, float)
        shape = np.broadcast_shapes(direction.shape[:-1], heights.shape)
        distance = np.full(shape, 8e5)
        for _ in range(20):
            lon, lat, height = to_geodetic(origin + distance[..., None] * direction)
            step = (height - heights) / np.sum(direction * normal(lon, lat), axis=-1)
            distance = distance - step
            if float(np.abs(step).max()) < _CONVERGED_M:
                break
        lon, lat, _ = to_geodetic(origin + distance[..., None] * direction)
        return lon, lat

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points, inside the image or not: secants on the line."""
        point = to_earth_centred(lon_deg, lat_deg, height_m)
        line = np.full(point.shape[:-1], 0.5 * (self.n_lines - 1))
        for _ in range(30):
            miss, _ = self._miss(line, point)
            later, _ = self._miss(line + 1.0, point)
            step = miss / (later - miss)
            line = line - step
            if float(np.abs(step).max()) < _CONVERGED_PX:
                break
        return line, self._miss(line, point)[1]

    def _miss(self, line: Float64Array, point: Float64Array) -> tuple[Float64Array, Float64Array]:
        """How far ahead of the pixel's direction a point is seen from a line, as a tangent, and the sample."""
        position, matrix = self._stand(line)
        seen = np.linalg.solve(matrix, (point - position)[..., None])[..., 0]
        along, across = seen[..., 0] / seen[..., 2], seen[..., 1] / seen[..., 2]
        tan_x = self.directions.tan_psi_x
        left = np.clip(np.searchsorted(tan_x, -across) - 1, 0, tan_x.size - 2)
        sample = left + (-across - tan_x[left]) / (tan_x[left + 1] - tan_x[left])
        return along - self._tangents(sample)[0], sample

    def _tangents(self, sample: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Ahead and to the right."""
        tan_x, tan_y = self.directions.tan_psi_x, self.directions.tan_psi_y
        left = np.clip(np.floor(sample).astype(int), 0, tan_x.size - 2)
        part = sample - left
        return tan_y[left] + part * (tan_y[left + 1] - tan_y[left]), -(
            tan_x[left] + part * (tan_x[left + 1] - tan_x[left])
        )

    def _stand(self, line: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Position, and the matrix from the detector's frame to ITRF, in the middle of a line's exposure."""
        time = self.first_line_s + (line + 0.5) * self.line_period_s
        since = time - self.middle_s
        matrix = self.flight.to_itrf(time) @ self.mountings.to_piloting(self.band, self.detector, self.refining, since)
        position = self.flight.position(time)
        if any(any(polynomial) for polynomial in self.refining.position_m):
            moved = np.stack([value(polynomial, since) for polynomial in self.refining.position_m], axis=-1)
            velocity = self.flight.position(time + 0.5) - self.flight.position(time - 0.5)  # in a second
            position = position + np.einsum("...ij,...j->...i", momentum_frame(position, velocity), moved)
        return position, matrix
