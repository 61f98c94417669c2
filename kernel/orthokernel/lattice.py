"""The lattice: an exact sensor model, evaluated at few points, that the loop interpolates at every pixel.

Over a block of the output the model is evaluated in float64 at nodes every ``step_px`` pixels and at four heights,
which makes, per node, a polynomial of third degree in height. Between nodes its coefficients are bilinear. The
lattice is then compared with the model where such an interpolation errs most, and refined until the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.errors import LatticeError
from orthokernel.grid import Grid
from orthokernel.ground import Extent, extent_of
from orthokernel.loop import BreakTable, LatticeArrays
from orthokernel.sensor import BreakLines, SensorModel

Float64Array = NDArray[np.float64]

TOLERANCE_PX = 0.01
"""What the lattice promises against the exact model."""
TARGET_PX = 0.005
"""Where refinement stops: half of the promise, because only so many points are compared."""
FIRST_STEP_PX = 128
LAST_STEP_PX = 4
_LEAST_HALF_RANGE_M = 1.0
_SUPPORTS = np.array([-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0])
_TO_POWERS = np.linalg.inv(np.vander(_SUPPORTS, 4, increasing=True))
_FAR_LINES = 1e7
_CENTRES = ((0.5, 0.5), (0.0, 0.5), (0.5, 0.0))
"""Of a cell, its left edge and its upper edge, in steps down and to the right."""


@dataclass(frozen=True)
class Lattice:
    """Image coordinates over a block of a grid, and how well they agree with the model.

    Attributes
    ----------
    arrays : LatticeArrays
        What the loop reads.
    error_px : float
        Largest distance from the exact model, in line or in sample, at the points compared inside the image.
    reaches_image : bool
        False where no node, at any height, is inside the image or on another side of it than the others.
    """

    arrays: LatticeArrays
    error_px: float
    reaches_image: bool

    def at(self, rows: ArrayLike, cols: ArrayLike, height_m: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """``line, smooth_sample`` as the loop has them, in float64; rows and columns of the block, broadcast."""
        row, col, height = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (rows, cols, height_m)))
        c, step = self.arrays.coefficients, self.arrays.step_px
        down, right = (row - self.arrays.row0) / step, (col - self.arrays.col0) / step
        i = np.clip(np.floor(down).astype(np.int64), 0, c.shape[2] - 2)
        j = np.clip(np.floor(right).astype(np.int64), 0, c.shape[3] - 2)
        u, v = down - i, right - j
        p = (
            (1 - u) * (1 - v) * c[:, :, i, j]
            + (1 - u) * v * c[:, :, i, j + 1]
            + u * (1 - v) * c[:, :, i + 1, j]
            + u * v * c[:, :, i + 1, j + 1]
        )
        h = height - self.arrays.height_mid_m
        value = p[:, 0] + h * (p[:, 1] + h * (p[:, 2] + h * p[:, 3]))
        return value[0], value[1]


def build_lattice(
    model: SensorModel,
    block: Grid,
    height_low_m: float,
    height_high_m: float,
    first_step_px: int | None = None,
    extent: Extent | None = None,
) -> Lattice:
    """A lattice over a block of the output that agrees with the model.

    Parameters
    ----------
    model : SensorModel
    block : Grid
        The block of the output.
    height_low_m, height_high_m : float
        Lowest and highest terrain of the block, metres above the ellipsoid.
    first_step_px : int, optional
        Where to begin: what sufficed for the block before, say. Default: as far apart as the image's size allows.
    extent : Extent, optional
        What the nodes must reach over. Default: the block itself.

    Raises
    ------
    LatticeError
        Where even nodes every few pixels do not follow the model.
    """
    extent = extent or extent_of(block, 1)
    actual = height_low_m, height_high_m
    # Heights that a model chooses once and for all make nodes that do not depend on the block's terrain.
    mid, half = _middle_and_half(*(model.height_support_m or actual), *actual)
    step = first_step_px or _largest_step_px(model, block, 0.5 * (height_low_m + height_high_m))
    while True:
        lattice = _evaluate(model, block, extent, mid, half, step)
        coarse = step > LAST_STEP_PX and _loses_pixels(model, lattice)
        error = np.inf if coarse else _worst_error(model, block, lattice, actual)
        if error <= TARGET_PX or (error <= TOLERANCE_PX and step <= LAST_STEP_PX):
            return Lattice(lattice.arrays, error, lattice.reaches_image)
        wide = half > _middle_and_half(*actual)[1]
        if wide and not coarse and _worst_error(model, block, lattice, actual, ((0.0, 0.0),)) > 0.5 * TARGET_PX:
            mid, half = _middle_and_half(*actual)  # it errs on the nodes, too: what is wrong is the height
            continue
        if step <= LAST_STEP_PX:
            raise LatticeError(error, TOLERANCE_PX)
        step //= 2


def _middle_and_half(*heights_m: float) -> tuple[float, float]:
    low, high = min(heights_m), max(heights_m)
    return 0.5 * (low + high), max(0.5 * (high - low), _LEAST_HALF_RANGE_M)


def break_table(lines: BreakLines | None) -> BreakTable:
    """What the loop adds to the smooth sample, made linear throughout.

    Beyond the first and the last record the table goes on, unchanged, to lines no image has. Where the correction
    is that of the nearer record, each record holds to just before the middle between it and the next.
    """
    if lines is None:
        return BreakTable(np.empty(0), 0.0, 1.0, np.empty((0, 0)))
    line = np.asarray(lines.line, np.float64)
    correction = np.asarray(lines.correction_px, np.float64)
    if lines.kind == "nearest":
        middle = 0.5 * (line[1:] + line[:-1])
        hair = 1e-6 * np.diff(line)
        line = np.concatenate([np.stack([middle - hair, middle + hair], axis=1).ravel(), [line[-1] + 1.0]])
        correction = np.repeat(correction, 2, axis=0)[1:]
    if correction.shape[1] == 1:
        correction = np.repeat(correction, 2, axis=1)
    line = np.concatenate([[line[0] - _FAR_LINES], line, [line[-1] + _FAR_LINES]])
    correction = np.concatenate([correction[:1], correction, correction[-1:]])
    of_line = np.empty((0, 0))
    if lines.line_px is not None:
        of_line = np.concatenate([lines.line_px[:1], lines.line_px, lines.line_px[-1:]])
    scale = float(lines.first_sample), float(lines.step_samples)
    return BreakTable(line, *scale, np.ascontiguousarray(correction), np.ascontiguousarray(of_line))


def _evaluate(model: SensorModel, block: Grid, extent: Extent, mid_m: float, half_m: float, step_px: int) -> Lattice:
    rows, cols = extent.rows(step_px), extent.cols(step_px)
    lon, lat = block.lonlat(rows[:, None], cols[None, :])
    heights = mid_m + half_m * _SUPPORTS
    values = np.stack(model.ground_to_smooth(lon[None], lat[None], heights[:, None, None]))
    scale = half_m ** -np.arange(4.0)
    coefficients = np.einsum("p,ps,qsij->qpij", scale, _TO_POWERS, values)
    arrays = LatticeArrays(np.ascontiguousarray(coefficients), step_px, int(rows[0]), int(cols[0]), float(mid_m))
    return Lattice(arrays, np.inf, _reaches(model, values))


def _largest_step_px(model: SensorModel, block: Grid, height_m: float) -> int:
    """A power of two of which a small image spans at least four steps, so that it cannot lie between nodes.

    Nodes that far off a small image may be beyond what its model knows.
    """
    line = np.array([0.0, 0.0, model.n_lines - 1.0, model.n_lines - 1.0])
    sample = np.array([0.0, model.n_samples - 1.0, 0.0, model.n_samples - 1.0])
    corners = np.stack(block.rowcol(*model.image_to_ground(line, sample, height_m)))
    sides = [np.hypot(*(corners[:, a] - corners[:, b])) for a, b in ((0, 1), (2, 3), (0, 2), (1, 3))]
    shortest_px = float(np.fmin.reduce(sides, initial=np.inf))
    step = FIRST_STEP_PX
    while step > max(shortest_px / 4, LAST_STEP_PX):
        step //= 2
    return step


def _loses_pixels(model: SensorModel, lattice: Lattice) -> bool:
    """Whether a node inside the image has a neighbour the model knows nothing of: their cell would stay empty."""
    line, sample = lattice.arrays.coefficients[:, 0]
    known = np.isfinite(line) & np.isfinite(sample)
    inside = known & _near_image(model, (line, sample), 1.0, 1.0 + _correction_reach_px(model))
    cell_known = known[1:, 1:] & known[1:, :-1] & known[:-1, 1:] & known[:-1, :-1]
    cell_inside = inside[1:, 1:] | inside[1:, :-1] | inside[:-1, 1:] | inside[:-1, :-1]
    return bool((cell_inside & ~cell_known).any())


def _worst_error(
    model: SensorModel,
    block: Grid,
    lattice: Lattice,
    heights_m: tuple[float, float],
    places: tuple[tuple[float, float], ...] = _CENTRES,
) -> float:
    """Largest difference between lattice and model inside the image.

    Compared at the centres of the cells and of their edges, where the error of a bilinear patch peaks (at a saddle
    it vanishes at the centre, so centres alone would not do), at heights between the supports. Points as far off the
    image as a cell is wide count, too: their cell may reach into it.
    """
    if not lattice.reaches_image:
        return 0.0
    step = lattice.arrays.step_px
    _, _, n_i, n_j = lattice.arrays.coefficients.shape
    i, j = lattice.arrays.row0 + np.arange(n_i - 1) * step, lattice.arrays.col0 + np.arange(n_j - 1) * step
    nodes = lattice.arrays.coefficients[:, 0]
    reach_line, reach_sample = (
        max(np.nanmax(np.abs(np.diff(q, axis=0)), initial=0.0), np.nanmax(np.abs(np.diff(q, axis=1)), initial=0.0))
        for q in nodes
    )
    reach_sample += _correction_reach_px(model)
    mid, half = _middle_and_half(*heights_m)
    # Off the supports, where the quartic that vanishes at them is large.
    heights = mid + half * np.array([-0.75, 0.75])
    rows = np.concatenate([np.broadcast_to(i[:, None] + du * step, (i.size, j.size)).ravel() for du, _ in places])
    cols = np.concatenate([np.broadcast_to(j[None, :] + dv * step, (i.size, j.size)).ravel() for _, dv in places])
    # One call for all of them: a call of a parallel model costs more than a thousand points do.
    lon, lat = block.lonlat(rows, cols)
    exact = model.ground_to_smooth(lon[None], lat[None], heights[:, None])
    near = _near_image(model, exact, reach_line, reach_sample)
    inside = _near_image(model, exact, 1.0, 1.0 + _correction_reach_px(model))
    worst = 0.0
    for reached, true in zip(lattice.at(rows[None], cols[None], heights[:, None]), exact, strict=True):
        difference = np.abs(reached - true)
        difference[np.isnan(difference)] = np.where(inside[np.isnan(difference)], np.inf, 0.0)
        worst = max(worst, float(np.max(difference[near], initial=0.0)))
    return worst


def _near_image(
    model: SensorModel, at: tuple[Float64Array, Float64Array], reach_line: float, reach_sample: float
) -> NDArray[np.bool_]:
    line, sample = at
    return np.asarray(
        (line >= -reach_line)
        & (line <= model.n_lines - 1 + reach_line)
        & (sample >= -reach_sample)
        & (sample <= model.n_samples - 1 + reach_sample)
    )


def _reaches(model: SensorModel, values: Float64Array) -> bool:
    """Whether the image may lie under the nodes: they are not all on one side of it. ``values`` (2, 4, I, J)."""
    reach = _correction_reach_px(model) + 8.0
    line, sample = values[0], values[1]
    known = np.isfinite(line) & np.isfinite(sample)
    if not known.any():
        return False
    line, sample = line[known], sample[known]
    return bool(
        line.max() >= -reach
        and line.min() <= model.n_lines + reach
        and sample.max() >= -reach
        and sample.min() <= model.n_samples + reach
    )


def _correction_reach_px(model: SensorModel) -> float:
    lines = model.break_lines
    return 0.0 if lines is None else float(np.max(np.abs(lines.correction_px)))
