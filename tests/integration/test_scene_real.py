"""The simulator's geometry against grids ESA annotated, and scenes made on real annotations."""

from __future__ import annotations

import binascii
import hashlib
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio

from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, range_m, read_geometry, read_grid
from localdev.scene.calibration import read_calibration
from localdev.scene.ellipsoid import to_earth_centred
from realdata import real_data

pytestmark = [pytest.mark.real, pytest.mark.parallel]


def rome() -> Path:
    return next(real_data("sentinel1", "rome").glob("S1B_IW_GRDH*.SAFE"))


def quick_look_safe(folder: Path) -> Path:
    archive = next(real_data("sentinel1", "quicklook").glob("*.zip"))
    with zipfile.ZipFile(archive) as source:
        source.extractall(folder)
    return next(folder.glob("*.SAFE"))


@pytest.mark.parametrize("product", ["rome", "quicklook"])
def test_annotated_grid_is_met(product: str, tmp_path: Path) -> None:
    safe = rome() if product == "rome" else quick_look_safe(tmp_path)
    for path in (safe / "annotation").glob("*.xml"):
        root = parse(path)
        geometry, grid = read_geometry(root), read_grid(root)
        line, sample = geometry.ground_to_image(grid.lon_deg, grid.lat_deg, grid.height_m, "nearest")
        assert np.sqrt(np.mean((line - grid.line) ** 2)) < 0.01
        assert np.sqrt(np.mean((sample - grid.sample) ** 2)) < 0.005
        assert 5.855e-3 < geometry.mid_swath_s < 5.875e-3
        slant = geometry.range_of(grid.line, grid.sample, "nearest")
        np.testing.assert_allclose(slant, range_m(grid.two_way_s), atol=1e-3)
        lon, lat = geometry.image_to_ground(grid.line, grid.sample, grid.height_m, "nearest")
        metres = np.linalg.norm(
            to_earth_centred(lon, lat, grid.height_m)
            - to_earth_centred(grid.lon_deg, grid.lat_deg, grid.height_m), axis=-1
        )  # fmt: skip
        assert metres.max() < 0.05
        elevation = geometry.angles(grid.time_s, to_earth_centred(grid.lon_deg, grid.lat_deg, grid.height_m))[1]
        np.testing.assert_allclose(elevation, grid.elevation_deg, atol=1e-6)


def test_made_annotation_has_the_elements_of_a_real_one(tmp_path: Path) -> None:
    """Every element a made file has, a real one has at the same place: the format is the ground segment's."""
    made = make_sentinel1(SceneSpec(tmp_path, size_lines_samples=(40, 60)))
    real = rome()
    for pattern in ("annotation/*.xml", "annotation/calibration/cal*.xml", "annotation/calibration/noise*.xml"):
        ours = _paths(parse(next(made.path.glob(pattern))))
        theirs = _paths(parse(next(real.glob(pattern))))
        assert ours <= theirs, sorted(ours - theirs)
    ours = _paths(parse(made.path / "manifest.safe"))
    theirs = _paths(parse(real / "manifest.safe"))
    assert ours <= theirs, sorted(ours - theirs)


def _paths(root: ElementTree.Element, above: str = "") -> set[str]:
    here = f"{above}/{root.tag.rsplit('}', 1)[-1]}"
    return {here}.union(*(_paths(child, here) for child in root))


@pytest.fixture(scope="module")
def rome_scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("rome"),
            annotation_safe=rome(),
            dem_file=real_data("sentinel1", "rome", "Rome-30m-DEM.tif"),
            geoid_file=real_data("geoid", "egm96_15.gtx"),
            centre_lonlat_deg=_dem_middle(),
            size_lines_samples=(300, 320),
            targets=4,
        )
    )


def _dem_middle() -> tuple[float, float]:
    with rasterio.open(real_data("sentinel1", "rome", "Rome-30m-DEM.tif")) as source:
        west, south, east, north = source.bounds
    return 0.5 * (west + east), 0.5 * (south + north)


def test_scene_on_a_real_annotation_keeps_frame_and_checksums(rome_scene: Scene) -> None:
    with rasterio.open(next((rome_scene.path / "measurement").glob("*.tiff"))) as source:
        assert source.shape == (16705, 26102)
        first_line, first_sample, lines, samples = rome_scene.window
        window = ((first_line - 5, first_line + lines + 5), (first_sample - 5, first_sample + samples + 5))
        pixels = source.read(1, window=window)
    assert np.count_nonzero(pixels) == lines * samples
    root = ElementTree.parse(rome_scene.path / "manifest.safe").getroot()
    entries = list(root.iter("byteStream"))
    assert len(entries) == 6
    for entry in entries:
        path = rome_scene.path / entry.find("fileLocation").get("href")  # type: ignore[union-attr, operator]
        assert int(entry.get("size", "")) == path.stat().st_size
        assert entry.findtext("checksum") == hashlib.md5(path.read_bytes()).hexdigest()
    manifest = (rome_scene.path / "manifest.safe").read_bytes()
    assert rome_scene.path.stem.endswith(f"{binascii.crc_hqx(manifest, 0xFFFF):04X}")
    annotation = next(rome().glob("annotation/*.xml"))
    assert (rome_scene.path / "annotation" / annotation.name).read_bytes() == annotation.read_bytes()


def test_scene_on_a_real_annotation_stands_on_the_geoid(rome_scene: Scene) -> None:
    heights = [target.height_m for target in rome_scene.targets]
    assert all(50.0 < height < 170.0 for height in heights), "5 to 115 m of DEM and 48 m of geoid"
    geometry = read_geometry(parse(next(rome_scene.path.glob("annotation/*.xml"))))
    for target in rome_scene.targets:
        image = geometry.ground_to_image(target.lon_deg, target.lat_deg, target.height_m)
        assert tuple(map(float, image)) == pytest.approx((target.line, target.sample), abs=1e-9)


def test_level_on_a_real_calibration(tmp_path: Path) -> None:
    window = (4000, 8800, 200, 240)  # across the seam of two sub-swaths
    scene = make_sentinel1(
        SceneSpec(tmp_path, annotation_safe=rome(), window=window, law="sigma0", level_db=-11.0, flat_height_m=40.0)
    )
    folder = scene.path / "annotation/calibration"
    calibration = read_calibration(parse(next(folder.glob("cal*"))), parse(next(folder.glob("noise*"))))
    line, sample = window[0] + np.arange(window[2]), window[1] + np.arange(window[3])
    with rasterio.open(next((scene.path / "measurement").glob("*.tiff"))) as source:
        rows, columns = (window[0], window[0] + window[2]), (window[1], window[1] + window[3])
        digital = source.read(1, window=(rows, columns)).astype(float)
    sigma = (digital**2 - calibration.noise(line, sample)) / calibration.sigma_squared(line, sample)
    assert 10 * np.log10(sigma.mean()) == pytest.approx(-11.0, abs=0.05)
