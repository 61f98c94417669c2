"""Slant range to image sample: the product's coordinate conversion records, and one smooth polynomial under them.

Each record holds two polynomials, ground range from slant range and back, which do not invert each other: by 7 cm in
an IW product, by metres in EW, where nadir is near and a polynomial follows the first of them badly. The second one,
slant range from ground range, is what made the image (the annotated grid meets it to rounding, the first to 0.0024 px
rms), so it is the one used here, inverted by Newton's method.

A record is valid at its azimuth time. Between records this module interpolates the sample linearly in the line (or
takes the nearest record). The mean of all records, as one low-degree polynomial, is the smooth sample that a lattice
can carry; the difference is tabulated as break lines.

Source: "Sentinel-1 Product Specification", S1-RS-MDA-52-7441, coordinateConversion; "Sentinel-1 Level 1 Detailed
Algorithm Definition", S1-TN-MDA-52-7445, section 9.17 (slant range to ground range).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.sensor import BreakLines
from orthokernel.sentinel1.annotation import Annotation

Float64Array = NDArray[np.float64]

SMOOTH_DEGREE = 5
TABLE_ERROR_PX = 2e-5
"""What linear interpolation between the columns of the break-line table may err."""

MAX_COLUMNS = 20_000


class SlantToSample(NamedTuple):
    """Polynomials from slant range to sample; a tuple so that njit functions can take it.

    Attributes
    ----------
    record_line : (R,) float64
        0-based image line of each record, increasing.
    origin_px : (R,) float64
    slant_m : (R, C) float64
        ``slant_range_m = sum_k slant_m[r, k] * (sample - origin_px[r]) ** k``.
    low_m, high_m : float
        Slant ranges between which records are used as they are; beyond, the record's difference from the smooth
        polynomial stays that of the edge.
    centre_m, half_span_m : float
        The smooth polynomial is one in ``u = (slant_range_m - centre_m) / half_span_m``.
    smooth : (D + 1,) float64
    nearest : bool
        Take the nearest record instead of interpolating between two.
    """

    record_line: Float64Array
    origin_px: Float64Array
    slant_m: Float64Array
    low_m: float
    high_m: float
    centre_m: float
    half_span_m: float
    smooth: Float64Array
    nearest: bool


def fit_slant_to_sample(annotation: Annotation, slant_to_ground: Literal["linear", "nearest"]) -> SlantToSample:
    """Build the conversion of one product.

    Raises
    ------
    AnnotationError
        A record does not rise across the image: it is no conversion.
    """
    records = annotation.slant_to_ground
    spacing_m = annotation.sample_spacing_m
    origin_px = records.ground_origin_m / spacing_m
    polynomials = records.grsr * spacing_m ** np.arange(records.grsr.shape[1])
    last = annotation.n_samples - 1
    beyond_px = 0.01 * last + 64.0
    sample = np.linspace(-beyond_px, last + beyond_px, 2048)
    if not (np.diff(_slant_ranges(origin_px, polynomials, sample), axis=1) > 0).all():
        raise AnnotationError(annotation.source, "a slant to ground range conversion that turns back", "one that rises")
    ends_m = _slant_ranges(origin_px, polynomials, np.array([-1.0, last + 1.0]))
    low_m, high_m = float(ends_m[:, 0].min()), float(ends_m[:, 1].max())
    slant_m = np.linspace(low_m, high_m, 512)
    samples = _samples(origin_px, polynomials, slant_m, (-1.0, last + 1.0))
    centre_m, half_span_m = 0.5 * (low_m + high_m), 0.5 * (high_m - low_m)
    unit = (slant_m - centre_m) / half_span_m
    smooth = np.polynomial.polynomial.polyfit(unit, samples.mean(axis=0), SMOOTH_DEGREE).astype(np.float64, copy=False)
    return SlantToSample(
        record_line=records.time_s / annotation.line_interval_s,
        origin_px=origin_px,
        slant_m=polynomials,
        low_m=low_m,
        high_m=high_m,
        centre_m=centre_m,
        half_span_m=half_span_m,
        smooth=smooth,
        nearest=slant_to_ground == "nearest",
    )


def _slant_ranges(origin_px: Float64Array, polynomials: Float64Array, sample: Float64Array) -> Float64Array:
    """``(R, K)`` slant ranges of samples ``(K,)`` by each record."""
    rows = zip(origin_px, polynomials, strict=True)
    return np.array([np.polynomial.polynomial.polyval(sample - origin, row) for origin, row in rows])


def _samples(
    origin_px: Float64Array, polynomials: Float64Array, slant_m: Float64Array, ends_px: tuple[float, float]
) -> Float64Array:
    """``(R, K)`` samples of slant ranges ``(K,)`` by each record: Newton's method on its polynomial."""
    nodes = np.linspace(*ends_px, 512)
    found = []
    for origin, row in zip(origin_px, polynomials, strict=True):
        derivative = np.polynomial.polynomial.polyder(row)
        sample = np.interp(slant_m, np.polynomial.polynomial.polyval(nodes - origin, row), nodes)
        for _ in range(2):  # the chords of 512 nodes are within 0.1 px: one step leaves 1e-6, the next rounding
            value = np.polynomial.polynomial.polyval(sample - origin, row)
            sample = sample - (value - slant_m) / np.polynomial.polynomial.polyval(sample - origin, derivative)
        found.append(sample)
    return np.array(found)


def make_break_lines(conversion: SlantToSample) -> BreakLines:
    """Tabulate record minus smooth polynomial, in columns close enough for linear interpolation.

    Every row is exact at its record's line, and both this table and the model are linear between those lines, so the
    columns are the only source of error (`TABLE_ERROR_PX`).
    """
    slant_m = np.linspace(conversion.low_m, conversion.high_m, 4096)
    smooth, correction_px = _correction(conversion, slant_m)
    # second derivative by the smooth sample, whose spacing varies slowly
    slope = np.diff(correction_px, axis=1) / np.diff(smooth)
    curvature = np.abs(np.diff(slope, axis=1)) / (0.5 * (smooth[2:] - smooth[:-2]))
    step = math.sqrt(8.0 * TABLE_ERROR_PX / max(float(curvature.max()), 1e-12))
    span = float(smooth[-1] - smooth[0])
    n_columns = min(max(math.ceil(span / step), 2), MAX_COLUMNS) + 1
    columns = np.linspace(smooth[0], smooth[-1], n_columns)
    slant_m = np.interp(columns, smooth, slant_m)
    for _ in range(4):  # Newton to the slant range of each column
        value, derivative = _polyval_with_derivative(
            conversion.smooth, (slant_m - conversion.centre_m) / conversion.half_span_m
        )
        slant_m = slant_m - (value - columns) / derivative * conversion.half_span_m
    _, correction_px = _correction(conversion, slant_m)
    return BreakLines(
        line=conversion.record_line,
        first_sample=float(columns[0]),
        step_samples=span / (n_columns - 1),
        correction_px=correction_px,
        kind="nearest" if conversion.nearest else "linear",
    )


def _polyval_with_derivative(coefficients: Float64Array, u: Float64Array) -> tuple[Float64Array, Float64Array]:
    value = np.polynomial.polynomial.polyval(u, coefficients)
    derivative = np.polynomial.polynomial.polyval(u, np.polynomial.polynomial.polyder(coefficients))
    return value.astype(np.float64), derivative.astype(np.float64)


def _correction(conversion: SlantToSample, slant_m: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Smooth sample ``(K,)`` and record minus smooth sample ``(R, K)`` at slant ranges ``(K,)``."""
    smooth, _ = _polyval_with_derivative(conversion.smooth, (slant_m - conversion.centre_m) / conversion.half_span_m)
    samples = _samples(conversion.origin_px, conversion.slant_m, slant_m, (float(smooth[0]), float(smooth[-1])))
    return smooth, samples - smooth
