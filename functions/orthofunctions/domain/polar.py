"""Polar stereographic maps in pure Python, for planners that carry no projection library."""

from __future__ import annotations

import math
from typing import Final

from orthocontracts.utm import WGS84_FLATTENING, WGS84_SEMI_MAJOR_AXIS_M

_E: Final = math.sqrt(WGS84_FLATTENING * (2 - WGS84_FLATTENING))
_STANDARD_PARALLEL_DEG: Final = {3413: 70.0, 3031: 71.0}
_CENTRAL_MERIDIAN_DEG: Final = {3413: -45.0, 3031: 0.0}


def polar_forward(lon_deg: float, lat_deg: float, epsg: int) -> tuple[float, float]:
    """``x, y`` in metres of a WGS 84 point in EPSG:3413 (NSIDC, north) or EPSG:3031 (Antarctic).

    Source: J. P. Snyder, "Map Projections: A Working Manual", USGS Professional Paper 1395 (1987), (15-9), (14-15),
    (21-30) to (21-34): true to scale along the standard parallel; in the south with angles and axes turned.
    """
    sign = 1.0 if epsg == 3413 else -1.0
    phi_c = math.radians(_STANDARD_PARALLEL_DEG[epsg])
    m_c = math.cos(phi_c) / math.sqrt(1 - (_E * math.sin(phi_c)) ** 2)
    rho_m = WGS84_SEMI_MAJOR_AXIS_M * m_c * _t(sign * math.radians(lat_deg)) / _t(phi_c)
    turn = math.radians(lon_deg - _CENTRAL_MERIDIAN_DEG[epsg])
    return rho_m * math.sin(turn), -sign * rho_m * math.cos(turn)


def _t(phi_rad: float) -> float:
    e_sin = _E * math.sin(phi_rad)
    return math.tan(math.pi / 4 - phi_rad / 2) / math.pow((1 - e_sin) / (1 + e_sin), _E / 2)
