"""Where the sun stands over the ground while a datastrip is sensed."""

from __future__ import annotations

from typing import Final

import erfa
import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.ellipsoid import ECCENTRICITY_2, SEMI_MAJOR_M
from orthokernel.sentinel2.frames import EarthOrientation, itrf_from_eme2000

Float64Array = NDArray[np.float64]

_ASTRONOMICAL_UNIT_M: Final = 149_597_870_700.0
_LIGHT_M_S: Final = 299_792_458.0
_DAY_S: Final = 86_400.0
_TT_MINUS_GPS_S: Final = 51.184
_EVERY_S: Final = 1.0
"""Positions are known so often and go in straight lines between: off by 7e-10 of the distance."""


class Sun:
    """The sun's place as it is seen from the Earth, in ITRF: apparent, with light time and aberration.

    Parameters
    ----------
    orientation : EarthOrientation
    jd_day : float
        Julian date of the day's beginning, on the GPS scale.
    gps_s : (first, last)
        GPS seconds of that day, between which it will be asked for; beyond them it stands still.
    """

    def __init__(self, orientation: EarthOrientation, jd_day: float, gps_s: tuple[float, float]) -> None:
        self._time_s = np.arange(gps_s[0], gps_s[1] + _EVERY_S, _EVERY_S)
        # The Earth around the sun, and its velocity against the stars; the dynamical time is TT to 2 ms.
        around, moving = erfa.epv00(jd_day, (self._time_s + _TT_MINUS_GPS_S) / _DAY_S)
        sun_m = -around["p"] * _ASTRONOMICAL_UNIT_M
        distance_m = np.linalg.norm(sun_m, axis=-1, keepdims=True)
        towards = sun_m / distance_m + moving["v"] * (_ASTRONOMICAL_UNIT_M / _DAY_S / _LIGHT_M_S)
        towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
        to_itrf = itrf_from_eme2000(orientation, jd_day, self._time_s)
        self._position_m: Float64Array = np.einsum("nij,nj->ni", to_itrf, towards * distance_m)

    def cosine(self, lon_deg: ArrayLike, lat_deg: ArrayLike, gps_s: ArrayLike) -> Float64Array:
        """Of the sun's zenith angle, from the ellipsoid's normal, at places on the ellipsoid; broadcast.

        Without refraction, as reflectance is defined.
        """
        lon, lat = np.radians(np.asarray(lon_deg, float)), np.radians(np.asarray(lat_deg, float))
        normal = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0.0 * lon], axis=-1)
        radius_m = SEMI_MAJOR_M / np.sqrt(1.0 - ECCENTRICITY_2 * np.sin(lat) ** 2)
        ground_m = normal * np.stack([radius_m, radius_m, radius_m * (1.0 - ECCENTRICITY_2)], axis=-1)
        time_s = np.asarray(gps_s, float)
        sun_m = np.stack([np.interp(time_s, self._time_s, axis) for axis in self._position_m.T], axis=-1) - ground_m
        cosine: Float64Array = np.sum(normal * sun_m, axis=-1) / np.linalg.norm(sun_m, axis=-1)
        return cosine
