"""The lattice over a real Sentinel-1 frame: Rome, 2021-12-23, linear records, mountains assumed everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer

from figures import tell
from orthokernel import Grid, open_product
from orthokernel.blocks import Ground, Walk, lattice_geometry
from orthokernel.ground import Extent, extent_of
from orthokernel.lattice import TOLERANCE_PX, break_table, build_lattice
from orthokernel.loop import BILINEAR, DemArrays, SourceArrays, warp_part
from orthokernel.sensor import SensorModel
from realdata import real_data
from reference.warp import correction

ROME = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE"
pytestmark = [pytest.mark.real, pytest.mark.parallel]

AS_IS = np.ones(1, np.float32), np.zeros(1, np.float32)


@pytest.fixture(scope="module")
def model() -> SensorModel:
    with open_product(real_data("sentinel1", "rome", ROME)) as product:
        return product.sensor_model("vv")


def _blocks(model: SensorModel) -> list[Grid]:
    """Blocks of 512 x 1024 pixels of 10 m, all over the frame, its corners included."""
    to_map = Transformer.from_crs("OGC:CRS84", 32633, always_xy=True)
    blocks = []
    for line in np.linspace(0, model.n_lines - 1, 5):
        for sample in np.linspace(0, model.n_samples - 1, 5):
            lon, lat = model.image_to_ground(line, sample, 500.0)
            x, y = to_map.transform(float(lon), float(lat))
            left, top = 10 * round(x / 10) - 5_120, 10 * round(y / 10) + 2_560
            blocks.append(Grid.from_bounds(32633, (left, top - 5_120, left + 10_240, top), 10.0))
    return blocks


def test_lattice_and_records_keep_a_hundredth_of_a_pixel(model: SensorModel) -> None:
    rng = np.random.default_rng(5)
    lines = model.break_lines
    assert lines is not None
    worst, compared = 0.0, 0
    for block in _blocks(model):
        lattice = build_lattice(model, block, -50.0, 2_700.0)
        assert lattice.error_px <= TOLERANCE_PX
        rows, cols = rng.uniform(0, block.n_rows - 1, 400), rng.uniform(0, block.n_cols - 1, 400)
        heights = rng.uniform(-50.0, 2_700.0, 400)
        line, sample = model.ground_to_image(*block.lonlat(rows, cols), heights)
        inside = np.isfinite(line)
        reached_line, smooth = lattice.at(rows[inside], cols[inside], heights[inside])
        reached_sample = smooth + correction(
            reached_line, smooth, lines.line, lines.first_sample, lines.step_samples, lines.correction_px, lines.kind
        )
        for reached, exact in ((reached_line, line[inside]), (reached_sample, sample[inside])):
            worst = max(worst, float(np.max(np.abs(reached - exact), initial=0.0)))
        compared += int(inside.sum())
    tell("Rome, lattice and linear records over the frame: worst, px", worst, "0.01")
    assert compared > 3_000
    assert worst < TOLERANCE_PX


def test_the_compiled_loop_keeps_it_too(model: SensorModel) -> None:
    """Pixels that say their own sample, or line: what comes out of the loop is where it looked."""
    rng = np.random.default_rng(6)
    table = break_table(model.break_lines)
    for block in _blocks(model)[6:19:6]:
        walk = Walk.over(1.0)
        extent = extent_of(block, walk.loop_block_px)
        dem, heights = _random_dem(rng, block, extent)
        ground = Ground(block, extent, dem, 0.0, 2_000.0)
        geometry = lattice_geometry(model, ground, BILINEAR)
        rows, cols = np.meshgrid(np.arange(0, block.n_rows, 7), np.arange(0, block.n_cols, 7), indexing="ij")
        exact = model.ground_to_image(*block.lonlat(rows, cols), heights[rows, cols].astype(np.float64))
        for axis, true in enumerate(exact):
            origin = (geometry.lines, geometry.samples)[axis][0]
            source = _ramp(model, geometry.lines, geometry.samples, axis)
            out = np.empty((1, *block.shape), np.float32)
            part = (0, block.n_rows, 0, block.n_cols)
            assert geometry.lattice is not None
            arrays = geometry.lattice.arrays
            scratch, flags = np.empty(1, np.float32), np.zeros(block.shape, np.uint8)
            how = BILINEAR, False, walk.loop_block_px
            warp_part(dem, part, extent.anchor, arrays, table, source, *how, scratch, out, flags)
            difference = out[0][rows, cols] + float(origin) - true
            # half a sample from the edge of the image the ramp ends
            inner = (exact[0] > 0) & (exact[0] < model.n_lines - 1) & (exact[1] > 0) & (exact[1] < model.n_samples - 1)
            assert inner.any()
            assert np.max(np.abs(difference[inner])) < TOLERANCE_PX


def _random_dem(rng: np.random.Generator, block: Grid, extent: Extent) -> tuple[DemArrays, NDArray[np.float32]]:
    """A DEM whose cells are the pixels, under whole blocks of the loop, and its heights over the block."""
    rows, cols = extent.rows(128), extent.cols(128)
    cells = rng.uniform(0.0, 2_000.0, (rows[-1] - rows[0] + 2, cols[-1] - cols[0] + 2)).astype(np.float32)
    where = np.meshgrid(rows - rows[0], cols - cols[0], indexing="ij")
    nodes = np.stack([*where, np.zeros(where[0].shape)]).astype(np.float64)
    dem = DemArrays(cells, np.zeros(cells.shape, np.uint8), True, 0, 0, nodes, 128, int(rows[0]), int(cols[0]))
    return dem, cells[-rows[0] : block.n_rows - rows[0], -cols[0] : block.n_cols - cols[0]]


def _ramp(model: SensorModel, lines: tuple[int, int], samples: tuple[int, int], axis: int) -> SourceArrays:
    n_lines, n_samples = lines[1] - lines[0], samples[1] - samples[0]
    ramp = np.arange(n_lines)[:, None] if axis == 0 else np.arange(n_samples)[None, :]
    held = np.empty((n_lines, n_samples), np.float32)
    held[(np.arange(lines[0], lines[1])) % n_lines] = np.broadcast_to(ramp, held.shape)
    no_rows = np.empty((1, 0, n_samples), np.float32)
    return SourceArrays(
        held[None], lines[0], lines[1], samples[0], model.n_lines, model.n_samples, np.zeros((1, n_lines), np.int32),
        np.full((1, n_lines), n_samples - 1, np.int32), float("nan"), *AS_IS, np.empty(0), no_rows, np.empty(0),
        no_rows, np.empty((1, 0, 4), np.int64),
        np.empty((1, 0, model.n_lines), np.float32), np.empty((0, 0), np.float32),
    )  # fmt: skip
