"""The mean backscatter of flat simulated scenes is what was put in: within 0.05 dB, however it is resampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from figures import tell
from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from localdev.scene.ellipsoid import to_earth_centred
from localdev.scene.radar import RadarGeometry
from orthokernel import Grid, Terrain, open_product, orthorectify
from realdata import real_data
from reference.targets import frame_over

pytestmark = pytest.mark.parallel

PROMISED_DB = 0.05
LEVEL_DB = -11.0
LOOKS = 4.4
HEIGHT_M = 300.0


def _db(power: float) -> float:
    return float(10.0 * np.log10(power))


def _statistical_error_db(n_samples: int) -> float:
    """Standard error of the mean of as many speckled samples, relative to it 1 / sqrt(looks x samples)."""
    return _db(1.0 + (LOOKS * n_samples) ** -0.5)


def _geometry(scene: Scene) -> RadarGeometry:
    return read_geometry(parse(next((scene.path / "annotation").glob("*-vv-*.xml"))))


def _grid(scene: Scene, spacing_m: float) -> Grid:
    """The whole of what the scene fills."""
    first_line, first_sample, lines, samples = scene.window
    line, sample = np.meshgrid([first_line, first_line + lines - 1], [first_sample, first_sample + samples - 1])
    lonlat = _geometry(scene).image_to_ground(line, sample, HEIGHT_M)
    return Grid(32633, *frame_over(*lonlat, 32633, spacing_m))


def _values(scene: Scene, spacing_m: float, resampling: str, radiometry: str = "sigma0") -> NDArray[np.float64]:
    with open_product(scene.path) as product:
        result = orthorectify(
            product,
            _grid(scene, spacing_m),
            Terrain.constant(HEIGHT_M),
            bands=["vv"],
            resampling=resampling,  # type: ignore[arg-type]
            radiometry=radiometry,  # type: ignore[arg-type]
        )
    assert result.data is not None
    return result.data[0].astype(np.float64)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("flat"),
            size_lines_samples=(600, 800),
            flat_height_m=HEIGHT_M,
            law="sigma0",
            level_db=LEVEL_DB,
            speckle_looks=LOOKS,
            noise_db=None,
        )
    )


@pytest.fixture(scope="module")
def strip(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Narrow and 60 km long in range, without speckle: the incidence angle changes by 3.5 degrees."""
    return make_sentinel1(
        SceneSpec(
            tmp_path_factory.mktemp("strip"),
            size_lines_samples=(60, 6000),
            flat_height_m=HEIGHT_M,
            law="sigma0",
            level_db=LEVEL_DB,
            speckle_looks=None,
            noise_db=None,
        )
    )


@pytest.mark.parametrize(("resampling", "spacing_m"), [("bilinear", 10.0), ("average", 60.0)])
def test_mean_of_a_speckled_scene(flat: Scene, resampling: str, spacing_m: float) -> None:
    """Interpolating DN and squaring afterwards would lose 0.13 dB here."""
    values = _values(flat, spacing_m, resampling)
    valid = np.isfinite(values)
    assert valid.sum() * spacing_m**2 == pytest.approx(600 * 800 * 10.0**2, rel=0.03)
    mean_db, error_db = _db(values[valid].mean()), _statistical_error_db(600 * 800)
    tell(f"Flat scene, {resampling} to {spacing_m:.0f} m: mean sigma0 less truth, dB", mean_db - LEVEL_DB, "0.05")
    assert error_db < 0.02
    assert mean_db == pytest.approx(LEVEL_DB, abs=PROMISED_DB)


def test_average_keeps_the_looks_of_all_samples(flat: Scene) -> None:
    """36 samples of 4.4 looks make 158; bilinear has those of its four samples.

    More than 158 are found: the track is turned against the map, so that neighbours share samples at their edges.
    """
    looks = {}
    for resampling in ("average", "bilinear"):
        values = _values(flat, 60.0, resampling)
        inner = values[np.isfinite(values)]
        looks[resampling] = inner.mean() ** 2 / inner.var()
    print(f"looks at 60 m: {looks['average']:.0f} averaged, {looks['bilinear']:.0f} bilinear")
    assert looks["average"] == pytest.approx(36 * LOOKS, rel=0.25)
    assert looks["bilinear"] < 30.0


def test_backscatter_follows_the_incidence_angle(strip: Scene) -> None:
    """sigma0 = beta0 sin(incidence), gamma0 = beta0 tan(incidence), and sigma0 is level from near to far range."""
    grid = _grid(strip, 60.0)
    beta, sigma, gamma = (_values(strip, 60.0, "nearest", kind) for kind in ("beta0", "sigma0", "gamma0"))
    row, col = np.nonzero(np.isfinite(sigma))
    point = to_earth_centred(*grid.lonlat(row, col), HEIGHT_M)
    geometry = _geometry(strip)
    time, _ = geometry.arc.zero_doppler(point)
    incidence_deg, _ = geometry.angles(time, point)
    incidence = np.radians(incidence_deg)
    assert np.ptp(incidence_deg) > 3.0
    beta, sigma, gamma = beta[row, col], sigma[row, col], gamma[row, col]
    np.testing.assert_allclose(sigma / beta, np.sin(incidence), rtol=2e-4)
    np.testing.assert_allclose(gamma / beta, np.tan(incidence), rtol=2e-4)
    for part in np.array_split(np.argsort(incidence), 10):
        assert _db(sigma[part].mean()) == pytest.approx(LEVEL_DB, abs=PROMISED_DB)


@pytest.mark.real
@pytest.mark.parametrize("noise_db", [None, -24.0])
def test_mean_by_a_real_calibration(noise_db: float | None, tmp_path: Path) -> None:
    """In Rome's frame, across the seam of two sub-swaths, with the look-up tables ESA delivered.

    With noise it is ESA's own that is in the pixels, and is taken off again.
    """
    scene = make_sentinel1(
        SceneSpec(
            tmp_path,
            annotation_safe=next(real_data("sentinel1", "rome").glob("S1B_IW_GRDH*.SAFE")),
            window=(4000, 8800, 300, 400),
            flat_height_m=HEIGHT_M,
            law="sigma0",
            level_db=LEVEL_DB,
            speckle_looks=LOOKS,
            noise_db=noise_db,
        )
    )
    assert _statistical_error_db(300 * 400) < 0.02
    noise = "without noise" if noise_db is None else "less ESA's noise"
    for resampling, spacing_m in (("bilinear", 10.0), ("average", 60.0)):
        values = _values(scene, spacing_m, resampling)
        mean_db = _db(np.nanmean(values))
        tell(
            f"Rome's tables {noise}, {resampling} to {spacing_m:.0f} m: mean sigma0 less truth, dB",
            mean_db - LEVEL_DB,
            "0.05",
        )
        assert mean_db == pytest.approx(LEVEL_DB, abs=PROMISED_DB)
