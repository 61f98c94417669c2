"""Slow twin of the RPC polynomials: the 20 terms written out, as STDI-0002 lists them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.rpc import RpcCoefficients


def terms(lon: NDArray[np.float64], lat: NDArray[np.float64], h: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(20, …)`` terms of normalised coordinates. Source: STDI-0002 volume 1, appendix E, RPC00B."""
    one = np.ones(np.broadcast_shapes(lon.shape, lat.shape, h.shape))
    return np.stack(
        np.broadcast_arrays(
            one,
            lon,
            lat,
            h,
            lon * lat,
            lon * h,
            lat * h,
            lon**2,
            lat**2,
            h**2,
            lat * lon * h,
            lon**3,
            lon * lat**2,
            lon * h**2,
            lon**2 * lat,
            lat**3,
            lat * h**2,
            lon**2 * h,
            lat**2 * h,
            h**3,
        )
    )


def ground_to_image(
    c: RpcCoefficients, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``line, sample`` wherever the ground is."""
    basis = terms(
        (np.asarray(lon_deg, np.float64) - c.long_off) / c.long_scale,
        (np.asarray(lat_deg, np.float64) - c.lat_off) / c.lat_scale,
        (np.asarray(height_m, np.float64) - c.height_off) / c.height_scale,
    )

    def ratio(num: tuple[float, ...], den: tuple[float, ...]) -> NDArray[np.float64]:
        return np.asarray(np.tensordot(num, basis, 1) / np.tensordot(den, basis, 1))

    return (
        c.line_off + c.line_scale * ratio(c.line_num_coeff, c.line_den_coeff),
        c.samp_off + c.samp_scale * ratio(c.samp_num_coeff, c.samp_den_coeff),
    )
