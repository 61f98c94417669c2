"""The inner loops of the RPC model: rational cubic polynomials and their inverse, in float64."""

# numba infers the types of what it compiles
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

MAX_NORMALISED = 3.0
"""Longitude and latitude this many scales from the centre have no image.

The polynomials are fitted within 1 and hold a good way beyond; much further out cubic terms fold the plane and would
put ground far away back into the image."""

_MAX_NEWTON_STEPS = 20
_CONVERGED = 1e-13  # of a normalised coordinate: a nanometre on the ground for a 20 km image


@njit(cache=True, nogil=True, inline="always")
def _cubic(c: Float64Array, lam: float, phi: float, h: float) -> float:
    """The 20 terms of RPC00B. Source: STDI-0002 volume 1, appendix E."""
    return (
        c[0]
        + lam * (c[1] + phi * (c[4] + h * c[10] + phi * c[12]) + h * (c[5] + h * c[13]))
        + lam * lam * (c[7] + lam * c[11] + phi * c[14] + h * c[17])
        + phi * (c[2] + h * (c[6] + h * c[16]) + phi * (c[8] + phi * c[15] + h * c[18]))
        + h * (c[3] + h * (c[9] + h * c[19]))
    )


@njit(cache=True, nogil=True, inline="always")
def _cubic_dl(c: Float64Array, lam: float, phi: float, h: float) -> float:
    return (
        c[1]
        + phi * (c[4] + h * c[10] + phi * c[12])
        + h * (c[5] + h * c[13])
        + 2.0 * lam * (c[7] + phi * c[14] + h * c[17])
        + 3.0 * lam * lam * c[11]
    )


@njit(cache=True, nogil=True, inline="always")
def _cubic_dp(c: Float64Array, lam: float, phi: float, h: float) -> float:
    return (
        c[2]
        + lam * (c[4] + h * c[10] + 2.0 * phi * c[12] + lam * c[14])
        + h * (c[6] + h * c[16])
        + 2.0 * phi * (c[8] + h * c[18])
        + 3.0 * phi * phi * c[15]
    )


@njit(cache=True, nogil=True, parallel=True)
def ground_to_image(
    polynomials: Float64Array,
    normalisation: Float64Array,
    lon_deg: Float64Array,
    lat_deg: Float64Array,
    height_m: Float64Array,
    line: Float64Array,
    sample: Float64Array,
) -> None:
    """Image of ground points, written to ``line, sample``; NaN further out than `MAX_NORMALISED`.

    Parameters
    ----------
    polynomials : (4, 20) float64
    normalisation : (5, 2) float64
        See `RpcCoefficients`.
    lon_deg, lat_deg, height_m, line, sample : (N,) float64
    """
    for i in prange(lon_deg.size):
        # The nearer way round: an image at the antimeridian has ground on both sides of it.
        east_deg = (lon_deg[i] - normalisation[2, 0] + 180.0) % 360.0 - 180.0
        lam = east_deg / normalisation[2, 1]
        phi = (lat_deg[i] - normalisation[3, 0]) / normalisation[3, 1]
        h = (height_m[i] - normalisation[4, 0]) / normalisation[4, 1]
        if not (abs(lam) <= MAX_NORMALISED and abs(phi) <= MAX_NORMALISED):
            line[i] = np.nan
            sample[i] = np.nan
            continue
        line_den = _cubic(polynomials[1], lam, phi, h)
        sample_den = _cubic(polynomials[3], lam, phi, h)
        if line_den == 0.0 or sample_den == 0.0:
            line[i] = np.nan
            sample[i] = np.nan
            continue
        line[i] = normalisation[0, 0] + normalisation[0, 1] * _cubic(polynomials[0], lam, phi, h) / line_den
        sample[i] = normalisation[1, 0] + normalisation[1, 1] * _cubic(polynomials[2], lam, phi, h) / sample_den


@njit(cache=True, nogil=True, parallel=True)
def image_to_ground(
    polynomials: Float64Array,
    normalisation: Float64Array,
    line: Float64Array,
    sample: Float64Array,
    height_m: Float64Array,
    lon_deg: Float64Array,
    lat_deg: Float64Array,
) -> None:
    """Ground points seen at image points, at given heights: Newton with the exact derivatives.

    Arrays as in `ground_to_image`; NaN where the iteration leaves `MAX_NORMALISED` or does not converge. Longitudes
    are in [-180, 180).
    """
    for i in prange(line.size):
        lon_deg[i] = np.nan
        lat_deg[i] = np.nan
        r = (line[i] - normalisation[0, 0]) / normalisation[0, 1]
        s = (sample[i] - normalisation[1, 0]) / normalisation[1, 1]
        h = (height_m[i] - normalisation[4, 0]) / normalisation[4, 1]
        lam = 0.0
        phi = 0.0
        for _ in range(_MAX_NEWTON_STEPS):
            line_num = _cubic(polynomials[0], lam, phi, h)
            line_den = _cubic(polynomials[1], lam, phi, h)
            sample_num = _cubic(polynomials[2], lam, phi, h)
            sample_den = _cubic(polynomials[3], lam, phi, h)
            # num - value * den = 0 has the same root as num / den = value, and no division.
            f = line_num - r * line_den
            g = sample_num - s * sample_den
            f_l = _cubic_dl(polynomials[0], lam, phi, h) - r * _cubic_dl(polynomials[1], lam, phi, h)
            f_p = _cubic_dp(polynomials[0], lam, phi, h) - r * _cubic_dp(polynomials[1], lam, phi, h)
            g_l = _cubic_dl(polynomials[2], lam, phi, h) - s * _cubic_dl(polynomials[3], lam, phi, h)
            g_p = _cubic_dp(polynomials[2], lam, phi, h) - s * _cubic_dp(polynomials[3], lam, phi, h)
            determinant = f_l * g_p - f_p * g_l
            if determinant == 0.0:
                break
            step_l = (f * g_p - g * f_p) / determinant
            step_p = (g * f_l - f * g_l) / determinant
            lam -= step_l
            phi -= step_p
            if not (abs(lam) <= MAX_NORMALISED and abs(phi) <= MAX_NORMALISED):
                break
            if abs(step_l) < _CONVERGED and abs(step_p) < _CONVERGED:
                lon = normalisation[2, 0] + normalisation[2, 1] * lam
                lon_deg[i] = (lon + 180.0) % 360.0 - 180.0
                lat_deg[i] = normalisation[3, 0] + normalisation[3, 1] * phi
                break
