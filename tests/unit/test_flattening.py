"""Terrain flattening on small made scenes: the walk's twin, windows bit for bit, layover, shadow, voids, sea, edges."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.transform import from_origin

from orthokernel.ellipsoid import geodetic_to_ecef
from orthokernel.flattening import (
    LAYOVER,
    LEAST_AREA,
    SHADOW,
    VISIBLE,
    RadarAreas,
    ellipsoid_incidence,
    local_incidence,
)
from orthokernel.flattening.nodes import profile_nodes, reach_of, slant_ranges
from orthokernel.flattening.walk import walk_lines
from orthokernel.lattice import break_table
from orthokernel.sentinel1 import solver
from orthokernel.sentinel1.annotation import parse_annotation
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.terrain import Terrain
from reference import flattening as slow
from reference.s1_scene import Scene, annotation_xml, slow_model

SCENE = Scene(n_lines=600, n_samples=800, sample_spacing_m=10.0, record_jump_m=12.0)
STEP_DEG = 1.0 / 3600.0
DEM_ROWS, DEM_COLS = 420, 420


@lru_cache(maxsize=1)
def model() -> RangeDopplerModel:
    return RangeDopplerModel(parse_annotation(annotation_xml(SCENE), "made"))


def write_dem(path: Path, heights: np.ndarray, step_deg: float = STEP_DEG, nodata: float = -32768.0) -> Path:
    """A DEM centred on the image."""
    lon, lat = (float(v) for v in model().image_to_ground(SCENE.n_lines / 2, SCENE.n_samples / 2, 0.0))
    n_rows, n_cols = heights.shape
    west = round(lon / step_deg - n_cols / 2) * step_deg
    north = round(lat / step_deg + n_rows / 2) * step_deg
    profile = {"driver": "GTiff", "height": n_rows, "width": n_cols, "count": 1, "dtype": "float32", "nodata": nodata}
    transform = from_origin(west, north, step_deg, step_deg)
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as sink:
        sink.write(heights.astype(np.float32), 1)
    return path


def rough(seed: int = 1, relief_m: float = 1500.0, shape: tuple[int, int] = (DEM_ROWS, DEM_COLS)) -> np.ndarray:
    """Random mountains, steep enough for layover and shadow."""
    wave = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal(shape))
    heights = np.fft.irfft2(noise / (0.01**2 + wave**2) ** 1.1, s=shape)
    return relief_m * (heights - heights.min()) / np.ptp(heights)


def profile_dem(path: Path, of_flat: tuple[list[float], list[float]], step_deg: float = STEP_DEG / 3) -> Path:
    """Heights that are a function of the flat sample alone, linear between the points given."""
    path = write_dem(path, np.zeros((900, 900)), step_deg)
    with rasterio.open(path) as source:
        x, y = source.transform @ np.meshgrid(np.arange(900) + 0.5, np.arange(900) + 0.5)
    _, flat = model().ground_to_smooth(x, y, 0.0)
    return write_dem(path, np.interp(flat, *of_flat), step_deg)


@pytest.fixture(scope="module")
def mountains(tmp_path_factory: pytest.TempPathFactory) -> Terrain:
    """Mountains with two voids, one of them at the near edge, and sea all around."""
    heights = rough(relief_m=2500.0)
    heights[200:230, 190:240] = -32768.0
    heights[100:110, 60:200] = -32768.0
    return Terrain(write_dem(tmp_path_factory.mktemp("dem") / "dem.tif", heights), None, "nodata")


@pytest.mark.parametrize("oversampling", [1, 2])
@pytest.mark.parametrize("line", [0, 77, 290, 331])
def test_the_walk_equals_its_twin(mountains: Terrain, line: int, oversampling: int) -> None:
    samples = np.arange(100, 700)
    flat0, flat1 = -300, 1300
    first, n_points = flat0 * oversampling, (flat1 - flat0) * oversampling
    nodes, dem = profile_nodes(model(), mountains, (line, line + 1), (flat0, flat1 + 1), (100, 700), 1)
    area, factor = (np.empty((1, samples.size), np.float32) for _ in range(2))
    visibility = np.empty((1, n_points // oversampling), np.uint8)
    walk_lines(
        nodes,
        dem,
        break_table(model().break_lines),
        line,
        first,
        n_points,
        oversampling,
        int(samples[0]),
        flat0,
        area,
        factor,
        visibility,
    )
    height, sample, angle = slow.profile(nodes, dem, model().break_lines, line, first, n_points, oversampling)
    slant_m, spacing_m = slow.slant_spacing(model(), line, samples)
    expected = slow.lit_angles(height, sample, angle, samples) * slant_m / spacing_m
    np.testing.assert_allclose(area[0], expected, rtol=1e-6, atol=1e-6)
    known = expected >= LEAST_AREA * 1.00001
    np.testing.assert_allclose(factor[0, known], 1.0 / expected[known], rtol=2e-6)
    assert np.isnan(factor[0, ~(expected >= LEAST_AREA * 0.99999)]).all()
    np.testing.assert_array_equal(visibility[0], slow.seen(sample, angle)[::oversampling])
    assert {SHADOW, LAYOVER, VISIBLE} <= set(visibility.ravel())
    assert np.isnan(expected).any() == (line >= 290)


def test_nodes_agree_with_the_model(mountains: Terrain) -> None:
    """Positions and look angles between nodes, against the exact model and the orbit."""
    nodes, dem = profile_nodes(model(), mountains, (100, 101), (0, 800), (0, 800), 1)
    height, sample, angle = slow.profile(nodes, dem, model().break_lines, 100, 0, 800, 1)
    slant_m, _ = slow.slant_spacing(model(), 100, np.arange(800))
    assert np.isfinite(height).all()
    assert np.ptp(height) > 500.0
    # Where line and sample of a point at its height lie, that height is found again.
    lon, lat = model().image_to_ground(100.0, sample, height)
    found, _ = mountains.heights(lon, lat)
    assert np.abs(found - height).max() < 0.5
    # Between the points that tell how far to lean, 80 m apart, it is off by 0.01 lines on slopes like these.
    assert np.median(np.abs(found - height)) < 0.06
    # The look angle by the triangle of Earth's centre, satellite and ground.
    for k in range(0, 800, 37):
        x = np.array(geodetic_to_ecef.py_func(lon[k], lat[k], height[k]))
        range_m = np.interp(sample[k], np.arange(800), slant_m) if 0 < sample[k] < 799 else None
        if range_m is None:
            continue
        m = model()
        time_s = 100.0 * m.line_interval_s + range_m / solver.SPEED_OF_LIGHT_M_S - 0.5 * m.tau_mid_s
        u = (time_s - m.orbit.centre_s) / m.orbit.half_span_s
        s = np.polynomial.polynomial.polyval(u, m.orbit.position_m)
        cosine = (s - x) @ s / np.linalg.norm(s - x) / np.linalg.norm(s)
        assert angle[k] == pytest.approx(math.acos(cosine), abs=2e-7)  # 0.2 m across the sight line


@pytest.fixture(scope="module")
def plateau(tmp_path_factory: pytest.TempPathFactory) -> Terrain:
    """The same mountains 3 km higher, reaching beyond all that can show in the image."""
    heights = 3000.0 + rough(relief_m=2500.0, shape=(1500, 1500))
    return Terrain(write_dem(tmp_path_factory.mktemp("plateau") / "dem.tif", heights), None, "nodata")


@settings(max_examples=25, deadline=None)
@given(
    line0=st.integers(-20, 590),
    n_lines=st.integers(1, 90),
    sample0=st.integers(-100, 790),
    n_samples=st.integers(1, 200),
    more=st.tuples(*[st.integers(0, 150)] * 4),
    oversampling=st.sampled_from([1, 2]),
    high=st.booleans(),
)
def test_windows_agree_bit_for_bit(
    mountains: Terrain,
    plateau: Terrain,
    line0: int,
    n_lines: int,
    sample0: int,
    n_samples: int,
    more: tuple[int, int, int, int],
    oversampling: int,
    high: bool,
) -> None:
    terrain = plateau if high else mountains
    areas = RadarAreas(model(), terrain, oversampling)
    small = areas.over((line0, line0 + n_lines), (sample0, sample0 + n_samples))
    large = areas.over((line0 - more[0], line0 + n_lines + more[1]), (sample0 - more[2], sample0 + n_samples + more[3]))
    here = np.s_[more[0] : more[0] + n_lines, more[2] : more[2] + n_samples]
    np.testing.assert_array_equal(small.area, large.area[here])
    np.testing.assert_array_equal(small.factor, large.factor[here])
    # Flags are promised for ground that shows in the window: told by the twin, on one line.
    flat0, n_flat = small.flat_sample0, small.visibility.shape[1]
    flats = flat0, flat0 + n_flat + 1
    nodes, dem = profile_nodes(model(), terrain, (line0, line0 + 1), flats, (sample0, sample0 + 1), 1)
    _, sample, _ = slow.profile(nodes, dem, model().break_lines, line0, flat0, n_flat, 1)
    shows = np.flatnonzero((sample >= sample0 - 0.5) & (sample <= sample0 + n_samples - 0.5))
    theirs = large.visibility[more[0], shows + flat0 - large.flat_sample0]
    np.testing.assert_array_equal(small.visibility[0, shows], theirs)


def test_threads_and_chunks_change_nothing(mountains: Terrain, monkeypatch: pytest.MonkeyPatch) -> None:
    areas = RadarAreas(model(), mountains)
    whole = areas.over((0, 300), (200, 500))
    monkeypatch.setattr("orthokernel.flattening.areas.get_num_threads", lambda: 1)
    monkeypatch.setattr("orthokernel.flattening.areas.CHUNK_LINES", 37)
    cut = areas.over((0, 300), (200, 500))
    for name in ("area", "factor", "visibility"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))


def lines_of_flat(height_of_flat: tuple[list[float], list[float]], flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smooth sample and look angle of a profile, point by point through the exact model, on line 300."""
    m = model()
    lines, samples = np.full(flat.size, 300.0), flat
    # The flat sample as an image sample: the inverse takes true samples, so the correction is undone by iteration.
    height = np.interp(flat, *height_of_flat)
    true = samples.copy()
    for _ in range(6):
        lon, lat = m.image_to_ground(lines, true, 0.0)
        true += samples - m.ground_to_smooth(lon, lat, 0.0)[1]
    lon, lat = m.image_to_ground(lines, true, 0.0)
    _, smooth = m.ground_to_smooth(lon, lat, height)
    look = m.look_vectors(lon, lat, height)
    return smooth, np.degrees(np.arccos(look[2]))


def test_a_ridge_in_layover_and_its_shadow_end_where_geometry_says(tmp_path: Path) -> None:
    """A front of 51 degrees under sight of 27, a back of 79: layover from crest and foot, then shadow."""
    foot, crest, back, height_m = 400.0, 440.0, 450.0, 500.0
    shape = ([0.0, foot, crest, back, 2000.0], [0.0, 0.0, height_m, 0.0, 0.0])
    terrain = Terrain(profile_dem(tmp_path / "ridge.tif", shape), None)
    window = RadarAreas(model(), terrain, 1).over((300, 301), (100, 700))
    flat = window.flat_sample0 + np.arange(window.visibility.shape[1])
    row = window.visibility[0]
    fine = np.arange(200.0, 800.0, 0.25)
    smooth, incidence_deg = lines_of_flat(shape, fine)
    crest_smooth = float(np.interp(crest, fine, smooth))
    near_end = crest_smooth  # flat ground at height 0 shows at its own flat sample
    theta = math.radians(float(np.interp(foot, fine, incidence_deg)))
    assert crest_smooth == pytest.approx(crest - height_m / math.tan(theta) / 10.0, abs=1.5)
    layover = flat[(row & LAYOVER) != 0]
    assert layover.min() == pytest.approx(near_end, abs=2.0)
    beyond = fine[(fine > crest) & (smooth < foot)]
    assert layover.max() == pytest.approx(beyond.max(), abs=2.0)
    assert (row[(flat > near_end + 2) & (flat < crest)] & LAYOVER).all()
    # Shadow: from the crest's back to where the sight line over the crest meets the ground behind.
    shadow = flat[(row & SHADOW) != 0]
    at_crest = math.radians(float(np.interp(crest, fine, incidence_deg)))
    behind = crest + height_m * math.tan(at_crest) / 10.0
    assert shadow.min() == pytest.approx(crest, abs=2.0)
    assert shadow.max() == pytest.approx(behind, abs=2.0)
    free = (flat < near_end - 2) | (flat > max(beyond.max(), behind) + 2)
    assert (row[free] == VISIBLE).all()
    # Where crest and foot share samples there is more ground, where only shadow falls there is none.
    area = window.area[0]
    flat_area = float(np.median(area[:100]))
    assert area[round(crest_smooth) + 5 - 100 : round(foot) - 5 - 100].min() > 2.0 * flat_area


def test_nothing_lit_is_zero_area_and_no_factor(tmp_path: Path) -> None:
    """Behind a ramp that ends in a cliff all samples from the crest's to the shadow's end hold no lit ground."""
    shape = ([0.0, 300.0, 400.0, 401.0, 2000.0], [0.0, 0.0, 500.0, 0.0, 0.0])
    terrain = Terrain(profile_dem(tmp_path / "cliff.tif", shape), None)
    window = RadarAreas(model(), terrain).over((300, 310), (0, 800))
    dark = window.area == 0.0
    smooth, incidence_deg = lines_of_flat(shape, np.array([400.0]))
    behind = 400.0 + 50.0 * math.tan(math.radians(float(incidence_deg[0])))
    assert dark[0].sum() == pytest.approx(behind - float(smooth[0]), abs=3.0)
    assert np.isnan(window.factor[dark]).all()
    assert np.isfinite(window.factor[window.area > LEAST_AREA]).all()
    assert not np.isnan(window.area).any()
    # All ground that is lit is counted once: the areas of the line add up to the angle between first and last sight.
    flat = RadarAreas(model(), Terrain.constant(0.0)).over((300, 310), (0, 800))
    assert window.area[0].sum() == pytest.approx(flat.area[0].sum(), rel=2e-3)


def test_flat_ground_has_the_cotangent_of_the_incidence_angle() -> None:
    for height_m in (-100.0, 0.0, 2500.0):
        window = RadarAreas(model(), Terrain.constant(height_m)).over((-3, 603), (-5, 805))
        line, sample = np.array([[0.0], [250.0], [599.0]]), np.linspace(0, 799, 7)
        lon, lat = model().image_to_ground(line, sample, height_m)
        cosine = model().look_vectors(lon, lat, height_m)[2]
        expected = cosine / np.sqrt(1.0 - cosine**2)
        got = window.area[np.ix_([3, 253, 602], np.round(sample).astype(int) + 5)]
        np.testing.assert_allclose(got, expected, rtol=1.5e-3)  # 0.0065 dB
        assert (window.visibility == VISIBLE).all()


def test_voids_leave_their_samples_unknown_and_the_sea_is_flat(tmp_path: Path) -> None:
    heights = np.zeros((DEM_ROWS, DEM_COLS))
    heights[200:215, 200:215] = -32768.0
    void = Terrain(write_dem(tmp_path / "void.tif", heights), None, "nodata")
    window = RadarAreas(model(), void).over((0, 600), (0, 800))
    flat = RadarAreas(model(), Terrain.constant(0.0)).over((0, 600), (0, 800))
    unknown = np.isnan(window.area)
    # 15 cells of 30.9 m by 15 of about 22 m: 1480 samples of 100 m2, and those cut by the rim.
    cosine = math.cos(math.radians(float(model().image_to_ground(300.0, 400.0, 0.0)[1])))
    covered = 15 * 30.9 * 15 * 30.9 * cosine / 100.0
    assert covered < unknown.sum() < 1.15 * covered + 200
    assert np.isnan(window.factor[unknown]).all()
    # Nothing else differs: the DEM of zeros, the sea around it and the constant are one surface.
    np.testing.assert_array_equal(window.area[~unknown], flat.area[~unknown])
    assert (window.visibility == 0).any()
    assert set(np.unique(window.visibility)) == {0, VISIBLE}


def test_the_lattice_goes_on_beyond_near_and_far_edge(mountains: Terrain) -> None:
    """The first and last samples hold ground that lies beyond the swath on the ellipsoid."""
    whole = RadarAreas(model(), mountains).over((250, 300), (-200, 1000))
    assert whole.flat_sample0 < -200
    assert np.isfinite(whole.area[:, [200, 999]]).all()
    assert (whole.area >= 0.0).all() or np.isnan(whole.area).any()


def test_an_oversampling_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        RadarAreas(model(), Terrain.constant(0.0), 3)


def test_reaches_bound_what_the_model_does() -> None:
    """On ground up to 9 km high, and below the ellipsoid, near and far."""
    reach = reach_of(model())
    line, sample = np.array([[0.0], [599.0]]), np.linspace(-500.0, 1300.0, 9)
    lon, lat = model().image_to_ground(line, sample, 0.0)
    _, flat = model().ground_to_smooth(lon, lat, 0.0)
    for height_m in (-500.0, 100.0, 3000.0, 9000.0):
        drawn = (flat - model().ground_to_smooth(lon, lat, height_m)[1]) / height_m
        assert drawn.max() < reach.layover
        assert drawn.min() > reach.least_layover
    incidence = np.arccos(model().look_vectors(lon, lat, 0.0)[2])
    assert np.tan(incidence).max() / SCENE.sample_spacing_m < reach.shadow < 1.3 * np.tan(incidence).max() / 10.0
    assert reach.correction == np.abs(model().break_lines.correction_px).max()


def test_look_vectors_point_at_the_slow_orbit() -> None:
    twin = slow_model(SCENE)
    to_ecef = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    for line, sample, height_m in ((0.0, 0.0, 0.0), (300.0, 400.0, 2500.0), (599.0, 799.0, -50.0)):
        lon, lat = (float(v) for v in model().image_to_ground(line, sample, height_m))
        time_s, range_m = twin.zero_doppler(lon, lat, height_m)
        point = np.array(to_ecef.transform(lon, lat, height_m))
        above = np.array(to_ecef.transform(lon, lat, height_m + 1.0)) - point
        east = np.cross([0.0, 0.0, 1.0], above) / np.linalg.norm(np.cross([0.0, 0.0, 1.0], above))
        sight = (twin.orbit(time_s)[0] - point) / range_m
        expected = [sight @ east, sight @ np.cross(above, east), sight @ above]
        np.testing.assert_allclose(model().look_vectors(lon, lat, height_m), expected, atol=1e-7)
    assert np.isnan(model().look_vectors(lon + 180.0, -lat, 0.0)).all()
    assert model().look_vectors(np.full((2, 3), lon), lat, 0.0).shape == (3, 2, 3)


def test_slant_ranges_invert_the_smooth_sample() -> None:
    sample = np.linspace(-600.0, 1500.0, 50)
    slant_m, slope_m = slant_ranges(model(), sample)
    lon, lat = model().image_to_ground(300.0, np.linspace(0.0, 799.0, 20), 0.0)
    _, smooth = model().ground_to_smooth(lon, lat, 0.0)
    twin = slow_model(SCENE)
    ranges = [twin.zero_doppler(float(a), float(b), 0.0)[1] for a, b in zip(lon, lat, strict=True)]
    np.testing.assert_allclose(slant_ranges(model(), smooth)[0], ranges, atol=2e-3)
    np.testing.assert_allclose(np.gradient(slant_m, sample)[1:-1], slope_m[1:-1], rtol=1e-3)
    assert np.isnan(slant_ranges(model(), np.array([np.nan]))[0]).all()


def test_local_incidence_is_nan_where_a_height_is_missing_and_right_on_slopes() -> None:
    """Planes of known tilt under a sight line of known direction, on a grid of 10 m without distortion."""
    tilt, theta = math.radians(20.0), math.radians(35.0)
    nodes = np.zeros((10, 2, 2))
    nodes[0], nodes[2] = math.sin(theta) / 10.0, math.cos(theta)  # the satellite stands towards higher columns
    nodes[6] = nodes[8] = 0.01
    col, row = np.meshgrid(np.arange(10.0), np.arange(10.0))
    out = np.empty((8, 8), np.float32)
    for heights, expected in (
        (0.0 * col, 35.0),
        (-10.0 * math.tan(tilt) * col, 15.0),
        (10.0 * math.tan(tilt) * col, 55.0),
        (10.0 * math.tan(math.radians(60.0)) * col, 95.0),
        (10.0 * math.tan(tilt) * row, math.degrees(math.acos(math.cos(theta) * math.cos(tilt)))),
    ):
        local_incidence(heights.astype(np.float32), nodes, 32, out)
        np.testing.assert_allclose(out, expected, atol=2e-3)
    heights = np.zeros((10, 10), np.float32)
    heights[4, 4] = np.nan
    local_incidence(heights, nodes, 32, out)
    assert np.isnan(out).sum() == 5
    ellipsoid_incidence(np.zeros((10, 10), np.float32), nodes, 32, out)
    np.testing.assert_allclose(out, 35.0, atol=1e-4)
    local_incidence(np.zeros((10, 10), np.float32), np.full_like(nodes, np.nan), 32, out)
    assert np.isnan(out).all()


def test_a_dem_finer_than_the_samples_is_averaged_to_them(tmp_path: Path) -> None:
    """A plane is the same plane in cells of 30 m, 8 m (two profile points a sample) and 3 m (averaged by three)."""
    areas = {}
    for n, fine in ((300, 1), (1200, 4), (3000, 10)):
        step = STEP_DEG / fine
        row, col = np.mgrid[0:n, 0:n] * (300.0 / n)
        terrain = Terrain(
            write_dem(tmp_path / f"plane{fine}.tif", 200.0 + 4.0 * (col - 150.0) - 3.0 * (row - 150.0), step), None
        )
        radar = RadarAreas(model(), terrain)
        assert radar.oversampling == (1 if fine == 1 else 2)
        # The plane's corner lies half a cell off, which moves it by some height but does not tilt it.
        areas[fine] = radar.over((250, 350), (350, 450)).area
    assert np.ptp(areas[1]) < 0.02
    np.testing.assert_allclose(areas[4], areas[1], rtol=2e-3)
    np.testing.assert_allclose(areas[10], areas[1], rtol=2e-3)
