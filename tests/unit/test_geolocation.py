"""Points looked up in arrays of places: against a slow twin, there and back, at poles, seams, folds, gaps and edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthokernel import Grid, errors
from orthokernel.geolocation import APART, REPLACEABLE, Further, GeolocationModel, Positions
from orthokernel.geolocation.places import NODE_STEP_PX, Nodes, nodes_over
from orthokernel.spare import Spare
from reference.geolocation import BruteForce

Array = np.ndarray[Any, Any]
EARTH_M = 6.371e6


def swath(
    n_lines: int, n_samples: int, lon: float, lat: float, heading: float = 200.0, spacing_m: float = 300.0,
    off_px: Array | None = None, mirrored: bool = False,
) -> tuple[Array, Array]:  # fmt: skip
    """Lines along a great circle through a place, samples along others across it; ``off_px`` (2, L, S) moves pixels."""
    line, sample = np.meshgrid(np.arange(n_lines) - n_lines / 2, np.arange(n_samples) - n_samples / 2, indexing="ij")
    if off_px is not None:
        line, sample = line + off_px[0], sample + off_px[1]
    a, b, h = np.radians(lon), np.radians(lat), np.radians(heading)
    up = np.array([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.cross(up, east)
    ahead = np.cos(h) * north + np.sin(h) * east
    right = np.cross(ahead, up) * (-1 if mirrored else 1)
    t, s = (line * spacing_m / EARTH_M)[..., None], (sample * spacing_m / EARTH_M)[..., None]
    n = np.cos(s) * (np.cos(t) * up + np.sin(t) * ahead) + np.sin(s) * right
    lon_rad, lat_rad = np.arctan2(n[..., 1], n[..., 0]), np.arctan2(n[..., 2], np.hypot(n[..., 0], n[..., 1]))
    return np.degrees(lon_rad), np.degrees(lat_rad)


def model_of(lon: Array, lat: Array, **options: Any) -> GeolocationModel:
    return GeolocationModel(Positions(lat, lon), "swath", **options)


places = st.tuples(
    st.one_of(st.floats(-180, 180), st.sampled_from([180.0, -180.0, 0.0])),
    st.one_of(st.floats(-90, 90), st.sampled_from([90.0, -90.0, 89.999, 0.0])),
    st.floats(0, 360),
    st.integers(0, 2**31),
)


@settings(max_examples=40, deadline=None)
@given(places, st.booleans(), st.sampled_from([60.0, 300.0, 1000.0]))
def test_there_and_back(place: tuple[float, float, float, int], mirrored: bool, spacing_m: float) -> None:
    """Whatever is in the image is found where it was, to 1e-4 pixels: over poles, across the antimeridian, mirrored."""
    lon, lat, heading, seed = place
    random = np.random.default_rng(seed)
    off = random.uniform(-0.2, 0.2, (2, 13, 17))
    where = swath(13, 17, lon, lat, heading, spacing_m, off, mirrored)
    model = model_of(*where)
    line, sample = random.uniform(0, 12, 200), random.uniform(0, 16, 200)
    found = model.ground_to_image(*model.image_to_ground(line, sample, 0.0), 0.0)
    np.testing.assert_allclose(found[0], line, atol=1e-4)
    np.testing.assert_allclose(found[1], sample, atol=1e-4)


@settings(max_examples=12, deadline=None)
@given(places)
def test_the_slow_twin_agrees(place: tuple[float, float, float, int]) -> None:
    """Pixels out of place so far that quads flip and fold over others, some missing, some twice."""
    lon, lat, heading, seed = place
    random = np.random.default_rng(seed)
    off = random.uniform(-0.45, 0.45, (2, 9, 11))
    off[:, 4, 5] += random.uniform(-2, 2, 2)
    where = np.array(swath(9, 11, lon, lat, heading, 300.0, off))
    where[:, :, 8] = where[:, :, 7]  # there twice
    where[:, random.integers(0, 9), random.integers(0, 6)] = np.nan
    model, twin = model_of(*where), BruteForce(*where)
    points = np.array(swath(25, 31, lon, lat, heading, 130.0)).reshape(2, -1)[:, :: max(1, seed % 3)]
    line, sample = model.ground_to_image(*points, 0.0)
    for k in range(0, points.shape[1], 5):
        over = twin.quads_over(*points[:, k])
        if not over:
            if np.isfinite(line[k]):  # on a pixel at the edge, or in a fold
                at = twin.nearest_pixel(*points[:, k])
                # In a fold the pixel itself, at the edge of the swath half a pixel around it.
                assert max(abs(line[k] - at[0]), abs(sample[k] - at[1])) <= 0.5 + 1e-9
            continue
        d, twin_line, twin_sample = over[0]
        if len(over) > 1 and over[1][0] - d < 1e-4:
            continue  # equally near on this plane
        assert abs(line[k] - twin_line) < 1e-3, (k, over)
        assert abs(sample[k] - twin_sample) < 1e-3, (k, over)


class TestHoles:
    def test_inside_there_are_none(self) -> None:
        """Where quads of any kind cover the ground, some pixel is found: seams, folds and duplicates included."""
        random = np.random.default_rng(3)
        off = random.uniform(-0.7, 0.7, (2, 24, 26))
        off[1, :, 13:] -= 1.6  # a second camera overlaps
        lon, lat = swath(24, 26, 179.99, 89.9, off_px=off)
        model, twin = model_of(lon, lat), BruteForce(lon, lat)
        assert model.index.counts["bad"] > 20
        points = np.array(swath(60, 60, 179.99, 89.9, spacing_m=90.0)).reshape(2, -1)
        line, _ = model.ground_to_image(*points, 0.0)
        nearest, _ = model.ground_to_nearest(*points)
        covered = np.array([twin.is_covered(*points[:, k]) for k in range(0, 3600, 7)])
        assert covered.mean() > 0.5
        assert np.isfinite(line[::7][covered]).all()
        assert np.isfinite(nearest[::7][covered]).all()

    def test_where_two_cameras_see_the_nearest_counts(self) -> None:
        off = np.zeros((2, 8, 10))
        off[1, :, 5:] -= 1.6  # columns 5 on lie before column 4: the quads between are flipped
        lon, lat = swath(8, 10, 10.0, 45.0, off_px=off)
        model = model_of(lon, lat)
        assert (model.index.counts["bad"], model.index.counts["good"]) == (7, 56)
        # From both sides of the seam, a little inside: each pixel is nearest to its own place.
        line, sample = np.meshgrid(np.arange(1, 7) + 0.05, np.arange(10.0), indexing="ij")
        sample += np.where(sample < 5, -0.05, 0.05)
        sample = np.clip(sample, 0.05, 8.95)
        again = model.ground_to_image(*model.image_to_ground(line, sample, 0.0), 0.0)
        np.testing.assert_allclose(again[0], line, atol=1e-6)
        np.testing.assert_allclose(again[1], sample, atol=1e-6)

    def test_a_missing_pixel_leaves_its_own_place_empty(self) -> None:
        lon, lat = swath(9, 9, 10.0, 45.0)
        lon[4, 4] = np.nan
        model = model_of(lon, lat)
        whole = swath(9, 9, 10.0, 45.0)
        fine = np.array(swath(9 * 8, 9 * 8, 10.0, 45.0, spacing_m=300.0 / 8))
        line, sample = model.ground_to_image(*fine, 0.0)
        true_line, true_sample = model_of(*whole).ground_to_image(*fine, 0.0)
        away = np.maximum(np.abs(true_line - 4), np.abs(true_sample - 4))
        assert np.isnan(line[away < 0.49]).all()
        whole_px = (np.maximum(np.abs(true_line - 4), np.abs(true_sample - 4)) < 4.49) & (away > 0.51)
        assert np.isfinite(line[whole_px]).all()
        near = (away > 0.51) & (away < 0.99)
        np.testing.assert_allclose(line[near], true_line[near], atol=1e-3)
        np.testing.assert_allclose(sample[near], true_sample[near], atol=1e-3)

    def test_fill_values_across_a_gap_are_not_bridged(self) -> None:
        """Two passes in one array: nothing lies between them."""
        lon, lat = swath(20, 8, 10.0, 45.0, heading=180.0)
        lat[10:] -= 0.5
        model = model_of(lon, lat)
        assert model.index.counts["none"] == 7
        gap = np.linspace(lat[9].min() - 0.01, lat[10].max() + 0.01, 50)
        assert np.isnan(model.ground_to_image(10.0, gap, 0.0)[0]).all()


class TestEdges:
    def test_half_a_pixel_and_no_mirror(self) -> None:
        """Pixels end half a pixel outside their centres; beyond, nothing is there, least of all the image again."""
        lon, lat = swath(10, 12, -40.0, 70.0)
        model = model_of(lon, lat)
        wide = np.array(swath(400, 480, -40.0, 70.0, spacing_m=30.0 * 1.0))
        line, sample = model.ground_to_image(*wide, 0.0)
        true_line = np.broadcast_to((np.arange(400)[:, None] - 200) / 10 + 5, line.shape)
        true_sample = np.broadcast_to((np.arange(480)[None, :] - 240) / 10 + 6, line.shape)
        out = np.maximum(np.maximum(-true_line, true_line - 9), np.maximum(-true_sample, true_sample - 11))
        assert np.isnan(line[out > 0.501]).all()
        inside = out < 0.499
        np.testing.assert_allclose(line[inside], true_line[inside], atol=2e-3)
        np.testing.assert_allclose(sample[inside], true_sample[inside], atol=2e-3)

    def test_duplicates_at_the_edge(self) -> None:
        """The last columns repeat the one before: the swath ends half a pixel outside it."""
        lon, lat = swath(10, 12, 5.0, 10.0)
        lon[:, 10:], lat[:, 10:] = lon[:, 9:10], lat[:, 9:10]
        model = model_of(lon, lat)
        line, sample = model.ground_to_image(*np.array(swath(10, 48, 5.0, 10.0, spacing_m=300.0)), 0.0)
        assert np.isfinite(line).any(axis=0).sum() == 10
        assert np.nanmax(sample) <= 9.5 + 1e-6


class TestSameEverywhere:
    def test_windows_of_a_map_share_their_pixels(self) -> None:
        """To the last bit, wherever the map is cut and whatever thread does it; over folds too."""
        random = np.random.default_rng(5)
        off = random.uniform(-0.5, 0.5, (2, 60, 70))
        lon, lat = swath(60, 70, 9.0, 45.0, off_px=off)
        model = model_of(lon, lat)
        grid = Grid.from_bounds(32632, (490_000.0, 4_970_000.0, 512_000.0, 4_998_000.0), 100.0)
        whole = {nearest: located(model, grid, nearest, 2) for nearest in (False, True)}
        assert np.isfinite(whole[False][0]).mean() > 0.3
        for window in ((0, 100, 0, 90), (37, 199, 51, 203), (100, 101, 0, 220), (13, 280, 90, 91)):
            part = grid.window(*window)
            for nearest in (False, True):
                found = located(model, part, nearest)
                cut = np.s_[window[0] : window[1], window[2] : window[3]]
                np.testing.assert_array_equal(found[0], whole[nearest][0][cut])
                np.testing.assert_array_equal(found[1], whole[nearest][1][cut])

    def test_a_walk_ends_where_a_search_does(self) -> None:
        """Row by row, each pixel from its neighbour, or each on its own: the same."""
        lon, lat = swath(80, 90, 9.0, 45.0, off_px=np.random.default_rng(6).uniform(-0.3, 0.3, (2, 80, 90)))
        model = model_of(lon, lat)
        grid = Grid.from_bounds(32632, (490_000.0, 4_975_000.0, 510_000.0, 4_995_000.0), 130.0)
        rows = located(model, grid)
        order = np.random.default_rng(1).permutation(grid.n_rows * grid.n_cols)
        row, col = np.unravel_index(order, grid.shape)
        points = model.ground_to_image(*grid.lonlat(row, col), 0.0)
        for by_row, alone in zip(rows, points, strict=True):
            np.testing.assert_array_equal(np.isnan(by_row[row, col]), np.isnan(alone))
            np.testing.assert_allclose(by_row[row, col], alone, atol=1e-7)

    @pytest.mark.parametrize(
        ("crs", "bounds", "spacing"),
        [
            (32632, (100_000.0, 6_700_000.0, 400_000.0, 7_000_000.0), 300.0),
            (4326, (178.0, 60.0, 182.0, 63.0), 0.003),
            (4326, (-10.0, 88.0, 10.0, 90.0), 0.003),
            (3995, (-300_000.0, -300_000.0, 300_000.0, 300_000.0), 1000.0),
        ],
    )
    def test_places_between_nodes(self, crs: int, bounds: tuple[float, float, float, float], spacing: float) -> None:
        """Within 1e-9 degrees of what PROJ says of each pixel."""
        grid = Grid.from_bounds(crs, bounds, spacing)
        lon, lat = grid.lonlat(grid.n_rows / 2, grid.n_cols / 2)
        model = model_of(*swath(10, 10, float(lon), float(lat)))
        # Positions on the plane are 1 mm apart, and a bilinear model of its own places is a fair judge of the rest.
        plane, nodes = model.index.plane, nodes_over(grid, model.index.plane)
        row, col = np.random.default_rng(0).integers(0, grid.shape, (2000, 2)).T
        x, y = places_of(nodes, row, col)
        exact = plane.place(*grid.lonlat(row, col))
        assert max(np.abs(x - exact[0]).max(), np.abs(y - exact[1]).max()) * plane.unit < np.radians(1e-9)

    def test_the_pole_itself(self) -> None:
        """A map of degrees that ends at the pole: no node lies beyond it, and no pixel is lost."""
        model = model_of(*swath(200, 200, 30.0, 89.95, spacing_m=300.0))
        grid = Grid.from_bounds(4326, (-180.0, 89.9, 180.0, 90.0), 0.005)
        line, sample = located(model, grid)
        rows, cols = np.arange(grid.n_rows)[:, None], np.arange(0, grid.n_cols, 97)[None, :]
        alone = model.ground_to_image(*grid.lonlat(rows, cols), 0.0)
        assert np.isfinite(line[:18]).all()
        np.testing.assert_allclose(line[:, ::97], alone[0], atol=1e-6)
        np.testing.assert_allclose(sample[:, ::97], alone[1], atol=1e-6)


def located(model: GeolocationModel, grid: Grid, nearest: bool = False, threads: int = 1) -> tuple[Array, Array]:
    """Line and sample of all pixels of a map, and that their ends are what is said of them."""
    line, sample, *ends = model.locate_window(nodes_over(grid, model.index.plane), nearest, threads, Spare(np.float64))
    for values, (low, high) in zip((line, sample), ends, strict=True):
        known = values[np.isfinite(values)]
        assert (low, high) == ((known.min(), known.max()) if known.size else (np.inf, -np.inf))
    return line, sample


def places_of(nodes: Nodes, row: Array, col: Array) -> tuple[Array, Array]:
    """Where pixels of a window are on the plane by its nodes, or by PROJ where it has none."""
    r, c = (row - nodes.row) / NODE_STEP_PX, (col - nodes.col) / NODE_STEP_PX
    i, j = np.floor(r).astype(int), np.floor(c).astype(int)
    found = np.zeros((2, len(row)))
    for di, wi in enumerate(_lagrange(r - i)):
        for dj, wj in enumerate(_lagrange(c - j)):
            found += wi * wj * nodes.xy[:, i + di, j + dj]
    exact = np.array(nodes.plane.place(*nodes.window.lonlat(row, col)))
    without = ~np.isfinite(found)
    assert without.mean() < 0.2
    return tuple(np.where(without, exact, found))  # type: ignore[return-value]


def _lagrange(t: Array) -> list[Array]:
    nodes = np.array([-1.0, 0.0, 1.0, 2.0])
    return [np.prod([(t - m) / (n - m) for m in nodes if m != n], axis=0) for n in nodes]


class TestMarks:
    def test_pixels_apart_are_never_interpolated_from(self) -> None:
        """A duplicate that has a place of its own: around it the other pixels count as they are."""
        lon, lat = swath(8, 12, 10.0, 45.0)
        marks = np.zeros((8, 12), np.uint8)
        marks[3, 6] = APART
        model = model_of(lon, lat, marks=marks)
        line, sample = model.ground_to_image(*np.array(swath(80, 120, 10.0, 45.0, spacing_m=30.0)), 0.0)
        whole = model_of(lon, lat).ground_to_image(*np.array(swath(80, 120, 10.0, 45.0, spacing_m=30.0)), 0.0)
        assert (np.isnan(line) == np.isnan(whole[0])).all()
        touched = (np.abs(whole[0] - 3) < 0.999) & (np.abs(whole[1] - 6) < 0.999)
        assert touched.sum() > 200
        assert (line[touched] == np.rint(line[touched])).all()
        assert (sample[touched] == np.rint(sample[touched])).all()
        assert not ((line == 3) & (sample == 6))[touched].any()
        beyond = (np.abs(whole[0] - 3) > 1.001) | (np.abs(whole[1] - 6) > 1.001)
        np.testing.assert_allclose(line[beyond], whole[0][beyond], atol=1e-9)

    def test_further_measurements(self) -> None:
        """The nearest counts; instead of a replaceable pixel any on its place does."""
        lon, lat = swath(8, 12, 10.0, 45.0)
        plane = model_of(lon, lat)
        # One a quarter pixel right of pixel (3, 5), one 0.4 pixels right of pixel (5, 2).
        where = plane.image_to_ground([3.0, 5.0], [5.25, 2.4], 0.0)
        further = Further(*where, np.array([3, 5], np.int32), np.array([12, 13], np.int32))
        marks = np.zeros((8, 12), np.uint8)
        marks[5, 2] = REPLACEABLE
        model = model_of(lon, lat, marks=marks, further=further, n_samples=14)

        def at(line: float, sample: float) -> tuple[float, float]:
            found = model.ground_to_nearest(*plane.image_to_ground(line, sample, 0.0))
            return float(found[0]), float(found[1])

        assert at(3.0, 5.10) == (3, 5)  # nearer to the pixel
        assert at(3.0, 5.15) == (3, 12)
        assert at(3.1, 5.30) == (3, 12)
        assert at(3.0, 5.70) == (3, 6)
        assert at(5.0, 2.0) == (5, 13)  # a better measurement on the same pixel
        assert at(5.0, 1.6) == (5, 2)  # too far from it
        bilinear = model.ground_to_image(*plane.image_to_ground(3.0, 5.25, 0.0), 0.0)
        assert bilinear[1] == pytest.approx(5.25, abs=1e-6)


class TestNothingToGoBy:
    @pytest.mark.parametrize("value", [np.nan, 1e30])
    def test_fill_values_throughout(self, value: float) -> None:
        with pytest.raises(errors.GeolocationError, match="no place on the ground of any four neighbouring pixels"):
            model_of(np.full((8, 8), value), np.full((8, 8), value))

    def test_one_place_for_all(self) -> None:
        with pytest.raises(errors.GeolocationError):
            model_of(np.full((8, 8), 10.0), np.full((8, 8), 45.0))

    def test_one_line(self) -> None:
        lon, lat = swath(2, 8, 10.0, 45.0)
        with pytest.raises(errors.GeolocationError):
            model_of(lon[:1], lat[:1])

    def test_whole_numbers_with_a_fill_value(self) -> None:
        """As files have them, a line of fill values in the middle and bogus places at a corner."""
        lon, lat = (np.rint(part * 1e6).astype(np.int32) for part in swath(12, 12, 10.0, 45.0))
        lon[6], lat[6] = -(2**31), -(2**31)
        lon[0, 0], lat[0, 0] = 0, 0
        model = GeolocationModel(Positions(lat, lon, 1e-6, 1e-6, -(2.0**31)), "swath")
        found = model.ground_to_image(lon * 1e-6, lat * 1e-6, 0.0)
        expected = np.broadcast_to(np.arange(12.0)[:, None], (12, 12)).copy()
        known = np.ones((12, 12), bool)
        known[6], known[0, 0] = False, False
        np.testing.assert_allclose(found[0][known], expected[known], atol=2e-3)
        assert np.isnan(found[0][~known]).all()
