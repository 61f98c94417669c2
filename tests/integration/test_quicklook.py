"""Real radar pixels with real geometry: the quick-look of a product of 2021-01-19, by its annotated grid and by us."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from figures import tell
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.sentinel1.product import Sentinel1Product
from realdata import real_data
from reference.warp import warp

ZIP = "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255.zip"
SPACING_M = 1000.0  # about two of the quick-look's own pixels
pytestmark = [pytest.mark.real, pytest.mark.parallel]


@pytest.fixture(scope="module")
def product() -> Sentinel1Product:
    opened = open_product(real_data("sentinel1", "quicklook", ZIP))
    assert isinstance(opened, Sentinel1Product)
    return opened


def _grid(product: Sentinel1Product) -> Grid:
    to_map = Grid.from_bounds(32736, (0, 0, 1000, 1000), 1000)
    row, col = to_map.rowcol(*product.footprint.T)
    x, y = to_map.xy(row, col)
    return Grid.from_bounds(32736, (x.min(), y.min(), x.max(), y.max()), SPACING_M)


def _annotated(product: Sentinel1Product, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Quick-look line and sample of the grid's pixels by the annotated grid alone, and its mean height.

    The 210 points stand at the heights of a coarse terrain, up to 3.5 quick-look pixels away from where one height
    would have them. A polynomial of degree 4 in map coordinates and, times height, of degree 1, fits them within an
    eighth of a pixel (most of it are the records, which the annotation follows by steps), and says where the
    annotation has points of one height.
    """
    tie = product._annotation("vv").geolocation
    with product.open_band("quicklook") as reader:
        n_lines, n_samples = reader.n_lines, reader.n_samples
    first = product.sensor_model("vv")
    line = (tie.line + 0.5) * n_lines / first.n_lines - 0.5
    sample = (tie.sample + 0.5) * n_samples / first.n_samples - 0.5
    row, col = grid.rowcol(tie.lon_deg, tie.lat_deg)
    design = _terms(row / grid.n_rows, col / grid.n_cols, tie.height_m)
    rows, cols = np.mgrid[0 : grid.n_rows, 0 : grid.n_cols]
    height_m = float(np.mean(tie.height_m))
    at = _terms(rows.ravel() / grid.n_rows, cols.ravel() / grid.n_cols, np.full(rows.size, height_m))
    fits = [np.linalg.lstsq(design, values, rcond=None)[0] for values in (line, sample)]
    for fit, values in zip(fits, (line, sample), strict=True):
        assert np.max(np.abs(design @ fit - values)) < 0.13
    return (at @ fits[0]).reshape(grid.shape), (at @ fits[1]).reshape(grid.shape), height_m


def _terms(u: NDArray[np.float64], v: NDArray[np.float64], height_m: NDArray[np.float64]) -> NDArray[np.float64]:
    h = height_m / 1000.0
    on_map = [u**i * v**j for i in range(5) for j in range(5 - i)]
    return np.stack([*on_map, h, h * u, h * v, h * h], axis=-1)


def test_quicklook_lies_where_the_annotation_says(product: Sentinel1Product) -> None:
    grid = _grid(product)
    line, sample, height_m = _annotated(product, grid)
    model = product.sensor_model("quicklook")
    rows, cols = np.mgrid[0 : grid.n_rows, 0 : grid.n_cols]
    ours = model.ground_to_image(*grid.lonlat(rows, cols), height_m)
    inside = np.isfinite(ours[0])
    assert inside.mean() > 0.4
    worst = max(np.max(np.abs(a - b)[inside]) for a, b in zip(ours, (line, sample), strict=True))
    tell("Quick-look of 2021-01-19, against the annotated grid: worst, its px", worst, "0.5")
    for reached, annotated in zip(ours, (line, sample), strict=True):
        assert np.max(np.abs(reached - annotated)[inside]) < 0.5


def test_quicklook_image_is_the_warp_by_the_annotation(product: Sentinel1Product) -> None:
    grid = _grid(product)
    line, sample, height_m = _annotated(product, grid)
    result = orthorectify(
        product, grid, Terrain.constant(height_m), bands=["quicklook"], resampling="bilinear", threads=2
    )  # fmt: skip
    assert result.data is not None
    assert result.radiometry == "dn"
    with product.open_band("quicklook") as reader:
        pixels = reader.read(0, reader.n_lines, 0, reader.n_samples).astype(np.float64)
    theirs = warp(pixels, line, sample, "bilinear")
    ours = result.data[0]
    both = np.isfinite(ours) & np.isfinite(theirs)
    assert both.mean() > 0.4
    aligned = np.corrcoef(ours[both], theirs[both])[0, 1]
    assert aligned > 0.98
    # The measure sees half a pixel: moved by as much, the two are less alike.
    moved = warp(pixels, line, sample + 0.5, "bilinear")
    both &= np.isfinite(moved)
    assert np.corrcoef(ours[both], moved[both])[0, 1] < aligned
