"""Where the satellite was and how it stood, between the moments for which its metadata say so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.sentinel2 import quaternions
from orthokernel.sentinel2.datastrip import Datastrip, Polynomial
from orthokernel.sentinel2.frames import EARTH_RATE_RAD_S, itrf_from_eme2000

Float64Array = NDArray[np.float64]

_NEIGHBOURS = 8
"""Quaternions that the rates at one of them are taken from: four before, three after."""


def positions(datastrip: Datastrip, time_s: Float64Array) -> Float64Array:
    """EME2000 positions in metres, ``(N, 3)``, at GPS seconds of the day: cubic between points a second apart (20 nm).

    Raises
    ------
    AnnotationError
        Where the orbit does not reach that far.
    """
    _check_reach(datastrip, time_s, datastrip.orbit_time_s, "orbit")
    turn = itrf_from_eme2000(datastrip.orientation, datastrip.jd_day, datastrip.orbit_time_s)
    rate = np.array([0.0, 0.0, EARTH_RATE_RAD_S])
    # Transposed: a row vector times the matrix is the inverse turn.
    at = np.einsum("nij,ni->nj", turn, datastrip.position_m)
    moves = np.einsum("nij,ni->nj", turn, datastrip.velocity_m_s + np.cross(rate, datastrip.position_m))
    at = at + _refined(datastrip, at, moves)
    k = np.clip(np.searchsorted(datastrip.orbit_time_s, time_s, "right") - 1, 0, at.shape[0] - 2)
    step_s = (datastrip.orbit_time_s[k + 1] - datastrip.orbit_time_s[k])[:, None]
    u = (time_s - datastrip.orbit_time_s[k])[:, None] / step_s
    v = 1.0 - u
    position: Float64Array = v * v * ((1 + 2 * u) * at[k] + u * step_s * moves[k]) + u * u * (
        (1 + 2 * v) * at[k + 1] - v * step_s * moves[k + 1]
    )
    return position


def _refined(datastrip: Datastrip, position_m: Float64Array, velocity_m_s: Float64Array) -> Float64Array:
    """What refining adds to positions: given in the local orbital frame."""
    z = -position_m / np.linalg.norm(position_m, axis=1, keepdims=True)
    x = np.cross(position_m, velocity_m_s)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    since_s = datastrip.orbit_time_s - datastrip.middle_s
    axes = x, np.cross(z, x), z
    added: Float64Array = sum(
        (axis * value(part, since_s)[:, None] for axis, part in zip(axes, datastrip.refining.position_m, strict=True)),
        np.zeros_like(position_m),
    )
    return added


def attitudes(datastrip: Datastrip, time_s: Float64Array) -> Float64Array:
    """Unit quaternions, ``(N, 4)``, that turn the piloting frame into EME2000, at GPS seconds of the day.

    Each measured attitude goes on to half way to its neighbours with the rate and the acceleration that it has by the
    polynomial through eight of them. This is how ESA's processing samples attitudes; a curve through all would differ
    by up to 0.2 microradians (15 cm on the ground) where the platform shakes, and ESA's grids would be missed by that.

    Raises
    ------
    AnnotationError
        Where the attitudes do not reach that far.
    """
    _check_reach(datastrip, time_s, datastrip.attitude_time_s, "attitude")
    given, q = datastrip.attitude_time_s, datastrip.attitude
    used = np.arange(max(0, np.searchsorted(given, time_s.min()) - 1), np.searchsorted(given, time_s.max()) + 1)
    used = used[used < given.size]
    rates, accelerations = np.array([_derivatives(given, q, k) for k in used]).swapaxes(0, 1)
    k = np.clip(np.searchsorted(given, time_s), 1, given.size - 1)
    k -= time_s - given[k - 1] < given[k] - time_s
    since_s = (time_s - given[k])[:, None]
    turned = rates[k - used[0]] * since_s + 0.5 * accelerations[k - used[0]] * since_s**2
    return quaternions.times(q[k], quaternions.from_rotation_vector(turned))


def _derivatives(time_s: Float64Array, q: Float64Array, k: int) -> tuple[Float64Array, Float64Array]:
    """First and second derivative of the turn from attitude k, at k."""
    first = min(max(0, k - _NEIGHBOURS // 2), time_s.size - _NEIGHBOURS)
    near = slice(first, first + _NEIGHBOURS)
    turn = quaternions.rotation_vector(quaternions.times(quaternions.inverse(q[k]), q[near]))
    span_s = time_s[near][-1] - time_s[near][0]
    c = np.linalg.solve(np.vander((time_s[near] - time_s[k]) / span_s, increasing=True), turn)
    return c[1] / span_s, 2.0 * c[2] / span_s**2


def value(polynomial: Polynomial, x: Float64Array) -> Float64Array:
    """Of coefficients with the lowest power first."""
    return np.asarray(np.polynomial.polynomial.polyval(x, polynomial), np.float64)


def _check_reach(datastrip: Datastrip, time_s: Float64Array, given_s: Float64Array, what: str) -> None:
    if time_s.min() < given_s[0] or time_s.max() > given_s[-1]:
        raise AnnotationError(
            datastrip.source,
            f"{what} from {given_s[0]:.3f} to {given_s[-1]:.3f} s of the day",
            f"one that covers the image, {time_s.min():.3f} to {time_s.max():.3f} s",
        )
