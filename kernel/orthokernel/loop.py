"""The fused loop: terrain height, lattice, source samples, weights, write. No trigonometry, no Python per pixel.

The output is walked in blocks small enough that the source window under a block, turned once into float32 (for a
calibrated radar band: into power), stays in the second-level cache. Along a row of a block the work is split into
short passes over row buffers, because that is what a compiler turns into vector code: heights to coordinates,
coordinates to an index and two fractions, and then the taps, which are scalar loads on purpose (hardware gathers
measured three times slower). A sample without data is NaN in the window, so the pass over the taps needs no tests:
only pixels that come out NaN are looked at again, with weights renormalised over the valid samples.

Everything is in one file because numba's disk cache notices a change only in the file of the compiled function.
"""

# numba infers the types of what it compiles, and its functions take arrays one by one
# ruff: noqa: PLR0124
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEAREST, BILINEAR, CUBIC, AVERAGE = 0, 1, 2, 3

PAD = 3
"""Samples by which a window goes beyond what the block needs: two for cubic's taps, one for rounding."""

_CHUNK_PX = 1024  # points per pass: seven row buffers of them fit the first-level cache

# NaN marks what is not valid, so `nnan` and `ninf` must not be set.
_FAST = {"contract", "nsz", "arcp", "reassoc", "afn"}
_inner = njit(fastmath=_FAST, nogil=True, error_model="numpy")
_outer = njit(fastmath=_FAST, nogil=True, error_model="numpy", cache=True)

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


class LatticeArrays(NamedTuple):
    """The lattice as the loop reads it; node (i, j) is the centre of pixel (i * step_px, j * step_px) of the block.

    ``coefficients[q, p, i, j]`` (2, 3 or 4, I, J) float64 belong to the p-th power of ``height - height_mid_m``;
    q = 0 is the line, q = 1 the smooth sample.
    """

    coefficients: Float64Array
    step_px: int
    height_mid_m: float
    height_low_m: float
    height_high_m: float


class BreakTable(NamedTuple):
    """A :class:`~orthokernel.sensor.BreakLines` made linear throughout: ``line`` (R,) float64, increasing, its first
    and last element beyond any image; ``correction_px`` (R, K) float64. R = 0 where there is nothing to add."""

    line: Float64Array
    first_sample: float
    step_samples: float
    correction_px: Float64Array


class SourceArrays(NamedTuple):
    """A window of one source band, held in a ring of lines.

    The image has ``n_lines`` x ``n_samples``; the ring holds its lines from ``line0`` to before ``line1``, line l
    in row ``l % len(pixels)``, and column j is sample ``sample0 + j``. In row i the columns ``first_valid[i]`` to
    ``last_valid[i]`` (inclusive) have data. ``no_data`` is the value without data (NaN: none). With ``calibration``
    (L, columns) float32 of L > 0 rows at ``calibration_line``, a sample is worth ``(pixel / A) ** 2`` with A linear
    in line between the rows.
    """

    pixels: NDArray[Any]
    line0: int
    line1: int
    sample0: int
    n_lines: int
    n_samples: int
    first_valid: NDArray[np.int32]
    last_valid: NDArray[np.int32]
    no_data: float
    calibration_line: Float64Array
    calibration: Float32Array


@_inner
def _fill_window(source, line0, sample0, n_lines, n_samples, window):
    """Turn source pixels into float32 values; NaN outside the image and where there is no data."""
    no_data = np.float32(source.no_data)
    n_calibrated = source.calibration_line.shape[0]
    for i in range(n_lines):
        row = window[i * n_samples : (i + 1) * n_samples]
        line = line0 + i
        at = line % source.pixels.shape[0]
        low, high = 0, -1
        if source.line0 <= line < source.line1:
            low = max(source.first_valid[at], sample0 - source.sample0)
            high = min(source.last_valid[at], sample0 - source.sample0 + n_samples - 1)
        if high < low:
            row[:] = np.nan
            continue
        shift = sample0 - source.sample0
        row[: low - shift] = np.nan
        row[high - shift + 1 :] = np.nan
        values = row[low - shift : high - shift + 1]
        pixels = source.pixels[at, low : high + 1]
        if n_calibrated > 0:
            k = 0
            while k < n_calibrated - 2 and source.calibration_line[k + 1] <= line:
                k += 1
            after = min(k + 1, n_calibrated - 1)
            span = source.calibration_line[after] - source.calibration_line[k]
            part = (line - source.calibration_line[k]) / span if span > 0 else 0.0
            t = np.float32(min(max(part, 0.0), 1.0))
            a_before = source.calibration[k, low : high + 1]
            a_after = source.calibration[after, low : high + 1]
            for j in range(values.shape[0]):
                amplitude = np.float32(pixels[j]) / (a_before[j] + t * (a_after[j] - a_before[j]))
                values[j] = amplitude * amplitude
        else:
            for j in range(values.shape[0]):
                values[j] = np.float32(pixels[j])
        if not np.isnan(no_data):
            for j in range(values.shape[0]):
                if np.float32(pixels[j]) == no_data:
                    values[j] = np.nan


@_inner
def _cell_coordinates(coefficients, q, i, u, j, step_px, origin, heights, mid, first, last, out, at):
    """One coordinate of the columns first to last of a row, within one lattice cell: ``out[at + column]``.

    A polynomial in height whose coefficients are linear in the column; the row lies the part u below node row i.
    """
    c = coefficients
    k0 = (1.0 - u) * c[q, 0, i, j] + u * c[q, 0, i + 1, j]
    k1 = ((1.0 - u) * c[q, 0, i, j + 1] + u * c[q, 0, i + 1, j + 1] - k0) / step_px
    k2 = (1.0 - u) * c[q, 1, i, j] + u * c[q, 1, i + 1, j]
    k3 = ((1.0 - u) * c[q, 1, i, j + 1] + u * c[q, 1, i + 1, j + 1] - k2) / step_px
    k4 = (1.0 - u) * c[q, 2, i, j] + u * c[q, 2, i + 1, j]
    k5 = ((1.0 - u) * c[q, 2, i, j + 1] + u * c[q, 2, i + 1, j + 1] - k4) / step_px
    a0, a1, a2 = np.float32(k0 - origin), np.float32(k2), np.float32(k4)
    b0, b1, b2 = np.float32(k1), np.float32(k3), np.float32(k5)
    # Slices, because an index that might be negative keeps the compiler from making vector code: 5 ns a pixel, not 1.
    ground = heights[first:last]
    values = out[at : at + last - first]
    x0 = np.float32(first - j * step_px)
    for n in range(values.shape[0]):
        h = ground[n] - mid
        x = x0 + np.float32(n)
        values[n] = (a0 + b0 * x) + h * ((a1 + b1 * x) + h * (a2 + b2 * x))
    if c.shape[1] > 3:
        k6 = (1.0 - u) * c[q, 3, i, j] + u * c[q, 3, i + 1, j]
        k7 = ((1.0 - u) * c[q, 3, i, j + 1] + u * c[q, 3, i + 1, j + 1] - k6) / step_px
        a3, b3 = np.float32(k6), np.float32(k7)
        for n in range(values.shape[0]):
            h = ground[n] - mid
            values[n] += h * h * h * (a3 + b3 * (x0 + np.float32(n)))


@_inner
def _table_at(table, line, sample):
    """Correction at one point."""
    r = min(max(np.searchsorted(table.line, line) - 1, 0), table.line.shape[0] - 2)
    last = table.correction_px.shape[1] - 1
    x = min(max((sample - table.first_sample) / table.step_samples, 0.0), float(last))
    k = min(int(x), last - 1)
    fx = x - k
    t = (line - table.line[r]) / (table.line[r + 1] - table.line[r])
    before = table.correction_px[r, k] + fx * (table.correction_px[r, k + 1] - table.correction_px[r, k])
    after = table.correction_px[r + 1, k] + fx * (table.correction_px[r + 1, k + 1] - table.correction_px[r + 1, k])
    return before + t * (after - before)


@_inner
def _local_correction(table, ranges, line0, sample0, local):
    """The correction over one block in closed form, in window coordinates; False where it has none.

    A block lies within two neighbouring record intervals, or has none of this. With the record line r between
    them, the correction is ``q(s) + min(l - r, 0) * before(s) + max(l - r, 0) * after(s)``, q, before and after
    being quadratics through the table at the block's first, middle and last sample. They are checked against the
    table at seven other samples. ``local`` gets r and the nine coefficients.
    """
    r = min(max(np.searchsorted(table.line, ranges[0]), 1), table.line.shape[0] - 2)
    if ranges[1] > table.line[r + 1]:
        return False
    first, last = ranges[2] - 1.0, ranges[3] + 1.0
    half = 0.5 * (last - first)
    mid = first + half
    local[0] = table.line[r] - line0
    for n in range(3):
        at = table.line[r]
        span = 0.0
        if n > 0:
            span = table.line[r - 3 + 2 * n] - at  # to the record before, then to the one after
        low = _rate(table, at, span, first)
        middle = _rate(table, at, span, mid)
        high = _rate(table, at, span, last)
        c2 = 0.5 * (low - 2.0 * middle + high) / (half * half)
        c1 = 0.5 * (high - low) / half
        for m in range(1, 8):
            x = (m / 4.0 - 1.0) * half
            error = middle + x * (c1 + x * c2) - _rate(table, at, span, mid + x)
            if abs(error * (span if n > 0 else 1.0)) > 0.002:
                return False
        x = sample0 - mid
        local[1 + 3 * n] = middle + x * (c1 + x * c2)
        local[2 + 3 * n] = c1 + 2.0 * x * c2
        local[3 + 3 * n] = c2
    return True


@_inner
def _rate(table, at, span, sample):
    """Correction on a record's line, or its change per line from there over ``span`` lines."""
    here = _table_at(table, at, sample)
    if span == 0.0:
        return here
    return (_table_at(table, at + span, sample) - here) / span


@_inner
def _add_local_correction(local, lines, samples):
    """Add the closed form of :func:`_local_correction` to the samples of a row."""
    zero = np.float32(0)
    r = local[0]
    q0, q1, q2 = local[1], local[2], local[3]
    b0, b1, b2 = local[4], local[5], local[6]
    a0, a1, a2 = local[7], local[8], local[9]
    for n in range(samples.shape[0]):
        s = samples[n]
        before = lines[n] - r
        after = before if before > zero else zero
        before = before if before < zero else zero
        here = q0 + s * (q1 + s * q2)
        samples[n] = s + here + before * (b0 + s * (b1 + s * b2)) + after * (a0 + s * (a1 + s * a2))


@_inner
def _add_table_correction(table, lines, samples, line0, sample0):
    """Add the correction to the samples of a row, looked up point by point."""
    for n in range(samples.shape[0]):
        if samples[n] == samples[n] and lines[n] == lines[n]:  # NaN has no record
            samples[n] += np.float32(_table_at(table, lines[n] + line0, samples[n] + sample0))


@_inner
def _split(lines, samples, bounds, stride, index, line_part, sample_part):
    """Index of the upper left tap and fractions; index 0, which holds NaN, where the point is off the image."""
    width = np.float32(stride)
    for c in range(lines.shape[0]):
        line = lines[c]
        sample = samples[c]
        inside = (line >= bounds[0]) & (line <= bounds[1]) & (sample >= bounds[2]) & (sample <= bounds[3])
        line = line if inside else np.float32(0)
        sample = sample if inside else np.float32(0)
        line_floor = np.floor(line)
        sample_floor = np.floor(sample)
        line_part[c] = line - line_floor
        sample_part[c] = sample - sample_floor
        index[c] = np.int32(line_floor * width + sample_floor)


@_inner
def _bilinear(window, stride, index, line_part, sample_part, out):
    for c in range(index.shape[0]):
        upper = np.uint64(index[c])
        lower = upper + np.uint64(stride)
        s = sample_part[c]
        p00 = window[upper]
        p10 = window[lower]
        top = p00 + s * (window[upper + np.uint64(1)] - p00)
        bottom = p10 + s * (window[lower + np.uint64(1)] - p10)
        out[c] = top + line_part[c] * (bottom - top)


@_inner
def _nearest(window, stride, index, line_part, sample_part, out):
    for c in range(index.shape[0]):
        down = stride if line_part[c] >= np.float32(0.5) else 0
        right = 1 if sample_part[c] >= np.float32(0.5) else 0
        out[c] = window[np.uint64(index[c] + down + right)]


@_inner
def _cubic_weights(x):
    """Keys' kernel with a = -0.5 at the four taps around x in [0, 1). Source: Keys 1981, equation 15."""
    x2 = x * x
    x3 = x2 * x
    half = np.float32(0.5)
    w0 = half * (-x3 + np.float32(2) * x2 - x)
    w1 = half * (np.float32(3) * x3 - np.float32(5) * x2 + np.float32(2))
    w2 = half * (np.float32(-3) * x3 + np.float32(4) * x2 + x)
    w3 = half * (x3 - x2)
    return w0, w1, w2, w3


@_inner
def _cubic(window, stride, index, line_part, sample_part, out):
    step = np.uint64(stride)
    one = np.uint64(1)
    for c in range(index.shape[0]):
        if index[c] == 0:  # off the image: the taps before would lie before the window
            out[c] = np.nan
            continue
        a0, a1, a2, a3 = _cubic_weights(sample_part[c])
        b0, b1, b2, b3 = _cubic_weights(line_part[c])
        p = np.uint64(index[c]) - step - one
        r0 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        p += step
        r1 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        p += step
        r2 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        p += step
        r3 = a0 * window[p] + a1 * window[p + one] + a2 * window[p + one + one] + a3 * window[p + one + one + one]
        out[c] = b0 * r0 + b1 * r1 + b2 * r2 + b3 * r3


@_inner
def _average(window, n_window_lines, stride, line, sample, footprint):
    """Mean of the valid samples under one output pixel, by the part of it that each covers; NaN under half.

    ``footprint`` is dline/drow, dline/dcol, dsample/drow, dsample/dcol. A sample at (dl, ds) lies at (u, v) pixels
    from the output pixel's centre; it counts by the overlap, along u and along v, of two boxes: the output pixel
    (width 1) and the sample seen from the map. Exact where rows and lines are parallel.
    """
    l_r, l_c, s_r, s_c = footprint[0], footprint[1], footprint[2], footprint[3]
    det = l_r * s_c - l_c * s_r
    if abs(det) < 1e-9:
        return np.float32(np.nan)
    u_l, u_s, v_l, v_s = s_c / det, -l_c / det, -s_r / det, l_r / det
    e_u = 0.5 * min(1.0, abs(u_l) + abs(u_s))
    e_v = 0.5 * min(1.0, abs(v_l) + abs(v_s))
    reach_u = 0.5 + e_u
    reach_v = 0.5 + e_v
    reach_l = abs(l_r) * reach_u + abs(l_c) * reach_v
    reach_s = abs(s_r) * reach_u + abs(s_c) * reach_v
    total = 0.0
    valid = 0.0
    value = 0.0
    for i in range(max(0, int(np.ceil(line - reach_l))), min(n_window_lines - 1, int(line + reach_l)) + 1):
        dl = i - line
        for j in range(max(0, int(np.ceil(sample - reach_s))), min(stride - 1, int(sample + reach_s)) + 1):
            ds = j - sample
            w_u = min((reach_u - abs(u_l * dl + u_s * ds)) / (2 * e_u), 1.0)
            w_v = min((reach_v - abs(v_l * dl + v_s * ds)) / (2 * e_v), 1.0)
            if w_u <= 0.0 or w_v <= 0.0:
                continue
            weight = w_u * w_v
            total += weight
            sample_value = window[i * stride + j]
            if sample_value == sample_value:
                valid += weight
                value += weight * sample_value
    if valid <= 0.0 or valid < 0.5 * total:
        return np.float32(np.nan)
    return np.float32(value / valid)


@_inner
def _renormalised(window, stride, method, at, line_part, sample_part):
    """One pixel again, over its valid samples only; NaN where they carry less than half of the weight."""
    if method == CUBIC:
        ws = _cubic_weights(sample_part)
        wl = _cubic_weights(line_part)
        start, n = at - stride - 1, 4
    else:
        one = np.float32(1)
        zero = np.float32(0)
        ws = (one - sample_part, sample_part, zero, zero)
        wl = (one - line_part, line_part, zero, zero)
        start, n = at, 2
    valid = np.float32(0)
    value = np.float32(0)
    for i in range(n):
        for j in range(n):
            sample_value = window[start + i * stride + j]
            if sample_value == sample_value:
                weight = wl[i] * ws[j]
                valid += weight
                value += weight * sample_value
    # the hair under a half: at the very edge of an image the weight is 0.5 less rounding
    return value / valid if valid >= np.float32(0.49999) else np.float32(np.nan)


@_inner
def _sample_points(window, n_window_lines, stride, method, bounds, lines, samples, footprint, index, fl, fs, out):
    """Values of points given in window coordinates."""
    _split(lines, samples, bounds, stride, index, fl, fs)
    if method == AVERAGE:
        for c in range(out.shape[0]):
            out[c] = np.nan
            if index[c] != 0:
                out[c] = _average(window, n_window_lines, stride, lines[c], samples[c], footprint)
        return
    if method == BILINEAR:
        _bilinear(window, stride, index, fl, fs, out)
    elif method == NEAREST:
        _nearest(window, stride, index, fl, fs, out)
        return
    else:
        _cubic(window, stride, index, fl, fs, out)
    n_bad = 0
    for c in range(out.shape[0]):
        n_bad += int(out[c] != out[c])
    if n_bad > 0:
        for c in range(out.shape[0]):
            if out[c] != out[c] and index[c] != 0:
                out[c] = _renormalised(window, stride, method, index[c], fl[c], fs[c])


@_inner
def _cell_footprint(lattice, i, j, footprint):
    """dline/drow, dline/dcol, dsample/drow, dsample/dcol at the centre of a lattice cell, at mid height."""
    for q in range(2):
        c = lattice.coefficients
        c00, c01, c10, c11 = c[q, 0, i, j], c[q, 0, i, j + 1], c[q, 0, i + 1, j], c[q, 0, i + 1, j + 1]
        footprint[2 * q] = 0.5 * (c10 - c00 + c11 - c01) / lattice.step_px
        footprint[2 * q + 1] = 0.5 * (c01 - c00 + c11 - c10) / lattice.step_px


@_inner
def _height_range(heights, row0, row1, col0, col1, low, high):
    """Lowest and highest terrain of a block; ``(inf, -inf)`` where none has a height.

    Column by column first: that is vector code, and NaN loses every comparison.
    """
    n = col1 - col0
    low[:n] = np.inf
    high[:n] = -np.inf
    lows, highs = low[:n], high[:n]
    for r in range(row0, row1):
        row = heights[r, col0:col1]
        for c in range(n):
            h = row[c]
            lows[c] = h if h < lows[c] else lows[c]
            highs[c] = h if h > highs[c] else highs[c]
    lowest, highest = np.inf, -np.inf
    for c in range(n):
        lowest = min(lowest, lows[c])
        highest = max(highest, highs[c])
    return lowest, highest


@_inner
def _block_range(lattice, table, low_m, high_m, row0, row1, col0, col1, ranges, smooth):
    """Lines and samples that a block can reach, corrected and ``smooth``: min, max, min, max; False where none.

    Between nodes the lattice is bilinear, so nodes bound it; in height it is a polynomial, which leaves the range of
    its values at two ends by at most half its largest second derivative times the square of half their distance.
    """
    n = lattice.step_px
    cubic = lattice.coefficients.shape[1] > 3
    low, high = low_m - lattice.height_mid_m, high_m - lattice.height_mid_m
    ranges[0], ranges[1], ranges[2], ranges[3] = np.inf, -np.inf, np.inf, -np.inf
    for i in range(row0 // n, (row1 - 1) // n + 2):
        for j in range(col0 // n, (col1 - 1) // n + 2):
            for q in range(2):
                c0 = lattice.coefficients[q, 0, i, j]
                c1 = lattice.coefficients[q, 1, i, j]
                c2 = lattice.coefficients[q, 2, i, j]
                if c0 != c0:
                    continue
                a = c0 + low * (c1 + low * c2)
                b = c0 + high * (c1 + high * c2)
                bend = abs(c2)
                if cubic:
                    c3 = lattice.coefficients[q, 3, i, j]
                    a += low * low * low * c3
                    b += high * high * high * c3
                    bend += 3.0 * abs(c3) * max(abs(low), abs(high))
                beyond = bend * (0.5 * (high - low)) ** 2
                ranges[2 * q] = min(ranges[2 * q], min(a, b) - beyond)
                ranges[2 * q + 1] = max(ranges[2 * q + 1], max(a, b) + beyond)
    if not ranges[0] <= ranges[1]:
        return False
    smooth[:] = ranges
    if table.line.shape[0] > 0:
        least, most = np.inf, -np.inf
        last = table.correction_px.shape[1] - 1
        k0 = min(max(int(np.floor((ranges[2] - table.first_sample) / table.step_samples)), 0), last)
        k1 = min(max(int(np.floor((ranges[3] - table.first_sample) / table.step_samples)) + 1, 0), last)
        for r in range(table.line.shape[0]):
            if table.line[min(r + 1, table.line.shape[0] - 1)] < ranges[0] or table.line[max(r - 1, 0)] > ranges[1]:
                continue
            for k in range(k0, k1 + 1):
                least = min(least, table.correction_px[r, k])
                most = max(most, table.correction_px[r, k])
        ranges[2] += least
        ranges[3] += most
    return True


@_inner
def _open_window(ranges, source, method, footprint, scratch, shape, bounds):
    """Fill the source window under a block; ``shape`` gets line0, sample0, lines, samples. False: off the image."""
    reach_l, reach_s = 0.0, 0.0
    if method == AVERAGE:
        reach_l = abs(footprint[0]) + abs(footprint[1]) + 1.0
        reach_s = abs(footprint[2]) + abs(footprint[3]) + 1.0
    least_l, most_l = max(ranges[0], -0.5), min(ranges[1], source.n_lines - 0.5)
    least_s, most_s = max(ranges[2], -0.5), min(ranges[3], source.n_samples - 0.5)
    if not (least_l <= most_l and least_s <= most_s):
        return scratch, False
    line0 = int(np.floor(least_l - reach_l)) - PAD
    sample0 = int(np.floor(least_s - reach_s)) - PAD
    n_lines = int(np.ceil(most_l + reach_l)) + PAD + 1 - line0
    n_samples = int(np.ceil(most_s + reach_s)) + PAD + 1 - sample0
    shape[0], shape[1], shape[2], shape[3] = line0, sample0, n_lines, n_samples
    if n_lines * n_samples > scratch.shape[0]:
        scratch = np.empty(n_lines * n_samples, np.float32)
    _fill_window(source, line0, sample0, n_lines, n_samples, scratch)
    scratch[0] = np.nan
    bounds[0] = max(-0.5 - line0, 1.0)
    bounds[1] = min(source.n_lines - 0.5 - line0, n_lines - 3.0)
    bounds[2] = max(-0.5 - sample0, 1.0)
    bounds[3] = min(source.n_samples - 0.5 - sample0, n_samples - 3.0)
    return scratch, True


@_inner
def _write_rows(values, width, power, out, row0, row1, col0):
    for r in range(row0, row1):
        at = (r - row0) * width
        for c in range(width):
            value = values[at + c]
            below = power & (value < np.float32(0))  # False for NaN
            out[r, col0 + c] = np.float32(0) if below else value


@_outer
def warp_strip(heights, strip, lattice, table, source, method, power, block_px, scratch, out):
    """Orthorectify a part of a lattice's block.

    Parameters
    ----------
    heights : (R, W) float32
        Of the whole block, metres above the ellipsoid; NaN gives no data.
    strip : (int, int, int, int)
        First row, row after the last, first column, column after the last of the part.
    lattice : LatticeArrays
    table : BreakTable
    source : SourceArrays
        Must hold every sample of the image that the part needs.
    method : int
        NEAREST, BILINEAR, CUBIC or AVERAGE.
    power : bool
        The values are powers: below zero (cubic) they become zero.
    block_px : int
        Edge of the blocks the strip is walked in.
    scratch : (n,) float32
        Room for a block's source window; a larger one is allocated where it does not suffice.
    out : (R, W) float32
        Written throughout the part; NaN where there is no data.
    """
    row0, row1, col0, col1 = strip
    n_cols = col1 - col0
    width = max(min(block_px, n_cols), _CHUNK_PX)
    coefficients = lattice.coefficients
    values = np.empty(width, np.float32)
    lines = np.empty(width, np.float32)
    samples = np.empty(width, np.float32)
    line_part = np.empty(width, np.float32)
    sample_part = np.empty(width, np.float32)
    index = np.empty(width, np.int32)
    ranges = np.empty(4)
    shape = np.empty(4, np.int64)
    bounds = np.empty(4, np.float32)
    local = np.empty(10, np.float32)
    smooth_ranges = np.empty(4)
    footprint = np.zeros(4)
    mid = np.float32(lattice.height_mid_m)
    n = lattice.step_px
    for r0 in range(row0, row1, block_px):
        r1 = min(r0 + block_px, row1)
        for c0 in range(col0, col1, block_px):
            c1 = min(c0 + block_px, col1)
            low, high = _height_range(heights, r0, r1, c0, c1, lines, samples)
            found = low <= high and _block_range(lattice, table, low, high, r0, r1, c0, c1, ranges, smooth_ranges)
            _cell_footprint(lattice, ((r0 + r1) // 2) // n, ((c0 + c1) // 2) // n, footprint)
            if found:
                scratch, found = _open_window(ranges, source, method, footprint, scratch, shape, bounds)
            if not found:
                out[r0:r1, c0:c1] = np.nan
                continue
            closed = table.line.shape[0] > 0 and _local_correction(table, smooth_ranges, shape[0], shape[1], local)
            m = c1 - c0
            at_once = max(1, _CHUNK_PX // m)
            for q0 in range(r0, r1, at_once):
                q1 = min(q0 + at_once, r1)
                for r in range(q0, q1):
                    i = r // n
                    u = (r - i * n) / n
                    height = heights[r]
                    for j in range(c0 // n, (c1 - 1) // n + 1):
                        a, b = max(c0, j * n), min(c1, (j + 1) * n)
                        at = (r - q0) * m + a - c0
                        _cell_coordinates(coefficients, 0, i, u, j, n, shape[0], height, mid, a, b, lines, at)
                        _cell_coordinates(coefficients, 1, i, u, j, n, shape[1], height, mid, a, b, samples, at)
                many = (q1 - q0) * m
                if closed:
                    _add_local_correction(local, lines[:many], samples[:many])
                elif table.line.shape[0] > 0:
                    _add_table_correction(table, lines[:many], samples[:many], shape[0], shape[1])
                _sample_points(
                    scratch, shape[2], shape[3], method, bounds, lines[:many], samples[:many], footprint,
                    index[:many], line_part[:many], sample_part[:many], values[:many],
                )  # fmt: skip
                _write_rows(values, m, power, out, q0, q1, c0)


@_outer
def warp_points(line, sample, strip, source, method, power, block_px, footprints, scratch, out):
    """Orthorectify points whose image coordinates are given: the exact-model path, for proofs.

    Parameters
    ----------
    line, sample : (R, W) float64
        0-based image coordinates of every output pixel; NaN gives no data.
    footprints : (R / block_px, W / block_px, 4) float64
        Per block, from the strip's corner: dline/drow, dline/dcol, dsample/drow, dsample/dcol. For AVERAGE only.
    strip, source, method, power, block_px, scratch, out
        As in :func:`warp_strip`.
    """
    row0, row1, col0, col1 = strip
    width = min(block_px, col1 - col0)
    values = np.empty(width, np.float32)
    lines = np.empty(width, np.float32)
    samples = np.empty(width, np.float32)
    line_part = np.empty(width, np.float32)
    sample_part = np.empty(width, np.float32)
    index = np.empty(width, np.int32)
    ranges = np.empty(4)
    shape = np.empty(4, np.int64)
    bounds = np.empty(4, np.float32)
    for r0 in range(row0, row1, block_px):
        r1 = min(r0 + block_px, row1)
        for c0 in range(col0, col1, block_px):
            c1 = min(c0 + block_px, col1)
            ranges[0], ranges[1], ranges[2], ranges[3] = np.inf, -np.inf, np.inf, -np.inf
            for r in range(r0, r1):
                for c in range(c0, c1):
                    if line[r, c] == line[r, c] and sample[r, c] == sample[r, c]:
                        ranges[0] = min(ranges[0], line[r, c])
                        ranges[1] = max(ranges[1], line[r, c])
                        ranges[2] = min(ranges[2], sample[r, c])
                        ranges[3] = max(ranges[3], sample[r, c])
            footprint = footprints[(r0 - row0) // block_px, (c0 - col0) // block_px]
            scratch, found = _open_window(ranges, source, method, footprint, scratch, shape, bounds)
            if not found:
                out[r0:r1, c0:c1] = np.nan
                continue
            for r in range(r0, r1):
                m = c1 - c0
                for c in range(m):
                    lines[c] = np.float32(line[r, c0 + c] - shape[0])
                    samples[c] = np.float32(sample[r, c0 + c] - shape[1])
                _sample_points(
                    scratch, shape[2], shape[3], method, bounds, lines[:m], samples[:m], footprint,
                    index[:m], line_part[:m], sample_part[:m], values[:m],
                )  # fmt: skip
                _write_rows(values, m, power, out, r, r + 1, c0)
