"""A painted ground: a sum of waves none of which is finer than the camera resolves, known at every point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.jit import jit

WAVES = 16
FINEST_PX, COARSEST_PX = 5.0, 400.0
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class Texture:
    """Brightness of the ground as a function of longitude and latitude alone.

    Attributes
    ----------
    waves : (4, W) float64
        Radians per degree of longitude and of latitude, phase in radians, amplitude in digital numbers.
    """

    lon_deg: float
    lat_deg: float
    mean: float
    waves: Float64Array

    def value(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
        """Digital number, without rounding, of ground points."""
        lon, lat = np.broadcast_arrays(np.asarray(lon_deg, float), np.asarray(lat_deg, float))
        flat = np.array(
            [
                brightness(x, y, self.mean, self.waves)
                for x, y in zip((lon - self.lon_deg).ravel(), (lat - self.lat_deg).ravel(), strict=True)
            ]
        )
        return flat.reshape(lon.shape)


@jit
def brightness(east_deg: float, north_deg: float, mean: float, waves: Float64Array) -> float:
    """Sum of the waves at an offset from the texture's origin."""
    total = mean
    for k in range(waves.shape[1]):
        total += waves[3, k] * np.sin(waves[0, k] * east_deg + waves[1, k] * north_deg + waves[2, k])
    return total


def make_texture(
    lon_deg: float, lat_deg: float, gsd_m: float, seed: int, *, mean: float = 900.0, deviation: float = 170.0
) -> Texture:
    """Waves in all directions, from ``FINEST_PX`` to ``COARSEST_PX`` pixels long, the longer ones stronger."""
    random = np.random.default_rng([seed, 5])
    length = gsd_m * np.geomspace(FINEST_PX, COARSEST_PX, WAVES)
    turn = random.uniform(0.0, 2.0 * np.pi, WAVES)
    phase = random.uniform(0.0, 2.0 * np.pi, WAVES)
    amplitude = length**0.35
    amplitude *= deviation / np.sqrt(0.5 * np.sum(amplitude**2))
    east = 2.0 * np.pi / length * np.cos(turn) * METRES_PER_DEGREE * np.cos(np.radians(lat_deg))
    north = 2.0 * np.pi / length * np.sin(turn) * METRES_PER_DEGREE
    return Texture(lon_deg, lat_deg, mean, np.stack([east, north, phase, amplitude]))
