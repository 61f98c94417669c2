"""Real Pléiades pixels over Mont Ventoux, side by side with GDAL's own warp by RPC."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC
from rasterio.warp import reproject

from figures import tell
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.rpc.coefficients import RpcCoefficients
from orthokernel.rpc.product import RpcImage
from realdata import real_data

Image = NDArray[np.float32]
pytestmark = [pytest.mark.real, pytest.mark.parallel]


@pytest.fixture(scope="module")
def product() -> Iterator[RpcImage]:
    with open_product(real_data("rpc", "ventoux", "left_image.tif")) as opened:
        assert isinstance(opened, RpcImage)
        yield opened


@pytest.fixture(scope="module")
def grid(product: RpcImage) -> Grid:
    """600 x 600 pixels of 0.5 m (250 x 300 m), past the image's edge on some sides."""
    middle = product.footprint[:-1].mean(axis=0)
    easting, northing = rasterio.warp.transform("EPSG:4326", "EPSG:32631", [middle[0]], [middle[1]])
    left, top = round(easting[0]) - 150.0, round(northing[0]) + 150.0
    return Grid.from_bounds(32631, (left, top - 300.0, left + 300.0, top), 0.5)


@pytest.fixture(scope="module")
def terrain() -> Terrain:
    return Terrain(real_data("rpc", "ventoux", "N44E005.hgt"), real_data("geoid", "egm96_15.gtx"))


@pytest.fixture(scope="module")
def gdal_image(product: RpcImage, grid: Grid, terrain: Terrain, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The same warp by GDAL: bilinear, its heights from a raster of DEM + geoid."""
    dem = tmp_path_factory.mktemp("dem") / "ellipsoidal.tif"
    _write_ellipsoidal_dem(dem, terrain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(product.path) as source:
            pixels = source.read(1).astype(np.float32)
    out = np.full(grid.shape, np.nan, np.float32)
    rpc = gdal_rpc(product.coefficients)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        reproject(
            pixels,
            out,
            rpcs=rpc,
            src_crs="EPSG:4326",
            dst_transform=grid.transform,
            dst_crs=CRS.from_epsg(32631),
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
            RPC_DEM=str(dem),
            RPC_DEMINTERPOLATION="BILINEAR",
            tolerance=0.0,
        )
    return out


def gdal_rpc(c: RpcCoefficients) -> RPC:
    return RPC(
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


def _write_ellipsoidal_dem(path: Path, terrain: Terrain) -> None:
    """Cells of the SRTM tile around the image, each with its geoid: what `RPC_DEM` wants."""
    step = 1 / 1200
    with rasterio.open(real_data("rpc", "ventoux", "N44E005.hgt")) as tile:
        step = tile.transform.a
        row, col = tile.index(5.19, 44.21)
        row0, col0, n = row - 60, col - 60, 120
        left, top = tile.transform @ (col0, row0)
    lon = left + (np.arange(n) + 0.5) * step
    lat = top - (np.arange(n) + 0.5) * step
    height, _ = terrain.heights(lon[None, :], lat[:, None])
    profile = {
        "driver": "GTiff", "height": n, "width": n, "count": 1, "dtype": "float64", "crs": "EPSG:4326",
        "transform": Affine(step, 0.0, left, 0.0, -step, top),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(height, 1)


def _ours(product: RpcImage, grid: Grid, terrain: Terrain, geometry: str) -> tuple[Image, float]:
    result = orthorectify(product, grid, terrain, resampling="bilinear", geometry=geometry, threads=2)  # type: ignore[arg-type]
    assert result.data is not None
    assert result.radiometry == "dn"
    return result.data[0], result.lattice_error_px


def test_exact_model_equals_gdals_warp(product: RpcImage, grid: Grid, terrain: Terrain, gdal_image: Image) -> None:
    ours, _ = _ours(product, grid, terrain, "exact")
    inner = _eroded(~np.isnan(ours) & ~np.isnan(gdal_image))
    assert inner.mean() > 0.5
    difference = (ours - gdal_image)[inner].astype(np.float64)
    rms = np.sqrt(np.mean(difference**2))
    tell("Ventoux, exact model through the kernel, against GDAL: rms, DN", rms, "0.01")
    assert rms < 0.01
    # both agree where the image ends, but for the last half pixel
    assert np.mean(np.isnan(ours) != np.isnan(gdal_image)) < 0.005


def test_lattice_shifts_nothing(product: RpcImage, grid: Grid, terrain: Terrain, gdal_image: Image) -> None:
    ours, error_px = _ours(product, grid, terrain, "lattice")
    assert 0 < error_px < 0.01
    inner = _eroded(~np.isnan(ours) & ~np.isnan(gdal_image))
    difference = np.abs(ours - gdal_image)[inner]
    spread = float(np.ptp(gdal_image[inner]))
    tell("Ventoux, lattice: error against the exact model, px", error_px, "0.01")
    tell(
        "Ventoux, lattice, against GDAL: 99th percentile, % of range",
        100 * np.quantile(difference, 0.99) / spread,
        "0.3",
    )
    assert np.mean(difference < 0.003 * spread) > 0.99
    rows, cols = _largest_window(inner)
    shift = _phase_shift(ours[rows, cols], gdal_image[rows, cols])
    tell("Ventoux, lattice, against GDAL: shift by phase correlation, px", np.max(np.abs(shift)), "0.01")
    assert np.all(np.abs(shift) < 0.01), shift


def test_phase_shift_sees_a_hundredth_of_a_pixel(gdal_image: Image) -> None:
    """The measure of the test above, on a shift that is known."""
    rows, cols = _largest_window(_eroded(~np.isnan(gdal_image)))
    image = gdal_image[rows, cols].astype(np.float64)
    moved = 0.97 * image[:, :-1] + 0.03 * image[:, 1:]
    shift = _phase_shift(moved, image[:, :-1])
    assert shift[1] == pytest.approx(-0.03, abs=0.01)
    assert abs(shift[0]) < 0.005


def _eroded(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = valid.copy()
    for axis in (0, 1):
        for by in (-2, -1, 1, 2):
            inner &= np.roll(valid, by, axis)
    inner[:2], inner[-2:], inner[:, :2], inner[:, -2:] = False, False, False, False
    return inner


def _largest_window(valid: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A square in the middle of the valid pixels, as large as it fits."""
    rows, cols = np.nonzero(valid)
    row, col = int(np.median(rows)), int(np.median(cols))
    half = 16
    while valid[row - half - 1 : row + half + 1, col - half - 1 : col + half + 1].all() and half < min(row, col):
        half += 1
    return slice(row - half, row + half), slice(col - half, col + half)


def _phase_shift(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """``(rows, cols)`` by which a is moved against b: slope of the cross-spectrum's phase at low frequencies."""
    window = np.outer(np.hanning(a.shape[0]), np.hanning(a.shape[1]))
    a, b = (a - a.mean()) * window, (b - b.mean()) * window
    cross = np.fft.fft2(a) * np.conj(np.fft.fft2(b))
    u, v = np.meshgrid(np.fft.fftfreq(a.shape[0]), np.fft.fftfreq(a.shape[1]), indexing="ij")
    low = (np.hypot(u, v) < 0.1) & (np.hypot(u, v) > 0)
    weight = np.abs(cross[low])
    phase = -np.angle(cross[low]) / (2 * np.pi)
    design = np.stack([u[low], v[low]], axis=1) * np.sqrt(weight)[:, None]
    return np.linalg.lstsq(design, phase * np.sqrt(weight), rcond=None)[0]
