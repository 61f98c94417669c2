"""Simulated images with RPC: the coefficients are the camera's, the pixels are the ground's."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import RPCTransformer

from localdev.scene import RpcImage, RpcSpec, make_rpc_image
from localdev.scene.pushbroom import pushbroom_over
from localdev.scene.terrain import read_surface

N = 300


def pixels_of(image: RpcImage) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(image.path) as source:
            return np.asarray(source.read(1), dtype=np.float64)


@pytest.fixture(scope="module")
def hills(tmp_path_factory: pytest.TempPathFactory) -> RpcImage:
    folder = tmp_path_factory.mktemp("hills")
    return make_rpc_image(
        RpcSpec(folder / "hills.tif", size_lines_samples=(N, N), gsd_m=2.0, fractal_seed=3, roll_deg=20.0, targets=4)
    )


def test_camera_is_centred_and_its_two_ways_agree() -> None:
    camera = pushbroom_over(
        5.2, 44.2, 500.0, n_lines=4001, n_samples=3001, gsd_m=0.7, heading_deg=195.0, roll_deg=-25.0, pitch_deg=10.0
    )
    middle = camera.ground_to_image(5.2, 44.2, 500.0)
    np.testing.assert_allclose(middle, (2000.0, 1500.0), atol=1e-5)
    line, sample = np.mgrid[0:4000:5j, 0:3000:7j]
    lon, lat = camera.image_to_ground(line, sample, 1200.0)
    np.testing.assert_allclose(camera.ground_to_image(lon, lat, 1200.0), (line, sample), atol=1e-5)
    # Flying south-south-west, higher lines lie south; a higher point seen from its left shows further left.
    assert lat[0, 0] > lat[-1, 0]
    assert camera.ground_to_image(5.2, 44.2, 600.0)[1] != pytest.approx(1500.0, abs=10)


def test_coefficients_meet_the_camera(hills: RpcImage) -> None:
    assert hills.residual_px < 1e-4
    random = np.random.default_rng(0)
    line, sample = random.uniform(0, N - 1, (2, 200))
    height = random.uniform(0, 800, 200)
    lon, lat = hills.camera.image_to_ground(line, sample, height)
    np.testing.assert_allclose(hills.model.ground_to_image(lon, lat, height), (line, sample), atol=1e-4)


def test_tags_mean_the_same_to_gdal(hills: RpcImage) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(hills.path) as source, RPCTransformer(source.rpcs, RPC_HEIGHT=432.0) as transformer:
            lon, lat = hills.camera.image_to_ground(120.0, 37.0, 432.0)
            rows, columns = transformer.rowcol([float(lon)], [float(lat)], op=float)
    # GDAL counts from the corner of the first pixel.
    assert rows[0] - 0.5 == pytest.approx(120.0, abs=1e-3)
    assert columns[0] - 0.5 == pytest.approx(37.0, abs=1e-3)


def test_pixels_are_the_texture_where_the_line_of_sight_meets_the_terrain(hills: RpcImage) -> None:
    assert hills.dem_path is not None
    surface = read_surface(hills.dem_path, None, (12.48, 41.98, 12.52, 42.02))
    random = np.random.default_rng(1)
    line, sample = random.integers(0, N, (2, 300)).astype(float)
    height = np.full(300, 400.0)
    for _ in range(400):
        lon, lat = hills.camera.image_to_ground(line, sample, height)
        height = 0.7 * height + 0.3 * surface.height(lon, lat)
    settled = np.abs(surface.height(lon, lat) - height) < 1e-3
    far = np.ones(300, dtype=bool)
    for target in hills.targets:
        far &= np.hypot(line - target.line, sample - target.sample) > 25
    used = settled & far
    assert used.sum() > 150
    true = hills.textures[0].value(lon, lat)
    found = pixels_of(hills)[line.astype(int), sample.astype(int)]
    # Rounding to whole numbers is 0.5; the rest is where the ground turns along the line of sight.
    assert np.percentile(np.abs(found - true)[used], 98) < 0.6
    assert true[used].std() > 100


def test_texture_is_smooth_enough_to_resample(hills: RpcImage) -> None:
    image = pixels_of(hills)[40:-40, 40:-40]
    middles = 0.5 * (image[:-2:2] + image[2::2])[:, ::2]
    error = middles - image[1:-1:2][: middles.shape[0], ::2]
    # Percentiles: the targets are points and no interpolation follows them.
    assert np.percentile(np.abs(error), 90) < 0.2 * np.ptp(np.percentile(image, [16, 84])) / 2


def test_targets_show_where_they_stand(hills: RpcImage) -> None:
    image = pixels_of(hills)
    for target in hills.targets:
        line, sample = hills.camera.ground_to_image(target.lon_deg, target.lat_deg, target.height_m)
        assert (float(line), float(sample)) == pytest.approx((target.line, target.sample), abs=1e-6)
        q, s = round(target.line), round(target.sample)
        patch = image[q - 4 : q + 5, s - 4 : s + 5]
        patch = patch - np.median(patch)
        rows, columns = np.mgrid[q - 4 : q + 5, s - 4 : s + 5]
        assert np.sum(patch * rows) / patch.sum() == pytest.approx(target.line, abs=0.03)
        assert np.sum(patch * columns) / patch.sum() == pytest.approx(target.sample, abs=0.03)


def test_the_three_forms_carry_one_model(tmp_path: Path) -> None:
    base = RpcSpec(tmp_path / "IMG_A.tif", size_lines_samples=(64, 64), crop_origin=(5000, 4000))
    dimap = make_rpc_image(replace(base, form="dimap"))
    assert dimap.rpc_path == tmp_path / "RPC_A.XML"
    root = ElementTree.parse(dimap.rpc_path).getroot()
    # DIMAP counts from one, and for the whole image.
    assert float(root.findtext(".//LINE_OFF", "nan")) == pytest.approx(dimap.model.line_offset + 5001)
    assert float(root.findtext(".//SAMP_OFF", "nan")) == pytest.approx(dimap.model.sample_offset + 4001)
    assert float(root.findtext(".//Inverse_Model/LINE_NUM_COEFF_3", "nan")) == dimap.model.line_num[2]
    text = make_rpc_image(replace(base, out_file=tmp_path / "B.tif", form="text"))
    assert text.rpc_path == tmp_path / "B_RPC.TXT"
    values = dict(line.split(": ") for line in text.rpc_path.read_text().splitlines())
    assert float(values["LINE_OFF"]) == pytest.approx(text.model.line_offset + 5000)
    assert float(values["SAMP_DEN_COEFF_1"]) == 1.0
    assert len(values) == 90
    with rasterio.open(text.path) as source:
        assert (source.transform.c, source.transform.f) == (4000.0, 5000.0)
    tags = make_rpc_image(replace(base, out_file=tmp_path / "C.tif"))
    assert tags.rpc_path is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tags.path) as source:
            assert source.rpcs.line_off == pytest.approx(tags.model.line_offset)
