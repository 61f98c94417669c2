"""The simulator's own geometry: ellipsoid, made orbits, frames."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyproj
import pytest

from localdev.scene.ellipsoid import normal, to_earth_centred, to_geodetic
from localdev.scene.frame import inverse_record, make_geometry, make_grid
from localdev.scene.modes import INCIDENCE_DEG, IW_MID_SWATH_S, ModeName, mode_of
from localdev.scene.orbit import OrbitArc, orbit_past
from localdev.scene.radar import RadarGeometry

START = datetime(2024, 3, 10, 5, 11, 22, 594441)
RANGE_M = 879e3


def frame(*, ascending: bool = False, offset_lines: int = 0, shape: tuple[int, int] = (3000, 4000)) -> RadarGeometry:
    mode = mode_of("IW", None, None)
    return make_geometry(12.5, 42.0, shape, START, ascending=ascending, mode=mode, offset_lines=offset_lines)[0]


def test_earth_centred_positions_are_those_of_proj() -> None:
    lon, lat, height = np.array([12.5, -71.0, 179.9]), np.array([42.0, -33.0, 80.0]), np.array([10.0, 4000.0, -50.0])
    proj = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    expected = np.stack(proj.transform(lon, lat, height), axis=-1)
    point = to_earth_centred(lon, lat, height)
    np.testing.assert_allclose(point, expected, atol=1e-6)
    back = to_geodetic(point)
    np.testing.assert_allclose(back, (lon, lat, height), rtol=0, atol=1e-8)


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("lat", [-60.0, 0.0, 42.0, 70.0])
def test_orbit_passes_the_place_abeam_on_its_right(lat: float, ascending: bool) -> None:
    orbit = orbit_past(12.5, lat, RANGE_M, ascending=ascending)
    states = orbit.states(np.arange(-75.0, 76.0, 10.0))
    point = to_earth_centred(12.5, lat, 0.0)
    time, distance = OrbitArc(states, 0.0).zero_doppler(point)
    assert abs(float(time)) < 1e-6
    assert float(distance) == pytest.approx(RANGE_M, abs=1e-3)
    middle = orbit.states(0.0)
    right = np.cross(-middle.position_m[0], middle.velocity_m_s[0])
    assert (point - middle.position_m[0]) @ right > 0
    assert (middle.velocity_m_s[0, 2] > 0) == ascending


def test_velocities_are_the_derivative_of_the_positions() -> None:
    orbit = orbit_past(12.5, 42.0, RANGE_M, ascending=False)
    step = 0.01
    around = orbit.states(np.array([10.0 - step, 10.0, 10.0 + step]))
    slope = (around.position_m[2] - around.position_m[0]) / (2 * step)
    np.testing.assert_allclose(around.velocity_m_s[1], slope, atol=1e-5)


def test_interpolated_orbit_is_the_made_one() -> None:
    orbit = orbit_past(12.5, 42.0, RANGE_M, ascending=False)
    arc = OrbitArc(orbit.states(np.arange(-75.0, 76.0, 10.0)), 0.0)
    times = np.linspace(-15, 15, 31)
    true = orbit.states(times)
    np.testing.assert_allclose(arc.position(times), true.position_m, atol=1e-4)
    np.testing.assert_allclose(arc.velocity(times), true.velocity_m_s, atol=1e-6)


def test_a_place_no_orbit_sees_is_refused() -> None:
    with pytest.raises(ValueError, match="latitude"):
        orbit_past(0.0, 85.0, RANGE_M, ascending=False)


@pytest.mark.parametrize("choice", ["linear", "nearest"])
def test_image_to_ground_inverts_ground_to_image(choice: str) -> None:
    geometry = frame()
    line, sample = (part.ravel() for part in np.mgrid[0:2999:7j, 0:3999:9j])
    lon, lat = geometry.image_to_ground(line, sample, 1234.0, choice)  # type: ignore[arg-type]
    back = geometry.ground_to_image(lon, lat, 1234.0, choice)  # type: ignore[arg-type]
    np.testing.assert_allclose(back, (line, sample), atol=1e-6)


def test_frame_is_centred_on_the_place_and_pixels_are_ten_metres() -> None:
    geometry = frame()
    line, sample = geometry.ground_to_image(12.5, 42.0, 0.0)
    assert float(line) == pytest.approx(1499.5, abs=0.01)
    assert float(sample) == pytest.approx(1999.5, abs=0.2)
    lon, lat = geometry.image_to_ground(np.array([1500.0, 1501.0, 1500.0]), np.array([2000.0, 2000.0, 2001.0]), 0.0)
    point = to_earth_centred(lon, lat, 0.0)
    assert np.linalg.norm(point[1] - point[0]) == pytest.approx(10.0, abs=0.1)
    assert np.linalg.norm(point[2] - point[0]) == pytest.approx(10.0, abs=0.01)


def test_line_time_differs_from_zero_doppler_time_by_the_bistatic_term() -> None:
    geometry = frame()
    lon, lat = geometry.image_to_ground(100.0, 3999.0, 0.0)
    time, distance = geometry.arc.zero_doppler(to_earth_centred(lon, lat, 0.0))
    two_way = 2.0 * distance / 299792458.0
    assert float(time) - 100.0 * geometry.line_interval_s == pytest.approx(0.5 * (two_way - IW_MID_SWATH_S), abs=1e-10)
    assert float(two_way) > IW_MID_SWATH_S


def test_neighbouring_slices_share_pass_and_samples() -> None:
    first, second = frame(), frame(offset_lines=2900)
    lon, lat = first.image_to_ground(np.array([2950.0, 2999.0]), np.array([10.0, 3900.0]), 300.0)
    line, sample = second.ground_to_image(lon, lat, 300.0)
    # Times are written to the microsecond (0.0007 line). Records of the two slices fall at different moments.
    np.testing.assert_allclose(line, [50.0, 99.0], atol=1e-3)
    np.testing.assert_allclose(sample, [10.0, 3900.0], atol=0.02)


def test_inverse_record_undoes_the_record() -> None:
    geometry = frame()
    near, coefficients = inverse_record(geometry.records, 1, geometry.span_m)
    ground = np.linspace(0, geometry.span_m, 50)
    slant, _ = geometry.records.slant_range(1, ground, geometry.span_m)
    np.testing.assert_allclose(np.polynomial.polynomial.polyval(slant - near, coefficients), ground, atol=1e-3)


def test_grid_has_the_angles_of_the_look() -> None:
    grid = make_grid(frame(), 100.0)
    assert grid.line.size == 210
    assert np.all((grid.incidence_deg > 36) & (grid.incidence_deg < 42))
    # On a sphere: sin(incidence) / orbital radius = sin(elevation) / ground radius.
    ratio = np.sin(np.radians(grid.incidence_deg)) / np.sin(np.radians(grid.elevation_deg))
    np.testing.assert_allclose(ratio, 7071.0 / 6369.0, atol=4e-3)
    assert normal(0.0, 90.0)[2] == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "swath"), [("IW", "IW"), ("EW", "EW"), *(("SM", f"S{beam}") for beam in range(1, 7))])
def test_a_whole_frame_of_each_mode_spans_its_incidence_angles(name: ModeName, swath: str) -> None:
    """The guide's angles are for orbits of all altitudes: a degree or two."""
    mode = mode_of(name, swath, None)
    lines, samples = mode.full_frame
    geometry = make_geometry(12.5, 42.0, (lines, samples), START, ascending=True, mode=mode)[0]
    incidence_deg = make_grid(geometry, 0.0).incidence_deg
    near, far = INCIDENCE_DEG[swath]
    assert incidence_deg.min() == pytest.approx(near, abs=2.2)
    assert incidence_deg.max() == pytest.approx(far, abs=2.2)
    lon, lat = geometry.image_to_ground(np.array([5.0, 6.0, 5.0]), np.array([9.0, 9.0, 10.0]), 0.0)
    point = to_earth_centred(lon, lat, 0.0)
    assert np.linalg.norm(point[2] - point[0]) == pytest.approx(mode.spacing_m, rel=2e-3)
    assert np.linalg.norm(point[1] - point[0]) == pytest.approx(mode.spacing_m, rel=3e-2)


@pytest.mark.parametrize(("name", "swath", "resolution"), [("IW", "S3", None), ("SM", "IW", None), ("EW", None, "F")])
def test_a_product_that_does_not_exist_is_refused(name: ModeName, swath: str | None, resolution: None) -> None:
    with pytest.raises(ValueError, match=name):
        mode_of(name, swath, resolution)
