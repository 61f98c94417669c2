"""Nodes of the flat radar grid, and how far a profile must reach beyond the samples asked for.

The flat radar grid has a row for every image line and a column for every flat sample: the smooth sample that the
ground point would have at height 0. Its nodes lie at multiples of 64 lines and 32 samples of the image, whatever part
of it is asked for, so that what is interpolated between them does not depend on the part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orthokernel.flattening.walk import N_QUANTITIES, DemCells, ProfileNodes
from orthokernel.sentinel1 import solver
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]

STEP_LINES, STEP_SAMPLES = 64, 32
"""Powers of two. Across 32 samples the look angle's slope errs by 2e-4 (0.001 dB)."""

SUPPORTS_M = np.array([0.0, 2500.0, 6000.0, 8600.0])
"""Near the Chebyshev points of the heights on Earth, one of them 0, so that the ellipsoid is exact."""

LOWEST_M, HIGHEST_M = -500.0, 9000.0

SLACK = 1.05
"""Reaches are bounds taken at the corners of the image: incidence angles differ a little beyond."""

PAD_SAMPLES = 4
EDGE_SAMPLES = 2000


@dataclass(frozen=True)
class Reach:
    """Bounds over an image, in samples for a metre of height.

    Attributes
    ----------
    layover, least_layover : float
        By how much a point is drawn towards the radar, at most and at least.
    shadow : float
        How far a point's shadow falls behind it on flat ground.
    correction : float
        Largest difference between smooth and true sample.
    """

    layover: float
    least_layover: float
    shadow: float
    correction: float


def reach_of(model: RangeDopplerModel) -> Reach:
    """The steepest and the shallowest sight of an image and a little beyond."""
    line = np.array([[0.0], [0.5], [1.0]]) * (model.n_lines - 1)
    sample = np.linspace(-EDGE_SAMPLES, model.n_samples - 1 + EDGE_SAMPLES, 9)
    slant_m, slope_m = slant_ranges(model, sample)
    values = _evaluate(model, *np.broadcast_arrays(line, slant_m))
    slope_m = np.broadcast_to(slope_m, values[3].shape)
    known = np.isfinite(values[3])
    up, slope_m = np.abs(values[3][known]), slope_m[known]
    # A metre up is cos(incidence) metres of slant range nearer, a metre of ground is sin(incidence) farther.
    cosine = np.clip(up * slope_m, 0.05, 0.99)
    shadow = (1.0 - cosine**2) / cosine / slope_m
    lines = model.break_lines
    most, least = SLACK * float(up.max()), float(up.min()) / SLACK
    return Reach(most, least, SLACK * float(shadow.max()), float(np.max(np.abs(lines.correction_px))))


def slant_ranges(model: RangeDopplerModel, smooth_sample: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Slant range in metres of smooth samples ``(J,)``, and metres a sample."""
    slant_m, slope_m = np.empty(smooth_sample.size), np.empty(smooth_sample.size)
    solver.slant_ranges(model.conversion, np.ascontiguousarray(smooth_sample, np.float64), slant_m, slope_m)
    return slant_m, slope_m


def _evaluate(model: RangeDopplerModel, line: Float64Array, slant_range_m: Float64Array) -> Float64Array:
    """``(10, ...)``: see `solver.flat_nodes`."""
    out = np.empty((10, line.size))
    solver.flat_nodes(
        model.orbit,
        model.conversion,
        model.tau_mid_s,
        model.line_interval_s,
        np.array(line, np.float64).reshape(-1),
        np.array(slant_range_m, np.float64).reshape(-1),
        SUPPORTS_M,
        out,
    )
    return out.reshape(10, *line.shape)


def node_range(first: int, stop: int, step: int) -> NDArray[np.int64]:
    """Multiples of the step: one before the positions from ``first`` to before ``stop``, two behind."""
    return np.arange(first // step - 1, (stop - 1) // step + 3, dtype=np.int64) * step


def profile_nodes(
    model: RangeDopplerModel,
    terrain: Terrain,
    lines: tuple[int, int],
    flat_samples: tuple[int, int],
    samples: tuple[int, int],
    level: int,
) -> tuple[ProfileNodes, DemCells]:
    """Nodes around half-open ranges of lines and flat samples, and the DEM's cells under them.

    ``samples`` are those whose areas are asked for, ``level`` cells of the DEM on a side are averaged into one.
    """
    line = node_range(*lines, STEP_LINES)
    sample = node_range(*flat_samples, STEP_SAMPLES)
    slant_m, _ = slant_ranges(model, sample.astype(np.float64))
    model_values = _evaluate(model, *np.broadcast_arrays(line[:, None].astype(np.float64), slant_m[None, :]))
    at = terrain.nodes(np.ascontiguousarray(model_values[0]), np.ascontiguousarray(model_values[1]), level)
    window = terrain.window(at, level)
    values = np.empty((N_QUANTITIES, line.size, sample.size))
    values[:3] = at
    row, col, _ = at
    # Raised by a metre the point shows so many lines later: to stay on its line it starts as many earlier.
    values[3:5] = 0.0
    values[3, 1:-1] = -model_values[2, 1:-1] * (row[2:] - row[:-2]) / (2 * STEP_LINES)
    values[4, 1:-1] = -model_values[2, 1:-1] * (col[2:] - col[:-2]) / (2 * STEP_LINES)
    values[5:] = model_values[3:]
    correction = math.ceil(np.max(np.abs(model.break_lines.correction_px)))
    cells = node_range(samples[0] - correction, samples[1] + correction + STEP_SAMPLES, STEP_SAMPLES)
    slant_m, slope_m = slant_ranges(model, cells.astype(np.float64))
    first = int(line[0]), int(sample[0])
    nodes = ProfileNodes(values, *first, STEP_LINES, STEP_SAMPLES, slant_m / slope_m, int(cells[0]))
    return nodes, DemCells(window.cells, window.classes, window.all_plain, window.row0, window.col0)


def flat_ranges(
    model: RangeDopplerModel, terrain: Terrain, reach: Reach, lines: tuple[int, int], samples: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Half-open ranges of flat samples: of the ground that can show in some samples, and of what can hide it.

    First for all heights on Earth, then for those of the ground found: the ground that can show lies within what was
    looked at, so its heights bound the next, smaller ranges.
    """
    low, high, highest_before = LOWEST_M, HIGHEST_M, HIGHEST_M
    seen = hiding = (0, 0)
    for _ in range(4):
        # Ground at a height shows nearer by it, ground below the ellipsoid farther.
        first = samples[0] + (reach.least_layover if low > 0.0 else reach.layover) * low
        stop = samples[1] + (reach.layover if high > 0.0 else reach.least_layover) * high
        margin = PAD_SAMPLES + reach.correction
        seen = math.floor(first - margin), math.ceil(stop + margin)
        hiding = seen[0] - math.ceil(PAD_SAMPLES + reach.shadow * max(highest_before - low, 0.0)), seen[1]
        found_low, found_high = _heights(model, terrain, lines, seen)
        _, found_before = _heights(model, terrain, lines, hiding)
        if not (math.isfinite(found_low) and math.isfinite(found_before)):
            break
        if (found_low, found_high, found_before) == (low, high, highest_before):
            break
        low, high, highest_before = found_low, found_high, found_before
    return seen, hiding


def _heights(
    model: RangeDopplerModel, terrain: Terrain, lines: tuple[int, int], flat_samples: tuple[int, int]
) -> tuple[float, float]:
    """Lowest and highest ground between some lines and flat samples; NaN where nothing is known."""
    # A kilometre of height shifts the ground on a line by up to 0.4 lines.
    line = np.linspace(lines[0] - 5.0, lines[1] + 5.0, 9)[:, None]
    slant_m, _ = slant_ranges(model, np.linspace(flat_samples[0] - 2.0, flat_samples[1] + 2.0, 17))
    lon, lat = _evaluate(model, *np.broadcast_arrays(line, slant_m[None, :]))[:2]
    known = np.isfinite(lon)
    if not known.any():
        return math.nan, math.nan
    lon, lat = lon[known], lat[known]
    lon = lon[0] + (lon - lon[0] + 180.0) % 360.0 - 180.0  # across ±180 it stays one area
    return terrain.height_range(float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))
