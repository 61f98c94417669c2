"""Simulated Sentinel-2 L1B, end to end: bands on each other, detectors put together, and what can be wrong."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from numpy.typing import NDArray

from figures import tell
from localdev.scene import Sentinel2L1BProduct, Sentinel2L1BSpec, make_sentinel2_l1b
from localdev.scene.sentinel2 import RESOLUTION_M
from localdev.scene.sentinel2_quality import components
from localdev.scene.sunlight import Sunlight
from localdev.scene.texture import Texture
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.errors import (
    AnnotationError,
    GippValidityError,
    MismatchedGranulesError,
    MissingAnnotationError,
    MissingDetectorError,
    MissingGippError,
    MissingMeasurementError,
    OptionError,
    RadiometryError,
    TruncatedRasterError,
    UnknownBandError,
)
from orthokernel.result import OrthoResult
from orthokernel.sentinel2.l1b import L1BProduct

pytestmark = pytest.mark.parallel

BANDS = ("B02", "B03", "B12", "B01")
EPSG = 32633


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sentinel2L1BProduct:
    """Three detectors eight degrees off nadir over 500 m of relief, two granules each."""
    return make_sentinel2_l1b(
        Sentinel2L1BSpec(
            tmp_path_factory.mktemp("l1b"), bands=BANDS, detectors=("02", "03", "04"), granule_lines=384, samples=396,
            overlap_px=60, fractal_seed=3, relief_m=500.0, targets=6, common_targets=2,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Sentinel2L1BProduct:
    """To be copied and damaged."""
    return make_sentinel2_l1b(
        Sentinel2L1BSpec(
            tmp_path_factory.mktemp("small"), bands=("B02", "B05"), detectors=("02", "03", "04"), granules=3,
            granule_lines=60, samples=120, overlap_px=24, fractal_seed=None, targets=0, common_targets=0,
        )
    )  # fmt: skip


def opened(made: Sentinel2L1BProduct, path: Path | None = None) -> L1BProduct:
    product = open_product(path or made.path, gipp=made.gipp_path)
    assert isinstance(product, L1BProduct)
    return product


def terrain_of(made: Sentinel2L1BProduct) -> Terrain:
    return Terrain.constant(made.spec.flat_height_m) if made.dem_path is None else Terrain(made.dem_path, None)


def grid_over(product: L1BProduct, spacing_m: float) -> Grid:
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", EPSG, always_xy=True).transform(*product.footprint.T)
    low, high = (
        (np.floor(np.array([x.min(), y.min()]) / 60) - 5) * 60,
        (np.ceil(np.array([x.max(), y.max()]) / 60)) * 60,
    )
    return Grid.from_bounds(EPSG, (float(low[0]), float(low[1]), float(high[0]) + 300, float(high[1]) + 300), spacing_m)


def only(made: Sentinel2L1BProduct, target: Path, *names: str) -> Path:
    """A copy of the product with the granules whose names have one of these parts."""
    folder = target / made.path.name
    shutil.copytree(made.path / "DATASTRIP", folder / "DATASTRIP")
    for granule in (made.path / "GRANULE").iterdir():
        if any(name in granule.name for name in names):
            shutil.copytree(granule, folder / "GRANULE" / granule.name)
    return folder


def granule(folder: Path, detector: str, k: int) -> Path:
    """The k-th of a detector, in the order of time."""
    return sorted((folder / "GRANULE").glob(f"*_D{detector}_*"))[k]


def centroid(values: NDArray[np.float32], row: float, col: float, reach: int, mean: float) -> tuple[float, float]:
    """Of what stands out of the plain panel around it, in pixels from a place."""
    row0, col0 = round(row), round(col)
    window = values[row0 - reach : row0 + reach + 1, col0 - reach : col0 + reach + 1] - mean
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    total = float(window.sum())
    return float((window * rows).sum()) / total + row0 - row, float((window * cols).sum()) / total + col0 - col


def painted(texture: Texture, lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `Texture.value`, over millions of points."""
    values = np.full(lon_deg.shape, texture.mean)
    for east, north, phase, amplitude in texture.waves.T:
        values += amplitude * np.sin(east * (lon_deg - texture.lon_deg) + north * (lat_deg - texture.lat_deg) + phase)
    return values


def far_from_targets(made: Sentinel2L1BProduct, grid: Grid) -> NDArray[np.bool_]:
    """Where no target's panel is in any band."""
    rows, cols = np.mgrid[0 : grid.n_rows, 0 : grid.n_cols]
    plain = np.ones(grid.shape, bool)
    for target in made.targets:
        row, col = grid.rowcol(target.lon_deg, target.lat_deg)
        plain &= np.hypot(rows - row, cols - col) * grid.spacing_xy[0] > 850.0
    return plain


def shift_px(values: NDArray[np.float32], truth: NDArray[np.float64], of: NDArray[np.bool_]) -> NDArray[np.float64]:
    """By how many rows and columns an image is off the painted ground, over some of its pixels: least squares on its
    gradient, and on its height because coarse pixels flatten it."""
    slopes = np.gradient(truth)
    use = of & ~np.isnan(values)
    assert use.sum() > 500
    level = truth[use] - truth[use].mean()
    matrix = np.stack([-slopes[0][use], -slopes[1][use], level, np.ones(level.size)], axis=1)
    found: NDArray[np.float64] = np.linalg.lstsq(matrix, values[use] - truth[use], rcond=None)[0][:2]
    return found


@pytest.mark.parametrize("platform", ["S2B", "S2C", "S2D"])
def test_all_satellites(platform: str, tmp_path: Path) -> None:
    """Nothing but files knows which one it is: parameters lie beside the product, of its name."""
    spec = Sentinel2L1BSpec(
        tmp_path, platform=platform, detectors=("12",), bands=("B10",), granules=1, granule_lines=60, samples=60,
        fractal_seed=None, targets=0, common_targets=0,
    )  # fmt: skip
    made = make_sentinel2_l1b(spec)
    with open_product(made.path) as product:
        facts = product.properties()
        assert (facts["platform"], facts["detectors"]) == (f"sentinel-2{platform[2].lower()}", [12])
        assert facts["gipp"] == {"SPAMOD B00": next(made.gipp_path.glob(f"{platform}_*SPAMOD*")).stem}
        ground = made.cameras["B10", "12"].image_to_ground(3.0, 4.0, 100.0)
        np.testing.assert_allclose(product.sensor_model("b10").ground_to_image(*ground, 100.0), (3.0, 4.0), atol=1e-4)


@pytest.fixture(scope="module")
def images(made: Sentinel2L1BProduct) -> dict[int, OrthoResult]:
    with opened(made) as product:
        return {
            spacing_m: orthorectify(
                product, grid_over(product, spacing_m), terrain_of(made), bands=[b.lower() for b in BANDS],
                radiometry="dn", extras=["detector"],
            )
            for spacing_m in (10, 20, 60)
        }  # fmt: skip


class TestImages:
    def test_targets_are_in_their_places_in_every_band(
        self, made: Sentinel2L1BProduct, images: dict[int, OrthoResult]
    ) -> None:
        """At 10 m; in pixels of each band's own. Those that two detectors see, too."""
        result = images[10]
        assert result.data is not None
        assert result.lattice_error_px < 0.01
        worst_px, given_by = 0.0, set()
        for target in made.targets:
            row, col = (float(v) for v in result.grid.rowcol(target.lon_deg, target.lat_deg))
            given_by.add(int(result.extras["detector"][round(row), round(col)]))
            for k, band in enumerate(BANDS):
                own = RESOLUTION_M[band] // 10
                off = centroid(result.data[k], row, col, 4 * own, made.textures[band].mean)
                worst_px = max(worst_px, np.abs(off).max() / own)
        tell("simulated L1B, targets of all bands at 10 m, worst, px of the band", worst_px, "within 0.1")
        assert len(made.targets) == 10
        assert given_by == {2, 3, 4}
        assert worst_px < 0.1

    @pytest.mark.parametrize("spacing_m", [10, 20, 60])
    def test_bands_and_detectors_lie_on_the_ground_and_so_on_each_other(
        self, made: Sentinel2L1BProduct, images: dict[int, OrthoResult], spacing_m: int
    ) -> None:
        """The painted ground is known everywhere: the image's shift against it, band by band, detector by detector."""
        result = images[spacing_m]
        assert result.data is not None
        rows, cols = np.mgrid[0 : result.grid.n_rows, 0 : result.grid.n_cols]
        lon, lat = result.grid.lonlat(rows, cols)
        plain = far_from_targets(made, result.grid)
        worst_px = 0.0
        for k, band in enumerate(BANDS):
            truth = painted(made.textures[band], lon, lat)
            for number in (2, 3, 4):
                off = shift_px(result.data[k], truth, plain & (result.extras["detector"] == number))
                worst_px = max(worst_px, np.abs(off).max())
        tell(f"simulated L1B, shift of any band of any detector at {spacing_m} m, worst, px", worst_px, "within 0.1")
        assert worst_px < 0.1

    def test_every_pixel_shows_its_own_ground(self, made: Sentinel2L1BProduct, images: dict[int, OrthoResult]) -> None:
        """What is left of the painted ground is interpolation, at seams as anywhere."""
        result = images[10]
        assert result.data is not None
        rows, cols = np.mgrid[0 : result.grid.n_rows, 0 : result.grid.n_cols]
        lon, lat = result.grid.lonlat(rows, cols)
        detectors = result.extras["detector"]
        seam = np.zeros(detectors.shape, bool)
        for n in range(1, 4):
            seam[:, n:] |= (detectors[:, n:] != detectors[:, :-n]) & (detectors[:, n:] > 0) & (detectors[:, :-n] > 0)
        plain = far_from_targets(made, result.grid)
        assert (seam & plain).sum() > 500
        for k, band in enumerate(BANDS):
            error = result.data[k] - painted(made.textures[band], lon, lat)
            error[~plain] = np.nan
            rms, at_seam = np.sqrt(np.nanmean(error**2)), np.sqrt(np.nanmean(error[seam] ** 2))
            tell(f"simulated L1B, {band} at 10 m against the painted ground, rms of 171 DN", rms, "within 5")
            assert rms < 5.0
            assert at_seam < 7.0

    @pytest.mark.parametrize("bands", [("b02", "b12", "b01"), ("b01", "b02")])
    def test_each_pixel_is_one_detectors_and_none_is_lost(
        self, made: Sentinel2L1BProduct, bands: tuple[str, ...], tmp_path: Path
    ) -> None:
        """Every detector made alone: the whole has just their pixels, bit by bit, where any has all bands."""
        terrain = terrain_of(made)
        with opened(made) as product:
            grid = grid_over(product, 20)
            whole = orthorectify(product, grid, terrain, bands=bands, extras=["detector"])
        assert whole.data is not None
        anywhere, anything = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
        for detector in made.spec.detectors:
            with opened(made, only(made, tmp_path / detector, f"_D{detector}_")) as product:
                alone = orthorectify(product, grid, terrain, bands=bands, extras=["detector"])
            assert alone.data is not None
            here = whole.extras["detector"] == int(detector)
            assert here.sum() > 10_000
            np.testing.assert_array_equal(whole.data[:, here], alone.data[:, here])
            anywhere |= ~np.isnan(alone.data).any(axis=0)
            anything |= ~np.isnan(alone.data).all(axis=0)
        missing = np.isnan(whole.data)
        assert not (anywhere & missing.any(axis=0)).any()
        np.testing.assert_array_equal(anything, ~missing.all(axis=0))
        np.testing.assert_array_equal(whole.extras["detector"] > 0, anything)

    def test_the_cut_is_in_the_middle_of_what_both_see(self, made: Sentinel2L1BProduct) -> None:
        with opened(made) as product:
            for (one, other), band in itertools.product(itertools.pairwise(product.parts), BANDS):
                model, following = one.sensor_model(band), other.sensor_model(band)
                last = one.samples(band)[1]
                line = np.linspace(10, model.n_lines - 10, 5)
                ground = model.image_to_ground(line, last, 250.0)
                off_px = (model.n_samples - 0.5 - last) - (following.ground_to_smooth(*ground, 250.0)[1] + 0.5)
                assert np.abs(off_px).max() < 4.0 * 10 / {"B02": 10, "B03": 10, "B12": 20, "B01": 60}[band]

    def test_a_file_and_its_item(self, made: Sentinel2L1BProduct, tmp_path: Path) -> None:
        with opened(made) as product:
            grid = grid_over(product, 60)
            result = orthorectify(product, grid, terrain_of(made), out=tmp_path / "a.tif", extras=["detector"])
        assert result.bands == ("b02", "b03")
        with rasterio.open(tmp_path / "a.tif") as image, rasterio.open(tmp_path / "a_detector.tif") as detectors:
            assert (image.dtypes[0], image.nodata) == ("uint16", 0)
            values, numbers = image.read(), detectors.read(1)
        np.testing.assert_array_equal(numbers > 0, (values > 0).any(axis=0))
        item = json.loads((tmp_path / "a.json").read_text())["properties"]
        assert (item["platform"], item["constellation"]) == ("sentinel-2a", "sentinel-2")
        assert item["sat:relative_orbit"] == 122
        assert item["view:sun_elevation"] == pytest.approx(65.96, abs=0.02)
        assert item["orthoburst:radiometry"] == "reflectance"

    def test_lines_without_granule_are_no_data(
        self, made: Sentinel2L1BProduct, small: Sentinel2L1BProduct, tmp_path: Path
    ) -> None:
        """The middle one of three is not there: all else is as it was."""
        names = [granule(small.path, detector, k).name for k in (0, 2) for detector in small.spec.detectors]
        with opened(small) as product, opened(small, only(small, tmp_path, *names)) as part:
            grid, terrain = grid_over(product, 10), terrain_of(small)
            whole = orthorectify(product, grid, terrain, bands=["b02"]).data
            found = orthorectify(part, grid, terrain, bands=["b02"]).data
            with part.open_detector("b02", "03") as reader, product.open_detector("b02", "03") as complete:
                assert (reader.n_lines, reader.n_samples) == (180, 120)
                window = reader.read(50, 130, 7, 19)
                assert window.shape == (80, 12)
                np.testing.assert_array_equal(window[:10], complete.read(50, 60, 7, 19))
                assert not window[10:70].any()
                np.testing.assert_array_equal(window[70:], complete.read(120, 130, 7, 19))
                assert reader.read(170, 400, 100, 500).shape == (10, 20)
        assert whole is not None
        assert found is not None
        there = ~np.isnan(found)
        assert 0.5 < there.sum() / (~np.isnan(whole)).sum() < 0.72
        lost = ~np.isnan(whole) & ~there
        assert lost.any()
        # A sample beside a gap has weight of its own only: those pixels differ.
        assert (found[there] == whole[there]).mean() > 0.98

    def test_a_zip_is_read_in_place(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        name = "S2A_OPER_PRD_MSIL1B_PDMC_20240605T130031.SAFE"
        shutil.copytree(small.path, tmp_path / name)
        archive = shutil.make_archive(str(tmp_path / name), "zip", tmp_path, name)
        with opened(small) as product, opened(small, Path(archive)) as zipped:
            grid, terrain = grid_over(product, 20), terrain_of(small)
            np.testing.assert_array_equal(
                orthorectify(product, grid, terrain).data, orthorectify(zipped, grid, terrain).data
            )


REFLECTANCE_PER_DN = 1 / 3000


@pytest.fixture(scope="module")
def sunlit(tmp_path_factory: pytest.TempPathFactory) -> Sentinel2L1BProduct:
    """In late winter light, painted with reflectances of 0.1 to 0.5."""
    return make_sentinel2_l1b(
        Sentinel2L1BSpec(
            tmp_path_factory.mktemp("sunlit"), platform="S2B", sensing=datetime(2025, 2, 3, 10, 11, 12),
            bands=("B02", "B12", "B01"), detectors=("09", "10"), granule_lines=384, samples=396, overlap_px=60,
            fractal_seed=5, relief_m=500.0, targets=0, common_targets=0, reflectance_per_dn=REFLECTANCE_PER_DN,
        )
    )  # fmt: skip


class TestReflectance:
    def test_what_the_ground_reflects_is_found_again(self, sunlit: Sentinel2L1BProduct, tmp_path: Path) -> None:
        """On average far closer than one count: a count is up to 0.2 % of reflectance here, 1 % of B01's."""
        bands = ["b02", "b12", "b01"]
        with opened(sunlit) as product:
            grid = grid_over(product, 10)
            terrain = terrain_of(sunlit)
            result = orthorectify(product, grid, terrain, bands=bands, extras=["detector"])
            orthorectify(product, grid, terrain, bands=bands, out=tmp_path / "a.tif")
            light = orthorectify(product, grid, terrain, bands=bands, radiometry="physical")
            sun = product.sun
            seen_s = product.datastrip.middle_s
        assert (result.radiometry, light.radiometry) == ("reflectance", "physical")
        assert result.data is not None
        assert light.data is not None
        rows, cols = np.mgrid[0 : grid.n_rows, 0 : grid.n_cols]
        lon, lat = grid.lonlat(rows, cols)
        cosine = sun.cosine(lon, lat, seen_s)
        utc_s = seen_s - sunlit.spec.pose.gps_minus_utc_s
        lit = np.mean(Sunlight(datetime(2025, 2, 3)).direction(lon, lat, utc_s)[0] / cosine)
        for k, band in enumerate(sunlit.spec.bands):
            truth = REFLECTANCE_PER_DN * painted(sunlit.textures[band], lon, lat)
            for number in (9, 10):
                here = (result.extras["detector"] == number) & ~np.isnan(result.data[k])
                assert here.sum() > 20_000
                ratio = result.data[k][here].mean() / truth[here].mean()
                tell(f"simulated L1B, reflectance of {band}, detector {number}, mean, relative", ratio - 1, "3e-4")
                assert ratio == pytest.approx(1.0, abs=3e-4)
                # Nearly all of that is the almanac's formula by which the scene is lit.
                assert ratio / lit == pytest.approx(1.0, abs=5e-5)
                off = result.data[k][here] - truth[here]
                assert np.sqrt(np.mean(off**2)) < 0.004
            everywhere = ~np.isnan(result.data[k])
            back = light.data[k] * np.pi / Sunlight(datetime(2025, 2, 3)).irradiance("S2B", band) / cosine
            np.testing.assert_allclose(back[everywhere], result.data[k][everywhere], rtol=2e-4)
        with rasterio.open(tmp_path / "a.tif") as image:
            assert (image.scales[0], image.offsets[0], image.nodata, image.dtypes[0]) == (1e-4, -0.1, 0, "uint16")
            written = np.where(image.read() > 0, image.read() * 1e-4 - 0.1, np.nan)
        np.testing.assert_allclose(written, result.data, atol=5.1e-5)
        band = json.loads((tmp_path / "a.json").read_text())["assets"]["data"]["raster:bands"][0]
        assert (band["scale"], band["offset"]) == (1e-4, -0.1)

    def test_tiles_agree_bit_for_bit(self, sunlit: Sentinel2L1BProduct) -> None:
        with opened(sunlit) as product:
            grid = grid_over(product, 20)
            whole = orthorectify(product, grid, terrain_of(sunlit), bands=["b02"])
            part = orthorectify(product, grid.window(61, 170, 33, 150), terrain_of(sunlit), bands=["b02"])
        assert whole.data is not None
        np.testing.assert_array_equal(whole.data[:, 61:170, 33:150], part.data)

    def test_satellites_whose_irradiance_is_not_known_have_radiance(self, tmp_path: Path) -> None:
        spec = Sentinel2L1BSpec(
            tmp_path, platform="S2D", detectors=("12",), bands=("B02",), granules=1, granule_lines=60, samples=60,
            fractal_seed=None, targets=0, common_targets=0,
        )  # fmt: skip
        made = make_sentinel2_l1b(spec)
        with opened(made) as product:
            assert product.radiometries("b02") == ("physical", "dn")
            with pytest.raises(RadiometryError, match="b02 gives no reflectance; expected radiometry physical or dn"):
                orthorectify(product, grid_over(product, 20), terrain_of(made), radiometry="reflectance")
            found = orthorectify(product, grid_over(product, 20), terrain_of(made))
        assert found.radiometry == "physical"

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            (">106.034<", ">-3<", "PHYSICAL_GAINS> of b12 is -3; expected a positive number"),
            ('RADIO_ADD_OFFSET band_id="3"', 'RADIO_ADD_OFFSET band_id="13"', "RADIO_ADD_OFFSET> of band '13'"),
            ("RADIO_ADD_OFFSET", "ADD_OFFSET", "no <RADIO_ADD_OFFSET>; expected one for each band, as baseline 05.00"),
        ],
    )
    def test_calibration_that_is_wrong(
        self, small: Sentinel2L1BProduct, tmp_path: Path, old: str, new: str, says: str
    ) -> None:
        shutil.copytree(small.path, tmp_path / "L1B")
        (file,) = (tmp_path / "L1B").glob("DATASTRIP/*/*.xml")
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(AnnotationError, match=says):
            opened(small, tmp_path / "L1B")

    def test_without_gains_there_are_counts_alone(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        shutil.copytree(small.path, tmp_path / "L1B")
        (file,) = (tmp_path / "L1B").glob("DATASTRIP/*/*.xml")
        file.write_text(re.sub("<Spectral_Band_Info>.*</Spectral_Band_Info>", "", file.read_text(), flags=re.DOTALL))
        with opened(small, tmp_path / "L1B") as product:
            assert product.radiometries("b02") == ("dn",)
            assert product.measure("b02", "dn").dtype == "uint16"


class TestQuality:
    def make(self, folder: Path, **words: Any) -> Sentinel2L1BProduct:
        spec = Sentinel2L1BSpec(
            folder, bands=("B02", "B05", "B01"), detectors=("02", "03"), granules=2, granule_lines=60, samples=120,
            overlap_px=24, fractal_seed=None, targets=0, common_targets=0, **words,
        )  # fmt: skip
        return make_sentinel2_l1b(spec)

    def truth(self, made: Sentinel2L1BProduct, band: str) -> NDArray[np.uint8]:
        """Of a detector's image, granule under granule."""
        per_pixel = RESOLUTION_M[band] // 10
        bits = components(made.spec.granule_lines // per_pixel, made.spec.samples // per_pixel)
        one = np.ones(bits.shape[1:], np.uint8)
        for bit, component in enumerate((1, 2, 3, 4, 5, 7, 8), 1):
            one |= bits[component - 1] << np.uint8(bit)
        return np.concatenate([one] * made.spec.granules)

    @pytest.mark.parametrize(
        "words",
        [{}, {"baseline": "02.06"}, {"baseline": "02.06", "masks_of_strip": True}],
        ids=["image", "gml", "strip"],
    )
    def test_masks_of_granules_are_one_image(self, tmp_path: Path, words: dict[str, Any]) -> None:
        """Images since baseline 04.00, vectors before; on the map, those of the first band."""
        made = self.make(tmp_path, **words)
        with opened(made) as product:
            assert set(product.extras) == {"detector", "quality"}
            for band in made.spec.bands:
                with product.open_mask("quality", band.lower(), "03") as reader:
                    found = reader.read(0, reader.n_lines, 0, reader.n_samples)
                np.testing.assert_array_equal(found, self.truth(made, band))
            grid = grid_over(product, 10)
            result = orthorectify(product, grid, terrain_of(made), bands=["b02", "b05"], extras=["quality", "detector"])
        assert result.data is not None
        rows, cols = np.mgrid[0 : grid.n_rows, 0 : grid.n_cols]
        lon, lat = grid.lonlat(rows, cols)
        quality = result.extras["quality"]
        np.testing.assert_array_equal(quality > 0, ~np.isnan(result.data[0]))
        compared = 0
        for number in (2, 3):
            line, sample = made.cameras["B02", f"{number:02d}"].ground_to_image(lon, lat, made.spec.flat_height_m)
            sure = (np.abs(line % 1 - 0.5) > 0.05) & (np.abs(sample % 1 - 0.5) > 0.05)
            here = (result.extras["detector"] == number) & (quality > 0) & sure
            wanted = self.truth(made, "B02")[np.rint(line[here]).astype(int), np.rint(sample[here]).astype(int)]
            np.testing.assert_array_equal(quality[here], wanted)
            compared += here.sum()
            assert len(np.unique(wanted)) > 4
        assert compared > 8_000

    def test_counts_before_baseline_4_have_no_offset(self, tmp_path: Path) -> None:
        made = self.make(tmp_path, baseline="02.06", reflectance_per_dn=REFLECTANCE_PER_DN)
        with opened(made) as product:
            assert product.measure("b02", "physical").offset == 0.0
            result = orthorectify(product, grid_over(product, 10), terrain_of(made), bands=["b02"])
        rows, cols = np.mgrid[0 : result.grid.n_rows, 0 : result.grid.n_cols]
        lon, lat = result.grid.lonlat(rows, cols)
        assert result.data is not None
        there = ~np.isnan(result.data[0])
        truth = REFLECTANCE_PER_DN * painted(made.textures["B02"], lon, lat)
        assert result.data[0][there].mean() == pytest.approx(truth[there].mean(), rel=3e-4)

    def test_masks_that_are_missing(self, tmp_path: Path) -> None:
        made = self.make(tmp_path)
        next(granule(made.path, "03", 1).glob("QI_DATA/*_B02_*")).unlink()
        with opened(made) as product:
            grid, terrain = grid_over(product, 20), terrain_of(made)
            orthorectify(product, grid, terrain, bands=["b02"])
            with pytest.raises(MissingMeasurementError, match=r"no file S2A_OPER_MSK_QUALIT_.*_D03_B02_MSIL1B"):
                orthorectify(product, grid, terrain, bands=["b02"], extras=["quality"])
        for file in made.path.rglob("QI_DATA/*"):
            file.unlink()
        with opened(made) as product:
            assert set(product.extras) == {"detector"}
            with pytest.raises(
                OptionError, match="extra 'quality': those that all of these products have are: detector"
            ):
                orthorectify(product, grid, terrain, bands=["b02"], extras=["quality"])


class TestBadInput:
    def copy(self, small: Sentinel2L1BProduct, tmp_path: Path) -> Path:
        shutil.copytree(small.path, tmp_path / small.path.name)
        return tmp_path / small.path.name

    def ortho(self, small: Sentinel2L1BProduct, folder: Path, band: str = "b02") -> OrthoResult:
        with opened(small, folder) as product:
            return orthorectify(product, grid_over(product, 20), terrain_of(small), bands=[band])

    def test_a_band_that_a_granule_lacks(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        folder = self.copy(small, tmp_path)
        next(granule(folder, "03", 1).glob("IMG_DATA/*_B05.jp2")).unlink()
        with pytest.raises(MissingMeasurementError, match=r"no image of B05 in granule S2A_OPER_MSI_L1B_GR_.*_D03_"):
            self.ortho(small, folder, "b05")
        assert self.ortho(small, folder).valid_fraction > 0
        with pytest.raises(UnknownBandError, match=r"no image of B03; expected one of b02, b05"):
            self.ortho(small, folder, "b03")

    def test_an_image_that_is_cut_off(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        folder = self.copy(small, tmp_path)
        image = next(granule(folder, "03", 1).glob("IMG_DATA/*_B02.jp2"))
        image.write_bytes(image.read_bytes()[:-300])
        with pytest.raises(TruncatedRasterError, match=r"_D03_B02\.jp2"):
            self.ortho(small, folder)

    def test_an_image_of_another_size(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        folder = self.copy(small, tmp_path)
        image = next(granule(folder, "03", 1).glob("IMG_DATA/*_B02.jp2"))
        shutil.copy(next(granule(folder, "03", 1).glob("IMG_DATA/*_B05.jp2")), image)
        with pytest.raises(AnnotationError, match=r"30 x 60 pixels of uint16; expected 60 x 120"):
            self.ortho(small, folder)

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("_N05.00</DATASTRIP_ID>", "_N04.00</DATASTRIP_ID>", r"a granule of datastrip .*N04\.00; expected one of"),
            ("<POSITION>61</POSITION>", "<POSITION>121</POSITION>", "position 121; expected detector 03, position 61"),
            (">03</DETECTOR_ID>", ">04</DETECTOR_ID>", "at detector 04"),
            ("_N05.00</GRANULE_ID>", "_N05.01</GRANULE_ID>", "expected one that the datastrip lists"),
        ],
    )
    def test_granules_that_do_not_belong(
        self, small: Sentinel2L1BProduct, tmp_path: Path, old: str, new: str, says: str
    ) -> None:
        folder = self.copy(small, tmp_path)
        metadata = next(granule(folder, "03", 1).glob("*.xml"))
        text = metadata.read_text()
        assert old in text
        metadata.write_text(text.replace(old, new))
        with pytest.raises(MismatchedGranulesError, match=says):
            opened(small, folder)

    def test_detectors_missing_between(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        folder = only(small, tmp_path, "_D02_", "_D04_")
        with pytest.raises(MissingDetectorError, match="detectors 02, 04; expected those of 03, too"):
            opened(small, folder)

    def test_metadata_that_are_missing(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        folder = self.copy(small, tmp_path)
        next(granule(folder, "03", 1).glob("*.xml")).unlink()
        with pytest.raises(MissingAnnotationError, match="without metadata"):
            opened(small, folder)
        shutil.rmtree(folder / "DATASTRIP")
        with pytest.raises(MissingAnnotationError, match="0 files of datastrip metadata"):
            opened(small, folder)
        shutil.copytree(small.path / "DATASTRIP", folder / "DATASTRIP")
        for images in folder.glob("GRANULE/*"):
            shutil.rmtree(images)
        with pytest.raises(MissingAnnotationError, match="no metadata of granules"):
            opened(small, folder)

    def test_wide_granules_of_another_instrument(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        folder = self.copy(small, tmp_path)
        metadata = next(granule(folder, "03", 1).glob("*.xml"))
        metadata.write_text(metadata.read_text().replace("<NCOLS>120</NCOLS>", "<NCOLS>126</NCOLS>"))
        with pytest.raises(AnnotationError, match="126 samples of B02; expected 120, as detector 03"):
            self.ortho(small, folder)

    def test_parameters_that_are_missing_or_of_another_time(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        gipp = tmp_path / "parameters"
        shutil.copytree(small.gipp_path, gipp)
        next(gipp.glob("*VIEDIR*_B05.xml")).unlink()
        with open_product(small.path, gipp=gipp) as product:
            assert product.sensor_model("b02").n_samples == 120
            with pytest.raises(MissingGippError, match="no GIP_VIEDIR file of B05"):
                product.sensor_model("b05")
        b02 = next(gipp.glob("*VIEDIR*_B02.xml"))
        old = b02.rename(b02.with_name(b02.name.replace("_V20150703T000000_2100", "_V20150703T000000_2016")))
        with (
            open_product(small.path, gipp=gipp) as product,
            pytest.raises(
                GippValidityError, match=r"GIP_VIEDIR of B02 in force 2015-07-03.* to 2016.*_B02 by its list"
            ),
        ):
            product.sensor_model("b02")
        old.rename(b02.with_name(b02.name.replace("_MPC__20150731T092206", "_MPC__20160731T092206")))
        with open_product(small.path, gipp=gipp) as product:  # not the one by name, but in force
            assert product.sensor_model("b02").n_samples == 120
        for file in list(gipp.iterdir()):
            file.rename(file.with_name(file.name.replace("S2A_", "S2B_")))
        with pytest.raises(MissingGippError, match="only of S2B; expected S2A_OPER_GIP_SPAMOD"):
            open_product(small.path, gipp=gipp)
        for file in list(gipp.iterdir()):
            file.write_text(file.read_text().replace(">S2A<", ">S2B<"))
            file.rename(file.with_name(file.name.replace("S2B_", "S2A_")))
        with pytest.raises(AnnotationError, match="parameters of S2B; expected of S2A"):
            open_product(small.path, gipp=gipp)

    def test_no_parameters_at_all(self, small: Sentinel2L1BProduct, tmp_path: Path) -> None:
        folder = self.copy(small, tmp_path / "alone")
        with pytest.raises(MissingGippError, match=r"no folder GIPP in it or beside it; .*give their folder"):
            open_product(folder)

    def test_no_terrain(self, small: Sentinel2L1BProduct) -> None:
        with opened(small) as product, pytest.raises(OptionError, match="no terrain"):
            orthorectify(product, grid_over(product, 20))
