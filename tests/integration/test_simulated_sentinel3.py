"""Simulated Sentinel-3, end to end: values against the truth, no holes, no mirrors, seams and poles, bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyproj
import pytest
import rasterio
from scipy.spatial import cKDTree

from figures import tell
from localdev.scene.sentinel3 import FLAGS, OFFSET, SCALE, OlciScene, OlciSpec, make_olci
from localdev.scene.sentinel3_slstr import MASKS, SlstrGrid, SlstrScene, SlstrSpec, make_slstr, measured_places
from orthokernel import Grid, errors, open_product, orthorectify
from orthokernel.product import Product
from orthokernel.result import OrthoResult

pytestmark = pytest.mark.parallel

Array = np.ndarray[Any, Any]
EARTH_M = 6.371e6
OLCI_PX_M = 294.0


@pytest.fixture(scope="module")
def olci(tmp_path_factory: pytest.TempPathFactory) -> OlciScene:
    """70 km of mountains at the far edge of the swath, that fold."""
    spec = OlciSpec(
        tmp_path_factory.mktemp("olci"), size_lines_samples=(230, 260), relief_m=3000.0, relief_wave_m=2500.0,
        first_sample_m=900_000.0, uncertainties=True,
    )  # fmt: skip
    return make_olci(spec)


@pytest.fixture(scope="module")
def slstr(tmp_path_factory: pytest.TempPathFactory) -> SlstrScene:
    images = (("S2", "an"), ("S5", "an"), ("S5", "bn"), ("S8", "in"), ("S8", "io"), ("F1", "fn"))
    return make_slstr(SlstrSpec(tmp_path_factory.mktemp("slstr"), images=images))


def around(lon: Array, lat: Array, spacing: float, crs: int | None = None, margin: float = 3.0) -> Grid:
    """A grid over places, some pixels wider; UTM unless said otherwise."""
    crs = crs or 32600 + int((np.median(lon) + 180) // 6) % 60 + 1
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(lon, lat)
    if crs == 4326 and np.ptp(x) > 180:
        x = x % 360
    m = margin * spacing
    return Grid.from_bounds(crs, (x.min() - m, y.min() - m, x.max() + m, y.max() + m), spacing)


def lonlat(grid: Grid) -> tuple[Array, Array]:
    return grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])


def normals(lon: Array, lat: Array) -> Array:
    a, b = np.radians(lon).reshape(-1), np.radians(lat).reshape(-1)
    return np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], axis=1)


def nearest_pixel(lon: Array, lat: Array, grid: Grid) -> tuple[Array, Array]:
    """Distance in metres from every pixel of a map to the nearest place, and which that is."""
    distance, index = cKDTree(normals(lon, lat)).query(normals(*lonlat(grid)))
    return EARTH_M * distance.reshape(grid.shape), index.reshape(grid.shape)


def made(product: Product, grid: Grid, bands: list[str], **options: Any) -> tuple[OrthoResult, Array]:
    result = orthorectify(product, grid, bands=bands, **options)
    assert result.data is not None
    return result, result.data


class TestOlci:
    def test_what_it_says(self, olci: OlciScene) -> None:
        with open_product(olci.path) as product:
            assert product.mission == "sentinel-3"
            assert product.bands == ("oa04", "oa06", "oa08")
            assert product.default_bands == ("oa08", "oa06", "oa04")
            assert product.extra_bands == ("oa04_unc", "oa06_unc", "oa08_unc")
            assert (product.needs_terrain, product.frame("oa04")) == (False, product.frame("oa08"))
            facts = product.properties()
            assert (facts["platform"], facts["instruments"]) == ("sentinel-3a", ["olci"])
            assert (facts["absolute_orbit"], facts["relative_orbit"]) == (29567, 334)
            assert (facts["sun_elevation_deg"], facts["sun_azimuth_deg"]) == (60.0, 150.0)
            assert facts["eo_bands"]["oa08"]["center_wavelength_um"] == pytest.approx(0.665)
            assert facts["removed_pixels"] == 30
            assert product.measure("oa08", "physical").unit == "mW.m-2.sr-1.nm-1"

    @pytest.mark.parametrize(("crs", "spacing"), [(None, 300.0), (4326, 0.003), (None, 130.0)])
    def test_values_holes_and_edges(self, olci: OlciScene, crs: int | None, spacing: float) -> None:
        """Over seams, duplicates and folds the radiance of the place, wherever a pixel is near and nowhere else."""
        valid = (olci.flags >> FLAGS["invalid"] & 1) == 0
        grid = around(olci.lon_deg, olci.lat_deg, spacing, crs)
        with open_product(olci.path) as product:
            index = product.sensor_model("oa08").index  # type: ignore[attr-defined]
            assert index.counts["bad"] > 300
            assert index.counts["flat"] > 1000
            _, data = made(product, grid, ["oa08"], resampling="bilinear")
        error = np.abs(data[0] - olci.radiance(8, *lonlat(grid)))
        known = np.isfinite(error)
        # 0.42 radiance a pixel at most where the field is steepest: half of that in a fold and at the edge.
        assert np.percentile(error[known], 90) < 1.01 * SCALE
        assert error[known].max() < 0.5
        distance, _ = nearest_pixel(olci.lon_deg, olci.lat_deg, grid)
        to_invalid, _ = nearest_pixel(olci.lon_deg[~valid], olci.lat_deg[~valid], grid)
        inside = (distance < 0.45 * OLCI_PX_M) & (to_invalid > 2.0 * OLCI_PX_M)
        assert inside.mean() > 0.2
        assert known[inside].all()
        to_valid, _ = nearest_pixel(olci.lon_deg[valid], olci.lat_deg[valid], grid)
        widest = 3.5 * OLCI_PX_M  # where relief has torn the pixels apart
        assert not known[to_valid > widest].any()
        tell(f"OLCI over folds, {spacing:g}: largest error of radiances about 60", error[known].max(), "0.5")

    def test_flat_ground_is_within_the_interpolation_error(self, tmp_path: Path) -> None:
        """Without defects every pixel is the truth to the step of the file's numbers and the bend of the field."""
        scene = make_olci(OlciSpec(tmp_path, cameras=False, duplicates=False))
        grid = around(scene.lon_deg, scene.lat_deg, 300.0)
        with open_product(scene.path) as product:
            _, data = made(product, grid, ["oa06"])
        error = np.abs(data[0] - scene.radiance(6, *lonlat(grid)))
        distance, _ = nearest_pixel(scene.lon_deg, scene.lat_deg, grid)
        known = np.isfinite(error)
        assert not known[distance > 0.75 * OLCI_PX_M].any()
        inner = np.isfinite(data[0])
        for _ in range(3):  # away from the edge and from invalid pixels, where values are those of one side
            inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        wave = 2 * np.pi / 40_000.0
        assert error[inner].max() < 0.5 * SCALE + 60.0 * (wave * OLCI_PX_M) ** 2 / 8 * 2
        tell("OLCI on flat ground: largest error of radiances about 60", error[inner].max(), f"step {SCALE}")

    @pytest.mark.parametrize(
        ("centre", "crs", "spacing"),
        [
            ((-179.7, 52.0), 4326, 0.004),
            ((-179.7, 52.0), 32601, 300.0),
            ((40.0, 81.2), 3995, 300.0),
            ((40.0, 81.2), 4326, 0.01),
            ((40.0, -81.2), 3031, 300.0),
        ],
    )
    def test_seams_of_the_globe(self, tmp_path: Path, centre: tuple[float, float], crs: int, spacing: float) -> None:
        """Across the antimeridian and beside, and over, the poles."""
        first_m = -30_000.0 if crs in (4326, 32601) and abs(centre[1]) < 80 else 880_000.0
        size = (160, 180)
        scene = make_olci(OlciSpec(tmp_path, centre, size, bands=(8,), first_sample_m=first_m))
        valid = (scene.flags >> FLAGS["invalid"] & 1) == 0
        grid = around(scene.lon_deg, scene.lat_deg, spacing, crs)
        if crs == 4326:
            grid = grid.window(0, grid.n_rows, 0, min(grid.n_cols, 4000))
        with open_product(scene.path) as product:
            _, data = made(product, grid, ["oa08"], resampling="bilinear")
        error = np.abs(data[0] - scene.radiance(8, *lonlat(grid)))
        known = np.isfinite(error)
        distance, _ = nearest_pixel(scene.lon_deg, scene.lat_deg, grid)
        to_invalid, _ = nearest_pixel(scene.lon_deg[~valid], scene.lat_deg[~valid], grid)
        inside = (distance < 0.45 * OLCI_PX_M) & (to_invalid > 2.0 * OLCI_PX_M)
        assert inside.sum() > 3000
        assert known[inside].all()
        assert not known[distance > 1.5 * OLCI_PX_M].any()
        assert error[known].max() < 0.3
        lon = lonlat(grid)[0][known]
        if abs(centre[0]) > 179:
            assert (lon > 179).any() or (lon % 360 < 180).any()
            assert (lon < -179).any() or (lon % 360 > 180).any()

    def test_invalid_pixels_are_no_data(self, olci: OlciScene) -> None:
        """Those with the fill value, and those that are only flagged and have a number."""
        with open_product(olci.path) as product, product.open_band("oa04") as reader:
            pixels = reader.read(0, reader.n_lines, 0, reader.n_samples)
            assert reader.nodata == 65535
        invalid = (olci.flags >> FLAGS["invalid"] & 1).astype(bool)
        np.testing.assert_array_equal(pixels == 65535, invalid)
        assert invalid[230 // 3, :130].all()

    def test_quality(self, olci: OlciScene) -> None:
        """Bits of the nearest pixel, where there is a value."""
        grid = around(olci.lon_deg, olci.lat_deg, 300.0)
        with open_product(olci.path) as product:
            result, data = made(product, grid, ["oa08"], resampling="nearest", extras=["quality"])
        quality = result.extras["quality"]
        np.testing.assert_array_equal(quality != 0, np.isfinite(data[0]))
        distance, index_of = nearest_pixel(olci.lon_deg, olci.lat_deg, grid)
        sure = (distance < 0.3 * OLCI_PX_M) & (quality != 0)
        flags = olci.flags.reshape(-1)[index_of][sure]
        bits = {"cosmetic": 2, "sun_glint_risk": 5, "bright": 6, "land": 7}
        for name, bit in bits.items():
            agree = (quality[sure] >> bit & 1) == (flags >> FLAGS[name] & 1)
            assert agree.mean() > 0.99, name  # not all: of pixels at one place either may be the nearest
        assert ((quality[sure] >> 4 & 1) == (flags >> 13 & 1)).mean() > 0.99

    def test_uncertainties_and_numbers(self, olci: OlciScene) -> None:
        """Uncertainties are written as logarithms; numbers pass through as they are."""
        grid = around(olci.lon_deg, olci.lat_deg, 300.0)
        with open_product(olci.path) as product:
            _, data = made(product, grid, ["oa08_unc", "oa08"], resampling="nearest")
            _, numbers = made(product, grid, ["oa08"], radiometry="dn", resampling="nearest")
            assert product.measure("oa08_unc", "physical").unit == "mW.m-2.sr-1.nm-1"
            with pytest.raises(errors.RadiometryError):
                made(product, grid, ["oa08_unc"], radiometry="dn")
        known = np.isfinite(data).all(axis=0)
        np.testing.assert_allclose(data[0][known], 0.01 * data[1][known], rtol=0.03)
        np.testing.assert_allclose(numbers[0][known] * SCALE + OFFSET, data[1][known], rtol=1e-5)

    def test_average_on_coarse_pixels(self, olci: OlciScene) -> None:
        grid = around(olci.lon_deg, olci.lat_deg, 1500.0)
        with open_product(olci.path) as product:
            result, data = made(product, grid, ["oa08"])
        error = np.abs(data[0] - olci.radiance(8, *lonlat(grid)))
        assert result.resampling == "average"
        assert np.nanmedian(error) < 0.15

    def test_a_part_of_the_map_has_the_same_pixels(self, olci: OlciScene) -> None:
        """To the last bit; on one thread or two."""
        grid = around(olci.lon_deg, olci.lat_deg, 100.0)
        window = (101, 700, 55, 640)
        for resampling in ("bilinear", "nearest", "average"):
            with open_product(olci.path) as product:
                _, whole = made(product, grid, ["oa08"], resampling=resampling, threads=2)
                _, part = made(product, grid.window(*window), ["oa08"], resampling=resampling, threads=1)
            np.testing.assert_array_equal(part[0], whole[0][window[0] : window[1], window[2] : window[3]])

    @pytest.mark.parametrize("kind", ["stored", "deflated"])
    def test_zips(self, tmp_path: Path, kind: Any) -> None:
        spec = OlciSpec(tmp_path / "folder", size_lines_samples=(60, 70), bands=(8,))
        scene = make_olci(spec)
        zipped = make_olci(OlciSpec(tmp_path / "zip", size_lines_samples=(60, 70), bands=(8,), zip_it=kind))
        assert zipped.path.suffix == ".zip"
        grid = around(scene.lon_deg, scene.lat_deg, 300.0)
        results = []
        for path in (scene.path, zipped.path):
            with open_product(path) as product:
                results.append(made(product, grid, ["oa08"])[1])
        np.testing.assert_array_equal(*results)

    def test_file_and_item(self, olci: OlciScene, tmp_path: Path) -> None:
        grid = around(olci.lon_deg, olci.lat_deg, 300.0)
        with open_product(olci.path) as product:
            orthorectify(product, grid, bands=["oa08", "oa04"], out=tmp_path / "image.tif", extras=["quality"])
        with rasterio.open(tmp_path / "image.tif") as image:
            assert (image.dtypes[0], image.count) == ("float32", 2)
            assert np.isnan(image.nodata)
            assert np.isfinite(image.read(1)).mean() > 0.3
        item = json.loads(next(tmp_path.glob("*.json")).read_text())
        assert item["properties"]["platform"] == "sentinel-3a"
        assert item["properties"]["view:sun_elevation"] == 60.0
        assert item["assets"]["data"]["raster:bands"][0]["unit"] == "mW.m-2.sr-1.nm-1"
        assert item["assets"]["data"]["eo:bands"][0]["center_wavelength"] == pytest.approx(0.665)

    def test_reduced_resolution(self, tmp_path: Path) -> None:
        scene = make_olci(OlciSpec(tmp_path, size_lines_samples=(90, 120), bands=(8,), reduced=True))
        grid = around(scene.lon_deg, scene.lat_deg, 1200.0)
        with open_product(scene.path) as product:
            assert product.properties()["product_type"] == "OL_1_ERR"
            _, data = made(product, grid, ["oa08"])
        error = np.abs(data[0] - scene.radiance(8, *lonlat(grid)))
        assert np.nanpercentile(error, 90) < 0.3
        assert np.isfinite(error).mean() > 0.4


class TestSlstr:
    def test_what_it_says(self, slstr: SlstrScene) -> None:
        with open_product(slstr.path) as product:
            assert product.bands == ("s2", "s5", "s8", "f1", "s8_oblique")
            assert product.extra_bands == ("s5_b",)
            assert product.default_bands == ("s2", "s5")
            assert [product.frame(band) for band in ("s2", "s5_b", "s8", "f1", "s8_oblique")] == [
                "an", "bn", "in", "fn", "io",
            ]  # fmt: skip
            assert product.preferred_resampling("s8") == "nearest"
            assert product.measure("s8", "physical").unit == "K"
            assert product.properties()["instruments"] == ["slstr"]
            assert product.properties()["eo_bands"]["s8_oblique"]["center_wavelength_um"] == pytest.approx(10.854)

    @pytest.mark.parametrize(
        ("band", "channel", "name", "spacing"), [("s2", "S2", "an", 400.0), ("s8", "S8", "in", 700.0)]
    )
    def test_the_nearest_measurement(
        self, slstr: SlstrScene, band: str, channel: str, name: str, spacing: float
    ) -> None:
        """Each pixel is one measurement: of the grid, or an orphan that is nearer or better than cosmetic."""
        grid_of, pixel_m = slstr.grids[name], 500.0 if name[0] == "a" else 1000.0
        grid = around(grid_of.lon_deg, grid_of.lat_deg, spacing)
        with open_product(slstr.path) as product:
            result, data = made(product, grid, [band], extras=["quality"])
        expected, is_orphan, is_cosmetic, sure, to_pixel = self.by_hand(slstr, channel, grid_of, grid, pixel_m)
        known = np.isfinite(data[0])
        assert (known == np.isfinite(expected))[sure].all()
        both = sure & known
        assert both.sum() > 2000
        np.testing.assert_allclose(data[0][both], expected[both], atol=0.006)
        quality = result.extras["quality"]
        np.testing.assert_array_equal((quality[both] & 2) != 0, is_orphan[both])
        np.testing.assert_array_equal((quality[both] & 4) != 0, is_cosmetic[both] & ~is_orphan[both])
        assert 0.01 < is_orphan[both].mean() < 0.5
        assert is_cosmetic[both].mean() > 0.05
        # Beside duplicates measurements are up to 2.6 pixels apart, across them.
        assert not known[to_pixel > 1.7 * pixel_m].any()

    @staticmethod
    def by_hand(
        scene: SlstrScene, channel: str, grid_of: SlstrGrid, grid: Grid, pixel_m: float
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Value of the nearest measurement by the rule; whether an orphan's; whether the pixel is cosmetic; where
        nothing hangs by a hair; distance to the nearest pixel."""
        points = normals(*lonlat(grid))
        pixels, pixel = cKDTree(normals(grid_of.lon_deg, grid_of.lat_deg)).query(points, k=2)
        some = np.isfinite(grid_of.orphan_lon_deg)
        o_lon, o_lat = grid_of.orphan_lon_deg[some], grid_of.orphan_lat_deg[some]
        orphans, orphan = cKDTree(normals(o_lon, o_lat)).query(points)
        pixels_m, orphans_m = EARTH_M * pixels, EARTH_M * orphans
        confidence = grid_of.confidence.reshape(-1)[pixel[:, 0]]
        cosmetic = (confidence >> MASKS["cosmetic"] & 1).astype(bool)
        unfilled = (confidence >> MASKS["unfilled"] & 1).astype(bool)
        half_diagonal_m = pixel_m * np.sqrt(0.5)
        takes = (orphans_m < pixels_m[:, 0]) | ((cosmetic | unfilled) & (orphans_m <= half_diagonal_m))
        value = scene.value(channel, *measured_places(grid_of)).reshape(-1)[pixel[:, 0]]
        value[unfilled] = np.nan
        value = np.where(takes, scene.value(channel, o_lon, o_lat)[orphan], value)
        hair = 0.02 * pixel_m
        same = np.abs(pixels_m[:, 1] - pixels_m[:, 0]) < hair
        sure = ~same & (np.abs(orphans_m - pixels_m[:, 0]) > hair) & (np.abs(orphans_m - half_diagonal_m) > 2 * hair)
        # Nearest of a quad's corners: in a quad as irregular as these, another pixel may be a little nearer.
        sure &= pixels_m[:, 0] < 0.35 * pixel_m
        parts = value, takes, cosmetic, sure, pixels_m[:, 0]
        return tuple(part.reshape(grid.shape) for part in parts)  # type: ignore[return-value]

    def test_bands_of_several_grids_and_views(self, slstr: SlstrScene) -> None:
        """500 m and 1 km, nadir and oblique, in one image."""
        io = slstr.grids["io"]
        grid = around(io.lon_deg, io.lat_deg, 1000.0)
        bands = {"s8": "S8", "s8_oblique": "S8", "f1": "F1", "s5": "S5", "s5_b": "S5"}
        with open_product(slstr.path) as product:
            _, data = made(product, grid, list(bands))
        for k, channel in enumerate(bands.values()):
            error = np.abs(data[k] - slstr.value(channel, *lonlat(grid)))
            assert np.isfinite(error).mean() > 0.1, channel
            # What a cosmetic pixel has was measured a pixel or two beside it.
            assert np.nanpercentile(error, 80) < 0.5, channel

    def test_interpolated_without_orphans(self, slstr: SlstrScene) -> None:
        grid_of = slstr.grids["an"]
        grid = around(grid_of.lon_deg, grid_of.lat_deg, 500.0)
        with open_product(slstr.path) as product:
            for resampling in ("bilinear", "cubic", "average"):
                result, data = made(product, grid, ["s2"], resampling=resampling, extras=["quality"])
                error = np.abs(data[0] - slstr.value("S2", *lonlat(grid)))
                assert np.nanpercentile(error, 50) < 0.02
                assert np.nanmax(error) < 1.0
                assert np.isfinite(error).mean() > 0.4
                assert result.extras["quality"].any()

    def test_unfilled_pixels_are_no_data(self, slstr: SlstrScene) -> None:
        with open_product(slstr.path) as product, product.open_band("s8") as reader:
            shape = slstr.grids["in"].lon_deg.shape
            pixels = reader.read(0, reader.n_lines, 0, shape[1])
            assert reader.n_samples == shape[1] + slstr.spec.orphans_per_line
        unfilled = (slstr.grids["in"].confidence >> MASKS["unfilled"] & 1).astype(bool)
        np.testing.assert_array_equal(pixels == reader.nodata, unfilled)

    def test_saturation_is_the_band_s_own(self, slstr: SlstrScene) -> None:
        with open_product(slstr.path) as product:
            reader, _ = product.open_extra("quality", "s8")
            pixels = reader.read(0, reader.n_lines, 0, 100)
        np.testing.assert_array_equal((pixels & 16) != 0, np.broadcast_to(np.arange(80)[:, None] < 10, (80, 100)))


class TestBadInput:
    @pytest.fixture
    def product(self, tmp_path: Path) -> Path:
        return make_olci(OlciSpec(tmp_path, size_lines_samples=(700, 1100), bands=(6, 8))).path

    def test_a_band_that_is_missing(self, product: Path) -> None:
        (product / "Oa06_radiance.nc").unlink()
        with open_product(product) as opened:
            assert opened.bands == ("oa08",)
            with pytest.raises(errors.MissingMeasurementError, match=r"no Oa06_radiance\.nc; expected the pixels"):
                opened.open_band("oa06")
            with pytest.raises(errors.UnknownBandError, match="no band 'b04' in an OLCI product"):
                opened.open_band("b04")

    @pytest.mark.parametrize("part", [0.3, 0.999])
    def test_a_band_that_is_cut_off(self, product: Path, part: float) -> None:
        file = product / "Oa08_radiance.nc"
        file.write_bytes(file.read_bytes()[: int(part * file.stat().st_size)])
        with open_product(product) as opened, pytest.raises(errors.TruncatedRasterError, match=r"Oa08_radiance\.nc"):
            opened.open_band("oa08")

    def test_pixels_that_do_not_inflate(self, product: Path) -> None:
        file = product / "Oa08_radiance.nc"
        with h5py.File(file) as opened_file:
            infos: list[Any] = []
            opened_file["Oa08_radiance"].id.chunk_iter(infos.append)
        content = bytearray(file.read_bytes())
        at = infos[-1].byte_offset + infos[-1].size // 2
        content[at : at + 200] = bytes(200)
        file.write_bytes(bytes(content))
        with (
            open_product(product) as opened,
            opened.open_band("oa08") as reader,
            pytest.raises(errors.TruncatedRasterError, match="does not inflate"),
        ):
            reader.read(0, reader.n_lines, 0, reader.n_samples)

    def test_places_that_are_all_fill_values(self, product: Path) -> None:
        with h5py.File(product / "geo_coordinates.nc", "r+") as file:
            file["latitude"][...] = -(2**31)
        no_place = pytest.raises(errors.GeolocationError, match=r"geo_coordinates\.nc: no place")
        with open_product(product) as opened, no_place:
            opened.sensor_model()

    def test_places_that_are_cut_off(self, product: Path) -> None:
        file = product / "geo_coordinates.nc"
        file.write_bytes(file.read_bytes()[:50_000])
        with pytest.raises(errors.TruncatedRasterError, match=r"geo_coordinates\.nc"):
            open_product(product)

    def test_no_places_no_manifest_no_bands(self, product: Path) -> None:
        (product / "geo_coordinates.nc").rename(product / "elsewhere.nc")
        with pytest.raises(errors.MissingAnnotationError, match=r"no geo_coordinates\.nc"):
            open_product(product)
        manifest = (product / "xfdumanifest.xml").read_bytes()
        (product / "xfdumanifest.xml").write_bytes(manifest.replace(b"OL_1_EFR", b"OL_2_LFR"))
        with pytest.raises(errors.UnsupportedProductError, match="OL_2_LFR"):
            open_product(product)
        (product / "xfdumanifest.xml").write_bytes(manifest[:2000])
        with pytest.raises(errors.MalformedXmlError):
            open_product(product)
        (product / "xfdumanifest.xml").unlink()
        with pytest.raises(errors.MissingAnnotationError, match=r"no xfdumanifest\.xml"):
            open_product(product)

    def test_pixels_of_another_size(self, product: Path) -> None:
        other = make_olci(OlciSpec(product.parent / "other", size_lines_samples=(60, 70), bands=(8,))).path
        shutil.copy(other / "Oa08_radiance.nc", product)
        wrong_size = pytest.raises(errors.AnnotationError, match="60 x 70 pixels; expected 700")
        with open_product(product) as opened, wrong_size:
            opened.open_band("oa08")

    def test_an_slstr_grid_without_places(self, slstr: SlstrScene, tmp_path: Path) -> None:
        folder = tmp_path / slstr.path.name
        shutil.copytree(slstr.path, folder)
        (folder / "geodetic_in.nc").unlink()
        (folder / "S8_BT_io.nc").unlink()
        with open_product(folder) as opened:
            assert opened.sensor_model("s2").n_lines == 160
            with pytest.raises(errors.MissingAnnotationError, match=r"no geodetic_in\.nc"):
                opened.sensor_model("s8")
            with pytest.raises(errors.MissingMeasurementError, match="no image of band s8_oblique"):
                opened.open_band("s8_oblique")
