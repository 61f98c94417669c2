"""Where the loop's pixels lie in the image, and what areas and visibility say of them: against the exact model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from localdev.scene import Scene, SceneSpec, make_sentinel1
from orthokernel import Grid, Terrain, open_product
from orthokernel.blocks import Ground, Walk, ground_under, lattice_geometry
from orthokernel.flattening import RadarAreas, local_incidence, look_nodes
from orthokernel.flattening.incidence import STEP_PX
from orthokernel.flattening.lookup import look_up
from orthokernel.ground import heights_over
from orthokernel.lattice import break_table
from orthokernel.loop import BILINEAR, locate_part
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.sight import incidence_of

pytestmark = pytest.mark.parallel

BOX = (284_000.0, 4_648_000.0, 291_000.0, 4_654_000.0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("sight"),
            size_lines_samples=(600, 700),
            fractal_seed=3,
            relief_m=2500.0,
            noise_db=None,
        )
    )


@pytest.fixture(scope="module")
def model(scene: Scene) -> RangeDopplerModel:
    with open_product(scene.path) as product:
        found = product.sensor_model("vv")
    assert isinstance(found, RangeDopplerModel)
    return found


def _ground(scene: Scene, grid: Grid) -> tuple[Walk, Terrain, Ground]:
    walk, terrain = Walk.over(1.0), Terrain(_dem(scene), None)
    return walk, terrain, ground_under(terrain, grid, walk, further=1)


def _dem(scene: Scene) -> Path:
    assert scene.dem_path is not None
    return scene.dem_path


def test_pixels_are_located_where_the_model_has_them(scene: Scene, model: RangeDopplerModel) -> None:
    grid = Grid.from_bounds(32633, BOX, 10.0)
    walk, _, ground = _ground(scene, grid)
    geometry = lattice_geometry(model, ground, BILINEAR)
    assert geometry.lattice is not None
    part = (100, 400, 50, 650)
    found = np.empty((3, 300, 600))
    table, lattice = break_table(model.break_lines), geometry.lattice.arrays
    locate_part(ground.dem, part, ground.extent.anchor, lattice, table, walk.loop_block_px, *found)
    lon, lat = grid.lonlat(np.arange(100, 400)[:, None], np.arange(50, 650)[None, :])
    height = heights_over(Terrain(_dem(scene), None), grid)[0][100:400, 50:650].astype(np.float64)
    line, sample = model.ground_to_image(lon, lat, height)
    inside = np.isfinite(line)
    assert inside.mean() > 0.3
    for reached, exact in zip(found, (line, sample, model.ground_to_smooth(lon, lat, 0.0)[1]), strict=True):
        assert np.abs(reached - exact)[inside].max() < 0.01


def test_the_looking_up_is_the_definition() -> None:
    rng = np.random.default_rng(2)
    line, sample = rng.uniform(95, 125, (40, 50)), rng.uniform(-5, 45, (40, 50))
    flat = rng.uniform(10, 60, (40, 50))
    line[3, 4], flat[5, 6] = np.nan, np.nan
    n, held, sample0 = 30, (100, 120), 2
    area = rng.random((n, 36)).astype(np.float32)
    visibility, flat0 = rng.integers(1, 7, (n, 30)).astype(np.uint8), rng.integers(20, 24, n).astype(np.int32)
    seen, between = np.empty(line.shape, np.uint8), np.empty(line.shape, np.float32)
    size = (118, 40)
    look_up(line, sample, flat, size, held, sample0, area, visibility, flat0, seen, between)
    for at in np.ndindex(line.shape):
        known = -0.5 <= line[at] <= 117.5 and -0.5 <= sample[at] <= 39.5 and np.isfinite(flat[at])
        row = int(np.floor(line[at] + 0.5)) if known else -1
        column = int(np.floor(flat[at] + 0.5)) - flat0[row % n] if known else -1
        there = known and held[0] <= row < held[1] and 0 <= column < 30
        assert seen[at] == (visibility[row % n, column] if there else 0)
        i, j = (int(np.floor(v)) for v in (line[at], sample[at])) if known else (-1, -1)
        if known and held[0] <= i and i + 1 < held[1] and j - sample0 >= 0 and j + 1 - sample0 < 36:
            u, v = line[at] - i, sample[at] - j
            rows = [area[k % n, j - sample0 : j - sample0 + 2].astype(float) @ [1 - v, v] for k in (i, i + 1)]
            assert between[at] == pytest.approx(rows[0] * (1 - u) + rows[1] * u, abs=1e-6)
        else:
            assert np.isnan(between[at])


def test_local_incidence_by_blocks_is_that_of_the_whole(scene: Scene, model: RangeDopplerModel) -> None:
    """And the same to the last bit wherever the output begins and ends."""
    grid = Grid.from_bounds(32633, BOX, 10.0)
    walk, terrain, ground = _ground(scene, grid)
    angles = incidence_of((0, grid.n_rows, 0, grid.n_cols), ground, walk, model)
    whole = np.empty(grid.shape, np.float32)
    wider = heights_over(terrain, grid.window(-1, grid.n_rows + 1, -1, grid.n_cols + 1))[0]
    local_incidence(wider, look_nodes(model, grid), STEP_PX, whole)
    np.testing.assert_allclose(angles, whole, atol=2e-3)
    moved = grid.window(77, 401, 133, 512)
    _, _, under = _ground(scene, moved)
    np.testing.assert_array_equal(incidence_of((0, 324, 0, 379), under, walk, model), angles[77:401, 133:512])
    assert areas_differ(model, terrain) == 0


def areas_differ(model: RangeDopplerModel, terrain: Terrain) -> int:
    """How many samples of two overlapping windows of areas are not equal."""
    areas = RadarAreas(model, terrain)
    one, other = areas.over((100, 300), (100, 500)), areas.over((150, 420), (40, 333))
    return int(np.sum(one.area[50:, :233] != other.area[:150, 60:293]))
