"""WGS 84: geodetic coordinates to Earth-centred ones and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

SEMI_MAJOR_M = 6378137.0  # WGS 84, NIMA TR8350.2
FLATTENING = 1.0 / 298.257223563
SEMI_MINOR_M = SEMI_MAJOR_M * (1.0 - FLATTENING)
ECCENTRICITY_SQUARED = FLATTENING * (2.0 - FLATTENING)
EARTH_ROTATION_RAD_S = 7.292115e-5
SPEED_OF_LIGHT_M_S = 299792458.0


def normal(lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
    """Outward unit normal of the ellipsoid, shape ``broadcast + (3,)``."""
    lon, lat = np.broadcast_arrays(np.radians(lon_deg), np.radians(lat_deg))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def to_earth_centred(lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike) -> Float64Array:
    """Earth-centred, Earth-fixed position in metres, shape ``broadcast + (3,)``."""
    lon, lat, height = np.broadcast_arrays(np.radians(lon_deg), np.radians(lat_deg), np.asarray(height_m, float))
    prime_vertical = SEMI_MAJOR_M / np.sqrt(1.0 - ECCENTRICITY_SQUARED * np.sin(lat) ** 2)
    across = (prime_vertical + height) * np.cos(lat)
    return np.stack(
        [
            across * np.cos(lon),
            across * np.sin(lon),
            (prime_vertical * (1.0 - ECCENTRICITY_SQUARED) + height) * np.sin(lat),
        ],
        axis=-1,
    )


def to_geodetic(position_m: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """``lon_deg, lat_deg, height_m`` of positions ``(..., 3)`` near the Earth's surface or in low orbit.

    Bowring's parametric-latitude iteration; three rounds reach rounding error up to orbital heights.
    Source: B. R. Bowring, "Transformation from spatial to geographical coordinates", Survey Review 181, 1976.
    """
    x, y, z = position_m[..., 0], position_m[..., 1], position_m[..., 2]
    across = np.hypot(x, y)
    second = ECCENTRICITY_SQUARED / (1.0 - ECCENTRICITY_SQUARED)
    reduced = np.arctan2(z, across * (1.0 - FLATTENING))
    lat = reduced
    for _ in range(3):
        lat = np.arctan2(
            z + second * SEMI_MINOR_M * np.sin(reduced) ** 3,
            across - ECCENTRICITY_SQUARED * SEMI_MAJOR_M * np.cos(reduced) ** 3,
        )
        reduced = np.arctan2((1.0 - FLATTENING) * np.sin(lat), np.cos(lat))
    height = (
        across * np.cos(lat) + z * np.sin(lat) - SEMI_MAJOR_M * np.sqrt(1.0 - ECCENTRICITY_SQUARED * np.sin(lat) ** 2)
    )
    return np.degrees(np.arctan2(y, x)), np.degrees(lat), height
