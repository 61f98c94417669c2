"""Real Sentinel-1 products: the geometry against ESA's annotated grid and against Orfeo ToolBox."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from figures import tell
from orthokernel import errors
from orthokernel.product import open_product
from orthokernel.sentinel1.annotation import Annotation, parse_annotation
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.terrain import Terrain
from realdata import real_data
from reference.break_lines import correction_px
from reference.range_doppler import SlowRangeDoppler

pytestmark = [pytest.mark.real, pytest.mark.parallel]

ROME = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371.SAFE"
ROME_SLC = "S1A_IW_SLC__1SDV_20220104T170557_20220104T170624_041314_04E951_F1F1.SAFE"
QUICKLOOK = "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255.zip"


def rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))


@pytest.fixture(scope="module")
def rome_path() -> Path:
    return real_data("sentinel1", "rome", ROME)


@pytest.fixture(scope="module")
def rome(rome_path: Path) -> Annotation:
    file = next(rome_path.glob("annotation/*-vv-*.xml"))
    return parse_annotation(file.read_bytes(), file.name)


@pytest.fixture(scope="module")
def points(rome: Annotation) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Image points and heights all over the frame, edges included."""
    rng = np.random.default_rng(7)
    n = 20_000
    line = np.clip(rng.uniform(-200.0, rome.n_lines + 200.0, n), -0.499, rome.n_lines - 0.501)
    sample = np.clip(rng.uniform(-300.0, rome.n_samples + 300.0, n), -0.499, rome.n_samples - 0.501)
    return line, sample, rng.uniform(-100.0, 4000.0, n)


def test_nearest_records_meet_the_annotated_grid(rome: Annotation) -> None:
    grid = rome.geolocation
    line, sample = RangeDopplerModel(rome, "nearest").ground_to_smooth(grid.lon_deg, grid.lat_deg, grid.height_m)
    assert rms(line - grid.line) < 0.002
    inside = RangeDopplerModel(rome, "nearest").ground_to_image(grid.lon_deg, grid.lat_deg, grid.height_m)
    assert np.isfinite(inside).all()
    tell("Rome, annotated grid, nearest records: line rms, px", rms(inside[0] - grid.line), "0.01")
    tell("Rome, annotated grid, nearest records: sample rms, px", rms(inside[1] - grid.sample), "0.005")
    assert rms(inside[0] - grid.line) < 0.002  # 0.0006 measured; asked: 0.01
    # asked: 0.005. With the ground range polynomials, which ESA's grid does not follow, it was 0.0024.
    assert rms(inside[1] - grid.sample) < 1e-5
    assert rms(sample - grid.sample) > 1.0, "the smooth sample alone is not the answer"


def test_linear_records_meet_orfeo_toolbox(rome: Annotation) -> None:
    """OTB took the heights as ellipsoidal (its files say so), without bistatic term, between records linearly."""
    folder = real_data("sentinel1", "rome")
    with rasterio.open(folder / "otb8.1.1_line_index_Rome30m.tif") as lines:
        otb_line, transform = lines.read(1).astype(np.float64), lines.transform
    with rasterio.open(folder / "otb8.1.1_pixel_index_Rome30m.tif") as samples:
        otb_sample = samples.read(1).astype(np.float64)
    row, col = np.indices(otb_line.shape) + 0.5
    lon_deg, lat_deg = transform.c + transform.a * col, transform.f + transform.e * row
    with rasterio.open(folder / "Rome-30m-DEM.tif") as dem:
        to_dem = ~dem.transform
        dem_col, dem_row = to_dem.c + to_dem.a * lon_deg, to_dem.f + to_dem.e * lat_deg
        height_m = bilinear(dem.read(1).astype(np.float64), dem_col, dem_row)
    line, sample = RangeDopplerModel(rome).ground_to_image(lon_deg, lat_deg, height_m)
    tell("Rome, OTB, linear records: sample rms, px", rms(sample - otb_sample), "0.01")
    offset = line - otb_line
    tell("Rome, OTB, linear records: line rms, its constant removed, px", rms(offset - offset.mean()), "0.02")
    assert rms(offset - offset.mean()) < 0.02
    assert rms(sample - otb_sample) < 0.002  # 0.0006 measured; asked: 0.01
    # the bistatic shift here, from the annotated grid alone
    grid = rome.geolocation
    shift_s = grid.azimuth_time_s - grid.line * rome.line_interval_s
    order = np.argsort(grid.sample)
    bistatic_lines = np.interp(sample, grid.sample[order], shift_s[order]) / rome.line_interval_s
    difference = line + bistatic_lines - otb_line
    assert abs(difference.mean() - 0.031) < 0.005
    assert rms(difference - difference.mean()) < 0.01  # 0.0085 measured; asked: 0.02


def bilinear(raster: NDArray[np.float64], col: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between pixel centres; ``col, row`` count from the corner of the first pixel."""
    col, row = col - 0.5, row - 0.5
    left, top = np.floor(col).astype(int), np.floor(row).astype(int)
    x, y = col - left, row - top
    upper = raster[top, left] * (1 - x) + raster[top, left + 1] * x
    lower = raster[top + 1, left] * (1 - x) + raster[top + 1, left + 1] * x
    return upper * (1 - y) + lower * y


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_there_and_back_over_the_frame(rome: Annotation, points: tuple, kind: str) -> None:
    model = RangeDopplerModel(rome, kind)
    line, sample, height_m = points
    lon_deg, lat_deg = model.image_to_ground(line, sample, height_m)
    back_line, back_sample = model.ground_to_image(lon_deg, lat_deg, height_m)
    worst = max(np.abs(back_line - line).max(), np.abs(back_sample - sample).max())
    tell(f"Rome, {kind} records: image to ground and back, worst, px", worst, "1e-4")
    assert worst < 1e-6


def test_smooth_sample_and_break_lines_over_the_frame(rome: Annotation, points: tuple) -> None:
    model = RangeDopplerModel(rome)
    line, sample, height_m = (values[:600] for values in points)
    smooth_line, smooth_sample = model.ground_to_smooth(*model.image_to_ground(line, sample, height_m), height_m)
    corrected = smooth_sample + [
        correction_px(model.break_lines, *where) for where in zip(smooth_line, smooth_sample, strict=True)
    ]
    assert np.abs(corrected - sample).max() < 1e-4
    assert model.break_lines.correction_px.nbytes < 1_000_000  # or it would not stay in cache


def test_slow_twin_agrees_on_a_real_orbit(rome: Annotation, points: tuple) -> None:
    model = RangeDopplerModel(rome)
    orbit, records = rome.orbit, rome.slant_to_ground
    slow = SlowRangeDoppler(
        orbit.time_s,
        orbit.position_m,
        orbit.velocity_m_s,
        records.time_s,
        records.ground_origin_m,
        records.grsr,
        (rome.n_samples - 1) * rome.sample_spacing_m,
        model.tau_mid_s,
        rome.line_interval_s,
        rome.sample_spacing_m,
    )
    line, sample, height_m = (values[:12] for values in points)
    lon_deg, lat_deg = model.image_to_ground(line, sample, height_m)
    for index in range(line.size):
        found = slow.ground_to_image(float(lon_deg[index]), float(lat_deg[index]), float(height_m[index]))
        assert np.abs(np.array(found) - (line[index], sample[index])).max() < 1e-4


def test_image_points_lie_on_the_real_terrain(rome: Annotation) -> None:
    terrain = Terrain(real_data("sentinel1", "rome", "Rome-30m-DEM.tif"), real_data("geoid", "egm96_15.gtx"))
    model = RangeDopplerModel(rome)
    line, sample = np.meshgrid(np.linspace(7900, 8300, 20), np.linspace(21_900, 22_300, 20))
    lon_deg, lat_deg, height_m = model.image_to_terrain(line, sample, terrain)
    back_line, back_sample = model.ground_to_image(lon_deg, lat_deg, height_m)
    assert np.abs(back_line - line).max() < 1e-6
    assert np.abs(back_sample - sample).max() < 1e-6
    assert np.abs(terrain.heights(lon_deg, lat_deg)[0] - height_m).max() < 1e-3
    assert 53.0 < height_m.min() < height_m.max() < 165.0  # DEM 5 to 115 m, geoid 48.6 m


def test_rome_opens_and_its_calibration_is_whole(rome_path: Path) -> None:
    with open_product(rome_path) as product:
        assert product.bands == ("vv",)
        facts = product.properties()
        assert (facts["relative_orbit"], facts["absolute_orbit"], facts["ipf_version"]) == (22, 30148, "003.40")
        table = product.calibration("vv")
        assert table is not None
        assert table.sigma_nought.shape == (27, 654)
        # gamma0 = sigma0 / cos(incidence), 30.3 degrees at the near edge
        ratio = (table.gamma[0, 0] / table.sigma_nought[0, 0]) ** 2
        assert abs(ratio - np.cos(np.radians(30.30944924571985))) < 5e-3
        with product.open_band("vv") as reader:
            assert reader.read(16_700, 17_000, 26_000, 27_000).shape == (5, 102)


def test_quicklook_geometry_meets_the_annotated_grid() -> None:
    with open_product(real_data("sentinel1", "quicklook", QUICKLOOK)) as product:
        assert (product.bands, product.extra_bands) == (("vv", "vh"), ("quicklook",))
        with product.open_band("quicklook") as reader:
            pixels = reader.read(0, 999, 0, 999)
        assert pixels.shape == (344, 517)
        assert 10 < pixels.mean() < 200
        full = product._annotations["vv"]
        grid = full.geolocation
        wanted = (grid.line + 0.5) * 344 / full.n_lines - 0.5, (grid.sample + 0.5) * 517 / full.n_samples - 0.5
        for kind, allowed_px in (("nearest", 0.001), ("linear", 0.1)):
            model = product.sensor_model("quicklook", slant_to_ground=kind)
            line, sample = model.ground_to_smooth(grid.lon_deg, grid.lat_deg, grid.height_m)
            corrected = [correction_px(model.break_lines, *where) for where in zip(line, sample, strict=True)]
            assert rms(line - wanted[0]) < 0.001
            assert rms(sample + corrected - wanted[1]) < allowed_px
        with pytest.raises(errors.MissingMeasurementError, match="vv"):
            product.open_band("vv")


def test_slc_is_recognised_and_refused() -> None:
    with pytest.raises(errors.UnsupportedProductError, match="SLC"):
        open_product(real_data("sentinel1", "rome", ROME_SLC))
