"""The range-Doppler model against its slow twin, and what must hold for any orbit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthokernel.errors import AnnotationError
from orthokernel.sentinel1.annotation import Annotation, parse_annotation
from orthokernel.sentinel1.quicklook import QuicklookModel
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from reference.break_lines import correction_px
from reference.s1_scene import Scene, annotation_xml, slow_model

ORBITS = [
    Scene(),
    Scene(argument_deg=135.0, mission="S1C"),
    Scene(argument_deg=91.0, node_lon_deg=-90.0, mode="EW", sample_spacing_m=150.0),  # 81 degrees north
    Scene(argument_deg=0.3, node_lon_deg=175.6, sample_spacing_m=80.0),  # across the antimeridian, on the equator
]


def annotation_of(scene: Scene) -> Annotation:
    return parse_annotation(annotation_xml(scene), "made")


def image_points(scene: Scene, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.uniform(-0.49, scene.n_lines - 0.51, n),
        rng.uniform(-0.49, scene.n_samples - 0.51, n),
        rng.uniform(-400.0, 8000.0, n),
    )


def east_deg(lon_deg: np.ndarray, other_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """How far apart two longitudes are, in degrees of the equator: a degree near the pole is short."""
    return np.abs((lon_deg - other_deg + 180.0) % 360.0 - 180.0) * np.cos(np.radians(lat_deg))


@pytest.mark.parametrize("scene", ORBITS, ids=lambda scene: f"{scene.mission}-{scene.argument_deg:g}")
@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_both_directions_agree_with_the_slow_twin(scene: Scene, kind: str) -> None:
    model, slow = RangeDopplerModel(annotation_of(scene), kind), slow_model(scene)
    line, sample, height_m = image_points(scene, 6, 1)
    lon_deg, lat_deg = model.image_to_ground(line, sample, height_m)
    for index in range(line.size):
        point = float(lon_deg[index]), float(lat_deg[index]), float(height_m[index])
        slow_line, slow_sample = slow.ground_to_image(*point, kind)
        # the fit of tau_mid from microsecond times costs 2e-5 line
        assert abs(slow_line - line[index]) < 1e-4
        assert abs(slow_sample - sample[index]) < 1e-4
        slow_lon_deg, slow_lat_deg = slow.image_to_ground(line[index], sample[index], height_m[index], kind)
        assert east_deg(slow_lon_deg, lon_deg[index], slow_lat_deg) < 1e-7
        assert abs(slow_lat_deg - lat_deg[index]) < 1e-7


@pytest.mark.parametrize("scene", ORBITS, ids=lambda scene: f"{scene.mission}-{scene.argument_deg:g}")
def test_nearest_records_reproduce_the_annotated_grid(scene: Scene) -> None:
    annotation = annotation_of(scene)
    grid = annotation.geolocation
    lon_deg, lat_deg = RangeDopplerModel(annotation, "nearest").image_to_ground(grid.line, grid.sample, 0.0)
    assert np.max(east_deg(lon_deg, grid.lon_deg, grid.lat_deg)) < 1e-7  # a centimetre
    assert np.abs(lat_deg - grid.lat_deg).max() < 1e-7


@settings(max_examples=8, deadline=None)
@given(
    argument_deg=st.floats(0.0, 360.0),
    node_lon_deg=st.floats(-180.0, 180.0),
    kind=st.sampled_from(["linear", "nearest"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_there_and_back_is_the_same_point(argument_deg: float, node_lon_deg: float, kind: str, seed: int) -> None:
    scene = Scene(argument_deg=argument_deg, node_lon_deg=node_lon_deg)
    model = RangeDopplerModel(annotation_of(scene), kind)
    line, sample, height_m = image_points(scene, 400, seed)
    lon_deg, lat_deg = model.image_to_ground(line, sample, height_m)
    back_line, back_sample = model.ground_to_image(lon_deg, lat_deg, height_m)
    assert np.abs(back_line - line).max() < 1e-6
    # a point on the switch between two records may land on its other side
    away = (
        np.abs(((model.conversion.record_line[:, None] - line) % (1.0 / scene.line_interval_s)) - 333.33).min(0) > 0.01
    )
    assert np.abs(back_sample - sample)[away | (kind == "linear")].max() < 1e-6


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_smooth_sample_and_break_lines_make_the_exact_sample(kind: str) -> None:
    scene = Scene(sample_spacing_m=80.0)
    model = RangeDopplerModel(annotation_of(scene), kind)
    line, sample, height_m = image_points(scene, 300, 5)
    point = (*model.image_to_ground(line, sample, height_m), height_m)
    smooth_line, smooth_sample = model.ground_to_smooth(*point)
    assert np.abs(smooth_line - line).max() < 1e-6
    assert np.abs(smooth_sample - sample).max() > 1.0, "the records do not jump, this scene tests nothing"
    corrected = smooth_sample + [
        correction_px(model.break_lines, *where) for where in zip(smooth_line, smooth_sample, strict=True)
    ]
    assert np.abs(corrected - sample).max() < 1e-4


def test_smooth_coordinates_go_on_steadily_beyond_the_edges() -> None:
    scene = Scene(sample_spacing_m=80.0)
    model = RangeDopplerModel(annotation_of(scene))
    sample = np.linspace(-0.4 * scene.n_samples, 1.4 * scene.n_samples, 400)
    line = np.full_like(sample, -0.2 * scene.n_lines)
    smooth_line, smooth_sample = model.ground_to_smooth(*model.image_to_ground(line, sample, 100.0), 100.0)
    assert np.abs(smooth_line - line).max() < 1e-6
    assert np.abs(np.diff(smooth_sample) / np.diff(sample) - 1.0).max() < 0.02
    assert np.isnan(model.ground_to_image(*model.image_to_ground(line, sample, 100.0), 100.0)).all()


def test_image_ends_half_a_pixel_beyond_the_last_centre() -> None:
    scene = Scene()
    model = RangeDopplerModel(annotation_of(scene))
    line = np.array([-0.49, -0.51, scene.n_lines - 0.51, scene.n_lines - 0.49, 5.0, 5.0])
    sample = np.array([5.0, 5.0, 5.0, 5.0, -0.51, scene.n_samples - 0.51])
    found, _ = model.ground_to_image(*model.image_to_ground(line, sample, 0.0), 0.0)
    assert np.isnan(found).tolist() == [False, True, False, True, True, False]


def test_points_the_radar_never_sees_are_nan() -> None:
    scene = Scene()
    model, slow = RangeDopplerModel(annotation_of(scene)), slow_model(scene)
    lon_deg, lat_deg = model.image_to_ground(800.0, 700.0, 0.0)
    nadir = slow.orbit(1.2)[0]
    mirror_lon_deg = 2.0 * np.degrees(np.arctan2(nadir[1], nadir[0])) - lon_deg  # left of the track
    assert np.isfinite(model.ground_to_smooth(lon_deg, lat_deg, 0.0)).all()
    for lon, lat in ((mirror_lon_deg, lat_deg), (lon_deg + 180.0, -lat_deg), (lon_deg, lat_deg - 40.0), (np.nan, 0.0)):
        assert np.isnan(model.ground_to_smooth(lon, lat, 0.0)).all()
    assert np.isnan(model.image_to_ground(1e7, 0.0, 0.0)).all()
    assert np.isnan(model.image_to_ground(0.0, -1e5, 0.0)).all()


def test_arguments_broadcast_and_many_points_equal_one() -> None:
    model = RangeDopplerModel(annotation_of(Scene()))
    line, sample = np.mgrid[0:1600:3, 0:1500:2]  # enough points for several threads
    lon_deg, lat_deg = model.image_to_ground(line, sample, 30.0)
    assert lon_deg.shape == line.shape
    one = model.image_to_ground(line[77, 99], sample[77, 99], 30.0)
    assert one[0].shape == ()
    assert (float(one[0]), float(one[1])) == (lon_deg[77, 99], lat_deg[77, 99])
    back = model.ground_to_image(lon_deg[:, :1], lat_deg[:, :1], np.array([[30.0, 40.0]]))
    assert back[0].shape == (line.shape[0], 2)


class Hill:
    """A terrain with a cone of 3 km whose radar-facing side is steep enough for layover."""

    def __init__(self, lon_deg: float, lat_deg: float) -> None:
        self.lon_deg, self.lat_deg = lon_deg, lat_deg

    def heights(self, lon_deg: np.ndarray, lat_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        east_m = (lon_deg - self.lon_deg) * 111e3 * np.cos(np.radians(self.lat_deg))
        north_m = (lat_deg - self.lat_deg) * 111e3
        height_m = 50.0 + np.maximum(3000.0 - 1.6 * np.hypot(east_m, north_m), 0.0)
        return height_m, np.zeros(height_m.shape, np.uint8)

    def height_range(self, west: float, south: float, east: float, north: float) -> tuple[float, float]:
        assert west < self.lon_deg < east
        assert south < self.lat_deg < north
        return 50.0, 3050.0


def test_image_point_lies_on_the_terrain_and_layover_takes_the_nearest() -> None:
    scene = Scene()
    model = RangeDopplerModel(annotation_of(scene))
    hill = Hill(*(float(value) for value in model.image_to_ground(800.0, 700.0, 50.0)))
    line, sample = np.meshgrid(np.linspace(500, 1100, 25), np.linspace(560, 760, 41))
    hit = model.image_to_terrain_hits(line, sample, hill)
    back_line, back_sample = model.ground_to_image(hit.lon_deg, hit.lat_deg, hit.height_m)
    assert np.abs(back_line - line).max() < 1e-6
    assert np.abs(back_sample - sample).max() < 1e-6
    assert np.abs(hill.heights(hit.lon_deg, hit.lat_deg)[0] - hit.height_m).max() < 1e-3
    assert 0.02 < hit.layover.mean() < 0.5
    # nearest to the track is lowest: no level between the plain and the hit may lie under the ground's other side
    for fraction in (0.2, 0.5, 0.8):
        level_m = 49.0 + fraction * (hit.height_m - 49.0)
        ground_m, _ = hill.heights(*model.image_to_ground(line, sample, level_m))
        assert (ground_m > level_m - 20.0).all()
    assert np.array_equal(model.image_to_terrain(line, sample, hill)[2], hit.height_m)


def test_quicklook_pixels_cover_whole_blocks() -> None:
    full = RangeDopplerModel(annotation_of(Scene()))
    small = QuicklookModel(full, full.n_lines // 50, full.n_samples // 50)
    # the centre of a block of 50: between samples 24 and 25
    assert np.allclose(small.image_to_ground(0.0, 0.0, 10.0), full.image_to_ground(24.5, 24.5, 10.0), atol=1e-12)
    point = (*full.image_to_ground(812.0, 733.0, 0.0), 0.0)
    assert np.allclose(small.ground_to_image(*point), [812.5 / 50 - 0.5, 733.5 / 50 - 0.5], atol=1e-7)
    line, smooth = (float(value) for value in small.ground_to_smooth(*point))
    assert abs(smooth + correction_px(small.break_lines, line, smooth) - (733.5 / 50 - 0.5)) < 1e-4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"<productType>GRD", b"<productType>SLC", "SLC"),
        (b"<mode>IW", b"<mode>WV", "acquisition mode WV"),
        (b"<numberOfLines>1600", b"<numberOfLines>many", "integer"),
        (b"<numberOfLines>1600", b"<numberOfLines>0", "an image"),
        (b"<azimuthTimeInterval>0.0015", b"<azimuthTimeInterval>nan", "finite"),
        (b"<productFirstLineUtcTime>2024", b"<productFirstLineUtcTime>late", "a time"),
        (b"<orbit>", b"<orbits>", "orbit state vectors"),
        (b"<sr0>", b"<sr1>", "sr0"),
    ],
)
def test_annotation_that_makes_no_sense_is_refused(old: bytes, new: bytes, message: str) -> None:
    content = annotation_xml(Scene())
    assert old in content
    content = content.replace(old, new).replace(b"</orbit>", b"</orbits>" if new == b"<orbits>" else b"</orbit>")
    content = content.replace(b"</sr0>", b"</sr1>" if new == b"<sr1>" else b"</sr0>")
    with pytest.raises(Exception, match=message) as caught:
        parse_annotation(content, "made.xml")
    assert "made.xml" in str(caught.value)


def test_records_that_turn_back_are_refused() -> None:
    annotation = annotation_of(Scene())
    records = annotation.slant_to_ground
    records.grsr[2, 1] *= -1.0
    with pytest.raises(AnnotationError, match="turns back"):
        RangeDopplerModel(annotation)
