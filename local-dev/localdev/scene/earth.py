"""How the Earth stands among the stars: EME2000, in which attitudes are told, to ITRF, in which everything else is."""

from __future__ import annotations

from dataclasses import dataclass

import erfa
import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import Float64Array

GPS_MINUS_TAI_S, TT_MINUS_TAI_S = -19.0, 32.184
_DAY_S = 86_400.0
_ARCSEC_RAD = np.pi / 648_000.0
_BIAS_ARCSEC = (-0.0068192, -0.016617, -0.0146)
"""The pole of EME2000 and its origin of right ascension, off those of the celestial reference frame: eta, xi, dalpha.

Source: IERS conventions (2010), 5.5.4, equation 5.33 and the paragraph after it.
"""


@dataclass(frozen=True)
class EarthPose:
    """What the IERS tells for the day."""

    ut1_minus_utc_s: float = -0.27381
    pole_x_arcsec: float = 0.2393
    pole_y_arcsec: float = 0.362
    gps_minus_utc_s: float = 18.0


def itrf_from_eme2000(pose: EarthPose, jd_day: float, gps_s: ArrayLike) -> Float64Array:
    """Matrices that turn EME2000 vectors into ITRF ones, shape ``gps_s.shape + (3, 3)``.

    The classical way, by the true equinox and the apparent sidereal time of IAU 2006/2000A, all of it at each moment.

    Parameters
    ----------
    jd_day : float
        Julian date at the day's beginning.
    gps_s : array_like
        GPS seconds of that day.

    Source: IERS conventions (2010), chapter 5.
    """
    tai_s = np.asarray(gps_s, float) - GPS_MINUS_TAI_S
    tt = (tai_s + TT_MINUS_TAI_S) / _DAY_S
    utc_s = np.asarray(gps_s, float) - pose.gps_minus_utc_s
    ut1 = (utc_s + pose.ut1_minus_utc_s) / _DAY_S
    to_equinox = erfa.pnm06a(jd_day, tt)
    sidereal = erfa.gst06(jd_day, ut1, jd_day, tt, to_equinox)
    polar = erfa.pom00(pose.pole_x_arcsec * _ARCSEC_RAD, pose.pole_y_arcsec * _ARCSEC_RAD, erfa.sp00(jd_day, tt))
    eta, xi, alpha = (angle * _ARCSEC_RAD for angle in _BIAS_ARCSEC)
    bias = erfa.rx(-eta, erfa.ry(xi, erfa.rz(alpha, np.eye(3))))
    return np.asarray(erfa.c2teqx(to_equinox, sidereal, polar) @ bias.T, dtype=np.float64)
