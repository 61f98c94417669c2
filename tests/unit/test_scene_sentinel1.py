"""Simulated Sentinel-1 products: the pixels are what was asked for, the files say so."""

from __future__ import annotations

import binascii
import hashlib
import itertools
import re
import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry, read_grid
from localdev.scene.calibration import Calibration, read_calibration
from localdev.scene.pixels import Painter, Window, reach_of
from localdev.scene.radar import RadarGeometry
from localdev.scene.terrain import Surface, read_surface
from reference.scene_facets import sigma_of_facets

SIZE = (260, 300)


def annotation_of(scene: Scene) -> Path:
    return next((scene.path / "annotation").glob("*.xml"))


def geometry_of(scene: Scene) -> RadarGeometry:
    return read_geometry(parse(annotation_of(scene)))


def calibration_of(scene: Scene) -> Calibration:
    folder = scene.path / "annotation/calibration"
    return read_calibration(parse(next(folder.glob("calibration-*"))), parse(next(folder.glob("noise-*"))))


def pixels_of(scene: Scene) -> NDArray[np.float64]:
    with rasterio.open(next((scene.path / "measurement").glob("*-001.tiff"))) as source:
        return np.asarray(source.read(1), dtype=np.float64)


def sigma_db(scene: Scene, *, denoise: bool) -> float:
    digital = pixels_of(scene)
    line, sample = np.arange(digital.shape[0]), np.arange(digital.shape[1])
    calibration = calibration_of(scene)
    power = digital**2 - (calibration.noise(line, sample) if denoise else 0.0)
    return float(10 * np.log10(np.mean(power / calibration.sigma_squared(line, sample))))


def write_dem(path: Path, height: NDArray[np.float32], west: float, north: float, step: float) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", width=height.shape[1], height=height.shape[0], count=1, dtype="float32",
        crs="EPSG:4326", transform=from_origin(west, north, step, step),
    ) as sink:  # fmt: skip
        sink.write(height, 1)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("flat")
    return make_sentinel1(
        SceneSpec(
            folder,
            size_lines_samples=SIZE,
            flat_height_m=250.0,
            level_db=-9.0,
            law="sigma0",
            polarisations=("vv", "vh"),
        )
    )


@pytest.fixture(scope="module")
def mountain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, SceneSpec]:
    spec = SceneSpec(
        tmp_path_factory.mktemp("mountain"), size_lines_samples=SIZE, fractal_seed=7, relief_m=2500.0, targets=6
    )
    return make_sentinel1(spec), spec


def test_product_is_named_as_a_real_one(flat: Scene) -> None:
    pattern = r"S1A_IW_GRDH_1SDV_20240310T051122_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}\.SAFE"
    assert re.fullmatch(pattern, flat.path.name)
    manifest = (flat.path / "manifest.safe").read_bytes()
    assert flat.path.stem.endswith(f"_{binascii.crc_hqx(manifest, 0xFFFF):04X}")


def test_manifest_lists_every_file_with_size_and_checksum(flat: Scene) -> None:
    root = ElementTree.parse(flat.path / "manifest.safe").getroot()
    listed = set()
    for entry in root.iter("byteStream"):
        path = flat.path / entry.find("fileLocation").get("href")  # type: ignore[union-attr, operator]
        assert int(entry.get("size", "")) == path.stat().st_size
        assert entry.findtext("checksum") == hashlib.md5(path.read_bytes()).hexdigest()
        listed.add(path)
    there = {path for path in flat.path.rglob("*") if path.is_file() and path.name != "manifest.safe"}
    assert listed == there


def test_footprint_goes_round_the_scene(flat: Scene) -> None:
    root = ElementTree.parse(flat.path / "manifest.safe").getroot()
    corners = root.findtext(".//{http://www.opengis.net/gml}coordinates")
    assert corners is not None
    lat, lon = np.array([[float(number) for number in pair.split(",")] for pair in corners.split()]).T
    line, sample = geometry_of(flat).ground_to_image(lon, lat, 250.0)
    np.testing.assert_allclose(line, [SIZE[0] - 1, SIZE[0] - 1, 0, 0], atol=0.5)
    np.testing.assert_allclose(sample, [0, SIZE[1] - 1, SIZE[1] - 1, 0], atol=8.0)  # the grid's record is the nearest


def test_measurement_is_laid_out_as_a_real_one(flat: Scene) -> None:
    with rasterio.open(next((flat.path / "measurement").glob("*-vv-*.tiff"))) as source:
        assert (source.height, source.width) == SIZE
        assert source.profile["blockysize"] == 1
        assert source.compression is None
        assert source.dtypes == ("uint16",)
        points, crs = source.gcps
        assert len(points) == 210
        assert crs.to_epsg() == 4326


def test_written_grid_agrees_with_the_written_geometry(flat: Scene) -> None:
    root = parse(annotation_of(flat))
    grid = read_grid(root)
    line, sample = read_geometry(root).ground_to_image(grid.lon_deg, grid.lat_deg, grid.height_m, "nearest")
    np.testing.assert_allclose(line, grid.line, atol=1e-3)
    np.testing.assert_allclose(sample, grid.sample, atol=1e-4)


def test_terrain_heights_go_every_ten_seconds_from_before_the_image_to_after_it(flat: Scene) -> None:
    root = parse(annotation_of(flat))
    info = "imageAnnotation/imageInformation/"
    first, last = (
        datetime.fromisoformat(str(root.findtext(info + name)))
        for name in ("productFirstLineUtcTime", "productLastLineUtcTime")
    )
    heights = root.findall("generalAnnotation/terrainHeightList/terrainHeight")
    times = [datetime.fromisoformat(str(height.findtext("azimuthTime"))) for height in heights]
    assert root.find("generalAnnotation/terrainHeightList").get("count") == str(len(heights))  # type: ignore[union-attr]
    assert times[0] < first <= last < times[-1]
    assert {(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)} == {10.0}


def test_flat_ground_has_the_level_asked_for(flat: Scene) -> None:
    assert sigma_db(flat, denoise=True) == pytest.approx(-9.0, abs=0.05)
    assert sigma_db(flat, denoise=False) > -8.95, "the noise must be in the pixels"


def test_cross_polarisation_is_weaker_and_speckled_on_its_own(flat: Scene) -> None:
    with rasterio.open(next((flat.path / "measurement").glob("*-vh-*.tiff"))) as source:
        cross = source.read(1).astype(float)
    direct = pixels_of(flat)
    assert np.mean(cross**2) < 0.4 * np.mean(direct**2)
    assert abs(np.corrcoef(direct.ravel(), cross.ravel())[0, 1]) < 0.02


def test_speckle_has_the_looks_asked_for(flat: Scene) -> None:
    power = pixels_of(flat)[20:-20, 20:-20] ** 2
    assert power.mean() ** 2 / power.var() == pytest.approx(4.4, rel=0.05)


def test_gamma0_of_flat_ground_is_sigma0_over_the_cosine(tmp_path: Path) -> None:
    spec = SceneSpec(tmp_path, size_lines_samples=(80, 90), level_db=-8.0, noise_db=None, speckle_looks=None)
    scene = make_sentinel1(spec)
    incidence = np.radians(np.mean(read_grid(parse(annotation_of(scene))).incidence_deg))
    assert sigma_db(scene, denoise=False) == pytest.approx(-8.0 + 10 * np.log10(np.cos(incidence)), abs=0.02)


def test_targets_show_where_they_stand(mountain: tuple[Scene, SceneSpec]) -> None:
    scene, _ = mountain
    power, geometry = pixels_of(scene) ** 2, geometry_of(scene)
    assert scene.dem_path is not None
    assert len(scene.targets) == 6
    for target in scene.targets:
        line, sample = geometry.ground_to_image(target.lon_deg, target.lat_deg, target.height_m)
        assert (float(line), float(sample)) == pytest.approx((target.line, target.sample), abs=2e-3)
        q, s = round(target.line), round(target.sample)
        patch = power[q - 3 : q + 4, s - 3 : s + 4]
        rows, columns = np.mgrid[q - 3 : q + 4, s - 3 : s + 4]
        assert np.sum(patch * rows) / patch.sum() == pytest.approx(target.line, abs=0.03)
        assert np.sum(patch * columns) / patch.sum() == pytest.approx(target.sample, abs=0.03)
        height = read_surface(scene.dem_path, None, (12.4, 41.9, 12.6, 42.1)).height(target.lon_deg, target.lat_deg)
        assert float(height) == pytest.approx(target.height_m, abs=1e-3)


@pytest.mark.parametrize("law", ["gamma0", "sigma0"])
def test_facet_loop_equals_its_slow_twin(mountain: tuple[Scene, SceneSpec], law: str) -> None:
    scene, spec = mountain
    assert scene.dem_path is not None
    surface = read_surface(scene.dem_path, None, (12.4, 41.9, 12.6, 42.1))
    geometry = geometry_of(scene)
    spec = replace(spec, law=law, level_db=0.0)  # type: ignore[arg-type]
    lines, samples = 24, 40
    window = Window(0, 0, lines, samples)
    fast = Painter(spec, geometry=geometry, surface=surface, window=window, targets=[]).sigma(0, lines)
    reach = reach_of(surface, 10.0)
    slow = sigma_of_facets(
        geometry,
        surface,
        reference_m=reach.reference_m,
        lattice_line=-reach.lines + np.arange(int(np.ceil((lines + 2 * reach.lines) * 2)) + 1) / 2,
        lattice_sample=-reach.near + np.arange(int(np.ceil((samples + reach.near + reach.far) * 2)) + 1) / 2,
        shape=(lines, samples),
        by_sight=law == "gamma0",
    )
    assert slow.max() > 1.5 * slow.mean(), "no relief in the window"
    # A vertex a millimetre aside may tip over a shadow's edge: a few pixels may differ by a facet.
    close = np.abs(fast - slow) < 2e-3 * slow.mean() + 2e-3 * slow
    assert close.mean() > 0.99
    assert float(fast.mean()) == pytest.approx(float(slow.mean()), rel=1e-3)


def test_bands_do_not_show(mountain: tuple[Scene, SceneSpec]) -> None:
    scene, spec = mountain
    assert scene.dem_path is not None
    surface = read_surface(scene.dem_path, None, (12.4, 41.9, 12.6, 42.1))
    painter = Painter(spec, geometry=geometry_of(scene), surface=surface, window=Window(0, 0, 40, 60), targets=[])
    whole, upper, lower = painter.sigma(0, 40), painter.sigma(0, 17), painter.sigma(17, 23)
    # The two lattices begin at different fractions of a line: equal to what the facets' size leaves open.
    np.testing.assert_allclose(np.concatenate([upper, lower]), whole, rtol=0.05, atol=0.02)


def test_a_tower_lies_over_towards_the_radar_and_casts_a_shadow(tmp_path: Path) -> None:
    base = SceneSpec(tmp_path, size_lines_samples=(120, 260), noise_db=None, speckle_looks=None)
    geometry = geometry_of(make_sentinel1(base))
    lon, lat = (float(part) for part in geometry.image_to_ground(60.0, 130.0, 0.0))
    step = 1.0 / 3600.0
    n = 241
    height = np.zeros((n, n), dtype=np.float32)
    height[n // 2 - 6 : n // 2 + 7, n // 2 - 3 : n // 2 + 4] = 400.0
    write_dem(tmp_path / "tower.tif", height, lon - n / 2 * step, lat + n / 2 * step, step)
    image = pixels_of(make_sentinel1(replace(base, dem_file=tmp_path / "tower.tif")))
    top = float(geometry.ground_to_image(lon, lat, 400.0)[1])
    assert 130.0 - top == pytest.approx(400.0 / 10.0 / np.tan(np.radians(39.0)), rel=0.05)
    row = image[60] / np.median(image[5])
    assert row[: int(top) - 20] == pytest.approx(1.0, abs=0.02)
    assert row[round(top) - 12 : round(top) + 12].max() > 2.0, "foot, wall and roof add up"
    shadow = row[133 : 133 + int(400.0 / 10.0 * np.tan(np.radians(37.0))) - 8]
    assert np.median(shadow) < 0.05
    assert row[-60:] == pytest.approx(1.0, abs=0.02)


def test_a_window_of_a_full_frame_takes_little_room(tmp_path: Path) -> None:
    scene = make_sentinel1(SceneSpec(tmp_path, size_lines_samples=None, window=(8000, 13000, 60, 80)))
    path = next((scene.path / "measurement").glob("*.tiff"))
    assert path.stat().st_blocks * 512 < 8_000_000
    with rasterio.open(path) as source:
        assert source.shape == (16705, 26102)
        block = source.read(1, window=((7995, 8065), (12995, 13085)))
    assert np.all(block[5:65, 5:85] > 0)
    assert block[5:65, 5:85].size == np.count_nonzero(block)


def test_zip_holds_the_same_tree_with_the_measurement_stored(tmp_path: Path) -> None:
    scene = make_sentinel1(SceneSpec(tmp_path, size_lines_samples=(40, 50), zip_it=True))
    with zipfile.ZipFile(scene.path) as archive:
        names = archive.namelist()
        tiff = next(name for name in names if name.endswith(".tiff"))
        assert archive.getinfo(tiff).compress_type == zipfile.ZIP_STORED
        assert f"{scene.path.stem}.SAFE/manifest.safe" in names
    assert not (tmp_path / f"{scene.path.stem}.SAFE").exists()


def test_same_seed_same_pixels(tmp_path: Path) -> None:
    spec = SceneSpec(tmp_path / "a", size_lines_samples=(50, 60))
    first = pixels_of(make_sentinel1(spec))
    again = pixels_of(make_sentinel1(replace(spec, out_folder=tmp_path / "b", threads=1)))
    other = pixels_of(make_sentinel1(replace(spec, out_folder=tmp_path / "c", seed=2)))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_geoid_is_added_to_the_dem(tmp_path: Path) -> None:
    write_dem(tmp_path / "dem.tif", np.full((40, 40), 100.0, dtype=np.float32), 10.0, 50.0, 0.01)
    write_dem(tmp_path / "geoid.tif", np.full((180, 360), 47.5, dtype=np.float32), -180.0, 90.0, 1.0)
    surface: Surface = read_surface(tmp_path / "dem.tif", tmp_path / "geoid.tif", (9.9, 49.7, 10.3, 49.9))
    assert float(surface.height(10.2, 49.8)) == pytest.approx(147.5)
    assert float(surface.height(9.95, 49.8)) == pytest.approx(47.5), "sea where the DEM has nothing"
    with pytest.raises(ValueError, match="does not touch"):
        read_surface(tmp_path / "dem.tif", None, (20.0, 40.0, 21.0, 41.0))
