"""How a satellite flies and how it is turned while it takes an image: as closed formulas of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.earth import EarthPose, itrf_from_eme2000
from localdev.scene.ellipsoid import EARTH_ROTATION_RAD_S, Float64Array, normal, to_geodetic
from localdev.scene.orbit import CircularOrbit

RADIUS_M, INCLINATION_DEG = 7.16713e6, 98.62
"""Of Sentinel-2: 786 km above the equator."""


class Flight(Protocol):
    """Where a satellite is and how it stands, in ITRF, at GPS seconds of the day."""

    def position(self, gps_s: ArrayLike) -> Float64Array:
        """Metres, ``gps_s.shape + (3,)``."""
        ...

    def to_itrf(self, gps_s: ArrayLike) -> Float64Array:
        """Turns vectors of the piloting frame (X ahead, Y right, Z down), ``gps_s.shape + (3, 3)``."""
        ...


@dataclass(frozen=True)
class MadeFlight:
    """A circular orbit, and an attitude that looks down and ahead along the ground track, with a slow wobble.

    Attributes
    ----------
    orbit : CircularOrbit
        At ``middle_s`` its time is zero.
    jd_day, middle_s : float
        Julian date of the day's beginning; GPS second of that day.
    wobble : (3, W, 3) float64
        Of roll, pitch and yaw: waves of amplitude (rad), rate (rad/s) and phase (rad).
    """

    orbit: CircularOrbit
    pose: EarthPose
    jd_day: float
    middle_s: float
    wobble: Float64Array

    def position(self, gps_s: ArrayLike) -> Float64Array:
        """See `Flight`."""
        time = np.asarray(gps_s, float)
        return self.orbit.states(time.ravel() - self.middle_s).position_m.reshape(*time.shape, 3)

    def velocity(self, gps_s: ArrayLike) -> Float64Array:
        """Against the turning Earth, m/s, ``gps_s.shape + (3,)``."""
        time = np.asarray(gps_s, float)
        return self.orbit.states(time.ravel() - self.middle_s).velocity_m_s.reshape(*time.shape, 3)

    def to_itrf(self, gps_s: ArrayLike) -> Float64Array:
        """See `Flight`. That ahead is along the track on the turning Earth is what steering the yaw is for."""
        lon, lat, _ = to_geodetic(self.position(gps_s))
        down = -normal(lon, lat)
        right = np.cross(down, self.velocity(gps_s))
        right /= np.linalg.norm(right, axis=-1, keepdims=True)
        axes = np.stack([np.cross(right, down), right, down], axis=-1)
        since = np.asarray(gps_s, float) - self.middle_s
        roll, pitch, yaw = (
            sum(amplitude * np.sin(rate * since + phase) for amplitude, rate, phase in waves) for waves in self.wobble
        )
        return np.asarray(axes @ about(2, yaw) @ about(1, pitch) @ about(0, roll))

    def quaternions(self, gps_s: ArrayLike) -> Float64Array:
        """Unit quaternions x, y, z, w that turn vectors of the piloting frame into EME2000, ``gps_s.shape + (4,)``."""
        to_stars = np.swapaxes(itrf_from_eme2000(self.pose, self.jd_day, gps_s), -1, -2)
        return quaternion_of(to_stars @ self.to_itrf(gps_s))


def about(axis: int, angle_rad: ArrayLike) -> Float64Array:
    """Matrices that turn vectors about a coordinate axis, right-handed, ``angle.shape + (3, 3)``."""
    angle = np.asarray(angle_rad, float)
    matrix = np.zeros((*angle.shape, 3, 3))
    j, k = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1.0
    matrix[..., j, j] = matrix[..., k, k] = np.cos(angle)
    matrix[..., k, j] = np.sin(angle)
    matrix[..., j, k] = -np.sin(angle)
    return matrix


def quaternion_of(matrix: Float64Array) -> Float64Array:
    """x, y, z, w of turns ``(..., 3, 3)``: of four ways to extract it the one that divides by the largest number.

    Source: S. W. Shepperd, "Quaternion from rotation matrix", Journal of Guidance and Control 1 (3), 1978.
    """
    m = np.moveaxis(matrix, (-2, -1), (0, 1))
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    ways = np.empty((4, 4, *trace.shape))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        ways[i, i] = 1.0 + 2.0 * m[i, i] - trace
        ways[i, j] = m[i, j] + m[j, i]
        ways[i, k] = m[i, k] + m[k, i]
        ways[i, 3] = ways[3, i] = m[k, j] - m[j, k]
    ways[3, 3] = 1.0 + trace
    largest = np.argmax(np.stack([ways[i, i] for i in range(4)]), axis=0)
    chosen = np.take_along_axis(ways, largest[None, None], axis=0)[0]
    chosen /= np.linalg.norm(chosen, axis=0)
    return np.asarray(np.moveaxis(chosen, 0, -1), dtype=np.float64)


def momentum_frame(position_m: Float64Array, velocity_m_s: Float64Array) -> Float64Array:
    """Axes of the local orbital frame as columns, ``(..., 3, 3)``: X the orbital momentum's, Z to the Earth's centre.

    ``velocity_m_s`` is that against the turning Earth; the momentum is that among the stars.
    """
    spin = EARTH_ROTATION_RAD_S * np.stack(
        [-position_m[..., 1], position_m[..., 0], np.zeros(position_m.shape[:-1])], axis=-1
    )
    x = np.cross(position_m, velocity_m_s + spin)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    z = -position_m / np.linalg.norm(position_m, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)
