"""Rasters beside the image: each pixel's acquisition, in memory, in a file and in the Item."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from blake3 import blake3
from rio_cogeo.cogeo import cog_validate

from orthokernel import Terrain, open_product, orthorectify
from orthokernel.cog import output_names
from orthokernel.errors import OptionError
from orthokernel.extras import resolve_extras
from orthokernel.product import Product
from reference.rpc_image import SIZE_PX, place_grid, write_rpc_image

TERRAIN = Terrain.constant(500.0)
GRID = place_grid(0.5)


@pytest.fixture
def products(tmp_path: Path) -> Iterator[list[Product]]:
    """Of one place: the first without data in its right half and, in its first band only, in some lines."""
    for name in ("one", "two"):
        pixels = write_rpc_image(tmp_path / f"{name}.tif", bands=2)
        if name == "one":
            pixels[:, :, SIZE_PX // 2 :] = 0
            pixels[0, 100:120] = 0
        else:
            pixels += np.uint16(1000)
        with rasterio.open(tmp_path / f"{name}.tif", "r+") as image:
            image.write(pixels)
    with ExitStack() as stack:
        yield [stack.enter_context(open_product(tmp_path / f"{name}.tif")) for name in ("one", "two")]


def test_a_pixel_has_the_number_of_the_product_that_all_its_bands_come_from(products: list[Product]) -> None:
    joined = orthorectify(products, GRID, TERRAIN, extras=["acquisition"], threads=2)
    alone = [orthorectify(product, GRID, TERRAIN).data for product in products]
    acquisition = joined.extras["acquisition"]
    assert acquisition.dtype == np.uint8
    assert joined.data is not None
    assert joined.mask is not None
    assert set(np.unique(acquisition)) == {0, 1, 2}
    for number, data in enumerate(alone, start=1):
        assert data is not None
        where = acquisition == number
        np.testing.assert_array_equal(joined.data[:, where], data[:, where])
    first = alone[0]
    assert first is not None
    one_band = np.isnan(first[0]) & ~np.isnan(first[1])
    assert one_band.sum() > 1000
    np.testing.assert_array_equal(acquisition == 1, np.isfinite(first).any(axis=0))
    np.testing.assert_array_equal(acquisition > 0, joined.mask > 0)


def test_the_order_given_decides(products: list[Product]) -> None:
    second_first = orthorectify(products[::-1], GRID, TERRAIN, extras=["acquisition"]).extras["acquisition"]
    alone = orthorectify(products[1], GRID, TERRAIN, extras=["acquisition"]).extras["acquisition"]
    np.testing.assert_array_equal(second_first == 1, alone == 1)


def test_it_is_a_file_that_the_item_names(products: list[Product], tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.tif"
    written = orthorectify(products, GRID, TERRAIN, out=out, extras=("acquisition",))
    assert written.extras == {}
    names = output_names(out, ("acquisition",))
    assert {path.name for path in out.parent.iterdir()} == {path.name for path in names.values()}
    path = names["acquisition"]
    assert path.name == "out_acquisition.tif"
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as raster:
        assert (raster.dtypes, raster.nodata, raster.transform) == (("uint8",), 0, GRID.transform)
        coarse = raster.read(1, out_shape=(GRID.n_rows // 2, GRID.n_cols // 2))
        found = raster.read(1)
    kept = orthorectify(products, GRID, TERRAIN, extras=("acquisition",)).extras["acquisition"]
    np.testing.assert_array_equal(found, kept)
    assert set(np.unique(coarse)) <= {0, 1, 2}
    asset = pystac.Item.from_file(str(names["item"])).assets["acquisition"]
    content = path.read_bytes()
    assert asset.href.endswith("out_acquisition.tif")
    assert asset.roles == ["metadata"]
    assert asset.extra_fields["file:size"] == len(content)
    assert asset.extra_fields["file:checksum"] == "1e20" + blake3(content).hexdigest()


def test_what_there_is_not(products: list[Product]) -> None:
    with pytest.raises(OptionError, match=r"extra .height.: expected one of .*acquisition"):
        orthorectify(products, GRID, TERRAIN, extras=("height",))
    with pytest.raises(OptionError, match="256 products: expected 255"):
        resolve_extras(("acquisition",), 256, "sigma0", True)
