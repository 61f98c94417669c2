"""Grids: where their pixels lie, and which are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from orthokernel.errors import GridError
from orthokernel.grid import Grid


def test_mgrs_tile_is_esas() -> None:
    grid = Grid.mgrs("33TTG", spacing_m=10)
    assert grid.epsg == 32633
    assert grid.shape == (10980, 10980)
    assert grid.bounds == (199980, 4590240, 309780, 4700040)
    assert Grid.mgrs("33TTG", 20).shape == (5490, 5490)
    south = Grid.mgrs("19HCC", 60)
    assert (south.epsg, south.bounds[3]) == (32719, 6300000)


def test_bounds_move_outward_to_multiples_of_the_spacing() -> None:
    grid = Grid.from_bounds(32631, (1003, 2004, 1017, 2036), 10)
    assert grid.bounds == (1000, 2000, 1020, 2040)
    exact = Grid.from_bounds(32631, (0.1 + 0.2, 0, 0.9, 0.6), 0.3)
    assert exact.shape == (2, 2)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.floats(1, 1e5),
    st.floats(1, 1e5),
    st.sampled_from([0.5, 10, 60, 7.3]),
)
def test_grids_cover_their_bounds_by_less_than_a_pixel(x: float, y: float, w: float, h: float, spacing: float) -> None:
    left, bottom, right, top = Grid.from_bounds(32631, (x, y, x + w, y + h), spacing).bounds
    slack = 1e-5 * spacing
    assert x - spacing < left + slack
    assert left <= x + slack
    assert right >= x + w - slack
    assert right < x + w + spacing + slack
    assert bottom <= y + slack
    assert top >= y + h - slack


def test_windows_are_parts() -> None:
    grid = Grid.mgrs("33TTG")
    part = grid.window(100, 300, 50, 90)
    assert part.shape == (200, 40)
    np.testing.assert_array_equal(part.xy(0, 0), grid.xy(100, 50))


def test_pixel_centres_go_to_lonlat_and_back() -> None:
    grid = Grid.mgrs("33TTG")
    lon, lat = grid.lonlat([[0], [5000]], [0, 5000, 10979])
    assert lon.shape == (2, 3)
    expected = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform(199985.0, 4700035.0)
    np.testing.assert_allclose((lon[0, 0], lat[0, 0]), expected, atol=1e-12)
    row, col = grid.rowcol(lon, lat)
    np.testing.assert_allclose(row, [[0] * 3, [5000] * 3], atol=1e-6)
    np.testing.assert_allclose(col, [[0, 5000, 10979]] * 2, atol=1e-6)
    x, y = grid.window(0, 2, 0, 3).centres()
    np.testing.assert_array_equal(x, [[199985, 199995, 200005]] * 2)
    np.testing.assert_array_equal(y, [[4700035] * 3, [4700025] * 3])


def test_footprint_is_closed_anticlockwise_and_continuous_at_the_antimeridian() -> None:
    ring = Grid.mgrs("60KZG").footprint_lonlat()
    assert ring.shape == (65, 2)
    np.testing.assert_array_equal(ring[0], ring[-1])
    assert np.abs(np.diff(ring[:, 0])).max() < 1
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0


def test_grid_of_a_raster(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    grid = Grid.from_bounds(32631, (500000, 4000000, 500100, 4000050), 10)
    profile = {"driver": "GTiff", "height": 5, "width": 10, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=grid.transform, **profile) as out:
        out.write(np.ones((5, 10), np.uint8), 1)
    assert Grid.like(path) == grid
    assert hash(Grid.like(path)) == hash(grid)
    assert pickle.loads(pickle.dumps(grid)) == grid


def test_heights_of_a_crs_are_dropped() -> None:
    assert Grid.from_bounds("EPSG:9707", (10, 40, 11, 41), 0.1).epsg == 4326
    assert Grid.from_bounds(4979, (10, 40, 11, 41), 0.1).crs.axis_info[-1].direction == "east"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Grid.mgrs("99TTG"), "zone 99"),
        (lambda: Grid.mgrs("33TTG", 7), "does not divide"),
        (lambda: Grid.mgrs("33TTG", 0), "positive"),
        (lambda: Grid.mgrs("33TTG", float("nan")), "positive"),
        (lambda: Grid.from_bounds(4326, (10, 40, 60, 80), 10), "degrees"),
        (lambda: Grid.from_bounds(32631, (10, 0, 10, 5), 1), "empty"),
        (lambda: Grid.from_bounds(32631, (20, 0, 10, 5), 1), "empty"),
        (lambda: Grid.from_bounds(32631, (0, 0, float("inf"), 5), 1), "finite"),
        (lambda: Grid.from_bounds(32631, (0, 0, 1e7, 1e7), 0.01), "larger than any output"),
        (lambda: Grid.from_bounds(32631, (0, 0, 1e6, 1e6), 1e-12), "too fine"),
        (lambda: Grid.from_bounds("no such thing", (0, 0, 1, 1), 1), "PROJ"),
        (lambda: Grid.from_bounds(5773, (0, 0, 1, 1), 1), "neither"),
        (lambda: Grid(pyproj.CRS(32631), Affine(1, 0, 0, 0, -1, 0), 0, 5), "holds nothing"),
        (lambda: Grid(pyproj.CRS(32631), Affine(0, 0, 0, 0, -1, 0), 5, 5), "inverted"),
        (lambda: Grid.like("absent.tif"), "cannot be read"),
    ],
)
def test_impossible_grids_are_refused(make, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(GridError, match=says):
        make()
