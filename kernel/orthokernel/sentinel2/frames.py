"""From the stars to the Earth: EME2000, in which attitudes are given, and ITRF, in which orbits are."""

from __future__ import annotations

from dataclasses import dataclass

import erfa
import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

_SECONDS_A_DAY = 86_400.0
_J2000_JD = 2_451_545.0
_GPS_MINUS_TAI_S, _TT_MINUS_TAI_S = -19.0, 32.184
_ARCSEC_RAD = np.pi / 180.0 / 3600.0
EARTH_RATE_RAD_S = 7.292115146706979e-5
"""Source: IERS conventions (2010), table 1.2 and equation 5.15: the rate of the Earth rotation angle by UT1."""


@dataclass(frozen=True)
class EarthOrientation:
    """How the Earth stands on the day: from the IERS, rounded to the day as ground segments use it.

    Attributes
    ----------
    ut1_minus_utc_s : float
    pole_x_arcsec, pole_y_arcsec : float
    tai_minus_utc_s : float
        Leap seconds.
    """

    ut1_minus_utc_s: float
    pole_x_arcsec: float
    pole_y_arcsec: float
    tai_minus_utc_s: float


def itrf_from_eme2000(orientation: EarthOrientation, jd_day: float, gps_s: Float64Array) -> Float64Array:
    """Matrices that turn EME2000 vectors into ITRF ones.

    IAU 2006/2000A precession and nutation by the celestial intermediate origin, without the pole's observed offsets.

    Parameters
    ----------
    orientation : EarthOrientation
    jd_day : float
        Julian date of the day's beginning, on the GPS scale.
    gps_s : (N,) float64
        GPS time of that day.

    Returns
    -------
    (N, 3, 3) float64

    Source: IERS conventions (2010), chapter 5.
    """
    tai_s = gps_s - _GPS_MINUS_TAI_S
    tt_days = (tai_s + _TT_MINUS_TAI_S) / _SECONDS_A_DAY
    ut1_days = (tai_s - orientation.tai_minus_utc_s + orientation.ut1_minus_utc_s) / _SECONDS_A_DAY
    # Precession and nutation take a tenth of a millisecond each time, and in minutes go in a straight line.
    ends = np.array([tt_days.min(), tt_days.max() + 1e-5])
    x, y, s = (np.interp(tt_days, ends, coordinate) for coordinate in erfa.xys06a(jd_day, ends))
    celestial = erfa.c2ixys(x, y, s)
    polar = erfa.pom00(
        orientation.pole_x_arcsec * _ARCSEC_RAD, orientation.pole_y_arcsec * _ARCSEC_RAD, erfa.sp00(jd_day, ends[0])
    )
    bias = erfa.bp00(_J2000_JD, 0.0)[0]  # EME2000 from GCRS
    matrices: Float64Array = erfa.c2tcio(celestial, erfa.era00(jd_day, ut1_days), polar) @ bias.T
    return matrices
