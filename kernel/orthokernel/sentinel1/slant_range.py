"""Slant range to image sample: the product's coordinate conversion records, and one smooth polynomial under them.

Each record is a polynomial from slant range to ground range, valid at its azimuth time. Between records this module
interpolates the sample linearly in the line (or takes the nearest record). The mean of all records, as one low-degree
polynomial, is the smooth sample that a lattice can carry; the difference is tabulated as break lines.

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
    origin_m : (R,) float64
    coefficients : (R, C) float64
        ``sample = sum_k coefficients[r, k] * (slant_range_m - origin_m[r]) ** k``.
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
    origin_m: Float64Array
    coefficients: Float64Array
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
    coefficients = records.srgr / annotation.sample_spacing_m
    record_line = records.time_s / annotation.line_interval_s
    last = annotation.n_samples - 1
    low_m = min(_slant_range_of(annotation, r, -1.0) for r in range(record_line.size))
    high_m = max(_slant_range_of(annotation, r, last + 1.0) for r in range(record_line.size))
    slant_m = np.linspace(low_m, high_m, 512)
    samples = np.array(
        [
            np.polynomial.polynomial.polyval(slant_m - origin_m, row)
            for origin_m, row in zip(records.slant_origin_m, coefficients, strict=True)
        ]
    )
    if not (np.diff(samples, axis=1) > 0).all():
        raise AnnotationError(annotation.source, "a slant to ground range conversion that turns back", "one that rises")
    centre_m, half_span_m = 0.5 * (low_m + high_m), 0.5 * (high_m - low_m)
    unit = (slant_m - centre_m) / half_span_m
    smooth = np.polynomial.polynomial.polyfit(unit, samples.mean(axis=0), SMOOTH_DEGREE).astype(np.float64, copy=False)
    return SlantToSample(
        record_line=record_line,
        origin_m=records.slant_origin_m,
        coefficients=coefficients,
        low_m=low_m,
        high_m=high_m,
        centre_m=centre_m,
        half_span_m=half_span_m,
        smooth=smooth,
        nearest=slant_to_ground == "nearest",
    )


def _slant_range_of(annotation: Annotation, record: int, sample: float) -> float:
    """Slant range of a sample by the record's own inverse: good to 6 cm, enough for bounds."""
    records = annotation.slant_to_ground
    ground_range_m = sample * annotation.sample_spacing_m - records.ground_origin_m[record]
    return float(np.polynomial.polynomial.polyval(ground_range_m, records.grsr[record]))


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
    samples = [
        np.polynomial.polynomial.polyval(slant_m - origin_m, row)
        for origin_m, row in zip(conversion.origin_m, conversion.coefficients, strict=True)
    ]
    return smooth, np.array(samples) - smooth
