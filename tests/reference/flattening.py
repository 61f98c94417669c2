"""Slow twin of the walk along a line's terrain profile: plain NumPy and Python, one line at a time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from orthokernel.flattening.walk import COL, COL_LEAN, GEOID, ROW, ROW_LEAN, DemCells, ProfileNodes
from orthokernel.sensor import BreakLines
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from reference.break_lines import correction_px

Float64Array = NDArray[np.float64]
RUN = 8
OK, SEA, FILLED, NODATA = 0, 1, 2, 4


def cell_height(dem: DemCells, row: float, col: float, *, strict: bool) -> float:
    """Bilinear over the four cells; ``strict``: NaN unless all have a height."""
    i, j = int(np.floor(row)), int(np.floor(col))
    v, u = row - i, col - j
    total = weights = 0.0
    for di, dj, weight in ((0, 0, (1 - v) * (1 - u)), (0, 1, (1 - v) * u), (1, 0, v * (1 - u)), (1, 1, v * u)):
        at = i + di - dem.row0, j + dj - dem.col0
        if dem.classes[at] in (OK, FILLED):
            total += weight * float(dem.cells[at])
            weights += weight
        elif strict:
            return np.nan
    if strict or abs(weights - 1.0) < 1e-12:
        return total
    kind = dem.classes[i + (v >= 0.5) - dem.row0, j + (u >= 0.5) - dem.col0]
    return {SEA: 0.0, NODATA: np.nan}.get(int(kind), total / weights if weights else np.nan)


def profile(
    nodes: ProfileNodes, dem: DemCells, lines: BreakLines, line: int, first: int, n_points: int, oversampling: int
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """``height_m, sample, look_angle_rad`` of the points of a line."""
    node_line = nodes.line0 + nodes.step_lines * np.arange(nodes.values.shape[1])
    node_flat = nodes.sample0 + nodes.step_samples * np.arange(nodes.values.shape[2])

    def at(quantity: int, flat: Float64Array) -> Float64Array:
        on_line = [np.interp(line, node_line, column) for column in nodes.values[quantity].T]
        return np.interp(flat, node_flat, on_line)

    points = first + np.arange(n_points)
    flat = points / oversampling
    anchor = np.arange(first // RUN, (first + n_points) // RUN + 2) * RUN / oversampling
    below = [cell_height(dem, r, c, strict=True) for r, c in zip(at(ROW, anchor), at(COL, anchor), strict=True)]
    below = np.nan_to_num(below)
    row = at(ROW, flat) + np.interp(flat, anchor, at(ROW_LEAN, anchor) * below)
    col = at(COL, flat) + np.interp(flat, anchor, at(COL_LEAN, anchor) * below)
    height = np.array([cell_height(dem, r, c, strict=False) for r, c in zip(row, col, strict=True)])
    height = height + at(GEOID, flat)
    smooth = flat + sum(at(4 + power, flat) * height**power for power in (1, 2, 3))
    angle = sum(at(8 + power, flat) * height**power for power in (0, 1, 2, 3))
    sample = np.array([s + correction_px(lines, line, s) if np.isfinite(s) else np.nan for s in smooth])
    return height, sample, np.asarray(angle)


def slant_spacing(model: RangeDopplerModel, line: int, samples: NDArray[np.int64]) -> tuple[Float64Array, Float64Array]:
    """Slant range of samples, and between their two edges, by the smooth polynomial and the table."""
    c = model.conversion
    slant = np.linspace(c.centre_m - 1.2 * c.half_span_m, c.centre_m + 1.2 * c.half_span_m, 200_001)
    smooth = np.polynomial.polynomial.polyval((slant - c.centre_m) / c.half_span_m, c.smooth)
    lines = model.break_lines
    columns = lines.first_sample + lines.step_samples * np.arange(lines.correction_px.shape[1])
    on_line = np.array([np.interp(line, lines.line, column) for column in lines.correction_px.T])
    true = smooth + np.interp(smooth, columns, on_line)
    near, far = np.interp(samples - 0.5, true, slant), np.interp(samples + 0.5, true, slant)
    return 0.5 * (near + far), far - near


def lit_angles(
    height: Float64Array, sample: Float64Array, angle: Float64Array, samples: NDArray[np.int64]
) -> Float64Array:
    """Lit angle that falls into each sample; NaN where a void may show."""
    sums = np.zeros(samples.size)
    known = np.flatnonzero(np.isfinite(sample))
    ends = np.concatenate([[-1], known, [sample.size]])
    for before, here in pairwise(ends):
        left = sample[before] if before >= 0 else -np.inf
        right = sample[here] if here < sample.size else np.inf
        if here - before > 1:
            low, high = min(left, right), max(left, right)
            sums[(samples + 0.5 > low) & (samples - 0.5 <= high)] = np.nan
            continue
        if before < 0 or here == sample.size:
            continue
        shade = np.max(angle[known[known < here]])
        rise = angle[here] - angle[before]
        lit = angle[here] - shade
        if lit <= 0.0:
            continue
        start = right - (right - left) * min(lit / rise, 1.0)
        low, high = min(start, right), max(start, right)
        overlap = np.clip(np.minimum(high, samples + 0.5) - np.maximum(low, samples - 0.5), 0.0, None)
        raised = 1.0 + 0.5 * (height[here] + height[before]) / 6.371e6
        sums += lit * raised * overlap / (high - low)
    return sums


def seen(sample: Float64Array, angle: Float64Array) -> NDArray[np.uint8]:
    """1 visible, 2 shadow, 4 layover bits; 0 no height: every point against every other."""
    flags = np.zeros(sample.size, np.uint8)
    for k in np.flatnonzero(np.isfinite(sample)):
        shadow = np.nanmax(angle[:k], initial=-np.inf) > angle[k]
        shared = (sample[:k] >= sample[k]).any() or (sample[k + 1 :] <= sample[k]).any()
        flags[k] = 2 * shadow + 4 * shared or 1
    return flags
