"""The fused loop equals its slow NumPy twin, whatever the method, the holes and the break lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orthokernel import loop
from orthokernel.lattice import break_table
from orthokernel.loop import AVERAGE, BreakTable, DemArrays, LatticeArrays, SourceArrays, warp_part, warp_points
from orthokernel.resampling import METHODS
from orthokernel.sensor import BreakLines
from reference.noise import noise_of_rows
from reference.warp import calibrated, correction, warp

SIZE = (70, 90)  # of the output: more than one block of the loop, and not a multiple of one
IMAGE = (64, 96)
BLOCK_PX = 32
STEP_PX = 32
HEIGHTS = (200.0, 700.0)
NO_NOISE = (
    np.empty(0),
    np.empty((1, 0, IMAGE[1]), np.float32),
    np.empty((1, 0, 4), np.int64),
    np.empty((1, 0, IMAGE[0]), np.float32),
)
NO_FACTOR = np.empty((0, 0), np.float32)

AS_IS = np.ones(1, np.float32), np.zeros(1, np.float32)


def _lattice(scale: float) -> LatticeArrays:
    """A turned, slightly bent geometry whose lattice is exact by construction."""
    i, j = np.meshgrid(np.arange(4) * STEP_PX, np.arange(4) * STEP_PX, indexing="ij")
    c = np.zeros((2, 4, 4, 4))
    c[0, 0] = -3.3 + scale * (0.9 * i + 0.15 * j) + 1e-5 * i * j
    c[1, 0] = 4.6 + scale * (0.95 * j - 0.2 * i)
    c[0, 1], c[0, 2] = 2e-4, 1e-8 * i
    c[1, 1], c[1, 2] = -0.01 - 1e-6 * j, 2e-6
    return LatticeArrays(c, STEP_PX, 0, 0, 450.0)


def _with_cubes(lattice: LatticeArrays) -> LatticeArrays:
    """The same with a third power of the height, worth up to a pixel and a half."""
    lattice.coefficients[1, 3] = 1e-7 + 5e-9 * np.arange(4)
    return lattice


def _coordinates(lattice: LatticeArrays, heights: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lattice point by point, in float64."""
    out = np.empty((2, *heights.shape))
    for row, col in np.ndindex(heights.shape):
        i, j = row // STEP_PX, col // STEP_PX
        u, v = row / STEP_PX - i, col / STEP_PX - j
        corners = lattice.coefficients[:, :, i : i + 2, j : j + 2]
        p = np.einsum("qpij,i,j->qp", corners, [1 - u, u], [1 - v, v])
        h = float(heights[row, col]) - lattice.height_mid_m
        out[:, row, col] = p @ np.array([1.0, h, h * h, h**3])
    return out[0], out[1]


def _source(rng: np.random.Generator, holes: bool, calibration: bool, noise: bool = False) -> SourceArrays:
    """An image in a ring of lines that starts in the middle of the ring."""
    pixels = rng.integers(1, 900, IMAGE).astype(np.uint16)
    if holes:
        pixels[:, :5] = 0
        pixels[10:14, -20:] = 0
        pixels[30] = 0
    pixels[40, 50] = 0  # a dark sample: data where zeros count from the border only
    first = np.array([np.argmax(row > 0) if row.any() else row.size for row in pixels], np.int32)
    last = np.array([row.size - 1 - np.argmax(row[::-1] > 0) if row.any() else -1 for row in pixels], np.int32)
    ring = np.roll(np.arange(IMAGE[0] + 6), 13)
    slot = {line: int(np.flatnonzero(ring == line % ring.size)[0]) for line in range(IMAGE[0])}
    assert len(slot) == IMAGE[0]
    held = np.zeros((ring.size, IMAGE[1]), np.uint16)
    held_first, held_last = np.zeros(ring.size, np.int32), np.zeros(ring.size, np.int32)
    for line in range(IMAGE[0]):  # line l is in row l % capacity
        held[line % ring.size], held_first[line % ring.size], held_last[line % ring.size] = (
            pixels[line], first[line], last[line],
        )  # fmt: skip
    lines = np.array([-20.0, 25.0, 50.0, 90.0]) if calibration else np.empty(0)
    table = (300 + 20 * rng.random((len(lines), IMAGE[1]))).astype(np.float32)
    noise_lines = np.array([-5.0, 20.0, 70.0]) if noise else np.empty(0)
    power = (5e5 * rng.random((len(noise_lines), IMAGE[1]))).astype(np.float32)
    blocks = np.array([[0, 30, 0, 39], [31, 63, 0, 49], [0, 50, 60, 80]] if noise else np.empty((0, 4)), np.int64)
    factor = (0.5 + rng.random((len(blocks), IMAGE[0]))).astype(np.float32)
    return SourceArrays(
        held[None], 0, IMAGE[0], 0, IMAGE[0], IMAGE[1], held_first[None], held_last[None], float("nan"), *AS_IS, lines,
        table[None], noise_lines, power[None], blocks[None], factor[None], NO_FACTOR,
    )  # fmt: skip


def _image(source: SourceArrays) -> NDArray[np.float64]:
    """What the loop should see: the image as values, NaN where there is no data."""
    pixels = source.pixels[0, : IMAGE[0]]
    if len(source.calibration_line):
        noise = None
        if len(source.noise_line):
            blocks = [tuple(block) for block in source.noise_block[0].tolist()]
            rows = source.noise[0].astype(np.float64), blocks, source.noise_factor[0].astype(np.float64)
            noise = np.array([noise_of_rows(source.noise_line, *rows, line) for line in range(IMAGE[0])])
        return calibrated(pixels, source.calibration_line, source.calibration[0].astype(np.float64), noise)
    values = calibrated(pixels, np.array([0.0, 99.0]), np.ones((2, IMAGE[1])))
    return np.sqrt(values)


def _run(
    heights: NDArray[np.float32],
    lattice: LatticeArrays,
    table: BreakTable,
    source: SourceArrays,
    method: str,
    power: bool,
) -> NDArray[np.float32]:
    out = np.full((1, *heights.shape), -9.0, np.float32)
    scratch = np.empty(16, np.float32)  # too small: the loop must help itself
    part = (0, heights.shape[0], 0, heights.shape[1])
    flags = np.zeros(heights.shape, np.uint8)
    settings = METHODS[method], power, BLOCK_PX
    warp_part(_dem(heights), part, (0, 0), lattice, table, source, *settings, scratch, out, flags)
    return out[0]


def _dem(heights: NDArray[np.float32]) -> DemArrays:
    """A DEM whose cells are the pixels; it goes on beyond them, to the end of the last blocks."""
    cells = np.pad(heights, ((0, 2 * BLOCK_PX), (0, 2 * BLOCK_PX)), mode="edge")
    nodes = np.stack([*np.meshgrid(np.arange(4.0), np.arange(4.0), indexing="ij"), np.zeros((4, 4))]) * STEP_PX
    return DemArrays(cells, np.zeros(cells.shape, np.uint8), True, 0, 0, nodes, STEP_PX, 0, 0)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize("cubes", [False, True])
@pytest.mark.parametrize(
    ("holes", "calibration", "noise"), [(False, False, False), (True, True, False), (True, True, True)]
)
def test_loop_equals_twin(method: str, holes: bool, calibration: bool, noise: bool, cubes: bool) -> None:
    rng = np.random.default_rng(7)
    heights = rng.uniform(*HEIGHTS, SIZE).astype(np.float32)
    heights[3, 4:8] = np.nan
    lattice = _lattice(2.6 if method == "average" else 0.85)
    if cubes:
        lattice = _with_cubes(lattice)
    source = _source(rng, holes, calibration, noise)
    line, sample = _coordinates(lattice, heights)
    if method == "average":
        # the loop takes one footprint a block, at mid height: so does this
        expected = np.full(SIZE, np.nan)
        for row, col in np.ndindex(-(-SIZE[0] // BLOCK_PX), -(-SIZE[1] // BLOCK_PX)):
            part = np.s_[row * BLOCK_PX : (row + 1) * BLOCK_PX, col * BLOCK_PX : (col + 1) * BLOCK_PX]
            expected[part] = warp(_image(source), line[part], sample[part], method, _footprint(lattice, row, col))
    else:
        expected = warp(_image(source), line, sample, method)
    if noise:
        assert 0.05 < np.nanmean(expected < 0) < 0.95
    if calibration:
        expected = np.maximum(expected, 0.0)
    ours = _run(heights, lattice, break_table(None), source, method, calibration)
    assert 0.1 < np.isfinite(expected).mean() < 0.99
    scale = np.nanmax(np.abs(expected))
    near_switch = _near_a_switch(line, sample, method)
    np.testing.assert_array_equal(np.isnan(ours)[~near_switch], np.isnan(expected)[~near_switch])
    both = ~np.isnan(ours) & ~np.isnan(expected) & ~near_switch
    np.testing.assert_allclose(ours[both], expected[both], atol=2e-4 * scale)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize(
    ("first", "last"), [(-0.5, 40.3), (20.7, 40.3), (-0.9, float(IMAGE[0]) - 0.1)], ids=["end", "both", "beyond"]
)
def test_an_image_is_cut_where_it_is_told_and_not_what_it_is_interpolated_from(
    method: str, first: float, last: float
) -> None:
    """Beyond its edge by more than half a line it is given, too: as if its last line were there twice."""
    rng = np.random.default_rng(3)
    heights = rng.uniform(*HEIGHTS, SIZE).astype(np.float32)
    lattice = _lattice(0.85)
    source = _source(rng, holes=True, calibration=True)
    line, sample = _coordinates(lattice, heights)
    image = _image(source)
    if first < -0.5:
        image, lead = np.pad(image, ((1, 1), (0, 0)), mode="edge"), 1
    else:
        lead = 0
    expected = np.full(SIZE, np.nan)
    for row, col in np.ndindex(-(-SIZE[0] // BLOCK_PX), -(-SIZE[1] // BLOCK_PX)):
        part = np.s_[row * BLOCK_PX : (row + 1) * BLOCK_PX, col * BLOCK_PX : (col + 1) * BLOCK_PX]
        expected[part] = warp(image, line[part] + lead, sample[part], method, _footprint(lattice, row, col))
    expected[~((line >= first) & (line <= last))] = np.nan
    if method == "cubic":
        expected = np.maximum(expected, 0.0)
    cut = source._replace(first_line=first, last_line=last)
    ours = _run(heights, lattice, break_table(None), cut, method, power=True)
    sure = ~_near_a_switch(line, sample, method) & (np.abs(line - first) > 1e-3) & (np.abs(line - last) > 1e-3)
    assert 0.05 < np.isfinite(expected).mean() < 0.99
    np.testing.assert_array_equal(np.isnan(ours)[sure], np.isnan(expected)[sure])
    both = ~np.isnan(ours) & ~np.isnan(expected) & sure
    np.testing.assert_allclose(ours[both], expected[both], atol=2e-4 * np.nanmax(np.abs(expected)))


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize(("first", "last"), [(-0.5, 60.2), (25.4, float("nan"))], ids=["end", "start"])
def test_an_image_is_cut_at_samples_too(method: str, first: float, last: float) -> None:
    rng = np.random.default_rng(4)
    heights = rng.uniform(*HEIGHTS, SIZE).astype(np.float32)
    lattice = _lattice(0.85)
    source = _source(rng, holes=True, calibration=True)
    _, sample = _coordinates(lattice, heights)
    whole = _run(heights, lattice, break_table(None), source, method, power=True)
    cut = source._replace(first_sample=first, last_sample=last)
    ours = _run(heights, lattice, break_table(None), cut, method, power=True)
    inside = (sample >= first) & ~(sample > last)
    sure = (np.abs(sample - first) > 1e-3) & ~(np.abs(sample - last) <= 1e-3)
    assert 0.1 < inside.mean() < 0.9
    assert np.isnan(ours[sure & ~inside]).all()
    # Float32 coordinates count from where the window begins.
    np.testing.assert_allclose(ours[sure & inside], whole[sure & inside], atol=2e-4 * np.nanmax(np.abs(whole)))


def _footprint(lattice: LatticeArrays, i: int, j: int) -> tuple[float, float, float, float]:
    c = lattice.coefficients[:, 0, i : i + 2, j : j + 2]
    d_row = (c[:, 1].mean(axis=1) - c[:, 0].mean(axis=1)) / STEP_PX
    d_col = (c[:, :, 1].mean(axis=1) - c[:, :, 0].mean(axis=1)) / STEP_PX
    return float(d_row[0]), float(d_col[0]), float(d_row[1]), float(d_col[1])


def _near_a_switch(line: NDArray[Any], sample: NDArray[Any], method: str) -> NDArray[np.bool_]:
    """Points so near an edge, or the middle between two samples, that float32 may fall on the other side."""
    near = np.zeros(line.shape, bool)
    for x, n in ((line, IMAGE[0]), (sample, IMAGE[1])):
        known = np.nan_to_num(x, nan=0.25)
        near |= (np.abs(known + 0.5) < 1e-3) | (np.abs(known - n + 0.5) < 1e-3)
        if method == "nearest":
            near |= np.abs(known - np.floor(known) - 0.5) < 1e-3
    return near


@pytest.mark.parametrize("record_spacing", [45.0, 6.0])
@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_break_lines_are_added(record_spacing: float, kind: str) -> None:
    """Far records take the closed form, near ones (several within a block) the look-up: both equal the definition."""
    rng = np.random.default_rng(11)
    heights = rng.uniform(*HEIGHTS, SIZE).astype(np.float32)
    lattice = _lattice(0.85)
    record_line = -20.0 + record_spacing * np.arange(int(120 / record_spacing) + 1)
    samples = -30.0 + 5.0 * np.arange(40)
    correction_px = rng.normal(0, 2, record_line.size)[:, None] * np.cos(samples / 60)[None, :]
    lines = BreakLines(record_line, -30.0, 5.0, correction_px, kind)  # type: ignore[arg-type]
    line, smooth = _coordinates(lattice, heights)
    sample = smooth + correction(line, smooth, record_line, -30.0, 5.0, correction_px, kind)
    # An image whose pixels say where they are: bilinear gives the sample itself back.
    ramp = np.broadcast_to(np.arange(IMAGE[1], dtype=np.float32) + 1, IMAGE)
    source = SourceArrays(
        np.ascontiguousarray(ramp)[None], 0, IMAGE[0], 0, *IMAGE, np.zeros((1, IMAGE[0]), np.int32),
        np.full((1, IMAGE[0]), IMAGE[1] - 1, np.int32), float("nan"), *AS_IS, np.empty(0),
        np.empty((1, 0, IMAGE[1]), np.float32), *NO_NOISE, NO_FACTOR,
    )  # fmt: skip
    reached = _run(heights, lattice, break_table(lines), source, "bilinear", False) - 1
    inside = (line > 0) & (line < IMAGE[0] - 1) & (sample > 0) & (sample < IMAGE[1] - 1)
    if kind == "nearest":  # at the switch itself either record will do
        middles = 0.5 * (record_line[1:] + record_line[:-1])
        inside &= np.min(np.abs(line[..., None] - middles), axis=-1) > 1e-3
    assert inside.mean() > 0.3
    assert np.max(np.abs(reached - sample)[inside]) < 0.003


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_break_lines_may_move_lines_too(method: str) -> None:
    """Both corrections are those of the smooth line and sample, added at once."""
    rng = np.random.default_rng(12)
    heights = rng.uniform(*HEIGHTS, SIZE).astype(np.float32)
    lattice = _lattice(0.85)
    record_line = -20.0 + 4.0 * np.arange(31)
    first, step = -10.0, 70.0
    sample_px, line_px = rng.normal(0, 0.5, (2, record_line.size, 3))
    lines = BreakLines(record_line, first, step, sample_px, "linear", line_px)
    smooth_line, smooth = _coordinates(lattice, heights)
    line = smooth_line + correction(smooth_line, smooth, record_line, first, step, line_px, "linear")
    sample = smooth + correction(smooth_line, smooth, record_line, first, step, sample_px, "linear")
    ramp = 1 + np.arange(IMAGE[0], dtype=np.float32)[:, None] + 0.25 * np.arange(IMAGE[1], dtype=np.float32)
    source = SourceArrays(
        np.ascontiguousarray(ramp)[None], 0, IMAGE[0], 0, *IMAGE, np.zeros((1, IMAGE[0]), np.int32),
        np.full((1, IMAGE[0]), IMAGE[1] - 1, np.int32), float("nan"), *AS_IS, np.empty(0),
        np.empty((1, 0, IMAGE[1]), np.float32), *NO_NOISE, NO_FACTOR,
    )  # fmt: skip
    reached = _run(heights, lattice, break_table(lines), source, method, False) - 1
    inside = (line > 3) & (line < IMAGE[0] - 4) & (sample > 3) & (sample < IMAGE[1] - 4)
    assert inside.mean() > 0.3
    assert np.abs(line - smooth_line)[inside].max() > 0.9
    assert lines.reach_px == (np.abs(line_px).max(), np.abs(sample_px).max())
    assert np.max(np.abs(reached - (line + 0.25 * sample))[inside]) < 0.003


def test_points_and_part_agree() -> None:
    rng = np.random.default_rng(3)
    heights = rng.uniform(*HEIGHTS, SIZE).astype(np.float32)
    lattice = _lattice(0.85)
    source = _source(rng, holes=True, calibration=True)
    line, sample = _coordinates(lattice, heights)
    out = np.empty((1, *SIZE), np.float32)
    footprints = np.zeros((4, 4, 4))
    part, scratch = (0, SIZE[0], 0, SIZE[1]), np.empty(1, np.float32)
    warp_points(line, sample, part, (0, 0), source, METHODS["bilinear"], True, BLOCK_PX, footprints, scratch, out)
    np.testing.assert_allclose(
        out[0], _run(heights, lattice, break_table(None), source, "bilinear", True), atol=1e-4 * float(np.nanmax(out))
    )


def test_average_of_a_constant_is_the_constant() -> None:
    """Weights sum to one, under any turn and scale."""
    heights = np.full(SIZE, 450.0, np.float32)
    source = _source(np.random.default_rng(0), holes=False, calibration=False)
    source.pixels[:] = 7
    out = _run(heights, _lattice(2.6), break_table(None), source, "average", False)
    assert np.isfinite(out).any()
    np.testing.assert_allclose(out[np.isfinite(out)], 7.0, rtol=1e-6)
    assert METHODS["average"] == AVERAGE


def test_the_installed_numba_still_knows_how_not_to_count_references() -> None:
    # Not in its manual: the day it is gone the loop is right, and half as fast.
    assert loop._UNCOUNTED == {"_nrt": False}
