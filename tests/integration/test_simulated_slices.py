"""Slices of one simulated pass, joined: as if the pass had never been cut, and every pixel knows its slice."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.warp import transform

from figures import tell
from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from localdev.scene.fractal import write_fractal_dem
from localdev.scene.frame import make_geometry
from localdev.scene.radar import RadarGeometry
from localdev.scene.terrain import read_surface
from orthokernel import Grid, OrthoResult, Terrain, open_product, orthorectify
from reference.targets import TargetImage

pytestmark = pytest.mark.parallel

CENTRE = (12.5, 42.0)
DEM_BOUNDS = (12.40, 41.93, 12.60, 42.07)
"""Less than any slice looks at, so that all of them, and the whole pass, are made over the very same heights."""
RELIEF_M = 150.0
N_SAMPLES = 320
SEAM_SAMPLES = (40.0, 99.7, 160.3, 221.5, 280.0)
OFF_THE_CUT = (0.0, 0.25, -0.25, 0.45, -0.45)
"""Where on the seam the targets stand, in lines from the cut."""
PROMISED_PX = 0.1
CASES = {"overlap": (340, 240), "touch": (300, 300), "miss a line": (301, 302)}
"""Lines of a slice, and by how many the second begins later."""


@dataclass(frozen=True)
class Pass:
    """Slices of ``n`` lines, the second beginning ``shift`` lines after the first, and both as one scene."""

    n: int
    shift: int
    whole: Scene
    slices: tuple[Scene, Scene]
    cut_line: float
    """In the first slice."""

    def geometry(self, number: int) -> RadarGeometry:
        return read_geometry(parse(next((self.slices[number].path / "annotation").glob("*-vv-*.xml"))))

    def grid(self) -> Grid:
        """Inside the pass, by some pixels from its ends and sides."""
        geometry = read_geometry(parse(next((self.whole.path / "annotation").glob("*-vv-*.xml"))))
        line, sample = np.array([30.0, geometry.n_lines - 31.0]), np.array([30.0, N_SAMPLES - 31.0])
        lon, lat = geometry.image_to_ground(line[:, None], sample[None, :], 100.0)
        x, y = transform("EPSG:4326", "EPSG:32633", lon.ravel(), lat.ravel())
        return Grid.from_bounds(32633, tuple(np.round([min(x), min(y), max(x), max(y)], -1)), 10.0)


def _pass(folder: Path, n: int, shift: int) -> Pass:
    folder.mkdir()
    dem = folder / "dem.tif"
    write_fractal_dem(dem, DEM_BOUNDS, 3, RELIEF_M)
    first_offset = -(shift // 2)
    spec = SceneSpec(
        folder / "first",
        centre_lonlat_deg=CENTRE,
        size_lines_samples=(n, N_SAMPLES),
        slice_offset_lines=first_offset,
        dem_file=dem,
        speckle_looks=None,
        noise_db=None,
    )
    geometry, _, _ = make_geometry(
        *CENTRE, (n, N_SAMPLES), spec.start, ascending=False, mode=spec.radar_mode, offset_lines=first_offset
    )
    surface = read_surface(dem, None, DEM_BOUNDS)
    cut_line = 0.5 * (n + shift) - 0.5
    line, sample = cut_line + np.array(OFF_THE_CUT), np.array(SEAM_SAMPLES)
    height = np.zeros(line.shape)
    for _ in range(20):
        lon, lat = geometry.image_to_ground(line, sample, height)
        height = surface.height(lon, lat)
    spec = replace(spec, target_lonlat_deg=tuple(zip(lon.tolist(), lat.tolist(), strict=True)))
    first = make_sentinel1(spec)
    second = make_sentinel1(replace(spec, out_folder=folder / "second", slice_offset_lines=first_offset + shift))
    whole = make_sentinel1(
        replace(spec, out_folder=folder / "whole", size_lines_samples=(n + shift, N_SAMPLES), slice_offset_lines=0)
    )
    return Pass(n, shift, whole, (first, second), cut_line)


@pytest.fixture(scope="module", params=CASES)
def cut(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Pass]:
    return request.param, _pass(tmp_path_factory.mktemp("slices") / request.param, *CASES[request.param])


def _ortho(scenes: tuple[Scene, ...], grid: Grid, **options: Any) -> OrthoResult:
    assert scenes[0].dem_path is not None
    with ExitStack() as stack:
        products = [stack.enter_context(open_product(scene.path)) for scene in scenes]
        options = {"extras": ["acquisition"], "resampling": "bilinear", **options}
        return orthorectify(products, grid, Terrain(scenes[0].dem_path, None), **options)


def _line_of_first(found: Pass, grid: Grid) -> NDArray[np.float64]:
    """Line of every pixel in the first slice, by the simulator's own geometry."""
    lon, lat = grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])
    assert found.whole.dem_path is not None
    height = read_surface(found.whole.dem_path, None, DEM_BOUNDS).height(lon.ravel(), lat.ravel())
    line, _ = found.geometry(0).ground_to_image(lon, lat, height.reshape(lon.shape))
    return np.asarray(line, np.float64)


def test_every_pixel_is_from_one_slice_and_none_is_lost(cut: tuple[str, Pass]) -> None:
    name, found = cut
    grid = found.grid()
    joined, whole = _ortho(found.slices, grid), _ortho((found.whole,), grid)
    alone = [_ortho((scene,), grid).data for scene in found.slices]
    assert joined.data is not None
    assert whole.data is not None
    lost = np.isfinite(whole.data[0]) & ~np.isfinite(joined.data[0])
    tell(f"slices that {name}: pixels lost between them", lost.sum(), "0")
    assert lost.sum() == 0
    acquisition = joined.extras["acquisition"]
    np.testing.assert_array_equal(acquisition > 0, np.isfinite(joined.data[0]))
    for number, data in enumerate(alone, start=1):
        assert data is not None
        itself = (acquisition == number) & np.isfinite(data[0])  # alone, a slice ends half a line off its last
        assert itself.sum() > 0.99 * (acquisition == number).sum() > 10_000
        np.testing.assert_allclose(joined.data[0][itself], data[0][itself], rtol=1e-6)
    # In one line: by the simulator's own geometry the cut is at one image line, for every column of the map.
    line = _line_of_first(found, grid)
    last, first = line[acquisition == 1].max(), line[acquisition == 2].min()
    tell(f"slices that {name}: last line of the first, from the cut", last - found.cut_line, "0.02")
    tell(f"slices that {name}: first line of the second, from the cut", first - found.cut_line, "0.02")
    assert abs(last - found.cut_line) < 0.02
    assert abs(first - found.cut_line) < 0.02
    assert last - first < 0.02


def test_joined_slices_equal_the_pass_that_was_never_cut(cut: tuple[str, Pass]) -> None:
    """But for the simulator's roundings: a digital number is 0.05 dB here, and facets fall on either side of one."""
    name, found = cut
    grid = found.grid()
    joined, whole = _ortho(found.slices, grid), _ortho((found.whole,), grid)
    assert joined.data is not None
    assert whole.data is not None
    off_db = np.abs(10 * np.log10(joined.data[0] / whole.data[0]))
    a_line_off_db = np.abs(10 * np.log10(np.roll(whole.data[0], 1, axis=0) / whole.data[0]))
    from_cut = np.abs(_line_of_first(found, grid) - found.cut_line)
    away, seam = (
        (from_cut > 2.0) & np.isfinite(off_db),
        (from_cut <= 1.0) & np.isfinite(off_db) & ~_near_targets(found, grid),
    )
    tell(
        f"slices that {name}: from the whole pass, beyond 2 lines from the cut, median, dB",
        np.median(off_db[away]),
        "0.001",
    )
    tell(f"slices that {name}: from the whole pass, beyond 2 lines from the cut, worst, dB", off_db[away].max(), "0.25")
    tell(
        f"slices that {name}: from the whole pass, within a line from the cut, median, dB",
        np.median(off_db[seam]),
        "0.1",
    )
    tell(f"slices that {name}: from the whole pass, within a line from the cut, worst, dB", off_db[seam].max(), "")
    assert np.nanmedian(a_line_off_db[away]) > 0.01  # what it would be a line off
    assert np.median(off_db[away]) < 0.001
    assert off_db[away].max() < 0.25
    assert np.median(off_db[seam]) < 0.1
    if name == "overlap":  # interpolated from lines on both sides: no different from elsewhere
        assert off_db[(from_cut <= 2.0) & np.isfinite(off_db)].max() < 0.25


def _near_targets(found: Pass, grid: Grid) -> NDArray[np.bool_]:
    lon, lat = (np.array([getattr(t, name) for t in found.whole.targets]) for name in ("lon_deg", "lat_deg"))
    x, y = transform("EPSG:4326", "EPSG:32633", lon, lat)
    col, row = ~grid.transform @ (np.array(x), np.array(y))
    rows, cols = np.arange(grid.n_rows)[:, None, None] + 0.5, np.arange(grid.n_cols)[None, :, None] + 0.5
    return np.asarray((np.hypot(rows - row, cols - col) < 8.0).any(axis=-1))


def test_a_target_on_the_seam_shows_once_at_its_place(cut: tuple[str, Pass], tmp_path: Path) -> None:
    name, found = cut
    assert [len(scene.targets) for scene in (*found.slices, found.whole)] == [len(OFF_THE_CUT)] * 3
    grid = found.grid()
    image = _ortho(found.slices, grid, out=tmp_path / "joined.tif", extras=())
    assert image.path is not None
    _ortho((found.whole,), grid, out=tmp_path / "whole.tif", extras=())
    targets = found.whole.targets
    joined = TargetImage(tmp_path / "joined.tif", targets)
    whole = TargetImage(tmp_path / "whole.tif", targets)
    worst_px = joined.errors().worst_px
    tell(f"slices that {name}: targets on the seam from their place, worst, px", worst_px, "0.1")
    tell(f"slices that {name}: the same targets in the whole pass, worst, px", whole.errors().worst_px, "0.1")
    assert worst_px < (0.5 if name == "miss a line" else PROMISED_PX)  # nobody imaged the peak of some
    bright = joined.image > 20 * np.median(joined.image[np.isfinite(joined.image)])
    assert not (bright & ~_near_targets(found, grid)).any()  # and no second time


def test_the_order_given_decides_the_numbers_and_nothing_else(cut: tuple[str, Pass]) -> None:
    _, found = cut
    grid = found.grid()
    joined, turned = _ortho(found.slices, grid), _ortho(found.slices[::-1], grid)
    np.testing.assert_array_equal(joined.data, turned.data)
    np.testing.assert_array_equal(joined.mask, turned.mask)
    np.testing.assert_array_equal(
        np.array([0, 2, 1], np.uint8)[joined.extras["acquisition"]], turned.extras["acquisition"]
    )


def test_another_grid_over_the_seam_has_the_same_pixels(cut: tuple[str, Pass]) -> None:
    _, found = cut
    grid = found.grid()
    rows, cols = (grid.n_rows // 4, 3 * grid.n_rows // 4 + 1), (37, grid.n_cols - 53)
    whole, part = _ortho(found.slices, grid), _ortho(found.slices, grid.window(*rows, *cols))
    assert whole.data is not None
    assert set(np.unique(part.extras["acquisition"])) >= {1, 2}
    np.testing.assert_array_equal(part.data, whole.data[:, slice(*rows), slice(*cols)])
    np.testing.assert_array_equal(part.extras["acquisition"], whole.extras["acquisition"][slice(*rows), slice(*cols)])


def test_the_quick_looks_are_cut_there_too(cut: tuple[str, Pass]) -> None:
    _, found = cut
    grid = found.grid()
    joined = _ortho(found.slices, grid, bands=["quicklook"])
    line = _line_of_first(found, grid)
    assert np.abs(line[joined.extras["acquisition"] == 1].max() - found.cut_line) < 0.02
    assert (joined.extras["acquisition"][line > found.cut_line + 0.1] != 1).all()
