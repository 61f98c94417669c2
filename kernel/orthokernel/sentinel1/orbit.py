"""The orbit as polynomials: annotated positions and annotated velocities, each fitted by itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthocontracts.orbits import MARGIN_S
from orthokernel.sentinel1.annotation import StateVectors

Float64Array = NDArray[np.float64]

MAX_DEGREE = 7


class Orbit(NamedTuple):
    """Polynomials in ``u = (time_s - centre_s) / half_span_s``; a tuple so that njit functions can take it.

    The velocity is not the derivative of the position: annotated velocities meet the annotated geolocation grid within
    7 mm, while positions and velocities of one file may disagree by 20 mm/s, which is up to 0.3 m on the ground.

    Attributes
    ----------
    centre_s, half_span_s : float
        Of the state vectors used; outside that span the orbit is not defined.
    position_m, velocity_m_s : (D + 1, 3) float64
        Coefficients, lowest power first.
    """

    centre_s: float
    half_span_s: float
    position_m: Float64Array
    velocity_m_s: Float64Array


def fit_orbit(vectors: StateVectors, scene_start_s: float, scene_stop_s: float) -> Orbit:
    """Least-squares polynomials through the state vectors near a scene.

    Parameters
    ----------
    vectors : StateVectors
    scene_start_s, scene_stop_s : float
        Vectors outside the scene and `MARGIN_S` around it are not used, unless fewer than four would be left.

    Returns
    -------
    Orbit
        Of degree 7, or less where there are fewer than 12 vectors (two thirds of their number), so that noise is
        averaged rather than followed. For 16 vectors 10 s apart the residual is below a millimetre.
    """
    time_s = vectors.time_s
    near = (time_s >= scene_start_s - MARGIN_S) & (time_s <= scene_stop_s + MARGIN_S)
    if np.count_nonzero(near) < 4:
        near = np.ones_like(near)
    time_s = time_s[near]
    centre_s = 0.5 * (time_s[0] + time_s[-1])
    half_span_s = 0.5 * (time_s[-1] - time_s[0])
    degree = min(MAX_DEGREE, 2 * time_s.size // 3)
    powers = np.vander((time_s - centre_s) / half_span_s, degree + 1, increasing=True)
    position_m: Float64Array = np.linalg.lstsq(powers, vectors.position_m[near], rcond=None)[0].astype(np.float64)
    velocity_m_s: Float64Array = np.linalg.lstsq(powers, vectors.velocity_m_s[near], rcond=None)[0].astype(np.float64)
    return Orbit(float(centre_s), float(half_span_s), position_m, velocity_m_s)
