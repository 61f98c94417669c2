"""Terrain flattening against the simulator, against facets in space, and against ESA's own angles and tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from figures import tell
from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.scene.annotation import parse, read_geometry
from localdev.scene.ellipsoid import to_earth_centred
from orthokernel import Grid, Terrain, open_product
from orthokernel.flattening import VISIBLE, RadarAreas, ellipsoid_incidence, local_incidence, look_nodes
from orthokernel.ground import heights_over
from orthokernel.sentinel1.annotation import parse_annotation
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from realdata import real_data
from reference.targets import frame_over

pytestmark = pytest.mark.parallel

LEVEL_DB = -8.0
PROMISED_DB = 0.05
PROMISED_DB_A_DEGREE = 0.02


def db(power: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(10.0 * np.log10(power))


def mountain_scene(folder: Path, relief_m: float, facets: int) -> Scene:
    return make_sentinel1(
        SceneSpec(
            folder,
            size_lines_samples=(160, 800),
            law="gamma0",
            level_db=LEVEL_DB,
            speckle_looks=None,
            noise_db=None,
            fractal_seed=4,
            relief_m=relief_m,
            facets_per_pixel=facets,
        )
    )


@pytest.fixture(scope="module")
def mountains(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return mountain_scene(tmp_path_factory.mktemp("mountains"), 1500.0, 4)


@pytest.fixture(scope="module")
def alps(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Twice as steep: layover and shadow in a sixth of it."""
    return mountain_scene(tmp_path_factory.mktemp("alps"), 3000.0, 4)


def beta0_of(scene: Scene) -> tuple[RangeDopplerModel, NDArray[np.float64]]:
    with open_product(scene.path) as product:
        model = product.sensor_model("vv")
        table = product.calibration("vv")
        with product.open_band("vv") as reader:
            dn = reader.read(0, scene.n_lines, 0, scene.n_samples).astype(np.float64)
    assert table is not None
    assert isinstance(model, RangeDopplerModel)
    assert np.ptp(table.beta_nought) == 0.0
    return model, (dn / table.beta_nought[0, 0]) ** 2


def incidence_over(model: RangeDopplerModel, terrain: Terrain, grid: Grid) -> NDArray[np.float32]:
    wider = grid.window(-1, grid.n_rows + 1, -1, grid.n_cols + 1)
    out = np.empty(grid.shape, np.float32)
    local_incidence(heights_over(terrain, wider)[0], look_nodes(model, grid), 32, out)
    return out


@pytest.mark.parametrize("name", ["mountains", "alps"])
def test_a_mountain_scene_of_one_gamma0_comes_out_flat(name: str, request: pytest.FixtureRequest) -> None:
    """As seen on a map: every pixel that is neither in shadow nor in layover takes the nearest sample."""
    scene = request.getfixturevalue(name)
    model, beta0 = beta0_of(scene)
    terrain = Terrain(scene.dem_path, None)
    areas = RadarAreas(model, terrain).over((0, scene.n_lines), (0, scene.n_samples))
    line, sample = np.array([8.0, 8.0, 151.0, 151.0]), np.array([8.0, 791.0, 8.0, 791.0])
    grid = Grid(32633, *frame_over(*model.image_to_ground(line, sample, 500.0), 32633, 10.0))
    lon, lat = grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])
    height, _ = terrain.heights(lon, lat)
    line, sample = model.ground_to_image(lon, lat, height)
    _, flat = model.ground_to_smooth(lon, lat, 0.0)
    inside = (line > 3) & (line < scene.n_lines - 4) & (sample > 3) & (sample < scene.n_samples - 4)
    at = np.round(line[inside]).astype(int), np.round(sample[inside]).astype(int)
    plain = areas.visibility[at[0], np.round(flat[inside]).astype(int) - areas.flat_sample0] == VISIBLE
    gamma0 = (beta0 * areas.factor)[at]
    raw = beta0[at]
    incidence_deg = incidence_over(model, terrain, grid)[inside]
    good = plain & np.isfinite(gamma0)
    assert good.sum() > 0.6 * inside.sum()
    spread = np.ptp(np.percentile(incidence_deg[good], [2, 98]))
    slope = float(np.polyfit(incidence_deg[good], db(gamma0[good]), 1)[0])
    raw_slope = float(np.polyfit(incidence_deg[good], db(raw[good]), 1)[0])
    mean_db = float(db(gamma0[good].mean())) - LEVEL_DB
    share = 1.0 - good.sum() / inside.sum()
    print(
        f"{name}: {share:.1%} masked, incidence over {spread:.0f} degrees, mean {mean_db:+.4f} dB, slope {slope:+.5f}"
        f" dB/degree (beta0: {raw_slope:+.3f}), spread {db(gamma0[good]).std():.3f} dB"
    )
    tell(f"Flattened gamma0 of simulated {name}: mean less truth, dB", mean_db, "0.05")
    tell(f"Flattened gamma0 of simulated {name}: slope, dB/degree", slope, "0.02")
    assert spread > 25.0
    assert raw_slope < -0.1
    assert abs(mean_db) < PROMISED_DB
    assert abs(slope) < PROMISED_DB_A_DEGREE


def test_no_echo_is_lost_in_layover(alps: Scene) -> None:
    """The simulator spreads a facet's echo over a triangle two samples wide, we over its own: the sums agree."""
    model, beta0 = beta0_of(alps)
    areas = RadarAreas(model, Terrain(alps.dem_path, None)).over((0, alps.n_lines), (0, alps.n_samples))
    inner = np.s_[4:-4, 4:-4]
    total_db = float(db(beta0[inner].sum() / areas.area[inner].sum())) - LEVEL_DB
    tell("Echo of simulated alps, layover and all, over projected area, dB", total_db, "0.05")
    assert abs(total_db) < 0.02


def test_areas_agree_with_facets_in_space(mountains: Scene) -> None:
    """Facets of a lattice along longitude and latitude, their area vectors times the sight line, sample by sample.

    Nothing is one-dimensional here, and no facet follows a line. They are 4 m wide, so that a sample holds six; the
    shot noise of that falls with the block summed over, 4 % in one sample and 0.4 % in a hundred.
    """
    scene = mountains
    model, _ = beta0_of(scene)
    terrain = Terrain(scene.dem_path, None)
    line0, line1, sample0, sample1 = 60, 100, 300, 400
    corner = np.meshgrid([line0 - 6, line1 + 6], [sample0 - 30, sample1 + 250])
    lon, lat = model.image_to_ground(*corner, 0.0)
    step = 2.0 / 111e3
    lat_nodes = np.arange(lat.min(), lat.max(), step)[:, None]
    lon_nodes = np.arange(lon.min(), lon.max(), step / math.cos(math.radians(float(lat.mean()))))[None, :]
    lat_nodes, lon_nodes = np.broadcast_arrays(lat_nodes, lon_nodes)
    height, _ = terrain.heights(lon_nodes, lat_nodes)
    xyz = to_earth_centred(lon_nodes, lat_nodes, height)
    area_vector = 0.5 * np.cross(xyz[1:, 1:] - xyz[:-1, :-1], xyz[:-1, 1:] - xyz[1:, :-1])
    area_vector *= np.sign(np.sum(area_vector * xyz[1:, 1:], axis=-1))[..., None]
    lon_c, lat_c, h_c = (
        0.25 * (v[1:, 1:] + v[1:, :-1] + v[:-1, 1:] + v[:-1, :-1]) for v in (lon_nodes, lat_nodes, height)
    )
    geometry = read_geometry(parse(next((scene.path / "annotation").glob("*-vv-*.xml"))))
    centre = to_earth_centred(lon_c, lat_c, h_c)
    time_s, _ = geometry.arc.zero_doppler(centre.reshape(-1, 3))
    sight = geometry.arc.position(time_s).reshape(centre.shape) - centre
    seen = np.clip(np.sum(area_vector * sight, axis=-1) / np.linalg.norm(sight, axis=-1), 0.0, None)
    line, sample = model.ground_to_image(lon_c, lat_c, h_c)
    edges = np.arange(line0, line1 + 1) - 0.5, np.arange(sample0, sample1 + 1) - 0.5
    known = np.isfinite(line)
    summed, _, _ = np.histogram2d(line[known], sample[known], bins=edges, weights=seen[known])
    # Flat reference: the sides of a sample on the ellipsoid, its range side seen in slant range.
    row, col = np.arange(line0, line1)[:, None], np.arange(sample0, sample1)[None, :]

    def ground(line: NDArray[np.float64], sample: NDArray[np.float64]) -> NDArray[np.float64]:
        return to_earth_centred(*model.image_to_ground(line, sample, 0.0), 0.0)

    azimuth_m = np.linalg.norm(ground(row + 0.5, col + 0.0) - ground(row - 0.5, col + 0.0), axis=-1)
    lines = np.broadcast_to(row + 0.0, azimuth_m.shape).ravel()
    edge = [geometry.range_of(lines, np.broadcast_to(col + d, azimuth_m.shape).ravel()) for d in (-0.5, 0.5)]
    reference = azimuth_m * (edge[1] - edge[0]).reshape(azimuth_m.shape)
    areas = RadarAreas(model, terrain).over((line0, line1), (sample0, sample1))
    assert (areas.visibility == VISIBLE).all()  # facets know no shadow
    blocks = [v.reshape(4, 10, 10, 10).sum(axis=(1, 3)) for v in (summed, areas.area * reference)]
    mean_db = float(db(summed.sum() / (areas.area * reference).sum()))
    block_db = db(blocks[0] / blocks[1])
    print(f"facets in space: mean {mean_db:+.5f} dB, 10 x 10 samples {np.abs(block_db).max():.4f} dB at most")
    tell("Projected area against facets in space, mean, dB", mean_db, "0.01")
    assert abs(mean_db) < 0.01
    assert np.abs(block_db).max() < 0.05


def test_local_incidence_agrees_with_the_simulators_geometry(alps: Scene) -> None:
    """Normals of the DEM's surface in space against the satellite's exact direction."""
    model, _ = beta0_of(alps)
    terrain = Terrain(alps.dem_path, None)
    geometry = read_geometry(parse(next((alps.path / "annotation").glob("*-vv-*.xml"))))
    for crs in (32633, 3035, 4326):
        spacing = 1e-4 if crs == 4326 else 10.0
        lonlat = model.image_to_ground(np.array([20.0, 140.0]), np.array([200.0, 500.0]), 500.0)
        grid = Grid(crs, *frame_over(*lonlat, crs, spacing)) if crs != 4326 else _degrees(*lonlat)
        got = incidence_over(model, terrain, grid)
        rows, cols = np.mgrid[-1 : grid.n_rows + 1, -1 : grid.n_cols + 1]
        height = heights_over(terrain, grid.window(-1, grid.n_rows + 1, -1, grid.n_cols + 1))[0].astype(np.float64)
        lonlat = grid.lonlat(rows, cols)
        xyz = to_earth_centred(*lonlat, height)
        normal = np.cross(xyz[1:-1, 2:] - xyz[1:-1, :-2], xyz[:-2, 1:-1] - xyz[2:, 1:-1])
        point = xyz[1:-1, 1:-1]
        time_s, _ = geometry.arc.zero_doppler(point.reshape(-1, 3))
        sight = geometry.arc.position(time_s).reshape(point.shape) - point
        cosine = np.sum(normal * sight, axis=-1) / np.linalg.norm(normal, axis=-1) / np.linalg.norm(sight, axis=-1)
        error = np.abs(got - np.degrees(np.arccos(cosine)))
        worst = error[got > 2.0].max()
        tell(f"Local incidence angle in EPSG:{crs} against facets in space, degrees", worst, "0.01")
        assert np.ptp(got) > 40.0
        assert worst < 0.01
        # A slope that faces the radar squarely, where the cosine is flat, tells its angle less well.
        assert error.max() < 0.03


def _degrees(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Grid:
    return Grid.from_bounds(4326, (lon.min(), lat.min(), lon.max(), lat.max()), 1e-4)


def rome() -> Path:
    return next(real_data("sentinel1", "rome").glob("S1B_IW_GRDH*.SAFE"))


@pytest.mark.real
def test_flat_ground_at_rome_has_esas_incidence_angle() -> None:
    """Across the whole swath: area and angle of flat ground at each tie point's height, against its annotated angle.

    ESA's is the angle at the direction from the Earth's centre; ours, at the ellipsoid's normal, differs by 0.03.
    """
    path = next((rome() / "annotation").glob("*-vv-*.xml"))
    annotation = parse_annotation(path.read_bytes(), path.name)
    # Tie points follow the record nearest in time.
    model = RangeDopplerModel(annotation, "nearest")
    points = annotation.geolocation
    look = model.look_vectors(points.lon_deg, points.lat_deg, points.height_m)
    point = to_earth_centred(points.lon_deg, points.lat_deg, points.height_m)
    deflection = np.radians(points.lat_deg) - np.arcsin(point[:, 2] / np.linalg.norm(point, axis=-1))
    from_centre_deg = np.degrees(np.arccos(look[2] * np.cos(deflection) - look[1] * np.sin(deflection)))
    tell(
        "Incidence angle from the Earth's centre less annotated, worst at Rome, degrees",
        np.abs(from_centre_deg - points.incidence_deg).max(),
        "0.01",
    )
    assert np.abs(from_centre_deg - points.incidence_deg).max() < 1e-6
    normal_deg = np.degrees(np.arccos(look[2]))
    assert 0.025 < np.abs(normal_deg - points.incidence_deg).max() < 0.04
    area_db, angle_deg = [], []
    for k in range(0, points.line.size, 4):
        line, sample = int(points.line[k]), int(points.sample[k])
        height = float(points.height_m[k])
        window = RadarAreas(model, Terrain.constant(height)).over((line, line + 1), (sample, sample + 1))
        area_db.append(db(float(window.area[0, 0]) * math.tan(math.radians(normal_deg[k]))))
        grid = Grid.from_bounds(32633, _around(points.lon_deg[k], points.lat_deg[k]), 10.0)
        row, col = grid.rowcol(points.lon_deg[k], points.lat_deg[k])
        heights = np.full((grid.n_rows + 2, grid.n_cols + 2), height, np.float32)
        angles = np.empty((2, *grid.shape), np.float32)
        local_incidence(heights, look_nodes(model, grid), 32, angles[0])
        ellipsoid_incidence(heights, look_nodes(model, grid), 32, angles[1])
        angle_deg.append(angles[:, round(float(row)), round(float(col))] - normal_deg[k])
    tell("Flat ground: area x tan(incidence), worst over Rome's swath, dB", np.abs(area_db).max(), "0.05")
    tell("Incidence angles on the map less exact, worst over Rome's swath, degrees", np.abs(angle_deg).max(), "0.01")
    assert np.abs(area_db).max() < 0.01
    assert np.abs(angle_deg).max() < 0.002


def _around(lon: float, lat: float) -> tuple[float, float, float, float]:
    from pyproj import Transformer

    x, y = Transformer.from_crs("OGC:CRS84", 32633, always_xy=True).transform(lon, lat)
    return x - 300.0, y - 300.0, x + 300.0, y + 300.0


@pytest.mark.real
def test_flat_ground_at_rome_has_gamma0_by_esas_tables() -> None:
    """beta0 times factor against gamma0 of the calibration vectors, whose angles belong to some mean height."""
    with open_product(rome()) as product:
        model, table = product.sensor_model("vv"), product.calibration("vv")
    assert isinstance(model, RangeDopplerModel)
    assert table is not None
    areas = RadarAreas(model, Terrain.constant(0.0))
    worst, means = [], []
    for k in range(0, table.lines.size, 5):
        line = int(np.clip(table.lines[k], 0, model.n_lines - 1))
        window = areas.over((line, line + 1), (0, model.n_samples))
        expected = (table.beta_nought[k] / table.gamma[k]) ** 2
        at = np.clip(table.samples, 0, model.n_samples - 1).astype(int)
        difference = db(window.factor[0, at] / expected)
        worst.append(float(np.abs(difference).max()))
        means.append(float(difference.mean()))
    tell("Flat ground: gamma0 less that of ESA's tables, mean over Rome's swath, dB", np.mean(means), "0.05")
    tell("Flat ground: gamma0 less that of ESA's tables, worst sample, dB", max(worst), "")
    print([round(w, 4) for w in worst])
    assert abs(np.mean(means)) < PROMISED_DB
    assert max(worst) < 0.1


def test_a_simulated_flat_frame_has_gamma0_by_its_tables(tmp_path: Path) -> None:
    scene = make_sentinel1(
        SceneSpec(tmp_path, size_lines_samples=(24, 5000), law="gamma0", speckle_looks=None, noise_db=None)
    )
    model, beta0 = beta0_of(scene)
    areas = RadarAreas(model, Terrain.constant(0.0)).over((0, 24), (0, 5000))
    gamma0_db = db((beta0 * areas.factor)[4:-4, 4:-4])
    assert np.abs(gamma0_db - LEVEL_DB).max() < PROMISED_DB
    with open_product(scene.path) as product:
        table = product.calibration("vv")
    assert table is not None
    ratio = np.interp(np.arange(5000), table.samples, table.beta_nought[0] / table.gamma[0]) ** 2
    worst = float(np.abs(db(areas.factor[12] / ratio)).max())
    tell("Simulated flat frame: flattened gamma0 less gamma0, worst, dB", worst, "0.05")
    assert worst < PROMISED_DB
