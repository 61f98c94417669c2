"""Real Pléiades pixels on Mont Ventoux, warped pixel by pixel with our model and terrain, against GDAL."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.rpc import RPC
from rasterio.warp import reproject

from figures import tell
from orthokernel.grid import Grid, from_lonlat
from orthokernel.product import open_product
from orthokernel.rpc import RpcImage, open_rpc_image
from orthokernel.terrain import Terrain
from realdata import real_data

pytestmark = [pytest.mark.real, pytest.mark.parallel]

DIMAP = "RPC_PHR1B_P_201308051042194_SEN_690908101-001.XML"


@pytest.fixture(scope="module")
def image() -> RpcImage:
    return open_rpc_image(real_data("rpc/ventoux/left_image.tif"), real_data("rpc/ventoux", DIMAP))


@pytest.fixture(scope="module")
def terrain() -> Terrain:
    return Terrain(real_data("rpc/ventoux/N44E005.hgt"), real_data("geoid/egm96_15.gtx"))


def test_the_middle_of_the_crop_lies_where_the_data_sheet_says(image: RpcImage, terrain: Terrain) -> None:
    lon, lat, height = image.sensor_model().image_to_terrain(249.5, 249.5, terrain)
    assert lon == pytest.approx(5.19503, abs=2e-5)
    assert lat == pytest.approx(44.20697, abs=2e-5)
    assert height == pytest.approx(521, abs=1)


def test_terrain_and_model_agree_both_ways_on_the_mountain(image: RpcImage, terrain: Terrain) -> None:
    model = image.sensor_model()
    line, sample = np.mgrid[0:500:20.0, 0:500:20.0]
    lon, lat, height = model.image_to_terrain(line, sample, terrain)
    np.testing.assert_allclose(height, terrain.heights(lon, lat)[0], atol=1e-5)
    back = model.ground_to_image(lon, lat, height)
    np.testing.assert_allclose(back, (line, sample), atol=1e-6)


def test_otb_geom_beside_the_image_is_the_same_camera(image: RpcImage) -> None:
    found = open_product(real_data("rpc/ventoux/left_image.tif"))
    assert isinstance(found, RpcImage)
    assert found.rpc_from == "left_image.geom"
    ours, theirs = image.coefficients, found.coefficients
    np.testing.assert_allclose(ours.normalisation(), theirs.normalisation(), rtol=1e-12)
    np.testing.assert_allclose(ours.polynomials(), theirs.polynomials(), rtol=1e-12)


def test_each_image_of_the_pair_takes_its_own_rpc() -> None:
    right = open_rpc_image(real_data("rpc/ventoux/right_image.tif"))
    assert right.rpc_from == "right_image.geom"
    # 20417.5 and 19185.5 of the full image, less the crop's origin (5162, 4915).
    assert right.coefficients.line_off == pytest.approx(20417.5 - 5162)
    assert right.coefficients.samp_off == pytest.approx(19185.5 - 4915)


def test_exact_warp_equals_gdal_to_a_hundredth_of_a_dn(image: RpcImage, terrain: Terrain, tmp_path: Path) -> None:
    model = image.sensor_model()
    with image.open_band("b1") as reader:
        pixels = reader.read(0, 500, 0, 500).astype(np.float64)
    grid = Grid.from_bounds(32631, _utm_bounds(image, terrain), 0.5)
    lon, lat = grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])
    height, _ = terrain.heights(lon, lat)
    line, sample = model.ground_to_image(lon, lat, height)
    ours = _bilinear(pixels, line, sample)

    theirs = _gdal_warp(image, pixels, grid, _dem_plus_geoid(tmp_path / "dem.tif", terrain, lon, lat))
    both = np.isfinite(ours) & np.isfinite(theirs)
    assert both.sum() > 0.95 * np.isfinite(theirs).sum() > 200_000
    rms = np.sqrt(np.mean((ours[both] - theirs[both]) ** 2))
    tell("Ventoux, model at every pixel by NumPy, against GDAL: rms, DN", rms, "0.01")
    assert rms < 0.01
    # The test can fail: half a pixel is far outside.
    shifted = _bilinear(pixels, line + 0.5, sample)
    inside = both & np.isfinite(shifted)
    assert np.sqrt(np.mean((shifted[inside] - theirs[inside]) ** 2)) > 5


def _utm_bounds(image: RpcImage, terrain: Terrain) -> tuple[float, float, float, float]:
    lon, lat, _ = image.sensor_model().image_to_terrain([0, 0, 499, 499], [0, 499, 0, 499], terrain)
    x, y = from_lonlat(pyproj.CRS(32631)).transform(lon, lat)
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _bilinear(pixels: np.ndarray, line: np.ndarray, sample: np.ndarray) -> np.ndarray:
    out = np.full(line.shape, np.nan)
    inside = (line >= 0) & (line < pixels.shape[0] - 1) & (sample >= 0) & (sample < pixels.shape[1] - 1)
    i, j = np.floor(line[inside]).astype(int), np.floor(sample[inside]).astype(int)
    v, u = line[inside] - i, sample[inside] - j
    out[inside] = (pixels[i, j] * (1 - u) + pixels[i, j + 1] * u) * (1 - v) + (
        pixels[i + 1, j] * (1 - u) + pixels[i + 1, j + 1] * u
    ) * v
    return out


def _dem_plus_geoid(path: Path, terrain: Terrain, lon: np.ndarray, lat: np.ndarray) -> Path:
    """Ellipsoidal heights at the DEM's own cell centres, for GDAL, which adds no geoid itself here."""
    step = 1 / 1200
    col0, col1 = np.floor(lon.min() / step) - 4, np.ceil(lon.max() / step) + 5
    row0, row1 = np.floor(lat.min() / step) - 4, np.ceil(lat.max() / step) + 5
    centres_lon, centres_lat = np.meshgrid(np.arange(col0, col1) * step, np.arange(row1, row0, -1) * step)
    heights, _ = terrain.heights(centres_lon, centres_lat)
    transform = Affine(step, 0, (col0 - 0.5) * step, 0, -step, (row1 + 0.5) * step)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=heights.shape[0],
        width=heights.shape[1],
        count=1,
        dtype="float64",
        crs="EPSG:4326",
        transform=transform,
    ) as out:
        out.write(heights, 1)
    return path


def _gdal_warp(image: RpcImage, pixels: np.ndarray, grid: Grid, dem: Path) -> np.ndarray:
    c = image.coefficients
    rpcs = RPC(
        height_off=c.height_off,
        height_scale=c.height_scale,
        lat_off=c.lat_off,
        lat_scale=c.lat_scale,
        line_den_coeff=list(c.line_den_coeff),
        line_num_coeff=list(c.line_num_coeff),
        line_off=c.line_off,
        line_scale=c.line_scale,
        long_off=c.long_off,
        long_scale=c.long_scale,
        samp_den_coeff=list(c.samp_den_coeff),
        samp_num_coeff=list(c.samp_num_coeff),
        samp_off=c.samp_off,
        samp_scale=c.samp_scale,
    )
    out = np.full(grid.shape, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        reproject(
            pixels,
            out,
            rpcs=rpcs,
            src_crs="EPSG:4326",
            dst_crs="EPSG:32631",
            dst_transform=grid.transform,
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
            RPC_DEM=str(dem),
            RPC_DEMINTERPOLATION="bilinear",
            tolerance=0,
        )
    return out
