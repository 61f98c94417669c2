"""What must hold for any orbit, mode, place and grid: poles and antimeridian included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyproj
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from orthokernel.blocks import may_reach
from orthokernel.grid import Grid
from orthokernel.lattice import TOLERANCE_PX, build_lattice
from orthokernel.resampling import resampling_of, source_px_per_pixel
from orthokernel.sentinel1.annotation import parse_annotation
from orthokernel.sentinel1.product import _footprint
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from reference.s1_scene import Scene, annotation_xml, slow_model

MODES = {
    "IW": Scene(mode="IW", n_lines=16_000, n_samples=25_000, sample_spacing_m=10.0, near_ground_range_m=350e3),
    "EW": Scene(
        mode="EW",
        n_lines=10_000,
        n_samples=10_000,
        sample_spacing_m=40.0,
        line_interval_s=5.9e-3,
        near_ground_range_m=220e3,
        orbit_margin_s=100.0,
    ),
    **{
        f"S{beam}": Scene(
            mode=f"S{beam}",
            n_lines=16_000,
            n_samples=8_000,
            sample_spacing_m=10.0,
            near_ground_range_m=near_m,
            record_jump_m=60.0,
        )
        for beam, near_m in ((1, 220e3), (3, 350e3), (6, 560e3))
    },
    "S3F": Scene(
        mode="S3",
        n_lines=40_000,
        n_samples=22_000,
        sample_spacing_m=3.5,
        line_interval_s=5.2e-4,
        near_ground_range_m=350e3,
        record_jump_m=60.0,
    ),
}
"""Whole frames; geometry only, so that their size costs nothing."""

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: making a frame's annotation takes a second, and every example says all there is to know."""

ANY_ORBIT = {
    "mode": st.sampled_from(sorted(MODES)),
    "argument_deg": st.floats(0.0, 360.0),
    "node_lon_deg": st.floats(-180.0, 180.0),
    "seed": st.integers(0, 2**32 - 1),
}


def _scene(mode: str, argument_deg: float, node_lon_deg: float) -> Scene:
    return replace(MODES[mode], argument_deg=argument_deg, node_lon_deg=node_lon_deg)


def _model(scene: Scene, kind: str = "linear") -> RangeDopplerModel:
    return RangeDopplerModel(parse_annotation(annotation_xml(scene), "made"), kind)  # type: ignore[arg-type]


def _points(scene: Scene, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    line = rng.uniform(-0.49, scene.n_lines - 0.51, n)
    sample = rng.uniform(-0.49, scene.n_samples - 0.51, n)
    return line, sample, rng.uniform(-100.0, 8000.0, n)


@settings(max_examples=12, deadline=None, phases=QUICK)
@given(**ANY_ORBIT)
def test_both_directions_agree_with_each_other_and_with_the_slow_twin(
    mode: str, argument_deg: float, node_lon_deg: float, seed: int
) -> None:
    scene = _scene(mode, argument_deg, node_lon_deg)
    model = _model(scene)
    made = slow_model(scene)
    # tau_mid is fitted to 12 times written to the microsecond: right to that, and no matter of the two directions
    assert abs(model.tau_mid_s - made.tau_mid_s) < 1e-6
    slow = replace(made, tau_mid_s=model.tau_mid_s)
    line, sample, height_m = _points(scene, 300, seed)
    lon_deg, lat_deg = model.image_to_ground(line, sample, height_m)
    back_line, back_sample = model.ground_to_image(lon_deg, lat_deg, height_m)
    assert np.abs(back_line - line).max() < 1e-6
    assert np.abs(back_sample - sample).max() < 1e-6
    for k in range(2):
        found = slow.ground_to_image(float(lon_deg[k]), float(lat_deg[k]), float(height_m[k]))
        assert abs(found[0] - line[k]) < 1e-4
        assert abs(found[1] - sample[k]) < 1e-4


@settings(max_examples=25, deadline=None, phases=QUICK)
@example(
    mode="S1",
    argument_deg=143.0,
    node_lon_deg=168.0,
    seed=928,
    map_system="polar",
    spacing_m=40.0,
    low_m=0.0,
    relief_m=5000.0,
    where=(0.89, 0.16),
)  # a parabola in height stays 0.1 px off
@given(
    **ANY_ORBIT,
    map_system=st.sampled_from(["utm", "polar"]),
    spacing_m=st.sampled_from([10.0, 20.0, 40.0, 60.0]),
    low_m=st.floats(-100.0, 3000.0),
    relief_m=st.floats(0.0, 5000.0),
    where=st.tuples(st.floats(-0.1, 1.1), st.floats(-0.1, 1.1)),
)
def test_lattice_stays_within_a_hundredth_of_a_pixel_on_any_grid(
    mode: str,
    argument_deg: float,
    node_lon_deg: float,
    seed: int,
    map_system: str,
    spacing_m: float,
    low_m: float,
    relief_m: float,
    where: tuple[float, float],
) -> None:
    """A block of the size that the loop takes, somewhere in the image or over its edge."""
    scene = _scene(mode, argument_deg, node_lon_deg)
    model = _model(scene)
    lon, lat = model.image_to_ground(where[0] * scene.n_lines, where[1] * scene.n_samples, low_m)
    if map_system == "utm" and abs(lat) < 84.0:
        epsg = (32600 if lat >= 0 else 32700) + int((lon + 180.0) // 6.0) % 60 + 1
    else:
        epsg = 3413 if lat >= 0 else 3031
        if abs(lat) < 50.0:
            epsg = 6933  # an equal-area cylinder: no polar map there
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", epsg, always_xy=True).transform(float(lon), float(lat))
    grid = Grid.from_bounds(
        epsg, (x - 1000 * spacing_m, y - 256 * spacing_m, x + 1000 * spacing_m, y + 256 * spacing_m), spacing_m
    )
    lattice = build_lattice(model, grid, low_m, low_m + relief_m)
    assert lattice.error_px <= TOLERANCE_PX
    rng = np.random.default_rng(seed)
    row, col = rng.uniform(0, grid.n_rows - 1, 500), rng.uniform(0, grid.n_cols - 1, 500)
    height_m = rng.uniform(low_m, low_m + relief_m, 500)
    exact = model.ground_to_smooth(*grid.lonlat(row, col), height_m)
    inside = np.isfinite(model.ground_to_image(*grid.lonlat(row, col), height_m)[0])
    for reached, true in zip(lattice.at(row, col, height_m), exact, strict=True):
        assert np.max(np.abs(reached - true)[inside], initial=0.0) < TOLERANCE_PX
    if inside.any():
        assert lattice.reaches_image
        assert may_reach(model, grid)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_the_image_shows_once(mode: str) -> None:
    """Along the line of sight from 200 km before the swath to behind the horizon the sample only rises."""
    scene = MODES[mode]
    model = _model(scene)
    lon_deg, lat_deg = model.image_to_ground(800.0, np.array([0.0, scene.n_samples - 1.0]), 0.0)
    earth = pyproj.Geod(ellps="WGS84")
    azimuth_deg, _, swath_m = earth.inv(lon_deg[0], lat_deg[0], lon_deg[1], lat_deg[1])
    distance_m = np.linspace(-200e3, 4000e3, 3000)
    n = distance_m.size
    lon, lat, _ = earth.fwd(np.full(n, lon_deg[0]), np.full(n, lat_deg[0]), np.full(n, azimuth_deg), distance_m)
    for height_m in (0.0, 8000.0):
        _, smooth = model.ground_to_smooth(lon, lat, height_m)
        assert (np.diff(smooth[np.isfinite(smooth)]) > 0).all()
        _, sample = model.ground_to_image(lon, lat, height_m)
        seen_m = distance_m[np.isfinite(sample)]
        assert seen_m.size
        assert seen_m.max() < swath_m + 30e3


PLACES = {
    "equator, antimeridian": {"mode": "EW", "argument_deg": 0.3, "node_lon_deg": 176.0},
    "northernmost": {"mode": "EW", "argument_deg": 90.0, "node_lon_deg": 40.0},
    "northernmost, antimeridian": {"mode": "EW", "argument_deg": 85.0, "node_lon_deg": -125.0},
    "southernmost": {"mode": "EW", "argument_deg": 270.0, "node_lon_deg": 120.0},
    "south, antimeridian": {"mode": "S1", "argument_deg": 240.0, "node_lon_deg": 18.2},
}


class Plateau:
    """Level ground, everywhere."""

    def heights(self, lon_deg: np.ndarray, lat_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(np.shape(lon_deg), 2000.0), np.zeros(np.shape(lon_deg), np.uint8)

    def height_range(self, west: float, south: float, east: float, north: float) -> tuple[float, float]:
        assert -180.0 <= west <= 180.0
        assert -180.0 <= east <= 180.0
        assert south < north
        assert (east - west) % 360.0 < 200.0, "an area across the antimeridian must stay one area"
        return 2000.0, 2000.0


@pytest.mark.parametrize("where", sorted(PLACES))
def test_footprint_and_terrain_at_poles_and_antimeridian(where: str) -> None:
    scene = _scene(**PLACES[where])  # type: ignore[arg-type]
    annotation = parse_annotation(annotation_xml(scene), "made")
    model = RangeDopplerModel(annotation)
    ring = _footprint(annotation.geolocation)
    assert np.array_equal(ring[0], ring[-1])
    lon = np.unwrap(ring[:, 0], period=360.0)
    assert np.ptp(lon) < 180.0
    assert lon[0] == pytest.approx(lon[-1]), "the ring goes round a pole"
    assert np.sum(lon[:-1] * ring[1:, 1] - lon[1:] * ring[:-1, 1]) > 0, "clockwise"
    line, sample, _ = _points(scene, 60, 3)
    hit = model.image_to_terrain_hits(line, sample, Plateau())  # type: ignore[arg-type]
    assert np.abs(hit.height_m - 2000.0).max() < 1e-3
    assert not hit.layover.any()
    back = model.ground_to_image(hit.lon_deg, hit.lat_deg, hit.height_m)
    assert np.abs(back[0] - line).max() < 1e-4
    assert np.abs(back[1] - sample).max() < 1e-4
    crosses = (hit.lon_deg > 170.0).any() and (hit.lon_deg < -170.0).any()
    assert crosses == ("antimeridian" in where)


@pytest.mark.parametrize(
    ("mode", "spacing_m", "method", "span_px"),
    [
        ("EW", 10.0, "bilinear", 0.25),
        ("EW", 20.0, "bilinear", 0.5),
        ("EW", 40.0, "bilinear", 1.0),
        ("EW", 60.0, "bilinear", 1.5),
        ("EW", 70.0, "average", 1.75),
        ("EW", 120.0, "average", 3.0),
        ("S3F", 10.0, "average", 2.9),
        ("S1", 10.0, "bilinear", 1.0),
    ],
)
def test_average_begins_where_a_pixel_spans_several_samples(
    mode: str, spacing_m: float, method: str, span_px: float
) -> None:
    """What counts is the product's own spacing: 60 m are coarse for IW and hardly for EW."""
    scene = replace(MODES[mode], argument_deg=60.0)
    model = _model(scene)
    middle = model.image_to_ground(scene.n_lines / 2, scene.n_samples / 2, 0.0)
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", 3413, always_xy=True).transform(*map(float, middle))
    grid = Grid.from_bounds(3413, (x, y, x + 400 * spacing_m, y + 400 * spacing_m), spacing_m)
    found = source_px_per_pixel(model, grid, 0.0)
    assert found == pytest.approx(span_px, rel=0.15)
    assert resampling_of(None, found) == method
