"""What lies beside an orthoimage: a valid COG, a mask, a browse image, a STAC Item that others can read."""

from __future__ import annotations

import json
import resource
import struct
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from blake3 import blake3
from rio_cogeo.cogeo import cog_validate

from orthokernel import EmptyIntersectionError, Grid, OrthoResult, Terrain, open_product, orthorectify
from orthokernel.cog import as_stored, output_names
from orthokernel.errors import OptionError, OutputError, RadiometryError
from orthokernel.stac import mgrs_tile
from orthokernel.tally import Tally
from reference.rpc_image import place_grid, write_rpc_image


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[OrthoResult, OrthoResult]:
    """The same orthoimage of two bands, written and as arrays."""
    folder = tmp_path_factory.mktemp("ortho")
    write_rpc_image(folder / "image.tif", bands=2)
    steps: list[float] = []
    with open_product(folder / "image.tif") as product:
        grid = place_grid(0.25)
        written = orthorectify(
            product, grid, Terrain.constant(500.0), out=folder / "new" / "out.tif", threads=2,
            progress=lambda part, _: steps.append(part),
        )  # fmt: skip
        arrays = orthorectify(product, grid, Terrain.constant(500.0), threads=1)
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    return written, arrays


def test_the_cog_is_valid_and_holds_the_arrays(made: tuple[OrthoResult, OrthoResult]) -> None:
    written, arrays = made
    assert written.path is not None
    assert arrays.data is not None
    valid, errors, warned = cog_validate(written.path, strict=True)
    assert (valid, errors, warned) == (True, [], [])
    with rasterio.open(written.path) as cog:
        assert cog.descriptions == ("b1", "b2")
        assert cog.dtypes == ("uint16", "uint16")
        assert cog.nodata == 0
        assert cog.overviews(1)
        assert cog.block_shapes[0] == (512, 512)
        np.testing.assert_array_equal(cog.read(), as_stored(arrays.data, "uint16", 0))


def test_the_mask_says_where_data_is(made: tuple[OrthoResult, OrthoResult]) -> None:
    written, arrays = made
    assert written.path is not None
    assert arrays.data is not None
    mask_path = output_names(written.path)["mask"]
    assert cog_validate(mask_path, strict=True)[0]
    with rasterio.open(mask_path) as mask:
        values = mask.read(1)
    np.testing.assert_array_equal(values > 0, np.isfinite(arrays.data).any(axis=0))
    assert set(np.unique(values)) == {0, 1}
    assert 0.2 < written.valid_fraction < 1
    assert written.valid_fraction == pytest.approx(np.mean(values > 0))


def test_the_browse_image_is_small_and_transparent(made: tuple[OrthoResult, OrthoResult]) -> None:
    written, _ = made
    assert written.path is not None
    content = output_names(written.path)["browse"].read_bytes()
    width, height, depth, colour = struct.unpack(">IIBB", content[16:26])
    assert max(width, height) <= 1024
    assert (depth, colour) == (8, 4)
    with rasterio.MemoryFile(content) as memory, pytest.warns(rasterio.errors.NotGeoreferencedWarning):  # noqa: SIM117
        with memory.open() as png:
            grey, alpha = png.read()
    assert set(np.unique(alpha)) == {0, 255}
    assert grey[alpha == 255].min() >= 1
    assert np.ptp(grey[alpha == 255].astype(int)) > 200


def test_the_item_is_stac(made: tuple[OrthoResult, OrthoResult]) -> None:
    written, _ = made
    assert written.path is not None
    names = output_names(written.path)
    item = pystac.Item.from_file(str(names["item"]))
    assert item.id == "out"
    assert item.ext.proj.epsg == 32631
    assert item.ext.proj.shape == [*written.grid.shape]
    assert list(item.ext.proj.transform) == list(written.grid.transform)[:6]
    assert item.bbox is not None
    west, south, east, north = item.bbox
    assert west < 5.2 < east
    assert south < 44.2 < north
    for key, name in (("data", "image"), ("mask", "mask"), ("thumbnail", "browse")):
        asset = item.assets[key]
        assert (names["item"].parent / asset.href).samefile(names[name])
        content = names[name].read_bytes()
        assert asset.extra_fields["file:size"] == len(content)
        assert asset.extra_fields["file:checksum"] == "1e20" + blake3(content).hexdigest()
    properties = item.properties
    assert properties["orthoburst:products"] == ["image"]
    assert properties["orthoburst:terrain"] == {"constant_height_m": 500.0}
    assert 0 <= properties["orthoburst:lattice_error_px"] < 0.01
    assert {"orthoburst:result_version", "processing:software", "created"} <= properties.keys()
    assert not any(value is None for value in properties.values())
    declared = {url.split("/")[3] for url in item.stac_extensions}
    assert {"projection", "raster", "file", "processing"} <= declared
    json.loads(names["item"].read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_nothing_else_is_left(made: tuple[OrthoResult, OrthoResult]) -> None:
    written, _ = made
    assert written.path is not None
    assert {path.name for path in written.path.parent.iterdir()} == {"out.tif", "out_mask.tif", "out.png", "out.json"}


def test_a_grid_off_the_product_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    write_rpc_image(tmp_path / "image.tif")
    away = Grid.from_bounds(32631, (500_000, 4_000_000, 500_400, 4_000_400), 2.0)
    with open_product(tmp_path / "image.tif") as product, pytest.raises(EmptyIntersectionError, match="image"):
        orthorectify(product, away, Terrain.constant(500.0), out=tmp_path / "new" / "out.tif")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    write_rpc_image(tmp_path / "image.tif")

    def stop(part: float, _: str) -> None:
        raise KeyboardInterrupt

    with open_product(tmp_path / "image.tif") as product, pytest.raises(KeyboardInterrupt):
        orthorectify(product, place_grid(), Terrain.constant(500.0), out=tmp_path / "new" / "o.tif", progress=stop)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_full_disk_is_an_error_that_may_pass_and_leaves_nothing(tmp_path: Path) -> None:
    write_rpc_image(tmp_path / "image.tif")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_product(tmp_path / "image.tif") as product:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
            with pytest.raises(OutputError, match=r"o\.tif: cannot be written .*File too large") as raised:
                orthorectify(product, place_grid(), Terrain.constant(500.0), out=tmp_path / "new" / "o.tif")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not raised.value.permanent
    assert list((tmp_path / "new").iterdir()) == []


def test_options_that_cannot_be(tmp_path: Path) -> None:
    write_rpc_image(tmp_path / "image.tif")
    (tmp_path / "file").write_text("in the way")
    terrain = Terrain.constant(500.0)
    with open_product(tmp_path / "image.tif") as product:
        with pytest.raises(RadiometryError, match="expected radiometry dn"):
            orthorectify(product, place_grid(), terrain, radiometry="sigma0")
        with pytest.raises(OptionError, match="lanczos"):
            orthorectify(product, place_grid(), terrain, resampling="lanczos")  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="threads"):
            orthorectify(product, place_grid(), terrain, threads=0)
        with pytest.raises(OptionError, match="no product"):
            orthorectify([], place_grid(), terrain)
        with pytest.raises(OutputError, match="cannot be written"):
            orthorectify(product, place_grid(), terrain, out=tmp_path / "file" / "out.tif")


def test_coarse_grids_average_by_default(tmp_path: Path) -> None:
    write_rpc_image(tmp_path / "image.tif")
    with open_product(tmp_path / "image.tif") as product:
        assert orthorectify(product, place_grid(2.0), Terrain.constant(500.0)).resampling == "bilinear"
        assert orthorectify(product, place_grid(8.0), Terrain.constant(500.0)).resampling == "average"


def test_integers_keep_no_data_apart() -> None:
    data = np.array([np.nan, 0.2, 0.0, 70_000.0, 7.5], np.float32)
    np.testing.assert_array_equal(as_stored(data, "uint16", 0.0), [0, 1, 1, 65535, 8])
    np.testing.assert_array_equal(as_stored(data, "uint8", 255.0), [255, 0, 0, 254, 8])


def test_a_tile_is_known_by_its_grid() -> None:
    assert mgrs_tile(Grid.mgrs("33TTG", 60.0)) == (33, "T", "TG")
    assert mgrs_tile(place_grid()) is None


@pytest.mark.parametrize("rows", [slice(70, 71), slice(3, 60), slice(0, 200)])
def test_the_outline_reaches_the_first_and_the_last_row_with_data(rows: slice) -> None:
    """However few they are, and wherever they lie between the rows that are looked at."""
    mask = np.zeros((200, 50), np.uint8)
    mask[rows, 7:20] = 1
    mask[:, 30:] = 2  # terrain flags, no data
    tally = Tally()
    tally.note_outline(mask, 1000, 100)
    found = np.array(tally.outline)
    assert (found[:, 0].min(), found[:, 0].max()) == (1000 + rows.start, 1000 + rows.stop - 1)
    assert (found[:, 1].min(), found[:, 1].max()) == (107, 119)
