"""The walk along an image line's terrain profile: how much ground, seen from the radar, falls into each sample.

In the plane across the track a facet with edges ``(a, 0, du)`` along and ``(0, g, dv)`` across has, along the look
vector ``(0, -sin t, cos t)``, the projected area ``a (g cos t + dv sin t)``, whatever its slope along the track: the
azimuth spacing times what the facet covers across the line of sight. That is ``R dphi``, R being the slant range and
phi the look angle at the satellite. So the projected area of all facets of a line is a sum along one profile: from
near to far, every step adds the angle by which it rises above all ground before it (nothing in shadow), spread over
the samples between its ends. Layover needs no treatment: several parts of the profile add to the same samples.

No fast-math, and no sum whose order depends on where the walk began: a sample's area is the same to the last bit
whatever window it was asked for in.

Source: D. Small, "Flattening Gamma: Radiometric Terrain Correction for SAR Imagery", IEEE TGRS 49 (2011); G. H. X.
Shiroma et al., "An Area-Based Projection Algorithm for SAR Radiometric Terrain Correction and Geocoding", IEEE TGRS 60
(2022).
"""

# numba infers the types of what it compiles, and its functions take arrays one by one
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.loop import BreakTable
from orthokernel.terrain.flags import NODATA, SEA, UNUSABLE

VISIBLE, SHADOW, LAYOVER = 1, 2, 4
"""Bits of a ground point; VISIBLE alone where it is neither in shadow nor in layover, 0 where it has no height."""

LEAST_AREA = 0.03
"""Projected over flat area below which nothing is made of a sample: grazing sight (88 degrees), or no lit ground."""

EARTH_RADIUS_M = 6.371e6
"""Lines lie farther apart higher up by height / radius: 0.006 dB on the highest mountain, to 0.0005 dB by a sphere."""

SHORT_SAMPLES = 1e-9
"""A step that spans less falls into one sample."""

ROW, COL, GEOID, ROW_LEAN, COL_LEAN, SAMPLE_1, SAMPLE_2, SAMPLE_3, ANGLE_0, ANGLE_1, ANGLE_2, ANGLE_3 = range(12)
N_QUANTITIES = 12

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]

_inner = njit(nogil=True, error_model="numpy")
_outer = njit(nogil=True, error_model="numpy", cache=True)


class ProfileNodes(NamedTuple):
    """Where ground points lie in the DEM and in the image, at nodes of line and flat sample.

    The flat sample of a ground point is the smooth sample it would have at height 0.

    Attributes
    ----------
    values : (12, I, J) float64
        Row and column in the DEM and geoid height of the ground point; by how many rows and columns it moves, so as to
        stay on the line, for a metre of height; first to third coefficient, in height, of smooth less flat sample; the
        look angle in radians, its value at 0 and three coefficients.
    cells_a_radian : (J,) float64
        Slant range over slant range spacing at the nodes' flat samples.
    line0, sample0 : int
        Of node [0, 0].
    step_lines, step_samples : int
    """

    values: Float64Array
    cells_a_radian: Float64Array
    line0: int
    sample0: int
    step_lines: int
    step_samples: int


class DemCells(NamedTuple):
    """Cells of a `DemWindow`."""

    cells: Float32Array
    classes: UInt8Array
    all_plain: bool
    row0: int
    col0: int


@_inner
def _cell_height(dem, row, col):
    """Bilinear height without the geoid, 0 at sea; NaN where there is none. As `Terrain.heights` has it."""
    n_rows, n_cols = dem.cells.shape
    i = np.floor(row)
    j = np.floor(col)
    v = row - i
    u = col - j
    i -= dem.row0
    j -= dem.col0
    if not (i >= 0.0 and j >= 0.0 and i < n_rows - 1 and j < n_cols - 1):
        return np.nan
    r = np.uint32(i)
    c = np.uint32(j)
    r1 = r + np.uint32(1)
    c1 = c + np.uint32(1)
    z00 = np.float64(dem.cells[r, c])
    z10 = np.float64(dem.cells[r1, c])
    upper = z00 + (np.float64(dem.cells[r, c1]) - z00) * u
    lower = z10 + (np.float64(dem.cells[r1, c1]) - z10) * u
    height = upper + (lower - upper) * v
    if dem.all_plain or not np.isnan(height):
        return height
    kind = dem.classes[r1 if v >= 0.5 else r, c1 if u >= 0.5 else c]
    if kind == SEA:
        return 0.0
    if kind == NODATA:
        return np.nan
    total = 0.0
    weights = 0.0
    for down in range(2):
        for right in range(2):
            if dem.classes[r + np.uint32(down), c + np.uint32(right)] & UNUSABLE == 0:
                weight = (v if down else 1.0 - v) * (u if right else 1.0 - u)
                total += weight * dem.cells[r + np.uint32(down), c + np.uint32(right)]
                weights += weight
    return total / weights


@_inner
def _blend_nodes(nodes, line, edge):
    """The nodes' values on a line, ``edge`` (12, J)."""
    k = (line - nodes.line0) // nodes.step_lines
    t = (line - nodes.line0 - k * nodes.step_lines) / nodes.step_lines
    for q in range(N_QUANTITIES):
        before = nodes.values[q, k]
        after = nodes.values[q, k + 1]
        blended = edge[q]
        for j in range(blended.size):
            blended[j] = before[j] + (after[j] - before[j]) * t


@_inner
def _blend_table(table, line, row):
    """The correction on a line, ``row`` (K,)."""
    r = min(max(np.searchsorted(table.line, float(line)) - 1, 0), table.line.size - 2)
    t = (line - table.line[r]) / (table.line[r + 1] - table.line[r])
    before = table.correction_px[r]
    after = table.correction_px[r + 1]
    for k in range(row.size):
        row[k] = before[k] + (after[k] - before[k]) * t


@_inner
def _correction(table, row, sample):
    """Correction of a smooth sample on the row's line, and its slope."""
    last = row.size - 1
    if last < 1:
        return 0.0, 0.0
    x = (sample - table.first_sample) / table.step_samples
    inside = min(max(x, 0.0), float(last))
    k = min(int(inside), last - 1)
    rise = row[k + 1] - row[k]
    slope = rise / table.step_samples if inside == x else 0.0
    return row[k] + (inside - k) * rise, slope


@_inner
def _profile(nodes, edge, dem, table, row, first, oversampling, height, sample, angle):
    """Height, true sample and look angle of the points of a line; ``first`` counts points from flat sample 0.

    The point on a line at a height is not the one below it on the ellipsoid, whose normal leaves the zero-Doppler
    plane: up to 0.4 lines for a kilometre. The height at the flat position tells how far to go, the height there
    counts: what is left of the lean is a few millimetres on a slope.
    """
    n_points = height.size
    points_a_step = nodes.step_samples * oversampling
    at = 0
    while at < n_points:
        from_node = first + at - nodes.sample0 * oversampling
        n = from_node // points_a_step
        x0 = from_node - n * points_a_step
        count = min(points_a_step - x0, n_points - at)
        part = 1.0 / points_a_step
        row0, row_slope = edge[ROW, n], (edge[ROW, n + 1] - edge[ROW, n]) * part
        col0, col_slope = edge[COL, n], (edge[COL, n + 1] - edge[COL, n]) * part
        geoid0, geoid_slope = edge[GEOID, n], (edge[GEOID, n + 1] - edge[GEOID, n]) * part
        row_lean, col_lean = edge[ROW_LEAN, n], edge[COL_LEAN, n]
        for k in range(count):
            x = float(x0 + k)
            dem_row = row0 + row_slope * x
            dem_col = col0 + col_slope * x
            geoid = geoid0 + geoid_slope * x
            below = _cell_height(dem, dem_row, dem_col) + geoid
            if np.isnan(below):
                below = 0.0
            height[at + k] = _cell_height(dem, dem_row + row_lean * below, dem_col + col_lean * below) + geoid
        s1, s2, s3 = edge[SAMPLE_1, n], edge[SAMPLE_2, n], edge[SAMPLE_3, n]
        d1 = (edge[SAMPLE_1, n + 1] - s1) * part
        d2 = (edge[SAMPLE_2, n + 1] - s2) * part
        d3 = (edge[SAMPLE_3, n + 1] - s3) * part
        p0, p1, p2, p3 = edge[ANGLE_0, n], edge[ANGLE_1, n], edge[ANGLE_2, n], edge[ANGLE_3, n]
        e0 = (edge[ANGLE_0, n + 1] - p0) * part
        e1 = (edge[ANGLE_1, n + 1] - p1) * part
        e2 = (edge[ANGLE_2, n + 1] - p2) * part
        e3 = (edge[ANGLE_3, n + 1] - p3) * part
        for k in range(count):
            x = float(x0 + k)
            h = height[at + k]
            flat = (first + at + k) / oversampling
            smooth = flat + h * ((s1 + d1 * x) + h * ((s2 + d2 * x) + h * (s3 + d3 * x)))
            sample[at + k] = smooth
            angle[at + k] = (p0 + e0 * x) + h * ((p1 + e1 * x) + h * ((p2 + e2 * x) + h * (p3 + e3 * x)))
        at += count
    if row.size > 1:
        for k in range(n_points):
            if not np.isnan(sample[k]):
                sample[k] += _correction(table, row, sample[k])[0]


@_inner
def _mark_unknown(low, high, sample0, sums):
    """No area where a void of the DEM may show."""
    first = max(np.floor(low + 0.5), float(sample0))
    last = min(np.floor(high + 0.5), sample0 + sums.size - 1.0)
    for m in range(int(first), int(last) + 1):
        sums[m - sample0] = np.nan


@_inner
def _add(low, high, amount, sample0, sums):
    """Spread an amount evenly over the samples between two places.

    Counted from the image's sample 0 throughout, so that rounding does not know where the window begins.
    """
    first = int(np.floor(low + 0.5))
    last = int(np.floor(high + 0.5))
    if last < sample0 or first >= sample0 + sums.size:
        return
    if first == last or high - low < SHORT_SAMPLES:
        if first >= sample0:
            sums[first - sample0] += amount
        return
    density = amount / (high - low)
    for m in range(max(first, sample0), min(last, sample0 + sums.size - 1) + 1):
        sums[m - sample0] += density * (min(high, m + 0.5) - max(low, m - 0.5))


@_inner
def _sum_lit(height, sample, angle, sample0, sums):
    """Lit angle of every sample, in radians: ``sums`` (S,), the first of which is ``sample0``.

    A step that only its upper part rises into the light is lit there, and spread over that part's samples.
    """
    highest = -np.inf
    previous = -1
    for k in range(height.size):
        if np.isnan(sample[k]):
            continue
        if previous != k - 1:
            before = sample[previous] if previous >= 0 else -np.inf
            _mark_unknown(min(before, sample[k]), max(before, sample[k]), sample0, sums)
        elif k > 0 and angle[k] > highest:
            here = sample[k]
            there = sample[k - 1]
            lit = angle[k] - highest
            if angle[k - 1] < highest:
                there = here - (here - there) * (lit / (angle[k] - angle[k - 1]))
            raised = 1.0 + 0.5 * (height[k] + height[k - 1]) / EARTH_RADIUS_M
            _add(min(here, there), max(here, there), lit * raised, sample0, sums)
        highest = max(highest, angle[k])
        previous = k
    if previous != height.size - 1:
        before = sample[previous] if previous >= 0 else -np.inf
        _mark_unknown(before, np.inf, sample0, sums)


@_inner
def _see(sample, angle, flags):
    """What can be seen of the points: shadow where ground before reaches higher, layover where a range is shared."""
    highest = -np.inf
    farthest = -np.inf
    for k in range(sample.size):
        flags[k] = 0
        if np.isnan(sample[k]):
            continue
        if angle[k] < highest:
            flags[k] |= SHADOW
        if sample[k] <= farthest:
            flags[k] |= LAYOVER
        highest = max(highest, angle[k])
        farthest = max(farthest, sample[k])
    nearest = np.inf
    for k in range(sample.size - 1, -1, -1):
        if np.isnan(sample[k]):
            continue
        if sample[k] >= nearest:
            flags[k] |= LAYOVER
        if flags[k] == 0:
            flags[k] = VISIBLE
        nearest = min(nearest, sample[k])


@_outer
def walk_lines(
    nodes: ProfileNodes,
    dem: DemCells,
    table: BreakTable,
    line0: int,
    first_point: int,
    n_points: int,
    oversampling: int,
    sample0: int,
    flat_sample0: int,
    area: Float32Array,
    factor: Float32Array,
    visibility: UInt8Array,
) -> None:
    """Areas and visibility of some lines.

    Parameters
    ----------
    nodes : ProfileNodes
        Two nodes before and one after the lines, one before and after the points.
    dem : DemCells
    table : BreakTable
        What makes samples of smooth samples.
    line0 : int
        Line of the first row of the outputs.
    first_point, n_points, oversampling : int
        The profile: points ``1 / oversampling`` flat samples apart, the first at flat sample
        ``first_point / oversampling``.
    sample0 : int
        Sample of column 0 of ``area`` and ``factor``.
    flat_sample0 : int
        Flat sample of column 0 of ``visibility``; all its columns within the profile.
    area, factor : (L, S) float32
        Written: projected area over flat area, NaN where a void may show; its inverse, NaN under `LEAST_AREA`.
    visibility : (L, F) uint8
        Written.
    """
    edge = np.empty((N_QUANTITIES, nodes.values.shape[2]))
    row = np.empty(table.correction_px.shape[1])
    height = np.empty(n_points)
    sample = np.empty(n_points)
    angle = np.empty(n_points)
    flags = np.empty(n_points, np.uint8)
    sums = np.empty(area.shape[1])
    for i in range(area.shape[0]):
        line = line0 + i
        _blend_nodes(nodes, line, edge)
        if row.size > 1:
            _blend_table(table, line, row)
        _profile(nodes, edge, dem, table, row, first_point, oversampling, height, sample, angle)
        sums[:] = 0.0
        _sum_lit(height, sample, angle, sample0, sums)
        for m in range(sums.size):
            smooth = float(sample0 + m)
            slope = 0.0
            for _ in range(2):
                correction, slope = _correction(table, row, smooth)
                smooth = sample0 + m - correction
            x = smooth / nodes.step_samples
            x -= np.floor(x)
            j = int(np.floor(smooth / nodes.step_samples)) - nodes.sample0 // nodes.step_samples
            scale = nodes.cells_a_radian[j] + x * (nodes.cells_a_radian[j + 1] - nodes.cells_a_radian[j])
            ratio = sums[m] * scale * (1.0 + slope)
            area[i, m] = ratio
            factor[i, m] = 1.0 / ratio if ratio >= LEAST_AREA else np.nan
        _see(sample, angle, flags)
        start = flat_sample0 * oversampling - first_point
        for f in range(visibility.shape[1]):
            visibility[i, f] = flags[start + f * oversampling]
