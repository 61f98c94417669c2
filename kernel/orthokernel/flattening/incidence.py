"""Angles under which the radar meets the ground, on the map grid: at the terrain's normal and at the ellipsoid's."""

# numba infers the types of what it compiles, and its functions take arrays one by one
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.flattening.walk import EARTH_RADIUS_M
from orthokernel.grid import Grid
from orthokernel.sentinel1.range_doppler import RangeDopplerModel

STEP_PX = 32
SECOND_HEIGHT_M = 4000.0
"""The look vector is linear in height through 0 and here, and its length mended: the chord is shorter than the arc."""

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

_outer = njit(nogil=True, error_model="numpy", cache=True)


def look_nodes(model: RangeDopplerModel, block: Grid, step_px: int = STEP_PX) -> Float64Array:
    """What `local_incidence` needs to know about a block of the output, at nodes every ``step_px`` pixels.

    Returns
    -------
    (10, I, J) float64
        At node (i, j), the centre of pixel (i * step_px, j * step_px). With the Jacobian of (east, north) in metres by
        (column, row), whose inverse takes care of the map's scale, convergence and shear: first the unit vector to the
        satellite, its horizontal part times the inverse (pixels a metre), at height 0; then its change for a metre of
        height; then the metric of the inverse, ``inverse @ inverse.T``, as column-column, column-row, row-row; last
        the square of the whole change. NaN where the model never images the ground.
    """
    rows = np.arange((block.n_rows - 1) // step_px + 2, dtype=np.float64)[:, None] * step_px
    cols = np.arange((block.n_cols - 1) // step_px + 2, dtype=np.float64)[None, :] * step_px
    lon, lat = block.lonlat(rows, cols)
    column_en = _metres(lat, *block.lonlat(rows, cols - 0.5), *block.lonlat(rows, cols + 0.5))
    row_en = _metres(lat, *block.lonlat(rows - 0.5, cols), *block.lonlat(rows + 0.5, cols))
    determinant = column_en[0] * row_en[1] - row_en[0] * column_en[1]
    inverse = np.stack([[row_en[1], -row_en[0]], [-column_en[1], column_en[0]]]) / determinant
    low = model.look_vectors(lon, lat, 0.0)
    change = (model.look_vectors(lon, lat, SECOND_HEIGHT_M) - low) / SECOND_HEIGHT_M
    parts = []
    for look in (low, change):
        parts += [inverse[0, 0] * look[0] + inverse[0, 1] * look[1]]
        parts += [inverse[1, 0] * look[0] + inverse[1, 1] * look[1]]
        parts += [look[2]]
    parts += [inverse[0, 0] ** 2 + inverse[0, 1] ** 2]
    parts += [inverse[0, 0] * inverse[1, 0] + inverse[0, 1] * inverse[1, 1]]
    parts += [inverse[1, 0] ** 2 + inverse[1, 1] ** 2]
    parts += [np.sum(change**2, axis=0)]
    return np.stack(parts)


def _metres(
    lat_deg: Float64Array, lon0: Float64Array, lat0: Float64Array, lon1: Float64Array, lat1: Float64Array
) -> Float64Array:
    """East and north from one point on the ellipsoid to another nearby, by its radii of curvature at a latitude."""
    semi_major_m, flattening = 6378137.0, 1.0 / 298.257223563
    e2 = flattening * (2.0 - flattening)
    lat = np.radians(lat_deg)
    w2 = 1.0 - e2 * np.sin(lat) ** 2
    across_m, along_m = semi_major_m / np.sqrt(w2), semi_major_m * (1.0 - e2) / w2**1.5
    turn = (lon1 - lon0 + 180.0) % 360.0 - 180.0
    return np.stack([np.radians(turn) * across_m * np.cos(lat), np.radians(lat1 - lat0) * along_m])


@_outer
def local_incidence(heights: Float32Array, nodes: Float64Array, step_px: int, out: Float32Array) -> None:
    """Angle between the sight line and the terrain's normal.

    Parameters
    ----------
    heights : (R + 2, C + 2) float32
        Of the block and one more pixel on each side, metres above the ellipsoid.
    nodes : (10, I, J) float64
        See `look_nodes`.
    step_px : int
    out : (R, C) float32
        Written: degrees, beyond 90 where the slope faces away; NaN where a height is missing.
    """
    n_rows, n_cols = out.shape
    n_nodes = nodes.shape[2]
    edge = np.empty((10, n_nodes))
    for r in range(n_rows):
        i = r // step_px
        t = (r - i * step_px) / step_px
        for q in range(10):
            for j in range(n_nodes):
                edge[q, j] = nodes[q, i, j] + (nodes[q, i + 1, j] - nodes[q, i, j]) * t
        for c in range(n_cols):
            j = c // step_px
            u = (c - j * step_px) / step_px
            h = np.float64(heights[r + 1, c + 1])
            # A map pixel is wider on a mountain than on the ellipsoid below.
            shrink = 0.5 / (1.0 + h / EARTH_RADIUS_M)
            by_col = shrink * (np.float64(heights[r + 1, c + 2]) - np.float64(heights[r + 1, c]))
            by_row = shrink * (np.float64(heights[r + 2, c + 1]) - np.float64(heights[r, c + 1]))
            look_col = edge[0, j] + (edge[0, j + 1] - edge[0, j]) * u
            look_row = edge[1, j] + (edge[1, j + 1] - edge[1, j]) * u
            look_up = edge[2, j] + (edge[2, j + 1] - edge[2, j]) * u
            look_col += h * (edge[3, j] + (edge[3, j + 1] - edge[3, j]) * u)
            look_row += h * (edge[4, j] + (edge[4, j + 1] - edge[4, j]) * u)
            look_up += h * (edge[5, j] + (edge[5, j + 1] - edge[5, j]) * u)
            metric_cc = edge[6, j] + (edge[6, j + 1] - edge[6, j]) * u
            metric_cr = edge[7, j] + (edge[7, j + 1] - edge[7, j]) * u
            metric_rr = edge[8, j] + (edge[8, j + 1] - edge[8, j]) * u
            steep = by_col * by_col * metric_cc + 2.0 * by_col * by_row * metric_cr + by_row * by_row * metric_rr
            cosine = (look_up - by_col * look_col - by_row * look_row) / math.sqrt(1.0 + steep)
            # Without this the angle at a slope that faces the radar squarely would err by 0.1 degrees.
            cosine *= 1.0 + 0.5 * h * (SECOND_HEIGHT_M - h) * edge[9, j]
            out[r, c] = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


@_outer
def ellipsoid_incidence(heights: Float32Array, nodes: Float64Array, step_px: int, out: Float32Array) -> None:
    """Angle between the sight line and the ellipsoid's normal; parameters as in `local_incidence`.

    The incidence angle in ESA's annotations is that at the direction from the Earth's centre instead, to 1e-9 degrees:
    it differs by up to 0.04 degrees (the deflection of the normal, in the plane across the track).
    """
    n_rows, n_cols = out.shape
    for r in range(n_rows):
        i = r // step_px
        t = (r - i * step_px) / step_px
        for c in range(n_cols):
            j = c // step_px
            u = (c - j * step_px) / step_px
            cosine = 0.0
            for q, weight in ((2, 1.0), (5, np.float64(heights[r + 1, c + 1]))):
                left = nodes[q, i, j] + (nodes[q, i + 1, j] - nodes[q, i, j]) * t
                right = nodes[q, i, j + 1] + (nodes[q, i + 1, j + 1] - nodes[q, i, j + 1]) * t
                cosine += weight * (left + (right - left) * u)
            out[r, c] = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
