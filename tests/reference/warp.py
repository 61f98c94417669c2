"""The whole path of a pixel, one pixel at a time, in plain NumPy: what the fused loop must equal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


def warp(
    source: Float64Array,
    line: Float64Array,
    sample: Float64Array,
    method: str,
    footprint: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0),
) -> Float64Array:
    """Values of points of an image.

    Parameters
    ----------
    source : (L, S) float64
        NaN where there is no data.
    line, sample : (R, C) float64
        0-based, integers at pixel centres; NaN gives NaN.
    method : {"nearest", "bilinear", "cubic", "average"}
    footprint : dline/drow, dline/dcol, dsample/drow, dsample/dcol
        For "average".

    Returns
    -------
    (R, C) float64
        Weights are renormalised over valid samples; NaN where these carry less than half, or off the image.
    """
    out = np.full(line.shape, np.nan)
    for at in np.ndindex(line.shape):
        out[at] = _pixel(source, line[at], sample[at], method, footprint)
    return out


def _pixel(
    source: Float64Array, line: float, sample: float, method: str, footprint: tuple[float, float, float, float]
) -> float:
    n_lines, n_samples = source.shape
    if not (-0.5 <= line <= n_lines - 0.5 and -0.5 <= sample <= n_samples - 0.5):
        return np.nan
    if method == "average":
        return _average(source, line, sample, footprint)
    kernel, reach = _KERNELS[method]
    weighted, valid = 0.0, 0.0
    for i in range(int(np.floor(line)) - reach + 1, int(np.floor(line)) + reach + 1):
        for j in range(int(np.floor(sample)) - reach + 1, int(np.floor(sample)) + reach + 1):
            weight = kernel(i - line) * kernel(j - sample)
            if weight != 0.0 and 0 <= i < n_lines and 0 <= j < n_samples and not np.isnan(source[i, j]):
                weighted += weight * source[i, j]
                valid += weight
    return weighted / valid if valid >= 0.49999 else np.nan


def _nearest(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def _linear(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _keys(x: float) -> float:
    """Keys 1981, equation 4 with a = -1/2."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


_KERNELS: dict[str, tuple[Callable[[float], float], int]] = {
    "nearest": (_nearest, 1),
    "bilinear": (_linear, 1),
    "cubic": (_keys, 2),
}


def _average(source: Float64Array, line: float, sample: float, footprint: tuple[float, float, float, float]) -> float:
    """Every sample of the image, seen from the output pixel; weights are overlaps of boxes along rows and columns."""
    n_lines, n_samples = source.shape
    inverse = np.linalg.inv(np.array(footprint).reshape(2, 2))
    half = 0.5 * np.minimum(1.0, np.abs(inverse).sum(axis=1))
    # One sample's worth of border: what lies beside the image counts as not valid.
    border = int(np.ceil(np.abs(np.array(footprint)).sum())) + 2
    i, j = np.meshgrid(np.arange(-border, n_lines + border), np.arange(-border, n_samples + border), indexing="ij")
    offset = np.abs(np.tensordot(inverse, np.stack([i - line, j - sample]), 1))
    overlap = np.clip((0.5 + half[:, None, None] - offset) / (2 * half[:, None, None]), 0.0, 1.0)
    weight = overlap[0] * overlap[1]
    padded = np.pad(source, border, constant_values=np.nan)
    valid = ~np.isnan(padded)
    if weight[valid].sum() < 0.5 * weight.sum():
        return np.nan
    return float((weight[valid] * padded[valid]).sum() / weight[valid].sum())


def calibrated(
    pixels: NDArray[np.uint16],
    calibration_line: Float64Array,
    calibration: Float64Array,
    noise: Float64Array | None = None,
) -> Float64Array:
    """``(DN ** 2 - noise) / A ** 2``, A linear in line; zeros connected to either end of a line are no data."""
    out = np.full(pixels.shape, np.nan)
    for i, row in enumerate(pixels):
        a = np.array([np.interp(i, calibration_line, column) for column in calibration.T])
        filled = np.flatnonzero(row)
        if filled.size:
            inner = slice(filled[0], filled[-1] + 1)
            power = row[inner].astype(np.float64) ** 2
            out[i, inner] = (power if noise is None else power - noise[i, inner]) / a[inner] ** 2
    return out


def correction(
    line: Float64Array,
    smooth_sample: Float64Array,
    record_line: Float64Array,
    first_sample: float,
    step_samples: float,
    correction_px: Float64Array,
    kind: str,
) -> Float64Array:
    """What `orthokernel.sensor.BreakLines` says to add, point by point."""
    x = first_sample + step_samples * np.arange(correction_px.shape[1])
    out = np.empty(line.shape)
    for at in np.ndindex(line.shape):
        by_record = np.array([np.interp(smooth_sample[at], x, row) for row in correction_px])
        if kind == "nearest":
            out[at] = by_record[np.argmin(np.abs(record_line - line[at]))]
        else:
            out[at] = np.interp(line[at], record_line, by_record)
    return out
