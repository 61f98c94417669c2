"""A satellite's path over some minutes: given as state vectors, or made as a circular orbit past a ground point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import EARTH_ROTATION_RAD_S, Float64Array, to_earth_centred

GRAVITY_M3_S2 = 3.986004418e14  # WGS 84
SEMI_MAJOR_AXIS_M = 7.0710e6  # Sentinel-1: about 693 km above the equator
INCLINATION_DEG = 98.18
ARC_POINTS = 8  # local interpolation; over all of 22 or 31 vectors it is known to diverge


@dataclass(frozen=True)
class StateVectors:
    """Earth-fixed positions and velocities at given times.

    Attributes
    ----------
    time_s : (N,) float64
        Seconds since the scene's epoch, increasing.
    position_m, velocity_m_s : (N, 3) float64
        Earth-centred, Earth-fixed.
    """

    time_s: Float64Array
    position_m: Float64Array
    velocity_m_s: Float64Array


class OrbitArc:
    """The polynomial of degree 7 through the 8 state vectors nearest to the middle of the scene.

    Positions and velocities are interpolated apart: the zero-Doppler equation wants the annotated velocities, which
    differ from the derivative of the positions by up to 20 mm/s in real products.
    """

    def __init__(self, states: StateVectors, middle_s: float) -> None:
        order = np.sort(np.argsort(np.abs(states.time_s - middle_s))[:ARC_POINTS])
        times = states.time_s[order]
        self.middle_s = float(times.mean())
        self.scale_s = float(np.ptp(times)) / 2.0
        matrix = np.vander((times - self.middle_s) / self.scale_s, increasing=True)
        self._position: Float64Array = np.linalg.solve(matrix, states.position_m[order]).astype(np.float64)
        self._velocity: Float64Array = np.linalg.solve(matrix, states.velocity_m_s[order]).astype(np.float64)

    def position(self, time_s: ArrayLike, derivative: int = 0) -> Float64Array:
        """Position in metres (or its time derivative), shape ``time.shape + (3,)``."""
        return self._evaluate(self._position, time_s, derivative)

    def velocity(self, time_s: ArrayLike, derivative: int = 0) -> Float64Array:
        """Velocity in m/s (or its time derivative), shape ``time.shape + (3,)``."""
        return self._evaluate(self._velocity, time_s, derivative)

    def _evaluate(self, coefficients: Float64Array, time_s: ArrayLike, derivative: int) -> Float64Array:
        reduced = (np.asarray(time_s, float) - self.middle_s) / self.scale_s
        if derivative:
            coefficients = np.asarray(np.polynomial.polynomial.polyder(coefficients, derivative), dtype=np.float64)
        values = np.polynomial.polynomial.polyval(reduced, coefficients) / self.scale_s**derivative
        return np.asarray(np.moveaxis(values, 0, -1), dtype=np.float64)

    def zero_doppler(self, point_m: Float64Array) -> tuple[Float64Array, Float64Array]:
        """When the satellite passes points abeam, and how far away it is then.

        Solves ``(point - position(t)) . velocity(t) = 0`` by Newton's method.

        Returns
        -------
        time_s, range_m : float64
            Shape ``point.shape[:-1]``.
        """
        time = np.full(point_m.shape[:-1], self.middle_s)
        for _ in range(12):
            offset = point_m - self.position(time)
            velocity = self.velocity(time)
            doppler = np.sum(offset * velocity, axis=-1)
            slope = np.sum(offset * self.velocity(time, 1), axis=-1) - np.sum(
                self.position(time, 1) * velocity, axis=-1
            )
            step = doppler / slope
            time = time - step
            if np.all(np.abs(step) < 1e-11):
                break
        return time, np.linalg.norm(point_m - self.position(time), axis=-1)


@dataclass(frozen=True)
class CircularOrbit:
    """A circular Keplerian orbit, its plane fixed in inertial space, seen from the turning Earth.

    Attributes
    ----------
    argument_rad : float
        Angle from the ascending node at time zero.
    node_rad : float
        Earth-fixed longitude of the orbital plane's ascending node at time zero.
    """

    argument_rad: float
    node_rad: float
    radius_m: float = SEMI_MAJOR_AXIS_M
    inclination_deg: float = INCLINATION_DEG

    @property
    def rate_rad_s(self) -> float:
        """Angular rate in the orbital plane."""
        return float(np.sqrt(GRAVITY_M3_S2 / self.radius_m**3))

    def states(self, time_s: ArrayLike) -> StateVectors:
        """Earth-fixed positions and the velocities that are exactly their derivatives."""
        time = np.atleast_1d(np.asarray(time_s, float))
        argument = self.argument_rad + self.rate_rad_s * time
        node = self.node_rad - EARTH_ROTATION_RAD_S * time
        tilt = np.radians(self.inclination_deg)
        along = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=-1)
        up = np.stack(
            [-np.sin(node) * np.cos(tilt), np.cos(node) * np.cos(tilt), np.full_like(node, np.sin(tilt))], axis=-1
        )
        cosine, sine = np.cos(argument)[:, None], np.sin(argument)[:, None]
        position = self.radius_m * (cosine * along + sine * up)
        inertial = self.radius_m * self.rate_rad_s * (cosine * up - sine * along)
        spin = EARTH_ROTATION_RAD_S * np.stack(
            [-position[:, 1], position[:, 0], np.zeros(time.size)], axis=-1
        )  # the Earth's turn: omega x position
        return StateVectors(time, position, inertial - spin)


def orbit_past(lon_deg: float, lat_deg: float, range_m: float, *, ascending: bool) -> CircularOrbit:
    """The orbit that at time zero has a ground point abeam on its right, at a given slant range.

    Raises
    ------
    ValueError
        Where no such orbit exists: near the poles the satellite never passes.
    """
    point = to_earth_centred(lon_deg, lat_deg, 0.0)

    def misses(angles: Float64Array) -> Float64Array:
        state = CircularOrbit(angles[0], angles[1]).states(0.0)
        offset = point - state.position_m[0]
        return np.array([offset @ state.velocity_m_s[0] / 7.5e3, np.linalg.norm(offset) - range_m]) / 6.4e6

    tilt = np.radians(INCLINATION_DEG)
    ratio = np.sin(np.radians(lat_deg)) / np.sin(tilt)
    if abs(ratio) > 0.995:
        raise ValueError(f"latitude {lat_deg} is outside what the orbit sees: give one between -79 and 79 degrees")
    argument = float(np.arcsin(ratio)) if ascending else float(np.pi - np.arcsin(ratio))
    under = np.arctan2(np.sin(argument) * np.cos(tilt), np.cos(argument))
    aside = 0.088 / np.cos(np.radians(lat_deg)) * (1.0 if ascending else -1.0)
    angles = np.array([argument, np.radians(lon_deg) - aside - under])
    for _ in range(30):
        miss = misses(angles)
        slope = np.stack([(misses(angles + h) - misses(angles - h)) / 2e-6 for h in 1e-6 * np.eye(2)], axis=1)
        step = np.linalg.solve(slope, miss)
        angles = angles - step * min(1.0, 0.05 / float(np.abs(step).max() + 1e-300))
        if float(np.abs(step).max()) < 1e-13:
            break
    orbit = CircularOrbit(float(angles[0]), float(angles[1]))
    state = orbit.states(0.0)
    right = np.cross(-state.position_m[0], state.velocity_m_s[0])
    if float(np.abs(misses(angles)).max()) > 1e-9 or (point - state.position_m[0]) @ right < 0:
        raise ValueError(f"no orbit was found that sees {lon_deg}, {lat_deg} at {range_m / 1e3:.0f} km on its right")
    return orbit
