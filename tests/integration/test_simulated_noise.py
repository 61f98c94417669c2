"""Thermal noise and border noise, from product to orthoimage: what simulated scenes were made with comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from figures import tell
from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from localdev.scene.border import imaged
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.cli import main
from orthokernel.loop import BILINEAR, warp_points
from orthokernel.radiometry import sample_values
from orthokernel.result import MaskBit, OrthoResult
from orthokernel.source import SourceRing
from reference.targets import frame_over

pytestmark = pytest.mark.parallel

HEIGHT_M = 300.0
NOISE_DB = -24.0
PROMISED_DB = 0.05


def _spec(folder: Path, level_db: float, **more: object) -> SceneSpec:
    base = SceneSpec(
        folder, size_lines_samples=(500, 700), flat_height_m=HEIGHT_M, law="sigma0", level_db=level_db,
        speckle_looks=4.4, noise_db=NOISE_DB,
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def _grid(scene: Scene) -> Grid:
    """The whole of the image."""
    geometry = read_geometry(parse(next((scene.path / "annotation").glob("*-vv-*.xml"))))
    line, sample = np.meshgrid([0, scene.n_lines - 1], [0, scene.n_samples - 1])
    return Grid(32633, *frame_over(*geometry.image_to_ground(line, sample, HEIGHT_M), 32633, 10.0))


def _ortho(scene: Scene, **options: object) -> OrthoResult:
    with open_product(scene.path) as product:
        return orthorectify(product, _grid(scene), Terrain.constant(HEIGHT_M), **options)  # type: ignore[arg-type]


def _mean_db(result: OrthoResult, band: int = 0) -> float:
    assert result.data is not None
    return float(10.0 * np.log10(np.nanmean(result.data[band].astype(np.float64))))


@pytest.mark.parametrize("ipf_version", ["003.40", "002.84", "002.43", "002.31"])
def test_mean_near_the_noise_floor(ipf_version: str, tmp_path: Path) -> None:
    """-22 dB under noise of -24 dB, with the noise files of all generations."""
    scene = make_sentinel1(_spec(tmp_path, -22.0, ipf_version=ipf_version))
    clean, kept = _ortho(scene), _ortho(scene, noise_removal=False)
    error_db, bias_db = _mean_db(clean) + 22.0, _mean_db(kept) + 22.0
    tell(f"sigma0 of -22 dB, noise -24 dB, IPF {ipf_version}: mean less truth, dB", error_db, "0.05")
    tell(f"the same with its noise in it: mean less truth, dB (expected {_expected_bias_db():.2f})", bias_db, "none")
    assert abs(error_db) < PROMISED_DB
    assert bias_db == pytest.approx(_expected_bias_db(), abs=0.25)  # the noise is -24 dB give or take
    assert clean.properties["noise_removal"] is True
    assert "noise_kept" not in clean.properties
    assert clean.properties["border_noise_masked"] is (ipf_version < "002.90")
    assert (kept.properties["noise_removal"], kept.properties["noise_kept"]) == (False, "not asked for")


def _expected_bias_db() -> float:
    return float(10.0 * np.log10(1.0 + 10.0 ** ((NOISE_DB + 22.0) / 10.0)))


def test_what_is_darker_than_the_noise_is_flagged(tmp_path: Path) -> None:
    """-35 dB under noise of -24 dB: the clamp, after resampling, raises the mean, and all that was clamped is marked.

    Without the clamp the mean is the truth: that is what the loop gives when it is not told that values are powers.
    """
    scene = make_sentinel1(_spec(tmp_path, -35.0))
    result = _ortho(scene, geometry="exact", resampling="bilinear")
    assert result.data is not None
    assert result.mask is not None
    image, mask = result.data[0], result.mask
    floor = (mask & MaskBit.NOISE_FLOOR) > 0
    valid = (mask & MaskBit.VALID) > 0
    np.testing.assert_array_equal(valid, np.isfinite(image))
    np.testing.assert_array_equal(floor, image == 0)
    assert valid.mean() > 0.4, "the noise floor is data"
    assert 0.2 < floor[valid].mean() < 0.6
    tell("sigma0 of -35 dB, noise -24 dB: share of pixels on the noise floor", floor[valid].mean(), "flagged")
    tell("the same: mean that the clamp leaves, less truth, dB", _mean_db(result) + 35.0, "above 0")
    assert _mean_db(result) > -32.0
    unclamped = _unclamped(scene, result.grid)
    mean = unclamped[np.isfinite(unclamped)].mean()
    assert (unclamped < 0).any()
    np.testing.assert_allclose(np.maximum(unclamped, 0.0), image, atol=1e-4 * 10**-2.4)
    tell("the same without the clamp: mean less truth, in units of the noise", (mean - 10**-3.5) / 10**-2.4, "0.005")
    assert mean == pytest.approx(10**-3.5, abs=0.005 * 10**-2.4)


def _unclamped(scene: Scene, grid: Grid) -> NDArray[np.float32]:
    """The loop's values before they are clamped."""
    with open_product(scene.path) as product, product.open_band("vv") as reader:
        source = SourceRing([reader], [sample_values(product, "vv", reader, "sigma0")]).prepare(
            (0, scene.n_lines), (0, scene.n_samples), (0, 0)
        )
        rows, cols = np.indices(grid.shape)
        line, sample = product.sensor_model("vv").ground_to_image(*grid.lonlat(rows, cols), HEIGHT_M)
    out = np.empty((1, *grid.shape), np.float32)
    footprints = np.zeros((grid.n_rows // 64 + 1, grid.n_cols // 64 + 1, 4))
    part, scratch = (0, grid.n_rows, 0, grid.n_cols), np.empty(1, np.float32)
    warp_points(line, sample, part, (0, 0), source, BILINEAR, False, 64, footprints, scratch, out)
    return out[0]


def test_the_noise_floor_is_data_and_the_zeros_around_it_are_not(tmp_path: Path) -> None:
    """A dark scene that fills a part of its frame: data there, flagged or not, and nothing outside."""
    first_line, first_sample, n_lines, n_samples = window = (100, 150, 260, 300)
    scene = make_sentinel1(_spec(tmp_path, -40.0, window=window))
    result = _ortho(scene, resampling="nearest", geometry="exact")
    assert result.mask is not None
    rows, cols = np.indices(result.grid.shape)
    with open_product(scene.path) as product:
        line, sample = product.sensor_model("vv").ground_to_image(*result.grid.lonlat(rows, cols), HEIGHT_M)
    across = np.abs(line - first_line - (n_lines - 1) / 2) - n_lines / 2
    along = np.abs(sample - first_sample - (n_samples - 1) / 2) - n_samples / 2
    beyond = np.maximum(across, along)  # NaN off the image
    valid = (result.mask & MaskBit.VALID) > 0
    assert valid[beyond < -1e-3].all()
    assert not valid[~(beyond < 1e-3)].any()
    floor = (result.mask & MaskBit.NOISE_FLOOR) > 0
    assert 0.3 < floor[valid].mean() < 0.7
    assert not floor[~valid].any()


@pytest.mark.parametrize(
    ("flags", "removed"), [([], True), (["--noise-removal"], True), (["--no-noise-removal"], False)]
)
def test_the_command_and_its_item_say_what_was_done(flags: list[str], removed: bool, tmp_path: Path) -> None:
    scene = make_sentinel1(_spec(tmp_path, -22.0, size_lines_samples=(120, 160), polarisations=("vv", "vh")))
    bounds = [repr(edge) for edge in _grid(scene).bounds]
    where = ["--bounds", *bounds, "--crs", "EPSG:32633", "--spacing", "10", "--height", str(HEIGHT_M)]
    assert main(["ortho", str(scene.path), "-o", str(tmp_path / "out.tif"), *where, *flags]) == 0
    properties = json.loads((tmp_path / "out.json").read_text())["properties"]
    assert properties["orthoburst:noise_removal"] is removed
    assert properties["orthoburst:border_noise_masked"] is False
    assert properties.get("orthoburst:noise_kept") == (None if removed else "not asked for")


@pytest.mark.parametrize("level_db", [-8.0, -12.0])
def test_no_border_pixel_survives_and_no_inner_pixel_dies(level_db: float, tmp_path: Path) -> None:
    """Both polarisations, all four sides, seen through nearest neighbours so that each pixel is one sample."""
    spec = _spec(tmp_path, level_db, ipf_version="002.72", border_noise_px=24, polarisations=("vv", "vh"))
    scene = make_sentinel1(spec)
    result = _ortho(scene, resampling="nearest", geometry="exact")
    assert result.data is not None
    assert result.properties["border_noise_masked"] is True
    rows, cols = np.indices(result.grid.shape)
    with open_product(scene.path) as product:
        line, sample = product.sensor_model("vv").ground_to_image(*result.grid.lonlat(rows, cols), HEIGHT_M)
    inside = imaged(spec, scene.window, np.arange(scene.n_lines), np.arange(scene.n_samples))
    on_image = np.isfinite(line) & (np.abs(line - np.floor(line) - 0.5) > 1e-3)
    on_image &= np.abs(sample - np.floor(sample) - 0.5) > 1e-3
    where = np.rint(line[on_image]).astype(int), np.rint(sample[on_image]).astype(int)
    truth = inside[where]
    wider = replace(spec, border_noise_px=spec.border_noise_px + 5)
    well_inside = imaged(wider, scene.window, np.arange(scene.n_lines), np.arange(scene.n_samples))[where]
    assert 0.05 < 1 - truth.mean() < 0.4
    for band in range(2):
        found = np.isfinite(result.data[band][on_image])
        assert (found & ~truth).sum() == 0, "border survives"
        # At -19 dB (VH of -12) one sample in some hundred is darker than the level: the border may end behind it.
        edge = (truth & ~well_inside).sum() / 5
        assert (~found & well_inside).sum() == 0, "the inside is masked"
        assert (~found & truth).sum() < 0.02 * edge
    # The same border without the mask would be data.
    new = make_sentinel1(replace(spec, out_folder=tmp_path / "new", ipf_version="003.40"))
    assert np.isfinite(_ortho(new, bands=["vv"]).data[0]).mean() > np.isfinite(result.data[0]).mean()  # type: ignore[index]


def test_dark_water_to_the_edge_is_not_taken_for_a_border(tmp_path: Path) -> None:
    """-40 dB: nothing but noise, in a product that might have border noise and has none."""
    old = _ortho(make_sentinel1(_spec(tmp_path / "old", -40.0, ipf_version="002.72")))
    new = _ortho(make_sentinel1(_spec(tmp_path / "new", -40.0)))
    assert old.valid_fraction == pytest.approx(new.valid_fraction, rel=1e-3)
