"""Points on and above the WGS 84 ellipsoid, compiled: for the solvers of the sensor models.

A change here is not noticed by numba's disk cache of those solvers: it would have to be emptied by hand.
"""

from __future__ import annotations

import math

from numba import njit

SEMI_MAJOR_M = 6378137.0
FLATTENING = 1.0 / 298.257223563
"""WGS 84. Source: NGA.STND.0036, table 3.1."""

SEMI_MINOR_M = SEMI_MAJOR_M * (1.0 - FLATTENING)
ECCENTRICITY_2 = FLATTENING * (2.0 - FLATTENING)
SECOND_ECCENTRICITY_2 = ECCENTRICITY_2 / (1.0 - ECCENTRICITY_2)

_inner = njit(error_model="numpy", nogil=True)


@_inner
def geodetic_to_ecef(lon_deg: float, lat_deg: float, height_m: float) -> tuple[float, float, float]:
    """``x, y, z`` in metres. Source: NGA.STND.0036, equation 4-14."""
    lon_rad = math.radians(lon_deg)
    lat_rad = math.radians(lat_deg)
    sin_lat = math.sin(lat_rad)
    cos_lat = math.cos(lat_rad)
    normal_m = SEMI_MAJOR_M / math.sqrt(1.0 - ECCENTRICITY_2 * sin_lat * sin_lat)
    axis_m = (normal_m + height_m) * cos_lat
    z_m = (normal_m * (1.0 - ECCENTRICITY_2) + height_m) * sin_lat
    return axis_m * math.cos(lon_rad), axis_m * math.sin(lon_rad), z_m


@_inner
def height_and_normal(x_m: float, y_m: float, z_m: float) -> tuple[float, float, float, float]:
    """Ellipsoidal height, sine of latitude, and the normal's components along the axis and along z.

    Bowring's closed form, applied twice: exact to well under a micrometre from -10 km to orbit, without trigonometry.
    The outward normal of the ellipsoid, ``(cos_lat * x / p, cos_lat * y / p, sin_lat)``, is the gradient of height.

    Returns
    -------
    height_m, sin_lat, cos_lat, p_m : float
        ``p_m`` is the distance from the axis.

    Source: B. R. Bowring, "Transformation from spatial to geographical coordinates", Survey Review 23 (1976).
    """
    p_m = math.sqrt(x_m * x_m + y_m * y_m)
    # reduced latitude beta as sine and cosine
    sin_beta = z_m * SEMI_MAJOR_M
    cos_beta = p_m * SEMI_MINOR_M
    sin_lat = 0.0
    cos_lat = 1.0
    for _ in range(2):
        length = math.sqrt(sin_beta * sin_beta + cos_beta * cos_beta)
        sin_beta /= length
        cos_beta /= length
        sin_lat = z_m + SECOND_ECCENTRICITY_2 * SEMI_MINOR_M * sin_beta**3
        cos_lat = p_m - ECCENTRICITY_2 * SEMI_MAJOR_M * cos_beta**3
        length = math.sqrt(sin_lat * sin_lat + cos_lat * cos_lat)
        sin_lat /= length
        cos_lat /= length
        sin_beta = (1.0 - FLATTENING) * sin_lat
        cos_beta = cos_lat
    # p cos + z sin - a^2/N holds at the poles too, where p / cos_lat - N does not
    radius_m = SEMI_MAJOR_M * math.sqrt(1.0 - ECCENTRICITY_2 * sin_lat * sin_lat)
    return p_m * cos_lat + z_m * sin_lat - radius_m, sin_lat, cos_lat, p_m


@_inner
def ecef_to_lonlat(x_m: float, y_m: float, z_m: float) -> tuple[float, float]:
    """``lon_deg, lat_deg``; longitude in (-180, 180]."""
    _, sin_lat, cos_lat, _ = height_and_normal(x_m, y_m, z_m)
    return math.degrees(math.atan2(y_m, x_m)), math.degrees(math.atan2(sin_lat, cos_lat))
