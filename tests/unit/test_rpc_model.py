"""The RPC model against its slow twin, GDAL, and itself there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthokernel.rpc import RpcCoefficients, RpcModel
from orthokernel.terrain import Terrain
from reference import rpc as twin

SIZE = 20_000


def camera(seed: int = 0, long_off: float = 5.3) -> RpcCoefficients:
    """A slanted camera with every one of its 80 terms at work."""
    rng = np.random.default_rng(seed)

    def terms(linear: tuple[float, float, float], first: float) -> tuple[float, ...]:
        small = rng.uniform(-1, 1, 20) * np.array([1e-3] * 4 + [1e-3] * 6 + [1e-4] * 10)
        small[0], small[1:4] = first, linear
        return tuple(small.tolist())

    return RpcCoefficients(
        line_off=9_999.5,
        line_scale=10_000.0,
        samp_off=9_999.5,
        samp_scale=10_000.0,
        long_off=long_off,
        long_scale=0.13,
        lat_off=44.1,
        lat_scale=0.1,
        height_off=1000.0,
        height_scale=900.0,
        line_num_coeff=terms((0.02, -1.0, 0.03), 1e-4),
        line_den_coeff=terms((1e-3, 1e-3, 1e-3), 1.0),
        samp_num_coeff=terms((0.98, 0.02, -0.05), 1e-4),
        samp_den_coeff=terms((1e-3, -1e-3, 1e-3), 1.0),
    )


inside = st.floats(-0.9, 0.9)


@settings(max_examples=100, deadline=None)
@given(inside, inside, st.floats(-1.5, 1.5), st.integers(0, 5))
def test_ground_to_image_equals_the_twin(u: float, v: float, w: float, seed: int) -> None:
    c = camera(seed)
    ground = c.long_off + u * c.long_scale, c.lat_off + v * c.lat_scale, c.height_off + w * c.height_scale
    line, sample = RpcModel(c, SIZE, SIZE).ground_to_smooth(*ground)
    np.testing.assert_allclose((line, sample), twin.ground_to_image(c, *ground), rtol=1e-12, atol=1e-8)


@settings(max_examples=100, deadline=None)
@given(st.floats(0, SIZE - 1), st.floats(0, SIZE - 1), st.floats(-500, 3000), st.integers(0, 5))
def test_image_to_ground_inverts(line: float, sample: float, height: float, seed: int) -> None:
    model = RpcModel(camera(seed), SIZE, SIZE)
    lon, lat = model.image_to_ground(line, sample, height)
    back_line, back_sample = model.ground_to_image(lon, lat, height)
    assert back_line == pytest.approx(line, abs=1e-6)
    assert back_sample == pytest.approx(sample, abs=1e-6)


def test_across_the_antimeridian_nothing_changes() -> None:
    here, there = RpcModel(camera(), SIZE, SIZE), RpcModel(camera(long_off=179.95), SIZE, SIZE)
    u = np.linspace(-0.12, 0.12, 9)
    expected = here.ground_to_image(5.3 + u, 44.1, 900.0)
    lon = (179.95 + u + 180) % 360 - 180
    assert (lon < 0).any()
    assert (lon > 0).any()
    np.testing.assert_allclose(there.ground_to_image(lon, 44.1, 900.0), expected, atol=1e-6)
    np.testing.assert_allclose(there.image_to_ground(*expected, 900.0)[0], lon, atol=1e-11)


def test_bounds_are_the_edges_of_pixels() -> None:
    model = RpcModel(camera(), SIZE, SIZE)
    line = np.array([-0.499, -0.501, SIZE - 0.501, SIZE - 0.499])
    lon, lat = model.image_to_ground(line, 100.0, 1000.0)
    assert np.isfinite(model.ground_to_image(lon, lat, 1000.0)[0]).tolist() == [True, False, True, False]
    assert np.isfinite(model.ground_to_smooth(lon, lat, 1000.0)[0]).all()
    assert model.break_lines is None


def test_far_ground_has_no_image() -> None:
    """Cubic terms fold the plane: without a limit, ground far away would come back into the image."""
    model = RpcModel(camera(), SIZE, SIZE)
    assert np.isnan(model.ground_to_smooth([15.0, -174.7, np.nan], [44.1, 44.1, 44.1], 0.0)).all()
    assert np.isnan(model.image_to_ground(1e7, 0.0, 0.0)).all()


def test_results_broadcast() -> None:
    model = RpcModel(camera(), SIZE, SIZE)
    line, sample = model.ground_to_image([[5.3], [5.31]], [44.1, 44.11, 44.12], 1000.0)
    assert line.shape == sample.shape == (2, 3)
    assert model.image_to_ground(5.0, 5.0, 5.0)[0].shape == ()


def test_a_crop_and_a_reduced_copy_are_the_same_camera() -> None:
    c = camera()
    full = RpcModel(c, SIZE, SIZE).ground_to_image(5.31, 44.12, 900.0)
    crop = RpcModel(c.rebased(first_line=5000, first_sample=3000), 8000, 8000).ground_to_smooth(5.31, 44.12, 900.0)
    np.testing.assert_allclose((crop[0] + 5000, crop[1] + 3000), full, atol=1e-8)
    small = c.rebased(first_line=0, first_sample=0, line_step=10, sample_step=20)
    reduced = RpcModel(small, 2000, 1000).ground_to_smooth(5.31, 44.12, 900.0)
    # The centre of the first reduced pixel is the middle of ten: 4.5 in the full image.
    np.testing.assert_allclose((reduced[0] * 10 + 4.5, reduced[1] * 20 + 9.5), full, atol=1e-8)


class _Ridge(Terrain):
    """A wall 900 m high, 300 m wide, across flat ground at 200 m: some sight lines pass through it."""

    def __init__(self) -> None:
        self._constant_m = None

    @property
    def spacing_m(self) -> float:
        return 30.0

    def heights(self, lon_deg, lat_deg):  # type: ignore[no-untyped-def]
        lon = np.asarray(lon_deg)
        away_m = np.abs(lon - 5.3) * 80_000
        height = 200 + 900 * np.clip((250 - away_m) / 50, 0, 1)
        return np.where(np.isfinite(lon), height, np.nan), np.zeros(lon.shape, np.uint8)

    def height_range(self, west: float, south: float, east: float, north: float) -> tuple[float, float]:
        return 200.0, 1100.0


def test_the_first_surface_hit_is_found_behind_a_steep_ridge() -> None:
    # 45 degrees off nadir: a metre up moves a metre east.
    c = camera()
    slant = 900.0 / 80_000 / c.long_scale
    terms = [0.0] * 20
    terms[1], terms[3] = 1.0, -slant
    plain = [1.0] + [0.0] * 19
    north = [0.0] * 20
    north[2] = -1.0
    c = RpcCoefficients(
        **{
            **{name: getattr(c, name) for name in c.__dataclass_fields__ if not name.endswith("coeff")},
            "samp_num_coeff": tuple(terms),
            "samp_den_coeff": tuple(plain),
            "line_num_coeff": tuple(north),
            "line_den_coeff": tuple(plain),
        }
    )
    model, terrain = RpcModel(c, SIZE, SIZE), _Ridge()
    # A sight line that reaches flat ground 500 m west of the ridge, coming from the east over and through it.
    sample = model.ground_to_smooth(5.3 - 500 / 80_000, 44.1, 200.0)[1]
    lon, lat, height = model.image_to_terrain(9999.5, sample, terrain)
    away_m = (lon - 5.3) * 80_000
    # It rises a metre per metre: at the ridge's flank, 200 to 250 m east or west of its crest, it meets rock.
    line, back = model.ground_to_smooth(lon, lat, height)
    np.testing.assert_allclose((line, back), (9999.5, sample), atol=1e-6)
    assert height == pytest.approx(terrain.heights(lon, lat)[0], abs=1e-5)
    assert 200 < away_m < 250
    assert 600 < height < 1000


def test_on_a_plane_the_line_of_sight_ends_at_its_height() -> None:
    model = RpcModel(camera(), SIZE, SIZE)
    line, sample = np.meshgrid([0.0, 10_000.0, 19_999.0], [0.0, 10_000.0, np.nan])
    lon, lat, height = model.image_to_terrain(line, sample, Terrain.constant(321.0))
    np.testing.assert_allclose(height[:2], 321.0, atol=1e-6)
    np.testing.assert_allclose((lon[:2], lat[:2]), model.image_to_ground(line[:2], sample[:2], 321.0), atol=1e-11)
    assert np.isnan(height[2]).all()
