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

HALF_CURVATURE = 0.5 / EARTH_RADIUS_M

RUN = 8
"""Points of a profile that lean along a straight line."""

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
    line0, sample0 : int
        Of node [0, 0].
    step_lines, step_samples : int
    cells_a_radian : (S,) float64
        Slant range over slant range spacing, at nodes of smooth samples around those asked for.
    cells_sample0 : int
        Smooth sample of the first of these.
    """

    values: Float64Array
    line0: int
    sample0: int
    step_lines: int
    step_samples: int
    cells_a_radian: Float64Array
    cells_sample0: int


class DemCells(NamedTuple):
    """Cells of a `DemWindow`."""

    cells: Float32Array
    classes: UInt8Array
    all_plain: bool
    row0: int
    col0: int


@_inner
def _corner(dem, row, col):
    """The upper left of the four cells around a point, and how far below and right of it the point lies.

    The row is -1 where the four do not all lie in the window.
    """
    n_rows, n_cols = dem.cells.shape
    i = np.floor(row)
    j = np.floor(col)
    v = row - i
    u = col - j
    i -= dem.row0
    j -= dem.col0
    if not (i >= 0.0 and j >= 0.0 and i < n_rows - 1 and j < n_cols - 1):
        return -1, -1, v, u
    return int(i), int(j), v, u


@_inner
def _height_beside_gap(dem, row, col):
    """Height without the geoid where one of the four cells has none: 0 at sea, NaN in a void and off the DEM.

    As `Terrain.heights` has it: the class is that of the cell that holds the point, and the weights of the cells that
    have a height are renormalised.
    """
    r, c, v, u = _corner(dem, row, col)
    if r < 0:
        return np.nan
    kind = dem.classes[r + 1 if v >= 0.5 else r, c + 1 if u >= 0.5 else c]
    if kind == SEA:
        return 0.0
    if kind == NODATA:
        return np.nan
    total = 0.0
    weights = 0.0
    for down in range(2):
        for right in range(2):
            if dem.classes[r + down, c + right] & UNUSABLE == 0:
                weight = (v if down else 1.0 - v) * (u if right else 1.0 - u)
                total += weight * dem.cells[r + down, c + right]
                weights += weight
    return total / weights


@_inner
def _lean(dem, place, slope, rows, cols):
    """Row and column in the DEM's cells of every eighth point of a step between nodes, moved by its height's lean.

    ``place`` (12,) are the quantities at the step's first point, ``slope`` their change by point. False where a point
    lies off the cells: then ``rows`` and ``cols`` (N,) are not to be used. A point that has no height does not lean.
    """
    n_rows, n_cols = dem.cells.shape
    for n in range(rows.size):
        x = float(n * RUN)
        row = place[ROW] + slope[ROW] * x
        col = place[COL] + slope[COL] * x
        r, c, v, u = _corner(dem, row, col)
        if r < 0:
            return False
        upper = dem.cells[r, c] * (1.0 - u) + dem.cells[r, c + 1] * u
        lower = dem.cells[r + 1, c] * (1.0 - u) + dem.cells[r + 1, c + 1] * u
        height = upper * (1.0 - v) + lower * v
        if not np.isnan(height):
            row += height * (place[ROW_LEAN] + slope[ROW_LEAN] * x)
            col += height * (place[COL_LEAN] + slope[COL_LEAN] * x)
        if not (dem.row0 <= row < dem.row0 + n_rows - 1 and dem.col0 <= col < dem.col0 + n_cols - 1):
            return False
        rows[n] = row
        cols[n] = col
    return True


@_inner
def _interpolate(cells, row_origin, col_origin, rows, cols, start, out):
    """Bilinear cells at the points from ``start`` on of a step between nodes; NaN where one of the four has none.

    The points lie on straight runs between ``rows`` and ``cols`` of every eighth. In the loops nothing takes an array
    or a slice (that counts its references, atomically: 20 ns).
    """
    columns = float(cells.shape[1])
    width = np.uint32(cells.shape[1])
    one = np.uint32(1)
    flat = cells.reshape(-1)
    at = 0
    while at < out.size:
        run = (start + at) // RUN
        x0 = start - run * RUN
        row0 = rows[run]
        row_slope = (rows[run + 1] - row0) / RUN
        col0 = cols[run]
        col_slope = (cols[run + 1] - col0) / RUN
        stop = min(RUN - x0, out.size)
        for k in range(at, stop):
            x = float(x0 + k)
            row = row0 + row_slope * x
            col = col0 + col_slope * x
            i = np.floor(row)
            j = np.floor(col)
            v = row - i
            u = col - j
            upper_left = np.uint32((i - row_origin) * columns + (j - col_origin))
            lower_left = upper_left + width
            z00 = np.float64(flat[upper_left])
            z10 = np.float64(flat[lower_left])
            upper = z00 + (np.float64(flat[upper_left + one]) - z00) * u
            lower = z10 + (np.float64(flat[lower_left + one]) - z10) * u
            out[k] = upper + (lower - upper) * v
        at = stop


@_inner
def _fill_gaps(dem, rows, cols, start, out):
    """Heights of the points that `_interpolate` left without."""
    for k in range(out.size):
        if np.isnan(out[k]):
            run = (start + k) // RUN
            x = float(start + k - run * RUN)
            row = rows[run] + (rows[run + 1] - rows[run]) / RUN * x
            col = cols[run] + (cols[run + 1] - cols[run]) / RUN * x
            out[k] = _height_beside_gap(dem, row, col)


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
def _add_correction(first_sample, step_samples, row, sample):
    """Make true samples of smooth ones, in place."""
    last = row.size - 1.0
    part = 1.0 / step_samples
    for k in range(sample.size):
        x = (sample[k] - first_sample) * part
        x = x if x > 0.0 else 0.0  # NaN too
        x = x if x < last else last
        n = np.uint32(min(np.floor(x), last - 1.0))
        before = row[n]
        sample[k] += before + (x - n) * (row[n + np.uint32(1)] - before)


@_inner
def _profile(nodes, edge, dem, table, row, first, oversampling, height, sample, angle):
    """Height, true sample and look angle of the points of a line; ``first`` counts points from flat sample 0.

    The point on a line at a height is not the one below it on the ellipsoid, whose normal leaves the zero-Doppler
    plane: up to 0.4 lines for a kilometre. The heights at the flat position of every eighth point tell how far the
    points between them lean, in straight runs: it errs by a hundredth of a line on rough ground.
    """
    points_a_step = nodes.step_samples * oversampling
    part = 1.0 / points_a_step
    rows = np.empty(points_a_step // RUN + 1)
    cols = np.empty(rows.size)
    here = np.empty(N_QUANTITIES)
    slope = np.empty(N_QUANTITIES)
    at = 0
    while at < height.size:
        from_node = first + at - nodes.sample0 * oversampling
        n = from_node // points_a_step
        start = from_node - n * points_a_step
        stop = min(at + points_a_step - start, height.size)
        for q in range(N_QUANTITIES):
            here[q] = edge[q, n]
            slope[q] = (edge[q, n + 1] - here[q]) * part
        x0 = float(start)
        heights = height[at:stop]
        samples = sample[at:stop]
        angles = angle[at:stop]
        if _lean(dem, here, slope, rows, cols):
            _interpolate(dem.cells, dem.row0, dem.col0, rows, cols, start, heights)
            if not dem.all_plain:
                _fill_gaps(dem, rows, cols, start, heights)
        else:
            heights[:] = np.nan
        geoid, geoids = here[GEOID], slope[GEOID]
        s1, s2, s3 = here[SAMPLE_1], here[SAMPLE_2], here[SAMPLE_3]
        d1, d2, d3 = slope[SAMPLE_1], slope[SAMPLE_2], slope[SAMPLE_3]
        p0, p1, p2, p3 = here[ANGLE_0], here[ANGLE_1], here[ANGLE_2], here[ANGLE_3]
        e0, e1, e2, e3 = slope[ANGLE_0], slope[ANGLE_1], slope[ANGLE_2], slope[ANGLE_3]
        for k in range(heights.size):
            x = x0 + k
            h = heights[k] + (geoid + geoids * x)
            heights[k] = h
            flat = (first + at + k) / oversampling
            samples[k] = flat + h * ((s1 + d1 * x) + h * ((s2 + d2 * x) + h * (s3 + d3 * x)))
            angles[k] = (p0 + e0 * x) + h * ((p1 + e1 * x) + h * ((p2 + e2 * x) + h * (p3 + e3 * x)))
        at = stop
    if row.size > 1:
        _add_correction(table.first_sample, table.step_samples, row, sample)


@_inner
def _sum_lit(height, sample, angle, sample0, sums):
    """Lit angle of every sample, in radians, added to ``sums`` (S,), the first of which is ``sample0``.

    A step of which only the upper part rises into the light is lit there, and spread evenly over that part's samples.
    All is counted from the image's sample 0, so that rounding does not know where the window begins. NaN compares
    false: a step beside a void adds nothing.
    """
    first = float(sample0)
    last = sample0 + sums.size - 1.0
    highest = -np.inf
    for k in range(1, height.size):
        below = angle[k - 1]
        highest = below if below > highest else highest
        if np.isnan(below) or not angle[k] > highest:
            continue
        here = sample[k]
        there = sample[k - 1]
        lit = angle[k] - highest
        if below < highest:
            there = here - (here - there) * (lit / (angle[k] - below))
        lit *= 1.0 + HALF_CURVATURE * (height[k] + height[k - 1])
        low = min(here, there)
        high = max(here, there)
        m = np.floor(low + 0.5)
        to = np.floor(high + 0.5)
        if to < first or m > last:
            continue
        if m == to or high - low < SHORT_SAMPLES:
            if m >= first:
                sums[np.uint32(m - first)] += lit
            continue
        density = lit / (high - low)
        if m >= first:
            sums[np.uint32(m - first)] += density * (m + 0.5 - low)
        m = max(m + 1.0, first)
        while m < to and m <= last:
            sums[np.uint32(m - first)] += density
            m += 1.0
        if to <= last:
            sums[np.uint32(to - first)] += density * (high - (to - 0.5))


@_inner
def _mark_unknown(sample, sample0, sums):
    """No area where a void of the DEM may show: between the samples of the ground on its two sides.

    The profile reaches beyond the ground that can show, so a void at its end may show up to the window's.
    """
    before = -np.inf
    known = True
    for k in range(sample.size + 1):
        here = sample[k] if k < sample.size else np.inf
        if np.isnan(here):
            known = False
            continue
        if not known:
            low = max(np.floor(min(before, here) + 0.5), float(sample0))
            high = min(np.floor(max(before, here) + 0.5), sample0 + sums.size - 1.0)
            for m in range(int(low) - sample0, int(high) - sample0 + 1):
                sums[m] = np.nan
        before = here
        known = True


@_inner
def _node_scales(nodes, table, row, sample0, scales):
    """What turns radians into areas at samples ``sample0 + n * step_samples``, ``sample0`` a multiple of the step.

    Slant range over the spacing of true samples: that of smooth samples, times the slope from smooth to true.
    """
    last = row.size - 1
    for n in range(scales.size):
        at = float(sample0 + n * nodes.step_samples)
        smooth = at
        slope = 0.0
        if last > 0:
            for _ in range(2):
                x = min(max((smooth - table.first_sample) / table.step_samples, 0.0), float(last))
                k = min(int(x), last - 1)
                rise = row[k + 1] - row[k]
                smooth = at - (row[k] + (x - k) * rise)
                slope = rise / table.step_samples if 0.0 < x < last else 0.0
        x = smooth / nodes.step_samples
        j = int(np.floor(x)) - nodes.cells_sample0 // nodes.step_samples
        x -= np.floor(x)
        before = nodes.cells_a_radian[j]
        scales[n] = (before + x * (nodes.cells_a_radian[j + 1] - before)) * (1.0 + slope)


@_inner
def _make_areas(sums, scales, first, step, area, factor):
    """Areas and factors of a row; ``first`` is how many samples after that of ``scales[0]`` it begins."""
    m = 0
    while m < sums.size:
        n = (first + m) // step
        stop = min((n + 1) * step - first, sums.size)
        before = scales[n]
        slope = (scales[n + 1] - before) / step
        x = float(first + m - n * step)
        amounts = sums[m:stop]
        areas = area[m:stop]
        factors = factor[m:stop]
        for k in range(amounts.size):
            ratio = amounts[k] * (before + slope * (x + k))
            areas[k] = ratio
            factors[k] = 1.0 / ratio if ratio >= LEAST_AREA else np.nan
        m = stop


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
        One node before the lines and points, two behind (`node_range`).
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
    scale_sample0 = sample0 // nodes.step_samples * nodes.step_samples
    scales = np.empty((sample0 + area.shape[1] - 1 - scale_sample0) // nodes.step_samples + 2)
    for i in range(area.shape[0]):
        line = line0 + i
        _blend_nodes(nodes, line, edge)
        if row.size > 1:
            _blend_table(table, line, row)
        _profile(nodes, edge, dem, table, row, first_point, oversampling, height, sample, angle)
        sums[:] = 0.0
        _sum_lit(height, sample, angle, sample0, sums)
        if np.isnan(sample).any():
            _mark_unknown(sample, sample0, sums)
        _node_scales(nodes, table, row, scale_sample0, scales)
        _make_areas(sums, scales, sample0 - scale_sample0, nodes.step_samples, area[i], factor[i])
        _see(sample, angle, flags)
        start = flat_sample0 * oversampling - first_point
        for f in range(visibility.shape[1]):
            visibility[i, f] = flags[start + f * oversampling]
