"""What areas and visibility say of map pixels whose place in the image is known."""

# numba infers the types of what it compiles, and its functions take arrays one by one
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

_outer = njit(nogil=True, error_model="numpy", cache=True)


@_outer
def look_up(
    line, sample, flat_sample, size, held, sample0, area, visibility, flat_sample0, out_visibility, out_area
):  # fmt: skip
    """Visibility of the nearest ground point, and the area between the four nearest samples.

    Parameters
    ----------
    line, sample, flat_sample : (R, C) float64
        Of the pixels, NaN where they have none.
    size : (int, int)
        Lines and samples of the image: of pixels off it nothing is known.
    held : (int, int)
        Half-open range of the lines that the rings hold.
    sample0 : int
        Sample of column 0 of ``area``.
    area : (N, S) float32
    visibility : (N, F) uint8
    flat_sample0 : (N,) int32
        See `AreaArrays`: line l is in row ``l % N``.
    out_visibility : (R, C) uint8
        Written: 0 where nothing is known.
    out_area : (R, C) float32
        Written likewise: NaN.
    """
    n = visibility.shape[0]
    for r in range(line.shape[0]):
        for c in range(line.shape[1]):
            out_visibility[r, c] = 0
            out_area[r, c] = np.nan
            inside = -0.5 <= line[r, c] <= size[0] - 0.5 and -0.5 <= sample[r, c] <= size[1] - 0.5  # False for NaN
            if not inside or np.isnan(flat_sample[r, c]):
                continue
            at = int(np.floor(line[r, c] + 0.5))
            if held[0] <= at < held[1]:
                k = int(np.floor(flat_sample[r, c] + 0.5)) - flat_sample0[at % n]
                if 0 <= k < visibility.shape[1]:
                    out_visibility[r, c] = visibility[at % n, k]
            q, s = np.floor(line[r, c]), np.floor(sample[r, c])
            i, j = int(q), int(s) - sample0
            if held[0] <= i and i + 1 < held[1] and j >= 0 and j + 1 < area.shape[1]:
                u, v = np.float32(line[r, c] - q), np.float32(sample[r, c] - s)
                upper = area[i % n, j] + v * (area[i % n, j + 1] - area[i % n, j])
                lower = area[(i + 1) % n, j] + v * (area[(i + 1) % n, j + 1] - area[(i + 1) % n, j])
                out_area[r, c] = upper + u * (lower - upper)
