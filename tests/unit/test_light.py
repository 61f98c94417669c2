"""The sun's light: what pixels are divided by, and how bright the sun is on a day."""

from __future__ import annotations

import erfa
import numpy as np
import pytest

from orthokernel import Grid
from orthokernel.light import Light, LightNodes, light_over, under_light
from orthokernel.sentinel2.calibration import distance_factor
from reference import light as twin

HERE = Grid.from_bounds(32633, (500_040.0, 4_600_020.0, 503_160.0, 4_602_120.0), 10.0)


def by_place(lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """As a sun over 10 E, 20 N."""
    lat, lon = np.radians(lat_deg), np.radians(lon_deg - 10.0)
    cosine: np.ndarray = np.sin(lat) * np.sin(0.35) + np.cos(lat) * np.cos(0.35) * np.cos(lon)
    return cosine


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-4, -0.1)])
def test_pixels_are_divided_as_the_slow_twin_does(scale: float, shift: float) -> None:
    nodes = light_over(Light(by_place), HERE)
    values = np.random.default_rng(1).uniform(0, 1, (2, 70, 130)).astype(np.float32)
    values[0, 3, 4] = np.nan
    wanted = twin.under_light(values, 17, 29, nodes, scale, shift)
    under_light(values, 17, 29, nodes, scale, shift)
    np.testing.assert_allclose(values, wanted, rtol=2e-7)
    assert np.isnan(values).sum() == 1


def test_where_the_sun_is_down_there_is_no_data() -> None:
    nodes = LightNodes(0, 0, 4, np.array([[0.4, -0.4], [0.4, -0.4]]))
    values = np.ones((1, 2, 4), np.float32)
    under_light(values, 0, 0, nodes, 1.0, 0.0)
    np.testing.assert_array_equal(np.isnan(values[0, 0]), [False, False, True, True])
    nothing = LightNodes(0, 0, 4, np.full((2, 2), np.nan))
    under_light(values, 0, 0, nothing, 1.0, 0.0)
    assert np.isnan(values).all()


def test_between_nodes_it_is_as_at_them_and_windows_agree() -> None:
    whole, part = HERE.window(0, 200, 0, 300), HERE.window(101, 180, 37, 290)
    found = []
    for window in (whole, part):
        values = np.ones((1, *window.shape), np.float32)
        under_light(values, 0, 0, light_over(Light(by_place), window), 1.0, 0.0)
        found.append(values[0])
    np.testing.assert_array_equal(found[0][101:180, 37:290], found[1])
    rows, cols = np.mgrid[0 : whole.n_rows, 0 : whole.n_cols]
    np.testing.assert_allclose(found[0], 1.0 / by_place(*whole.lonlat(rows, cols)), rtol=2e-7)


@pytest.mark.parametrize(("spacing", "most"), [(60.0, 1e-7), (3000.0, 1e-7)])
def test_nodes_are_near_enough_on_coarse_grids(spacing: float, most: float) -> None:
    grid = Grid.from_bounds(32633, (400_200.0, 4_500_000.0, 550_200.0, 4_650_000.0), spacing)
    values = np.ones((1, *grid.shape))
    under_light(values, 0, 0, light_over(Light(by_place), grid), 1.0, 0.0)
    rows, cols = np.mgrid[0 : grid.n_rows, 0 : grid.n_cols]
    assert np.abs(values[0] * by_place(*grid.lonlat(rows, cols)) - 1.0).max() < most


@pytest.mark.parametrize(
    ("day", "annotated"),
    [("2016-01-03", 1.03423414807786), ("2020-06-14", 0.969998121389827), ("2023-06-05", 0.972580970731567)],
)
def test_the_suns_distance_is_reckoned_as_esa_does(day: str, annotated: float) -> None:
    """U of L1C products of these days; astronomy is a little elsewhere."""
    found = distance_factor(np.datetime64(day + "T11:00:00"))
    assert found == pytest.approx(annotated, rel=1.3e-5)
    julian = 2_440_587.5 + np.datetime64(day).astype(int)
    distance_au = np.linalg.norm(erfa.epv00(julian, 0.5)[0]["p"])
    assert found == pytest.approx(distance_au**-2, rel=2e-3)
