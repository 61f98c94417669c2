"""An image in decibels is the linear one in decibels: pixels, overviews, and what says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform
from rio_cogeo.cogeo import cog_validate

from localdev.scene import Scene, SceneSpec, make_sentinel1
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.cli import main
from orthokernel.cog import output_names
from orthokernel.errors import OptionError
from orthokernel.result import MaskBit
from orthokernel.scale import FLOOR_DB

pytestmark = pytest.mark.parallel

TERRAIN = Terrain.constant(0.0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Hardly brighter than its noise: noise removal leaves nothing of many a pixel."""
    return make_sentinel1(
        SceneSpec(tmp_path_factory.mktemp("dark"), size_lines_samples=(400, 400), level_db=-26.0, speckle_looks=2.0)
    )


@pytest.fixture(scope="module")
def grid() -> Grid:
    """Wide enough for an overview, and beyond the image on all sides."""
    (x,), (y,) = transform("EPSG:4326", "EPSG:32633", [12.5], [42.0])
    return Grid.from_bounds(32633, (x - 3000, y - 3000, x + 3000, y + 3000), 10.0)


def test_pixels_overviews_and_the_item(scene: Scene, grid: Grid, tmp_path: Path) -> None:
    with open_product(scene.path) as product:
        linear = orthorectify(product, grid, TERRAIN)
        arrays = orthorectify(product, grid, TERRAIN, scale="db")
        written = orthorectify(product, grid, TERRAIN, scale="db", out=tmp_path / "db.tif")
    assert linear.data is not None
    assert linear.mask is not None
    assert arrays.data is not None
    assert (linear.scale, arrays.scale, written.scale) == ("linear", "db", "db")
    nothing = (linear.mask & MaskBit.NOISE_FLOOR) > 0
    assert 0.02 < nothing.sum() / (linear.mask > 0).sum() < 0.5
    np.testing.assert_array_equal(arrays.mask, linear.mask)
    np.testing.assert_array_equal(np.isnan(arrays.data), np.isnan(linear.data))
    assert (arrays.data[0][nothing] == FLOOR_DB).all()
    data = np.isfinite(linear.data)
    power = np.maximum(linear.data.astype(np.float64), 1e-5)
    np.testing.assert_allclose(arrays.data[data], 10 * np.log10(power[data]), atol=2e-5)
    names = output_names(tmp_path / "db.tif")
    assert cog_validate(names["image"], strict=True)[0]
    with rasterio.open(names["image"]) as image:
        np.testing.assert_array_equal(image.read(), arrays.data)
    with rasterio.open(names["image"], overview_level=0) as image:
        halved = image.read(1)
    four = np.pad(power[0], ((0, power.shape[1] % 2), (0, power.shape[2] % 2)), constant_values=np.nan)
    four = four.reshape(halved.shape[0], 2, halved.shape[1], 2).swapaxes(1, 2).reshape(*halved.shape, 4)
    whole = np.isfinite(four).all(axis=-1)
    np.testing.assert_allclose(halved[whole], 10 * np.log10(four[whole].mean(axis=-1)), atol=1e-3)
    item = json.loads(names["item"].read_text())
    assert item["properties"]["orthoburst:scale"] == "db"
    assert item["assets"]["data"]["title"] == "sigma0, dB"
    assert [band["unit"] for band in item["assets"]["data"]["raster:bands"]] == ["dB"]


def test_the_command_takes_it(scene: Scene, grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.tif"
    where = ["--crs", "EPSG:32633", "--spacing", "40", "--bounds", *map(str, grid.bounds), "--height", "0"]
    more = ["--scale", "db", "--extras", "acquisition", "--radiometry", "gamma0", "--json"]
    assert main(["ortho", str(scene.path), "-o", str(out), *where, *more]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["scale"] == "db"
    assert Path(summary["acquisition"]).name == "out_acquisition.tif"
    with rasterio.open(out) as image, rasterio.open(summary["acquisition"]) as acquisition:
        values, number = image.read(1), acquisition.read(1)
    assert np.nanmedian(values) < -15
    np.testing.assert_array_equal(number, np.isfinite(values).astype(np.uint8))


def test_pixels_as_they_are_have_no_decibels(scene: Scene, grid: Grid) -> None:
    with open_product(scene.path) as product, pytest.raises(OptionError, match="radiometry dn"):
        orthorectify(product, grid, TERRAIN, radiometry="dn", scale="db")
