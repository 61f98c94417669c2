"""Simulated Sentinel-2 L1C and L2A: values on their own map and on others, masks, mosaics, and what can be wrong."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from figures import tell
from localdev.scene import Sentinel2Product, Sentinel2Spec, make_sentinel2
from localdev.scene.sentinel2 import detector, scene_class
from localdev.scene.sentinel2_quality import components
from orthokernel import Grid, Terrain, errors, open_product, orthorectify
from realdata import real_data

pytestmark = pytest.mark.parallel

STEP = 1e-4
"""Of reflectance in pixels and files."""


@pytest.fixture(scope="module")
def l1c(tmp_path_factory: pytest.TempPathFactory) -> Sentinel2Product:
    """3.6 km in the upper left corner of a tile, of which the west was not imaged."""
    return make_sentinel2(Sentinel2Spec(tmp_path_factory.mktemp("l1c"), swath_edge_m=700.0, zip_it=True))


@pytest.fixture(scope="module")
def l2a(tmp_path_factory: pytest.TempPathFactory) -> Sentinel2Product:
    bands = ("B02", "B03", "B04", "B05", "B09")
    return make_sentinel2(Sentinel2Spec(tmp_path_factory.mktemp("l2a"), level="L2A", bands=bands, size_60m_px=90))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Sentinel2Product:
    """As of 2019: masks are vectors. Where two detectors meet."""
    return make_sentinel2(
        Sentinel2Spec(
            tmp_path_factory.mktemp("old"), tile="33TVK", baseline="02.07", bands=("B02", "B05", "B09"),
            swath_edge_m=400.0,
        )
    )  # fmt: skip


def own_grid(product: Sentinel2Product, spacing_m: float, margin_m: float = 0.0) -> Grid:
    side_m = product.spec.size_60m_px * 60.0
    left, top = product.left_m, product.top_m
    bounds = (left - margin_m, top - side_m - margin_m, left + side_m + margin_m, top + margin_m)
    return Grid.from_bounds(product.epsg, bounds, spacing_m)


def truth(product: Sentinel2Product, band: str, grid: Grid) -> np.ndarray[Any, Any]:
    """Reflectance at the pixels' middle."""
    rows, cols = np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :]
    return product.fields[band.upper()].reflectance_at(*grid.lonlat(rows, cols))


class TestOnItsOwnMap:
    def test_pixels_are_copied(self, l1c: Sentinel2Product, tmp_path: Path) -> None:
        """Nothing is interpolated where nothing need be: numbers in the file are those in the JPEG 2000."""
        with open_product(l1c.path) as product, product.open_band("b04") as reader:
            result = orthorectify(product, own_grid(l1c, 10), out=tmp_path / "own.tif")
            pixels = reader.read(0, reader.n_lines, 0, reader.n_samples)
        assert result.bands == ("b02", "b03", "b04", "b08")
        assert result.radiometry == "reflectance"
        with rasterio.open(tmp_path / "own.tif") as image:
            assert (image.dtypes[0], image.nodata) == ("uint16", 0)
            assert image.scales == (1e-4,) * 4
            assert image.offsets == (-0.1,) * 4
            np.testing.assert_array_equal(image.read(3), pixels)

    def test_values_are_reflectance(self, l1c: Sentinel2Product) -> None:
        grid = own_grid(l1c, 10)
        with open_product(l1c.path) as product:
            result = orthorectify(product, grid, bands=["b08"])
        assert result.data is not None
        rows, cols = np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :]
        imaged = l1c.imaged(*grid.xy(rows, cols))
        np.testing.assert_array_equal(np.isnan(result.data[0]), ~imaged)
        assert 0.05 < 1 - imaged.mean() < 0.5
        error = np.abs(result.data[0] - truth(l1c, "b08", grid))[imaged]
        assert error.max() < 0.51 * STEP

    def test_all_bands_on_one_grid(self, l1c: Sentinel2Product) -> None:
        """13 bands of three resolutions at 20 m, each in a way of its own: averaged, copied, interpolated."""
        grid = own_grid(l1c, 20)
        with open_product(l1c.path) as product:
            result = orthorectify(product, grid, bands=product.bands)
        assert result.data is not None
        by_band = result.properties["resampling_by_band"]
        assert by_band["b02"] == "average"
        assert by_band["b05"] == by_band["b01"] == "bilinear"
        worst = {}
        inside = (slice(4, -4), slice(45, -4))  # off the swath's edge, where weights are renormalised
        for k, band in enumerate(result.bands):
            error = result.data[k] - truth(l1c, band, grid)
            assert not np.isnan(error[inside]).any()
            worst[band] = float(np.abs(error[inside]).max())
        tell("13 bands of L1C at 20 m: worst, of reflectance", max(worst.values()), "0.004")
        assert max(worst[band] for band in ("b05", "b06", "b07", "b8a", "b11", "b12")) < 0.51 * STEP
        assert max(worst.values()) < 4e-3  # waves of 600 m, through pixels of 60 m: what a parabola leaves


class TestOnOtherMaps:
    @pytest.mark.parametrize(("epsg", "spacing"), [(32632, 10.0), (4326, 1e-4), (3035, 12.5)])
    def test_across_zones(self, l1c: Sentinel2Product, epsg: int, spacing: float) -> None:
        """The neighbouring zone, degrees, another projection: one interpolation, no terrain asked for."""
        lon, lat = own_grid(l1c, 60).lonlat(np.array([15, 45]), np.array([25, 55]))
        ends = Grid.from_bounds(epsg, (-1e7, -1e7, 1e7, 1e7), 1e5) if epsg != 4326 else None
        if ends is None:
            bounds = (lon.min(), lat.min(), lon.max(), lat.max())
        else:
            row, col = ends.rowcol(lon, lat)
            x, y = ends.xy(row, col)
            bounds = (x.min(), y.min(), x.max(), y.max())
        grid = Grid.from_bounds(epsg, tuple(float(v) for v in bounds), spacing)  # type: ignore[arg-type]
        with open_product(l1c.path) as product:
            result = orthorectify(product, grid, bands=["b04", "b11"], resampling="cubic")
            exact = orthorectify(product, grid, bands=["b04", "b11"], resampling="cubic", geometry="exact")
        assert result.data is not None
        assert exact.data is not None
        assert result.valid_fraction == 1.0
        np.testing.assert_allclose(result.data, exact.data, atol=2e-5)
        worst = [float(np.abs(result.data[k] - truth(l1c, band, grid)).max()) for k, band in enumerate(result.bands)]
        tell(f"L1C onto EPSG:{epsg}: worst of both bands, of reflectance", max(worst), "0.00015")
        assert max(worst) < 1.5 * STEP

    def test_terrain_decides_nothing(self, l1c: Sentinel2Product) -> None:
        grid = own_grid(l1c, 10)
        with open_product(l1c.path) as product:
            without = orthorectify(product, grid, bands=["b03"])
            with_one = orthorectify(product, grid, Terrain.constant(3000.0), bands=["b03"])
        np.testing.assert_array_equal(without.data, with_one.data)
        assert with_one.properties["terrain"] == {"none": True}


class TestMosaic:
    def test_tiles_of_one_datatake(self, tmp_path: Path) -> None:
        """Two tiles side by side, of baselines with and without offset: no seam, and each pixel from one of them."""
        west = Sentinel2Spec(tmp_path, tile="33TTG", bands=("B04",), size_60m_px=1830)
        east = replace(west, tile="33TUG", baseline="02.09", size_60m_px=60)
        products = [make_sentinel2(east), make_sentinel2(west)]
        left, top = products[0].left_m, products[0].top_m
        grid = Grid.from_bounds(products[0].epsg, (left - 2000, top - 1000, left + 2000, top), 10)
        with open_product(products[0].path) as one, open_product(products[1].path) as other:
            assert one.measure("b04", "reflectance").offset == 0.0
            result = orthorectify([one, other], grid, out=tmp_path / "mosaic.tif", extras=["acquisition"])
        assert result.valid_fraction == 1.0
        with rasterio.open(tmp_path / "mosaic.tif") as image:
            values = image.read(1) * image.scales[0] + image.offsets[0]
        with rasterio.open(tmp_path / "mosaic_acquisition.tif") as image:
            given_by = image.read(1)
        assert np.abs(values - truth(products[0], "b04", grid)).max() < 0.51 * STEP
        assert (given_by[:, :200] == 2).all()
        assert (given_by[:, 200:] == 1).all()


class TestClasses:
    def test_scene_classification_by_nearest(self, l2a: Sentinel2Product, tmp_path: Path) -> None:
        grid = own_grid(l2a, 10)
        with open_product(l2a.path) as product:
            assert set(product.extras) == {"scene_classification", "detector", "quality"}
            orthorectify(
                product, grid, bands=["b04"], resampling="cubic", extras=["scene_classification", "detector"],
                out=tmp_path / "l2a.tif",
            )  # fmt: skip
        rows, cols = np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :]
        x, y = grid.xy(rows, cols)
        centre = np.floor(x / 20) * 20 + 10, np.floor(y / 20) * 20 + 10  # of the sample of 20 m
        with rasterio.open(tmp_path / "l2a_scene_classification.tif") as image:
            np.testing.assert_array_equal(image.read(1), scene_class(*centre))
            assert set(np.unique(image.read(1, out_shape=(270, 270)))) <= set(range(4, 12))  # overviews mix nothing
        with rasterio.open(tmp_path / "l2a_detector.tif") as image:
            np.testing.assert_array_equal(image.read(1), detector(x, y))
        item = json.loads((tmp_path / "l2a.json").read_text())
        assert "11 snow" in item["assets"]["scene_classification"]["title"]

    def test_quality_and_what_was_not_imaged(self, l1c: Sentinel2Product) -> None:
        grid = own_grid(l1c, 10)
        with open_product(l1c.path) as product:
            result = orthorectify(product, grid, bands=["b02"], extras=["quality", "detector"])
        quality, stripes = result.extras["quality"], result.extras["detector"]
        assert result.data is not None
        np.testing.assert_array_equal(quality == 0, np.isnan(result.data[0]))
        np.testing.assert_array_equal(stripes == 0, np.isnan(result.data[0]))
        seen = quality != 0
        assert (quality[-1][seen[-1]] & 0b100000).all()  # the defective line
        corner = np.zeros(seen.shape, bool)
        corner[:90, :90] = True
        np.testing.assert_array_equal((quality & 0b10000000) != 0, corner & seen)

    def test_vectors_before_baseline_4_are_the_same_rasters(self, old: Sentinel2Product, tmp_path: Path) -> None:
        """On the tile's own grids, 10 to 60 m, pixel by pixel; what is wrong covers any part of them."""
        with open_product(old.path) as product:
            assert set(product.extras) == {"detector", "quality"}
            for band, spacing_m in (("b02", 10), ("b05", 20), ("b09", 60)):
                grid = own_grid(old, spacing_m)
                result = orthorectify(product, grid, bands=[band], extras=["quality", "detector"])
                assert result.data is not None
                seen = ~np.isnan(result.data[0])
                rows, cols = np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :]
                stripes = np.where(seen, detector(*grid.xy(rows, cols)), 0)
                np.testing.assert_array_equal(result.extras["detector"], stripes)
                assert len(np.unique(stripes)) == 3  # none, and two detectors
                found = result.extras["quality"]
                np.testing.assert_array_equal(found != 0, seen)
                bits = components(*grid.shape)
                for bit, component in enumerate((1, 2, 3, 4, 5, 7, 8), 1):
                    wanted = (bits[component - 1] == 1) & seen
                    np.testing.assert_array_equal((found & (1 << bit)) != 0, wanted, err_msg=f"{band} {bit}")
                assert len(np.unique(found)) > 4

    def test_vector_masks_onto_another_map_and_in_a_zip(self, old: Sentinel2Product, tmp_path: Path) -> None:
        ring = own_grid(old, 60).footprint_lonlat()
        grid = Grid.from_bounds(4326, (*ring.min(axis=0), *ring.max(axis=0)), 1e-4)
        archive = shutil.make_archive(str(tmp_path / old.path.stem), "zip", old.path.parent, old.path.name)
        results = []
        for path in (old.path, Path(archive)):
            with open_product(path) as product:
                results.append(orthorectify(product, grid, bands=["b09"], extras=["quality", "detector"]))
        for name in ("quality", "detector"):
            np.testing.assert_array_equal(results[0].extras[name], results[1].extras[name])
        rows, cols = np.mgrid[0 : grid.n_rows, 0 : grid.n_cols]
        row, col = own_grid(old, 60).rowcol(*grid.lonlat(rows, cols))
        inside = (np.abs(row - 29.5) < 30) & (np.abs(col - 29.5) < 30)
        centre = own_grid(old, 60).xy(np.rint(row), np.rint(col))
        assert results[0].data is not None
        seen = inside & ~np.isnan(results[0].data[0]) & old.imaged(*centre)
        assert seen.mean() > 0.5
        np.testing.assert_array_equal(results[0].extras["detector"][seen], detector(*centre)[seen])

    def test_a_vector_mask_that_is_not_there(self, old: Sentinel2Product, tmp_path: Path) -> None:
        folder = tmp_path / old.path.name
        shutil.copytree(old.path, folder)
        next(folder.rglob("MSK_DEFECT_B02.gml")).unlink()
        with open_product(folder) as product:
            orthorectify(product, own_grid(old, 60), bands=["b05"], extras=["quality"])
            with pytest.raises(errors.MissingMeasurementError, match=r"no file .*MSK_DEFECT_B02\.gml"):
                orthorectify(product, own_grid(old, 60), bands=["b02"], extras=["quality"])
        for file in folder.rglob("*.gml"):
            file.unlink()
        with open_product(folder) as product:
            assert not product.extras

    def test_what_a_product_has_not(self, l1c: Sentinel2Product) -> None:
        with (
            open_product(l1c.path) as product,
            pytest.raises(errors.OptionError, match=r"scene_classification.*detector, quality"),
        ):
            orthorectify(product, own_grid(l1c, 60), extras=["scene_classification"])


class TestLayouts:
    def test_folder_zip_and_geotiff_are_one(self, tmp_path: Path) -> None:
        spec = Sentinel2Spec(tmp_path / "safe", level="L2A", bands=("B03", "B8A"), size_60m_px=20)
        results = []
        for place in (
            spec,
            replace(spec, out_folder=tmp_path / "zip", zip_it=True),
            replace(spec, out_folder=tmp_path / "cog", layout="cog"),
        ):
            made = make_sentinel2(place)
            with open_product(made.path) as product:
                assert product.bands == ("b03", "b8a")
                results.append(orthorectify(product, own_grid(made, 20), bands=["b03", "b8a"]).data)
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])

    def test_archives_that_took_the_offset_off(self, tmp_path: Path) -> None:
        made = make_sentinel2(Sentinel2Spec(tmp_path, level="L2A", bands=("B03",), size_60m_px=10, layout="cog"))
        item = {"properties": {"earthsearch:boa_offset_applied": True}}
        (made.path / "item.json").write_text(json.dumps(item))
        with open_product(made.path) as product:
            assert product.measure("b03", "reflectance").offset == 0.0

    def test_quantities_have_units(self, l2a: Sentinel2Product, tmp_path: Path) -> None:
        grid = own_grid(l2a, 10)
        with open_product(l2a.path) as product:
            assert product.extra_bands == ("wvp",)
            result = orthorectify(product, grid, bands=["wvp"], out=tmp_path / "wvp.tif")
            assert result.radiometry == "physical"
            with pytest.raises(errors.RadiometryError, match=r"wvp gives no reflectance; expected .*physical or dn"):
                orthorectify(product, grid, bands=["b04", "wvp"], radiometry="reflectance")
        with rasterio.open(tmp_path / "wvp.tif") as image:
            assert image.scales == (1e-3,)
            assert image.read(1)[0, 0] == 1500
        band = json.loads((tmp_path / "wvp.json").read_text())["assets"]["data"]["raster:bands"][0]
        assert (band["unit"], band["scale"]) == ("cm", 1e-3)


def test_the_item_says_what_it_is(l1c: Sentinel2Product, tmp_path: Path) -> None:
    with open_product(l1c.path) as product:
        orthorectify(product, own_grid(l1c, 10), bands=["b04", "b03", "b02"], out=tmp_path / "item.tif")
    item = json.loads((tmp_path / "item.json").read_text())
    assert {Path(url).parent.parent.name for url in item["stac_extensions"]} >= {
        "eo",
        "sat",
        "view",
        "raster",
        "processing",
    }
    properties = item["properties"]
    assert properties["datetime"] == "2024-06-05T10:00:31.024000Z"
    assert properties["eo:cloud_cover"] == 12.5
    assert (properties["view:sun_elevation"], properties["view:sun_azimuth"]) == (62.5, 148.25)
    assert (properties["sat:relative_orbit"], properties["sat:orbit_state"]) == (122, "descending")
    assert (properties["platform"], properties["instruments"]) == ("sentinel-2a", ["msi"])
    data = item["assets"]["data"]
    assert data["title"] == "reflectance"
    assert "orthoburst:dem_coverage" not in properties  # no heights were asked for
    assert [band["common_name"] for band in data["eo:bands"]] == ["red", "green", "blue"]
    assert {(band["scale"], band["offset"], band["nodata"]) for band in data["raster:bands"]} == {(1e-4, -0.1, 0.0)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "item.png") as browse:
            assert browse.count == 4  # red, green, blue, alpha
            assert len({browse.read(k).tobytes() for k in (1, 2, 3)}) == 3


class TestBadInput:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return make_sentinel2(Sentinel2Spec(tmp_path, bands=("B02", "B03"), size_60m_px=10)).path

    def image(self, folder: Path, band: str) -> Path:
        return next(folder.glob(f"GRANULE/*/IMG_DATA/*_{band}.jp2"))

    def test_a_band_that_is_missing(self, folder: Path) -> None:
        self.image(folder, "B03").unlink()
        with open_product(folder) as product:
            assert product.bands == ("b02",)
            with pytest.raises(errors.MissingMeasurementError, match="no image of b03"):
                product.open_band("b03")
            with pytest.raises(
                errors.UnknownBandError, match=r"no band 'b05' in a Sentinel-2 L1C; expected one of b02"
            ):
                product.open_band("b05")

    def test_no_band_at_all(self, folder: Path) -> None:
        shutil.rmtree(next(folder.glob("GRANULE/*/IMG_DATA")))
        with pytest.raises(errors.MissingMeasurementError, match="no image of any band"):
            open_product(folder)

    @pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
    def test_a_jpeg_2000_that_is_cut_off(self, folder: Path, part: float) -> None:
        image = self.image(folder, "B02")
        image.write_bytes(image.read_bytes()[: int(part * image.stat().st_size)])
        with (
            open_product(folder) as product,
            pytest.raises(errors.TruncatedRasterError, match=r"_B02\.jp2: \d+ bytes; expected \d+ or more"),
        ):
            orthorectify(product, Grid.mgrs("33TTG", 60), bands=["b02"])

    def test_a_jpeg_2000_with_a_hole(self, tmp_path: Path) -> None:
        folder = make_sentinel2(Sentinel2Spec(tmp_path, bands=("B02",), size_60m_px=180)).path  # four tiles
        image = self.image(folder, "B02")
        content = bytearray(image.read_bytes())
        tile = content.rindex(b"\xff\x90\x00\x0a")
        content[tile : tile + 12] = bytes(12)
        image.write_bytes(content)
        with open_product(folder) as product, pytest.raises(errors.TruncatedRasterError, match="cannot be decoded"):
            orthorectify(product, Grid.mgrs("33TTG", 60), bands=["b02"])

    def test_tile_and_product_that_do_not_belong_together(self, folder: Path) -> None:
        metadata = next(folder.glob("GRANULE/*/MTD_TL.xml"))
        metadata.write_bytes(metadata.read_bytes().replace(b"_T33TTG_", b"_T33TUG_"))
        with pytest.raises(errors.AnnotationError, match="tile 33TUG; expected 33TTG, as MTD_MSIL1C"):
            open_product(folder)

    def test_an_image_of_another_size(self, folder: Path) -> None:
        metadata = next(folder.glob("GRANULE/*/MTD_TL.xml"))
        metadata.write_bytes(metadata.read_bytes().replace(b"<NROWS>60</NROWS>", b"<NROWS>66</NROWS>"))
        with (
            open_product(folder) as product,
            pytest.raises(errors.AnnotationError, match="60 x 60 pixels; expected 66"),
        ):
            product.open_band("b02")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b'<QUANTIFICATION_VALUE unit="none">10000<', b'<QUANTIFICATION_VALUE unit="none">0<', "positive"),
            (b"RADIO_ADD_OFFSET", b"RADIO_ADD", "no <RADIO_ADD_OFFSET>; expected one for each band, as baseline 05.10"),
            (b"</Granule_List>", b"<Granule/></Granule_List>", "2 granules"),
            (b"<PROCESSING_LEVEL>", b"<LEVEL>", "parse"),
        ],
    )
    def test_metadata_that_make_no_sense(self, folder: Path, old: bytes, new: bytes, message: str) -> None:
        metadata = folder / "MTD_MSIL1C.xml"
        content = metadata.read_bytes()
        assert old in content
        metadata.write_bytes(content.replace(old, new))
        with pytest.raises(errors.ProductError, match=message):
            open_product(folder)

    def test_no_metadata(self, folder: Path) -> None:
        (folder / "MTD_MSIL1C.xml").unlink()
        with pytest.raises(errors.MissingAnnotationError, match=r"MTD_MSIL1C\.xml"):
            open_product(folder)

    def test_what_needs_terrain_says_so(self, tmp_path: Path) -> None:
        from localdev.scene import RpcSpec, make_rpc_image

        image = make_rpc_image(RpcSpec(tmp_path / "image.tif", size_lines_samples=(60, 60)))
        with open_product(image.path) as product, pytest.raises(errors.OptionError, match="no terrain"):
            orthorectify(product, Grid.mgrs("33TTG", 60))


def test_a_real_product() -> None:
    """Metadata and masks are real, the bands are zero."""
    path = real_data("sentinel2", "l1c", "S2B_MSIL1C_20230605T110619_N0509_R137_T30UVU_20230605T131150.zip")
    with open_product(path) as product:
        assert len(product.bands) == 13
        facts = product.properties()
        assert (facts["tile"], facts["relative_orbit"], facts["absolute_orbit"]) == ("30UVU", 137, 32624)
        assert product.measure("b8a", "reflectance").offset == pytest.approx(-0.1)
        assert facts["eo_bands"]["b02"]["full_width_half_max_um"] == pytest.approx(0.065)
        upper_right = product.sensor_model("b02").image_to_ground(-0.5, 10979.5, 0.0)
        assert upper_right == pytest.approx((-2.867218, 48.752937), abs=2e-6)  # as its footprint has it
        reader, model = product.open_extra("detector", "b01")
        with reader:
            stripes = reader.read(0, reader.n_lines, 0, reader.n_samples)
        assert (reader.n_lines, model.n_lines) == (1830, 1830)
        assert set(np.unique(stripes)) <= {0, *range(1, 13)}
        with pytest.raises(errors.EmptyIntersectionError):
            orthorectify(product, Grid.mgrs("30UVU", 60), bands=["b01"])
