"""Point targets of simulated Sentinel-1 products, in the COG: within 0.1 px of where they stand on the map."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from figures import tell
from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from localdev.scene.terrain import read_surface
from orthokernel import Grid, Terrain, open_product, orthorectify
from realdata import real_data
from reference.targets import TargetErrors, TargetImage, frame_over

pytestmark = pytest.mark.parallel

PROMISED_PX = 0.1
EXACT_PX = 0.015
"""Of the displacement: 0.01 px for the lattice, the rest for the speckle around the target."""
GRIDS = pytest.mark.parametrize(
    ("epsg", "turn_deg"), [(32633, 0.0), (32632, 30.0)], ids=["its UTM zone", "the next zone, turned"]
)


@pytest.fixture(scope="module")
def mountain(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Made from nothing, zipped, two polarisations; the ground rises by 1000 m over 8 km and folds over."""
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("mountain"),
            size_lines_samples=(600, 800),
            fractal_seed=7,
            relief_m=2000.0,
            targets=16,
            polarisations=("vv", "vh"),
            zip_it=True,
        )
    )


@pytest.fixture(scope="module")
def rome(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """In the real frame, over the middle of the real DEM, standing on the geoid."""
    dem = real_data("sentinel1", "rome", "Rome-30m-DEM.tif")
    with rasterio.open(dem) as source:
        west, south, east, north = source.bounds
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("rome"),
            annotation_safe=next(real_data("sentinel1", "rome").glob("S1B_IW_GRDH*.SAFE")),
            dem_file=dem,
            geoid_file=real_data("geoid", "egm96_15.gtx"),
            centre_lonlat_deg=(0.5 * (west + east), 0.5 * (south + north)),
            size_lines_samples=(600, 640),
            targets=16,
        )
    )


def _ortho(scene: Scene, epsg: int, turn_deg: float, out: Path, bands: tuple[str, ...]) -> None:
    lonlat = np.array([(target.lon_deg, target.lat_deg) for target in scene.targets]).T
    grid = Grid(epsg, *frame_over(*lonlat, epsg, 10.0, turn_deg=turn_deg))
    assert scene.dem_path is not None
    terrain = Terrain(scene.dem_path, scene.geoid_path)
    with open_product(scene.path) as product:
        result = orthorectify(product, grid, terrain, bands=bands, resampling="bilinear", out=out)
    assert result.lattice_error_px < 0.01
    assert result.radiometry == "sigma0"


def _figures(scene: Scene, annotation: Path, cog: Path, band: int) -> tuple[TargetErrors, TargetErrors]:
    """Distances from the map position, and displacements against a warp by the simulator's own geometry."""
    geometry = read_geometry(parse(annotation))
    lon, lat = (np.array([getattr(t, name) for t in scene.targets]) for name in ("lon_deg", "lat_deg"))
    bounds = (lon.min() - 0.01, lat.min() - 0.01, lon.max() + 0.01, lat.max() + 0.01)
    assert scene.dem_path is not None
    surface = read_surface(scene.dem_path, scene.geoid_path, bounds)
    image = TargetImage(cog, scene.targets, band)
    errors, displacements = image.errors(), image.displacements(geometry.ground_to_image, surface.height)
    tell(f"{cog.stem}, band {band}: point targets from their map position, worst, px", errors.worst_px, "0.1")
    return errors, displacements


@GRIDS
def test_targets_in_the_mountains(mountain: Scene, tmp_path: Path, epsg: int, turn_deg: float) -> None:
    heights = [target.height_m for target in mountain.targets]
    assert len(heights) == 16
    assert np.ptp(heights) > 900.0
    cog = tmp_path / f"mountain-{epsg}.tif"
    _ortho(mountain, epsg, turn_deg, cog, ("vv", "vh"))
    with zipfile.ZipFile(mountain.path) as archive:
        name = next(n for n in archive.namelist() if "/annotation/s1" in n and "-vv-" in n)
        annotation = Path(archive.extract(name, tmp_path))
    found = []
    for band in (1, 2):
        errors, displacements = _figures(mountain, annotation, cog, band)
        assert errors.worst_px < PROMISED_PX
        assert displacements.worst_px < EXACT_PX
        found.append(errors.rowcol_px)
    # Two polarisations are one acquisition: a target shows at one place in both.
    np.testing.assert_allclose(*found, atol=EXACT_PX)


@pytest.mark.real
@GRIDS
def test_targets_in_the_frame_of_rome(rome: Scene, tmp_path: Path, epsg: int, turn_deg: float) -> None:
    assert len(rome.targets) == 16
    cog = tmp_path / f"rome-{epsg}.tif"
    _ortho(rome, epsg, turn_deg, cog, ("vv",))
    annotation = next((rome.path / "annotation").glob("*-vv-*.xml"))
    errors, displacements = _figures(rome, annotation, cog, 1)
    assert errors.worst_px < PROMISED_PX
    assert displacements.worst_px < EXACT_PX


def test_the_measure_sees_a_wrong_height(mountain: Scene, tmp_path: Path) -> None:
    """Heights 10 m too high move a map by 10 m / tan(39 degrees) on level ground: the targets must show it."""
    assert mountain.dem_path is not None
    raised = tmp_path / "raised.tif"
    with rasterio.open(mountain.dem_path) as source, rasterio.open(raised, "w", **source.profile) as sink:
        sink.write(source.read(1) + np.float32(10.0), 1)
    lonlat = np.array([(target.lon_deg, target.lat_deg) for target in mountain.targets]).T
    grid = Grid(32633, *frame_over(*lonlat, 32633, 10.0))
    with open_product(mountain.path) as product:
        orthorectify(product, grid, Terrain(raised, None), bands=["vv"], resampling="bilinear", out=tmp_path / "o.tif")
    errors = TargetImage(tmp_path / "o.tif", mountain.targets).errors()
    assert float(np.median(errors.distance_px)) == pytest.approx(1.0 / np.tan(np.radians(39.0)), abs=0.3)
    assert errors.distance_px.min() > 5 * PROMISED_PX
