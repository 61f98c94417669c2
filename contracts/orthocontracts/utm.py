"""Universal Transverse Mercator in pure Python, for planners that carry no projection library.

Source: C. F. F. Karney, "Transverse Mercator with an accuracy of a few nanometers", J. Geodesy 85 (2011) 475-485:
the Krüger series to order n^6, equations (7) to (36). Within a few nanometres where UTM is used.
"""

from __future__ import annotations

import math
from typing import Final

WGS84_SEMI_MAJOR_AXIS_M: Final = 6378137.0
WGS84_FLATTENING: Final = 1 / 298.257223563
UTM_SCALE: Final = 0.9996
FALSE_EASTING_M: Final = 500_000.0
FALSE_NORTHING_SOUTH_M: Final = 10_000_000.0

_N: Final = WGS84_FLATTENING / (2 - WGS84_FLATTENING)
_ECCENTRICITY: Final = math.sqrt(WGS84_FLATTENING * (2 - WGS84_FLATTENING))
# Radius of the rectifying sphere, Karney (14).
_RECTIFYING_RADIUS_M: Final = WGS84_SEMI_MAJOR_AXIS_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64 + _N**6 / 256)

# Karney (35): conformal to rectifying latitude.
_ALPHA: Final = (
    _N / 2 - 2 / 3 * _N**2 + 5 / 16 * _N**3 + 41 / 180 * _N**4 - 127 / 288 * _N**5 + 7891 / 37800 * _N**6,
    13 / 48 * _N**2 - 3 / 5 * _N**3 + 557 / 1440 * _N**4 + 281 / 630 * _N**5 - 1983433 / 1935360 * _N**6,
    61 / 240 * _N**3 - 103 / 140 * _N**4 + 15061 / 26880 * _N**5 + 167603 / 181440 * _N**6,
    49561 / 161280 * _N**4 - 179 / 168 * _N**5 + 6601661 / 7257600 * _N**6,
    34729 / 80640 * _N**5 - 3418889 / 1995840 * _N**6,
    212378941 / 319334400 * _N**6,
)
# Karney (36): rectifying to conformal latitude.
_BETA: Final = (
    _N / 2 - 2 / 3 * _N**2 + 37 / 96 * _N**3 - 1 / 360 * _N**4 - 81 / 512 * _N**5 + 96199 / 604800 * _N**6,
    1 / 48 * _N**2 + 1 / 15 * _N**3 - 437 / 1440 * _N**4 + 46 / 105 * _N**5 - 1118711 / 3870720 * _N**6,
    17 / 480 * _N**3 - 37 / 840 * _N**4 - 209 / 4480 * _N**5 + 5569 / 90720 * _N**6,
    4397 / 161280 * _N**4 - 11 / 504 * _N**5 - 830251 / 7257600 * _N**6,
    4583 / 161280 * _N**5 - 108847 / 3991680 * _N**6,
    20648693 / 638668800 * _N**6,
)


def central_meridian_deg(zone: int) -> float:
    """Longitude of the middle of UTM zone 1 to 60, degrees."""
    return -183.0 + 6.0 * zone


def utm_zone(lon_deg: float, lat_deg: float) -> int:
    """UTM zone of a point, with the exceptions of south-west Norway (32V) and Svalbard (31X, 33X, 35X, 37X).

    Source: NGA.STND.0037, "Universal Grids and Grid Reference Systems" (2014), 3-2 and figure 4.
    """
    lon_deg = (lon_deg + 180.0) % 360.0 - 180.0
    if 56.0 <= lat_deg < 64.0 and 3.0 <= lon_deg < 12.0:
        return 32
    if lat_deg >= 72.0 and 0.0 <= lon_deg < 42.0:
        return 31 if lon_deg < 9.0 else 33 if lon_deg < 21.0 else 35 if lon_deg < 33.0 else 37
    return min(60, int((lon_deg + 180.0) // 6.0) + 1)


_MOST_ETA = 2.5


def utm_forward(lon_deg: float, lat_deg: float, zone: int, *, south: bool) -> tuple[float, float]:
    """Easting and northing, in metres, of a WGS 84 point in the given zone (also outside its six degrees).

    ``south`` adds the false northing of the EPSG:327xx systems. Source: Karney (2011), (7) to (11).
    """
    lam = math.radians((lon_deg - central_meridian_deg(zone) + 180.0) % 360.0 - 180.0)
    phi = math.radians(lat_deg)
    tau = math.tan(phi)
    sigma = math.sinh(_ECCENTRICITY * math.atanh(_ECCENTRICITY * tau / math.hypot(1.0, tau)))
    tau_conformal = tau * math.hypot(1.0, sigma) - sigma * math.hypot(1.0, tau)
    xi_sphere = math.atan2(tau_conformal, math.cos(lam))
    eta_sphere = math.asinh(math.sin(lam) / math.hypot(tau_conformal, math.cos(lam)))
    xi, eta = xi_sphere, eta_sphere
    for j, alpha in enumerate(_ALPHA, start=1):
        xi += alpha * math.sin(2 * j * xi_sphere) * math.cosh(2 * j * eta_sphere)
        eta += alpha * math.cos(2 * j * xi_sphere) * math.sinh(2 * j * eta_sphere)
    radius_m = UTM_SCALE * _RECTIFYING_RADIUS_M
    northing_m = radius_m * xi + (FALSE_NORTHING_SOUTH_M if south else 0.0)
    return FALSE_EASTING_M + radius_m * eta, northing_m


def utm_inverse(easting_m: float, northing_m: float, zone: int, *, south: bool) -> tuple[float, float]:
    """Longitude (in [-180, 180)) and latitude, in degrees, of a point of the given zone; NaN where none is there.

    That is beyond a turn along the meridian, and some 16,000 km from it: further out the series is of no use.
    Source: Karney (2011), (15) to (21).
    """
    radius_m = UTM_SCALE * _RECTIFYING_RADIUS_M
    xi = (northing_m - (FALSE_NORTHING_SOUTH_M if south else 0.0)) / radius_m
    eta = (easting_m - FALSE_EASTING_M) / radius_m
    if not (abs(xi) <= math.pi and abs(eta) <= _MOST_ETA):
        return math.nan, math.nan
    xi_sphere, eta_sphere = xi, eta
    for j, beta in enumerate(_BETA, start=1):
        xi_sphere -= beta * math.sin(2 * j * xi) * math.cosh(2 * j * eta)
        eta_sphere -= beta * math.cos(2 * j * xi) * math.sinh(2 * j * eta)
    tau_conformal = math.sin(xi_sphere) / math.hypot(math.sinh(eta_sphere), math.cos(xi_sphere))
    lam = math.atan2(math.sinh(eta_sphere), math.cos(xi_sphere))
    tau = tau_conformal
    # Newton, Karney (19) to (21); three steps reach the last bit from this start.
    one_minus_e2 = 1.0 - _ECCENTRICITY**2
    for _ in range(3):
        sigma = math.sinh(_ECCENTRICITY * math.atanh(_ECCENTRICITY * tau / math.hypot(1.0, tau)))
        tau_i = tau * math.hypot(1.0, sigma) - sigma * math.hypot(1.0, tau)
        tau += (
            (tau_conformal - tau_i)
            / math.hypot(1.0, tau_i)
            * (1.0 + one_minus_e2 * tau * tau)
            / (one_minus_e2 * math.hypot(1.0, tau))
        )
    lon_deg = (math.degrees(lam) + central_meridian_deg(zone) + 180.0) % 360.0 - 180.0
    return lon_deg, math.degrees(math.atan(tau))
