"""Terrain from small DEMs made here: exact planes, seams, sea, voids, datums."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.warp
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from orthokernel.errors import OutsideDemError, TerrainError
from orthokernel.grid import Grid
from orthokernel.ground import dem_under, extent_of, height_bounds, heights_over
from orthokernel.terrain import Terrain, TerrainFlag
from orthokernel.terrain.voids import FILL_REACH
from reference import terrain as twin

STEP = 1 / 1200  # degrees, as SRTM 3"


def write(path: Path, values: np.ndarray, west: float, north: float, step: float = STEP, **more: Any) -> Path:
    """A raster whose first cell centre lies at ``west, north`` (as SRTM and DTED count)."""
    profile: dict[str, Any] = {"crs": "EPSG:4326", "dtype": str(values.dtype), **more}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        transform=Affine(step, 0, west - step / 2, 0, -step, north + step / 2),
        **profile,
    ) as out:
        out.write(values, 1)
    return path


def rough(n_rows: int, n_cols: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(100, 900, (n_rows, n_cols)).astype(np.float32)


@pytest.fixture(scope="module")
def dem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("dem") / "dem.tif", rough(301, 241), 5.0, 44.25)


@pytest.fixture(scope="module")
def geoid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world of 5 degree cells; as EGM96's, its first column is the one at -180."""
    values = np.random.default_rng(2).uniform(-60, 60, (37, 72)).astype(np.float32)
    return write(tmp_path_factory.mktemp("geoid") / "geoid.tif", values, -180.0, 90.0, 5.0)


@settings(max_examples=50, deadline=None)
@given(st.floats(5.0001, 5.1999), st.floats(44.0001, 44.2499))
def test_heights_equal_the_slow_twin(dem: Path, geoid: Path, lon: float, lat: float) -> None:
    height, flags = _cached(dem, geoid).heights(lon, lat)
    expected = twin.heights(dem, geoid, np.array([lon]), np.array([lat]))
    assert height == pytest.approx(expected[0], abs=1e-4)
    assert flags == 0


@pytest.mark.parametrize("epsg", [32631, 3857, 4326])
def test_a_block_equals_the_heights_of_its_pixels(dem: Path, geoid: Path, epsg: int) -> None:
    terrain = _cached(dem, geoid)
    spacing = 10 if epsg != 4326 else 1e-4
    x, y = rasterio.warp.transform("OGC:CRS84", f"EPSG:{epsg}", [5.05], [44.1])
    grid = Grid.from_bounds(epsg, (x[0], y[0], x[0] + 700 * spacing, y[0] + 500 * spacing), spacing)
    block = _block(terrain, grid)
    rows, cols = np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :]
    lon, lat = grid.lonlat(rows, cols)
    exact, flags = terrain.heights(lon, lat)
    # 800 m from cell to cell, and 0.01 of a cell allowed; without bias.
    assert np.abs(block.height_m - exact).max() < 16
    assert np.abs(block.height_m - exact).mean() < 0.5
    np.testing.assert_array_equal(block.flags, flags)
    assert block.coverage == 1.0
    assert block.low_m <= block.height_m.min()
    assert block.height_m.max() <= block.high_m < 1000


@pytest.mark.parametrize("step_deg", [4e-4, 1e-4, 3e-6])  # half a cell a pixel, and runs of 8 and of 280 in a cell
@pytest.mark.parametrize("size", [1, 2, 128, 129, 257])
def test_blocks_of_any_size_are_filled_to_the_last_pixel(dem: Path, size: int, step_deg: float) -> None:
    grid = Grid.from_bounds(4326, (5.05, 44.05, 5.05 + size * step_deg, 44.05 + size * step_deg), step_deg)
    block = _block(Terrain(dem, None), grid)
    lon, lat = grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])
    np.testing.assert_allclose(block.height_m, Terrain(dem, None).heights(lon, lat)[0], atol=0.1)
    assert block.height_m.shape == grid.shape


def test_blocks_do_not_depend_on_how_a_grid_is_cut(dem: Path, geoid: Path) -> None:
    terrain = _cached(dem, geoid)
    grid = Grid.from_bounds(4326, (5.02, 44.05, 5.12, 44.15), 1e-3)
    whole = heights_over(terrain, grid)[0]
    parts = [heights_over(terrain, grid.window(0, 100, a, a + 25))[0] for a in (0, 25, 50, 75)]
    np.testing.assert_allclose(np.hstack(parts), whole, atol=1e-2)


def test_geoid_wraps_at_the_antimeridian(dem: Path, geoid: Path, tmp_path: Path) -> None:
    flat = [
        write(tmp_path / "west.tif", np.zeros((13, 13), np.float32), 179.99, 10.01, STEP),
        write(tmp_path / "east.tif", np.zeros((13, 13), np.float32), -180.0, 10.01, STEP),
    ]
    terrain = Terrain(flat, geoid)
    lon = np.array([179.9999, 180.0, -180.0, -179.9999])
    height, flags = terrain.heights(lon, 10.005)
    np.testing.assert_allclose(height, twin.bilinear(geoid, lon, np.full(4, 10.005), wrap=True), atol=1e-4)
    assert np.ptp(height) < 0.01
    assert not flags.any()
    block = _block(terrain, Grid.from_bounds(32660, _utm_box(179.995, 10.003, 0.008), 20))
    assert block.coverage == 1.0
    assert np.ptp(block.height_m) < 0.1


def test_seams_of_tiles_are_continuous_and_equal_one_file(tmp_path: Path) -> None:
    values = rough(121, 201)
    whole = write(tmp_path / "whole.tif", values, 5.0, 44.1)
    folder = tmp_path / "tiles"
    folder.mkdir()
    # As Copernicus tiles (side by side) and as SRTM's (sharing a line of cells).
    write(folder / "a.tif", values[:, :101], 5.0, 44.1)
    write(folder / "b.tif", values[:, 101:], 5.0 + 101 * STEP, 44.1)
    one, many = Terrain(whole, None), Terrain(folder, None)
    lon = np.linspace(5.0 + 98 * STEP, 5.0 + 104 * STEP, 601)
    height, flags = many.heights(lon, 44.05)
    np.testing.assert_allclose(height, one.heights(lon, 44.05)[0], atol=1e-3)
    assert np.abs(np.diff(height)).max() < 800 * 0.011
    assert not flags.any()
    write(folder / "b.tif", values[:, 100:], 5.0 + 100 * STEP, 44.1)
    np.testing.assert_allclose(Terrain(folder, None).heights(lon, 44.05)[0], height, atol=1e-3)


def test_tiles_of_coarser_cells_join_without_a_step(tmp_path: Path) -> None:
    """A plane, in cells of 3" and beside it of 4.5": no file is better than a plane, so neither is their seam."""

    def plane(n_rows: int, n_cols: int, west: float, step: float) -> np.ndarray:
        lon = west + np.arange(n_cols) * step
        lat = 44.1 - np.arange(n_rows) * step
        return (10_000 * (lon[None, :] - 5) + 5_000 * (lat[:, None] - 44)).astype(np.float32)

    write(tmp_path / "fine.tif", plane(120, 120, 5.0 + STEP / 2, STEP), 5.0 + STEP / 2, 44.1)
    coarse = 1.5 * STEP
    write(tmp_path / "coarse.tif", plane(80, 80, 5.1 + coarse / 2, coarse), 5.1 + coarse / 2, 44.1, coarse)
    lon = np.linspace(5.05, 5.15, 501)
    height, flags = Terrain(tmp_path, None).heights(lon, 44.05)
    # The plane falls 8 m a cell; interpolation of one raster at its very edge holds the last value.
    assert np.abs(height - (10_000 * (lon - 5) + 250)).max() < 8
    assert np.abs(np.diff(height)).max() < 8
    assert not flags.any()


def test_sea_is_the_geoid_and_flagged(dem: Path, geoid: Path) -> None:
    terrain = _cached(dem, geoid)
    lon, lat = np.array([5.1, 5.5, 4.0]), np.array([44.1, 44.1, 44.1])
    height, flags = terrain.heights(lon, lat)
    assert flags.tolist() == [0, TerrainFlag.SEA, TerrainFlag.SEA]
    np.testing.assert_allclose(height[1:], twin.bilinear(geoid, lon, lat)[1:], atol=1e-4)
    assert Terrain(dem, None).heights(4.0, 44.1)[0] == 0.0


def test_partial_cover_is_told(dem: Path) -> None:
    terrain = Terrain(dem, None)
    grid = Grid.from_bounds(4326, (5.1, 44.1, 5.3, 44.2), 1e-3)
    block = _block(terrain, grid)
    edge = 5.2 + STEP / 2
    assert block.coverage == pytest.approx((edge - 5.1) / 0.2, abs=0.006)
    assert block.low_m <= 0.0
    assert np.nanmin(block.height_m) == 0.0
    assert (block.height_m[block.flags == TerrainFlag.SEA] == 0).all()
    # Up to the edge of its outermost cells the DEM keeps its own height; it does not sink towards the sea.
    assert block.height_m[block.flags == 0].min() > 100
    terrain.require_overlap(grid)


def test_no_overlap_is_an_error_with_both_bounds(dem: Path) -> None:
    grid = Grid.mgrs("33TTG", 60)
    with pytest.raises(OutsideDemError) as caught:
        Terrain(dem, None).require_overlap(grid)
    assert caught.value.dem_bounds == pytest.approx((5, 44, 5.2, 44.25), abs=STEP)
    assert caught.value.bounds == pytest.approx((11.4, 41.4, 12.7, 42.4), abs=0.1)
    Terrain.constant(0).require_overlap(grid)


def test_a_dem_smaller_than_the_mesh_of_the_test_still_overlaps(tmp_path: Path) -> None:
    tiny = write(tmp_path / "tiny.tif", rough(3, 3), 12.0, 42.0)
    Terrain(tiny, None).require_overlap(Grid.mgrs("33TTG", 60))


@pytest.mark.parametrize("void", [-32768, -9999, float("nan")])
def test_voids_are_filled_from_their_rims_or_left(tmp_path: Path, void: float) -> None:
    rows, cols = np.mgrid[0:200, 0:200]
    plane = (500 + 0.5 * rows + 0.25 * cols).astype(np.float32)
    values = plane.copy()
    values[90:100, 90:105] = void
    declared = {"nodata": void} if void == -9999 else {}  # SRTM's void and NaN need no declaration
    path = write(tmp_path / "dem.tif", values, 5.0, 44.25, **declared)
    lon, lat = 5.0 + 97 * STEP, 44.25 - 95 * STEP
    height, flags = Terrain(path, None).heights(lon, lat)
    assert flags == TerrainFlag.FILLED
    assert height == pytest.approx(500 + 0.5 * 95 + 0.25 * 97, abs=2.0)
    left, flags = Terrain(path, None, void_policy="nodata").heights(lon, lat)
    assert np.isnan(left)
    assert flags == TerrainFlag.NODATA
    # A point of a whole cell beside the void keeps the surface of whole cells.
    beside, flags = Terrain(path, None, void_policy="nodata").heights(5.0 + 89.4 * STEP, lat)
    assert flags == 0
    assert beside == pytest.approx(500 + 0.5 * 95 + 0.25 * 89, abs=1e-2)


def test_wide_voids_keep_a_core_without_height(tmp_path: Path) -> None:
    n = 3 * FILL_REACH + 40
    values = np.full((n, n), 300, np.float32)
    values[20:-20, 20:-20] = np.nan
    terrain = Terrain(write(tmp_path / "dem.tif", values, 5.0, 44.5), None)
    grid = Grid.from_bounds(4326, (5.0 + STEP, 44.5 - (n - 2) * STEP, 5.0 + (n - 2) * STEP, 44.5 - STEP), STEP)
    block = _block(terrain, grid)
    kinds = set(np.unique(block.flags).tolist())
    assert kinds == {0, int(TerrainFlag.FILLED), int(TerrainFlag.NODATA)}
    assert np.isnan(block.height_m[n // 2, n // 2])
    assert block.low_m in (0, 300)  # whole blocks of the loop reach beyond the DEM
    assert block.high_m == 300
    assert block.coverage == pytest.approx(1 - (block.flags == TerrainFlag.NODATA).mean())


def test_filling_does_not_depend_on_the_chunk(tmp_path: Path) -> None:
    """A void across the corner of four chunks of 512 equals the same void amid one."""
    values = rough(1100, 1100, seed=3)
    values[500:520, 505:530] = np.nan
    at_corner = Terrain(write(tmp_path / "a.tif", values, 5.0, 45.0), None)
    inside = Terrain(write(tmp_path / "b.tif", values[300:900, 300:900], 5.0 + 300 * STEP, 45.0 - 300 * STEP), None)
    lon, lat = np.meshgrid(5.0 + np.arange(505, 530) * STEP, 45.0 - np.arange(500, 520) * STEP)
    height, flags = at_corner.heights(lon, lat)
    np.testing.assert_allclose(height, inside.heights(lon, lat)[0], atol=1e-3)
    assert (flags == TerrainFlag.FILLED).all()


def test_a_coarse_grid_sees_the_mean_of_the_cells(tmp_path: Path) -> None:
    checker = np.indices((240, 240)).sum(axis=0) % 2 * 1000.0
    path = write(tmp_path / "dem.tif", checker.astype(np.float32), 5.0 + STEP / 2, 44.2 - STEP / 2)
    block = _block(Terrain(path, None), Grid.from_bounds(4326, (5.02, 44.02, 5.18, 44.18), 4 * STEP))
    np.testing.assert_allclose(block.height_m, 500, atol=1e-3)
    assert block.coverage == 1.0


@pytest.mark.parametrize(
    ("crs", "with_geoid", "says"),
    [
        ("EPSG:9707", False, "EGM96 height.*geoid=None"),
        ("EPSG:4979", True, "ellipsoid.*geoid.tif"),
        ("EPSG:4326+3855", True, None),
    ],
)
def test_a_vertical_system_that_contradicts_the_settings(
    tmp_path: Path, geoid: Path, crs: str, with_geoid: bool, says: str | None
) -> None:
    path = write(tmp_path / "dem.tif", rough(20, 20), 5.0, 44.0, crs=crs)
    if says is None:
        # The compound part is read for its name only: no second geoid through PROJ.
        height = Terrain(path, geoid).heights(5.005, 43.995)[0]
        point = np.array([5.005]), np.array([43.995])
        assert height == pytest.approx(twin.heights(path, geoid, *point)[0], abs=1e-3)
    else:
        with pytest.raises(TerrainError, match=says):
            Terrain(path, geoid if with_geoid else None)


def test_another_geoid_than_the_dems_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", rough(20, 20), 5.0, 44.0, crs="EPSG:4326+3855")
    egm96 = write(tmp_path / "egm96_15.tif", np.zeros((37, 72), np.float32), -180.0, 90.0, 5.0)
    with pytest.raises(TerrainError, match=r"EGM2008 height.*egm96_15"):
        Terrain(path, egm96)


def test_feet_become_metres(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", np.full((20, 20), 1000, np.float32), 5.0, 44.0, crs="EPSG:4326+8228")
    flat = write(tmp_path / "geoid.tif", np.zeros((37, 72), np.float32), -180.0, 90.0, 5.0)
    assert Terrain(path, flat).heights(5.005, 43.995)[0] == pytest.approx(304.8, abs=1e-3)


def test_what_cannot_be_a_dem_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerrainError, match="no such file"):
        Terrain(tmp_path / "absent.tif", None)
    with pytest.raises(TerrainError, match="without rasters"):
        Terrain(tmp_path, None)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(TerrainError, match="cannot be opened"):
        Terrain(tmp_path / "text.tif", None)
    with pytest.raises(TerrainError, match="void_policy"):
        Terrain(tmp_path, None, void_policy="ignore")  # type: ignore[arg-type]
    with pytest.raises(TerrainError, match="finite"):
        Terrain.constant(float("nan"))
    folder = tmp_path / "two"
    folder.mkdir()
    write(folder / "a.tif", rough(5, 5), 5.0, 44.0)
    write(folder / "b.tif", rough(5, 5), 500000, 4e6, 10.0, crs="EPSG:32631")
    with pytest.raises(TerrainError, match="one system"):
        Terrain(folder, None)


def test_points_far_apart_need_little_memory(dem: Path, geoid: Path) -> None:
    lon = np.array([5.1, -170.0, 170.0, np.nan, 5.1])
    lat = np.array([44.1, -80.0, 80.0, 44.0, np.inf])
    height, flags = _cached(dem, geoid).heights(lon, lat)
    assert flags.tolist() == [0, 1, 1, 4, 4]
    assert np.isfinite(height).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("most_cells", [2**26, 100])
def test_a_block_over_the_pole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_cells: int) -> None:
    """A hill round the pole on a lattice of longitudes, where no coordinate lattice can be linear."""
    step = 0.5
    lat = 90 - np.arange(20) * step
    hill = np.broadcast_to((1000 - 100 * (90 - lat))[:, None], (20, 720)).astype(np.float32)
    path = write(tmp_path / "pole.tif", hill, -180.0, 90.0, step)
    monkeypatch.setattr("orthokernel.terrain.terrain._MAX_BLOCK_CELLS", most_cells)
    grid = Grid.from_bounds(3413, (-300e3, -250e3, 350e3, 300e3), 10e3)
    block = _block(Terrain(path, None), grid)
    lon_lat = grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])
    np.testing.assert_allclose(block.height_m, 1000 - 100 * (90 - lon_lat[1]), atol=0.1)
    assert block.coverage == 1.0
    assert 990 < block.height_m.max() <= block.high_m <= 1000


def test_constant_terrain() -> None:
    terrain = Terrain.constant(123.5)
    height, flags = terrain.heights([[1.0, np.nan]], [[2.0], [3.0]])
    np.testing.assert_array_equal(height, [[123.5, np.nan]] * 2)
    assert flags.tolist() == [[0, 4]] * 2
    block = _block(terrain, Grid.mgrs("33TTG", 1830))
    assert (block.height_m == 123.5).all()
    assert (block.coverage, block.low_m, block.high_m) == (1.0, 123.5, 123.5)
    assert terrain.describe() == {"constant_height_m": 123.5}


def test_terrain_pickles_and_describes_itself(dem: Path, geoid: Path) -> None:
    terrain = pickle.loads(pickle.dumps(Terrain(dem, geoid)))
    np.testing.assert_array_equal(terrain.heights(5.1, 44.1)[0], _cached(dem, geoid).heights(5.1, 44.1)[0])
    facts = terrain.describe()
    assert (facts["dem"], facts["geoid"]) == (["dem.tif"], "geoid.tif")
    assert str(dem.parent) not in str(facts)


def test_height_range_bounds_the_heights(dem: Path, geoid: Path) -> None:
    terrain = _cached(dem, geoid)
    low, high = terrain.height_range(5.05, 44.05, 5.1, 44.1)
    lon, lat = np.meshgrid(np.linspace(5.05, 5.1, 200), np.linspace(44.05, 44.1, 200))
    heights = terrain.heights(lon, lat)[0]
    assert low <= heights.min()
    assert heights.max() <= high
    assert high < 1000


@dataclass(frozen=True)
class _Block:
    height_m: np.ndarray
    flags: np.ndarray
    low_m: float
    high_m: float

    @property
    def coverage(self) -> float:
        return float(np.mean((self.flags & (TerrainFlag.SEA | TerrainFlag.NODATA)) == 0))


def _block(terrain: Terrain, grid: Grid) -> _Block:
    """What the loop makes of the terrain over a grid."""
    return _Block(*heights_over(terrain, grid), *height_bounds(dem_under(terrain, grid, extent_of(grid, 256))))


_terrains: dict[tuple[Path, Path], Terrain] = {}


def _cached(dem: Path, geoid: Path) -> Terrain:
    return _terrains.setdefault((dem, geoid), Terrain(dem, geoid))


def _utm_box(west: float, south: float, size: float) -> tuple[float, float, float, float]:
    x, y = rasterio.warp.transform("OGC:CRS84", "EPSG:32660", [west, west + size], [south, south + 0.005])
    return min(x), min(y), max(x), max(y)
