"""Sentinel-2's line of sight point by point, with other tools than the kernel's: SciPy's rotations, no table."""

from __future__ import annotations

import math

import erfa
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline, KroghInterpolator
from scipy.spatial.transform import Rotation

from orthokernel.sentinel2.bands import Band
from orthokernel.sentinel2.datastrip import Datastrip
from orthokernel.sentinel2.gipp import Gipp

Float64Array = NDArray[np.float64]
A_M, F = 6378137.0, 1 / 298.257223563
ARCSEC = math.pi / 648_000


def earth(datastrip: Datastrip, time_s: float) -> Float64Array:
    """EME2000 to ITRF at one moment, all of it reckoned at that moment."""
    o = datastrip.orientation
    tt = (time_s + 19.0 + 32.184) / 86400
    ut1 = (time_s + 19.0 - o.tai_minus_utc_s + o.ut1_minus_utc_s) / 86400
    xp, yp = o.pole_x_arcsec * ARCSEC, o.pole_y_arcsec * ARCSEC
    from_gcrf = erfa.c2t06a(datastrip.jd_day, tt, datastrip.jd_day, ut1, xp, yp)
    return from_gcrf @ erfa.bp06(2451545.0, 0.0)[0].T


def line_of_sight(
    datastrip: Datastrip, gipp: Gipp, band: Band, detector: str, line: float, sample: float
) -> tuple[Float64Array, Float64Array]:
    """ITRF position of the satellite and unit direction of a pixel."""
    time_s = datastrip.first_line_of(band, detector) + (line + 0.5) * datastrip.line_period_of(band)
    since_s = time_s - datastrip.middle_s

    directions = gipp.viewing_directions(band, detector, datastrip.tdi.get(band.number))
    pixels = np.arange(directions.tan_psi_x.size)
    look = np.array(
        [np.interp(sample, pixels, directions.tan_psi_y), -np.interp(sample, pixels, directions.tan_psi_x), 1.0]
    )
    assert not any(gipp.msi_to_focal_plane(band).angles_rad)
    assert not any(gipp.focal_plane_to_detector(band, detector).angles_rad)
    msi, mounted = datastrip.refining.msi, gipp.piloting_to_msi()
    look[2] *= 1.0 + sum(c * since_s**k for k, c in enumerate(msi.z_scale))
    angles = [
        angle + sum(c * since_s**k for k, c in enumerate(polynomial))
        for angle, polynomial in zip(mounted.angles_rad, msi.angles, strict=True)
    ]
    look = Rotation.from_euler("XYZ", angles).inv().apply(look)

    times = datastrip.attitude_time_s
    k = int(np.argmin(np.abs(times - time_s)))
    here = Rotation.from_quat(datastrip.attitude[k])
    near = slice(k - 4, k + 4)
    turns = (here.inv() * Rotation.from_quat(datastrip.attitude[near])).as_rotvec()
    _, rate, bend = KroghInterpolator(times[near] - times[k], turns).derivatives(0.0, der=3)
    dt = time_s - times[k]
    attitude = here * Rotation.from_rotvec(rate * dt + 0.5 * bend * dt**2)

    turn = earth(datastrip, time_s)
    direction = turn @ attitude.apply(look)
    position = CubicHermiteSpline(datastrip.orbit_time_s, *_inertial(datastrip))(time_s)
    return turn @ position, direction / np.linalg.norm(direction)


def _inertial(datastrip: Datastrip) -> tuple[Float64Array, Float64Array]:
    """Positions and velocities in EME2000, the turning of the Earth by a difference of its matrices."""
    at, moves = [], []
    for time_s, position, velocity in zip(
        datastrip.orbit_time_s, datastrip.position_m, datastrip.velocity_m_s, strict=True
    ):
        turn = earth(datastrip, time_s).T
        spin = (earth(datastrip, time_s + 0.5).T - earth(datastrip, time_s - 0.5).T) @ position
        at.append(turn @ position)
        moves.append(turn @ velocity + spin)
    return np.array(at), np.array(moves)


def meets_height(position: Float64Array, direction: Float64Array, height_m: float) -> tuple[float, float]:
    """Longitude and latitude in degrees where a ray comes down to a height, by bisection."""
    near, far = 0.0, float(-position @ direction)
    for _ in range(80):
        middle = 0.5 * (near + far)
        near, far = (middle, far) if _geodetic(position + middle * direction)[2] > height_m else (near, middle)
    lon, lat, _ = _geodetic(position + near * direction)
    return lon, lat


def _geodetic(point: Float64Array) -> tuple[float, float, float]:
    x, y, z = point
    e2, axis = F * (2 - F), math.hypot(x, y)
    lat = math.atan2(z, axis * (1 - e2))
    for _ in range(10):
        normal = A_M / math.sqrt(1 - e2 * math.sin(lat) ** 2)
        height = axis / math.cos(lat) - normal
        lat = math.atan2(z, axis * (1 - e2 * normal / (normal + height)))
    return math.degrees(math.atan2(y, x)), math.degrees(lat), height
