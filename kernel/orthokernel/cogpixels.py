"""What is done to the pixels of a tile on their way to the file: halved for the overview, made ready to compress.

A tile is a window of a plane of rows: every function takes the plane, which is contiguous, and the window's
edges, because rows of a view with a stride are not vector code. Everything is in one file because numba's disk cache
notices a change only in the file of the compiled function.
"""

# numba infers the types of what it compiles
# ruff: noqa: PLR0124
# mypy: disable-error-code="no-untyped-def, no-untyped-call, operator"

from __future__ import annotations

import numpy as np
from numba import njit

_compiled = njit(nogil=True, error_model="numpy", cache=True)


@_compiled
def is_empty(plane, n_rows, col0, col1, no_data):
    """Whether a window has no data: NaN or ``no_data`` (a scalar of the plane's type) throughout."""
    for r in range(n_rows):
        row = plane[r, col0:col1]
        n_valid = 0
        for c in range(row.size):
            n_valid += (row[c] == row[c]) & (row[c] != no_data)
        if n_valid > 0:
            return False
    return True


@_compiled
def store_integers(values, low, high, no_data, off, out):
    """Floats as integers: rounded half to even, cut at ``low`` and ``high``; NaN becomes ``no_data``.

    A value that comes to be ``no_data`` is written as ``off``. ``values`` (N,) float32; ``out`` (N,), written, and
    ``no_data`` and ``off`` are of one integer type of at most 16 bits.
    """
    least, most = np.float32(low), np.float32(high)
    for k in range(values.size):
        value = values[k]
        stored = out.dtype.type(np.int32(min(max(np.rint(value), least), most)) if value == value else np.int32(0))
        out[k] = (off if stored == no_data else stored) if value == value else no_data


@_compiled
def halve_floats(plane, n_rows, col0, col1, out, out_row, out_col):
    """Means of 2 x 2 pixels, of those that are not NaN; NaN where all are.

    Parameters
    ----------
    plane : (R, C) float32
    n_rows, col0, col1 : int
        The window, from the first row on; what lies beyond an odd edge does not count.
    out : (R2, C2) float32
        Written from ``[out_row, out_col]`` on.
    """
    n_pairs = (col1 - col0) // 2
    for r in range(0, n_rows, 2):
        # Beyond an odd edge the last row or column stands in for itself: a mean of doubled values is the same.
        upper = plane[r, col0:col1]
        lower = plane[min(r + 1, n_rows - 1), col0:col1]
        target = out[out_row + r // 2, out_col : out_col + (col1 - col0 + 1) // 2]
        for c in range(n_pairs):
            a, b, d, e = upper[2 * c], upper[2 * c + 1], lower[2 * c], lower[2 * c + 1]
            n = np.float32(a == a) + np.float32(b == b) + (np.float32(d == d) + np.float32(e == e))
            zero = np.float32(0)
            total = ((a if a == a else zero) + (b if b == b else zero)) + (
                (d if d == d else zero) + (e if e == e else zero)
            )
            target[c] = total / n
        if target.size > n_pairs:
            a, d = upper[2 * n_pairs], lower[2 * n_pairs]
            n = np.float32(a == a) + np.float32(d == d)
            target[n_pairs] = ((a if a == a else np.float32(0)) + (d if d == d else np.float32(0))) / n


@_compiled
def halve_decibels(plane, n_rows, col0, col1, out, out_row, out_col):
    """As `halve_floats`, for decibels: the mean is of what they stand for, linear power."""
    for r in range(0, n_rows, 2):
        for c in range(col0, col1, 2):
            total, n = 0.0, 0
            for i in range(r, min(r + 2, n_rows)):
                for j in range(c, min(c + 2, col1)):
                    value = plane[i, j]
                    if value == value:
                        total += 10.0 ** (0.1 * value)
                        n += 1
            mean = np.float32(10.0 * np.log10(total / n)) if n > 0 else np.float32(np.nan)
            out[out_row + r // 2, out_col + (c - col0) // 2] = mean


@_compiled
def halve_integers(plane, n_rows, col0, col1, no_data, off, out, out_row, out_col):
    """Means of 2 x 2 pixels, of those that are not ``no_data``, rounded half up.

    A mean that comes to be ``no_data`` is written as ``off``; all three are of the plane's type. Otherwise as
    `halve_floats`.
    """
    for r in range(0, n_rows, 2):
        upper = plane[r, col0:col1]
        lower = plane[min(r + 1, n_rows - 1), col0:col1]
        target = out[out_row + r // 2, out_col : out_col + (col1 - col0 + 1) // 2]
        for c in range(target.size):
            left, right = 2 * c, min(2 * c + 1, upper.size - 1)
            a, b, d, e = upper[left], upper[right], lower[left], lower[right]
            n = np.int32(a != no_data) + np.int32(b != no_data) + np.int32(d != no_data) + np.int32(e != no_data)
            zero = np.int32(0)
            total = (
                (np.int32(a) if a != no_data else zero)
                + (np.int32(b) if b != no_data else zero)
                + (np.int32(d) if d != no_data else zero)
                + (np.int32(e) if e != no_data else zero)
            )
            mean = plane.dtype.type((total + n // 2) // max(n, 1))
            target[c] = no_data if n == 0 else (off if mean == no_data else mean)


@_compiled
def float_predictor(words, n_rows, col0, col1, fill, out):
    """A tile of floats, ready to compress: per row its bytes, most significant ones first, as differences.

    Parameters
    ----------
    words : (R, C) uint32
        The bits of float32 pixels.
    n_rows, col0, col1 : int
        The window, from the first row on; no larger than a tile.
    fill : uint32
        What the tile has beyond the window.
    out : (T, 4 T) uint8
        Written.

    Notes
    -----
    Source: Adobe Photoshop TIFF Technical Note 3 (2005), predictor 3, in the byte order of the processor, which
    must be little-endian.
    """
    n = out.shape[1] // 4
    row, difference = np.empty(n, np.uint32), np.empty(n, np.uint32)
    of_row, of_difference = row.view(np.uint8), difference.view(np.uint8)
    for r in range(out.shape[0]):
        if r < n_rows:
            for c in range(col1 - col0):
                row[np.uint64(c)] = words[np.uint64(r), np.uint64(col0) + np.uint64(c)]
            row[col1 - col0 :] = fill
        elif r == n_rows:
            row[:] = fill
        for b in range(4 * (n - 1)):  # all four bytes of a word less those of the one before
            of_difference[np.uint64(4 + b)] = of_row[np.uint64(4 + b)] - of_row[np.uint64(b)]
        before = np.uint8(0)
        for k in range(4):
            shift = np.uint32(24 - 8 * k)
            to = np.uint64(k * n)
            out[r, to] = np.uint8(row[0] >> shift) - before
            for c in range(1, n):
                out[np.uint64(r), to + np.uint64(c)] = np.uint8(difference[np.uint64(c)] >> shift)
            before = np.uint8(row[n - 1] >> shift)


@_compiled
def integer_predictor(plane, n_rows, col0, col1, fill, out):
    """A tile of unsigned integers, ready to compress: every pixel less the one before it in its row, modulo.

    ``fill`` is of the plane's type; ``out`` (T, T), written, too. Otherwise as `float_predictor`.

    Notes
    -----
    Source: TIFF revision 6.0, section 14, predictor 2.
    """
    n = out.shape[1]
    n_cols = col1 - col0
    for r in range(out.shape[0]):
        target = out[r]
        if r < n_rows:
            row = plane[r, col0:col1]
            target[0] = row[0]
            for c in range(1, n_cols):
                target[c] = row[c] - row[c - 1]
            if n_cols < n:
                target[n_cols] = fill - row[n_cols - 1]
                target[n_cols + 1 :] = 0
        else:
            target[0] = fill
            target[1:] = 0
