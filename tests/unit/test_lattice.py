"""The lattice keeps its promise on models it has never seen, and break lines become a table without loss."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from orthokernel import Terrain, open_product, orthorectify
from orthokernel.errors import LatticeError
from orthokernel.grid import Grid
from orthokernel.lattice import TOLERANCE_PX, break_table, build_lattice
from orthokernel.sensor import BreakLines
from reference.warp import correction

GRID = Grid.from_bounds(32633, (260_000, 4_640_000, 268_000, 4_645_000), 10)


class WavyModel:
    """A camera over `GRID`: affine, parallax, curvature, and waves. Lines grow southward."""

    n_lines, n_samples = 700, 900
    break_lines: BreakLines | None = None
    height_support_m: tuple[float, float] | None = None

    def __init__(self, wave_px: float, wave_m: float, parallax: float, bend: float, turn: float) -> None:
        self.wave_px, self.wave_m, self.parallax, self.bend, self.turn = wave_px, wave_m, parallax, bend, turn

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows, cols = GRID.rowcol(lon_deg, lat_deg)
        height = np.asarray(height_m, np.float64)
        row = rows * np.cos(self.turn) + cols * np.sin(self.turn)
        col = cols * np.cos(self.turn) - rows * np.sin(self.turn)
        k = 2 * np.pi * 10.0 / self.wave_m
        # a saddle, whose interpolation error vanishes at the centres of the cells
        line = 30 + row + self.wave_px * np.sin(k * row) - 1e-4 * height
        sample = 40 + col - self.parallax * height + self.bend * height**2 + self.wave_px * np.cos(k * (row - col))
        return line, sample

    def image_to_ground(
        self, line: NDArray[np.float64], sample: NDArray[np.float64], height_m: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Without the waves: only asked for how large the image is on the map."""
        row, col = line - 30, sample - 40 + self.parallax * height_m - self.bend * height_m**2
        return GRID.lonlat(
            row * np.cos(self.turn) - col * np.sin(self.turn), row * np.sin(self.turn) + col * np.cos(self.turn)
        )


@settings(max_examples=40, deadline=None)
@given(
    wave_px=st.floats(0, 3),
    wave_m=st.floats(3_000, 30_000),
    parallax=st.floats(-0.2, 0.2),
    bend=st.floats(-1e-6, 1e-6),
    turn=st.floats(-np.pi, np.pi),
    low=st.floats(-400, 3_000),
    relief=st.floats(0, 4_000),
    seed=st.integers(0, 2**31),
)
def test_lattice_stays_within_a_hundredth_of_a_pixel(
    wave_px: float, wave_m: float, parallax: float, bend: float, turn: float, low: float, relief: float, seed: int
) -> None:
    model = WavyModel(wave_px, wave_m, parallax, bend, turn)
    lattice = build_lattice(model, GRID, low, low + relief)  # type: ignore[arg-type]
    assert lattice.error_px <= TOLERANCE_PX
    rng = np.random.default_rng(seed)
    rows, cols = rng.uniform(0, GRID.n_rows - 1, 300), rng.uniform(0, GRID.n_cols - 1, 300)
    heights = rng.uniform(low, low + relief, 300)
    line, sample = model.ground_to_smooth(*GRID.lonlat(rows, cols), heights)
    inside = (line > -0.5) & (line < model.n_lines - 0.5) & (sample > -0.5) & (sample < model.n_samples - 0.5)
    for reached, exact in zip(lattice.at(rows, cols, heights), (line, sample), strict=True):
        assert np.max(np.abs(reached - exact)[inside], initial=0.0) < TOLERANCE_PX
    if inside.any():
        assert lattice.reaches_image


def test_a_wavier_model_needs_a_finer_lattice() -> None:
    smooth = build_lattice(WavyModel(0.1, 20_000, 0, 0, 0), GRID, 0, 100)  # type: ignore[arg-type]
    wavy = build_lattice(WavyModel(2.0, 3_000, 0, 0, 0), GRID, 0, 100)  # type: ignore[arg-type]
    assert wavy.arrays.step_px < smooth.arrays.step_px


def test_a_model_no_lattice_follows_is_refused() -> None:
    with pytest.raises(LatticeError, match="geometry='exact'"):
        build_lattice(WavyModel(3.0, 60, 0, 0, 0), GRID, 0, 100)  # type: ignore[arg-type]


def test_a_lattice_off_the_image_says_so() -> None:
    far = GRID.window(5_000, 5_200, 0, 200)
    assert not build_lattice(WavyModel(0, 20_000, 0, 0, 0), far, 0, 100).reaches_image  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_break_table_is_the_correction(kind: str) -> None:
    rng = np.random.default_rng(4)
    record_line = np.array([-30.0, 55.5, 140.0, 300.0])
    lines = BreakLines(record_line, -10.0, 40.0, rng.normal(0, 3, (4, 9)), kind)  # type: ignore[arg-type]
    table = break_table(lines)
    line, sample = rng.uniform(-80, 400, 500), rng.uniform(-50, 400, 500)
    expected = correction(line, sample, record_line, -10.0, 40.0, lines.correction_px, kind)
    reached = correction(
        line, sample, table.line, table.first_sample, table.step_samples, table.correction_px, "linear"
    )
    np.testing.assert_allclose(reached, expected, atol=1e-4)
    assert np.all(np.diff(table.line) > 0)


def test_no_break_lines_is_an_empty_table() -> None:
    assert break_table(None).line.shape == (0,)


@pytest.mark.parametrize("spacing_m", [2.0, 10.0, 20.0])
@pytest.mark.parametrize(("side_px", "half_side_deg"), [(16, 0.002), (64, 0.005)])
def test_an_image_smaller_than_a_cell_is_not_lost_between_nodes(
    tmp_path: Path, side_px: int, half_side_deg: float, spacing_m: float
) -> None:
    """Nodes 128 pixels apart lie where the RPC of a small image knows nothing."""
    unit, half_px = [1.0, *[0.0] * 19], side_px / 2
    path = tmp_path / "small.tif"
    rpc = RPC(
        **{"height_off": 0.0, "height_scale": 500.0, "err_bias": 0.0, "err_rand": 0.0},
        **{"lat_off": 45.0, "lat_scale": half_side_deg, "long_off": 3.0, "long_scale": half_side_deg},
        **{"line_off": half_px, "line_scale": half_px, "samp_off": half_px, "samp_scale": half_px},
        line_num_coeff=[0.0, 0.0, -1.0, *[0.0] * 17],
        line_den_coeff=unit,
        samp_num_coeff=[0.0, 1.0, *[0.0] * 18],
        samp_den_coeff=unit,
    )
    profile = {"driver": "GTiff", "height": side_px, "width": side_px, "count": 1, "dtype": "uint16"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", rpcs=rpc, **profile) as image:
            image.write(np.full((1, side_px, side_px), 7, np.uint16))
    grid = Grid.from_bounds(32631, (499_700.0, 4_982_700.0, 500_300.0, 4_983_300.0), spacing_m)
    with open_product(path) as product:
        share = {
            geometry: orthorectify(product, grid, Terrain.constant(0.0), geometry=geometry).valid_fraction
            for geometry in ("lattice", "exact")
        }
    assert share["lattice"] == share["exact"] > 0.3
