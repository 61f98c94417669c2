"""Has everything compiled before the first product: numba's cache, filled once, serves every later process."""

from __future__ import annotations

import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC
from rasterio.transform import from_origin

from orthokernel.blocks import Walk, ground_under, lattice_geometry
from orthokernel.cogfile import CogFile
from orthokernel.flattening import RadarAreas, ellipsoid_incidence, local_incidence, look_nodes
from orthokernel.flattening.incidence import STEP_PX
from orthokernel.flattening.lookup import look_up
from orthokernel.geolocation import GeolocationModel, Positions
from orthokernel.geolocation.places import nodes_over
from orthokernel.grid import Grid
from orthokernel.ground import heights_over
from orthokernel.lattice import break_table
from orthokernel.light import LightNodes, under_light
from orthokernel.loop import BILINEAR, locate_part
from orthokernel.ortho import orthorectify
from orthokernel.product import BandReader, open_product
from orthokernel.sensor import SensorModel
from orthokernel.sentinel1.annotation import Annotation, GeolocationGrid, SlantToGroundRecords, StateVectors
from orthokernel.sentinel1.border import BorderLevel
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.sentinel2.polygons import Polygons, mark_covered, mark_middles
from orthokernel.sentinel3.flags import as_quality, blank, mark_apart
from orthokernel.source import NoiseRows, SampleValues, SourceRing
from orthokernel.spare import Spare
from orthokernel.storage import as_stored
from orthokernel.terrain import Terrain

SIDE_PX = 512
HALF_SIDE_DEG = 0.025
LON_DEG, LAT_DEG = 3.0, 45.0


def warm_up() -> None:
    """Compile, or load from the cache, all that orthorectification uses.

    A made image goes through every resampling method on a made DEM, and a made orbit through both directions of the
    range-Doppler model, and through terrain flattening. A minute where the cache is empty, some seconds where
    it is filled.
    """
    with tempfile.TemporaryDirectory(prefix="orthokernel-warm-") as folder:
        image, dem = Path(folder) / "image.tif", Path(folder) / "dem.tif"
        _write_image(image)
        _write_dem(dem)
        grid = Grid.from_bounds(32631, (499_700.0, 4_982_700.0, 500_300.0, 4_983_300.0), 10.0)
        with open_product(image) as product:
            for resampling in ("nearest", "bilinear", "cubic", "average"):
                orthorectify(product, grid, Terrain(dem, None), resampling=resampling)
            with product.open_band(product.bands[0]) as reader:
                _read_borders(reader)
            _look(product.sensor_model(), grid, Terrain(dem, None))
        warm_writer(Path(folder))
    _look_up(grid)
    _light_and_masks()
    model = RangeDopplerModel(_annotation())
    model.ground_to_smooth(LON_DEG, LAT_DEG, 0.0)
    model.image_to_ground(0.0, 0.0, 0.0)
    RadarAreas(model, Terrain.constant(0.0)).over((0, 1), (0, 1))
    heights, angles = np.zeros((3, 3), np.float32), np.empty((1, 1), np.float32)
    for incidence in (local_incidence, ellipsoid_incidence):
        incidence(heights, look_nodes(model, grid.window(0, 1, 0, 1)), STEP_PX, angles)


def _look_up(grid: Grid) -> None:
    """Pixels that have places of their own: as Sentinel-3's two instruments write them, and as arrays of degrees."""
    row, col = np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij")
    lon, lat = grid.lonlat(7.0 * row, 7.0 * col)
    whole = [np.rint(1e6 * part).astype(np.int32) for part in (lat, lon)]
    marks, quality = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    mark_apart(quality, 8, whole[0], whole[1], 0, marks)
    for kind in (np.uint32, np.uint16):
        as_quality(np.zeros((8, 8), kind), np.zeros(7, np.uint64), quality)
    blank(np.zeros((8, 8), np.uint16), quality, 2, np.uint16(0))
    blank(np.zeros((8, 8), np.float32), quality, 2, np.float32(0))
    for positions in (Positions(whole[0], whole[1], 1e-6, 1e-6), Positions(lat, lon)):
        model = GeolocationModel(positions, "made to be compiled")
        for nearest in (False, True):
            model.locate_window(nodes_over(grid, model.index.plane), nearest, 1, Spare(np.float64))
        model.ground_to_image(lon, lat, 0.0)


def _light_and_masks() -> None:
    """What Sentinel-2's pixels are divided by, and its masks that are vectors."""
    part = np.ones((1, 2, 2), np.float32)[:, :, :1]  # of a block: not one piece of memory
    under_light(part, 0, 0, LightNodes(0, 0, 1, np.ones((3, 3))), 1.0, 0.0)
    polygons, out = Polygons.of([[np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])]], [1]), np.zeros((1, 1), np.uint8)
    mark_middles(polygons, 0, 0, out)
    mark_covered(polygons, 0, 0, out)


def _look(model: SensorModel, grid: Grid, terrain: Terrain) -> None:
    """What terrain flattening looks up by pixel."""
    heights_over(terrain, grid.window(0, 1, 0, 1))
    walk = Walk.over(1.0)
    ground = ground_under(terrain, grid, walk, further=1)
    lattice = lattice_geometry(model, ground, BILINEAR).lattice
    assert lattice is not None
    where = np.empty((3, 1, 1))
    table, anchor = break_table(model.break_lines), ground.extent.anchor
    part, block_px = (0, 1, 0, 1), walk.loop_block_px
    locate_part(ground.dem, part, anchor, lattice.arrays, table, block_px, where[0], where[1], where[2])
    area, seen = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    look_up(where[0], where[1], where[2], (1, 1), (0, 1), 0, area, seen, np.zeros(1, np.int32), seen, area)


def _read_borders(reader: BandReader) -> None:
    """Lines as radar measurements are read, of the newer processors and the older."""
    lines, samples = (0, reader.n_lines), (0, reader.n_samples)
    rows, nothing = np.empty((0, reader.n_samples), np.float32), NoiseRows.none(reader.n_lines, reader.n_samples)
    for level in (None, BorderLevel.without_noise(reader.n_samples)):
        values = SampleValues(0.0, True, np.empty(0), rows, nothing, border_level=level)
        SourceRing([reader], [values]).prepare(lines, samples, (0, 0))


def warm_writer(folder: Path) -> None:
    """The same for the writer alone: a file of every kind in a folder, large enough to have an overview."""
    grid = Grid.from_bounds(32631, (500_000.0, 4_900_000.0, 500_513.0, 4_900_001.0), 1.0)
    kinds = [("float32", np.nan, "average"), ("float32", np.nan, "average_db"), ("uint8", 0, "nearest")]
    with ThreadPoolExecutor(1) as pool:
        for dtype, no_data, overviews in (*kinds, ("uint8", 0, "average"), ("uint16", 0, "average")):
            with CogFile(folder / "any.tif", grid, dtype, no_data, [""], pool, overviews) as file:  # type: ignore[arg-type]
                file.write(0, as_stored(np.ones((1, *grid.shape), np.float32), dtype, no_data))
                file.close()


def _write_image(path: Path) -> None:
    """Pixels of about 10 m around 3 degrees east, 45 north, and coefficients that say just that."""
    unit = [1.0, *[0.0] * 19]
    by_lon, by_lat = [0.0, 1.0, *[0.0] * 18], [0.0, 0.0, -1.0, *[0.0] * 17]
    half_px = SIDE_PX / 2
    rpc = RPC(
        height_off=0.0,
        height_scale=500.0,
        lat_off=LAT_DEG,
        lat_scale=HALF_SIDE_DEG,
        line_den_coeff=unit,
        line_num_coeff=by_lat,
        line_off=half_px,
        line_scale=half_px,
        long_off=LON_DEG,
        long_scale=HALF_SIDE_DEG,
        samp_den_coeff=unit,
        samp_num_coeff=by_lon,
        samp_off=half_px,
        samp_scale=half_px,
        err_bias=0.0,
        err_rand=0.0,
    )
    pixels = np.full((1, SIDE_PX, SIDE_PX), 100, np.uint16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        profile = {"driver": "GTiff", "height": SIDE_PX, "width": SIDE_PX, "count": 1, "dtype": "uint16"}
        with rasterio.open(path, "w", rpcs=rpc, **profile) as image:
            image.write(pixels)


def _write_dem(path: Path) -> None:
    """Hills with one void, so that filling is compiled too."""
    side, step_deg = 64, 2 * HALF_SIDE_DEG / 64
    heights = np.fromfunction(lambda row, col: 100.0 + row + col, (side, side)).astype(np.float32)
    heights[30, 30] = -32768.0
    transform = from_origin(LON_DEG - HALF_SIDE_DEG, LAT_DEG + HALF_SIDE_DEG, step_deg, step_deg)
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 1, "dtype": "float32", "nodata": -32768.0}
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as dem:
        dem.write(heights, 1)


def _annotation() -> Annotation:
    """A circular orbit over the equator, and a ground range that is the slant range. Of no use but to be compiled."""
    time_s = np.arange(16, dtype=np.float64) * 10.0 - 75.0
    radius_m, rate_rad_s = 7_070_000.0, 0.001
    angle = rate_rad_s * time_s
    zero = np.zeros_like(angle)
    orbit = StateVectors(
        time_s=time_s,
        position_m=radius_m * np.stack([np.cos(angle), np.sin(angle), zero], axis=1),
        velocity_m_s=radius_m * rate_rad_s * np.stack([-np.sin(angle), np.cos(angle), zero], axis=1),
    )
    origin_m = np.array([800_000.0, 800_000.0])
    records = SlantToGroundRecords(
        time_s=np.array([0.0, 1.0]),
        slant_origin_m=origin_m,
        srgr=np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]),
        ground_origin_m=np.zeros(2),
        grsr=np.array([[800_000.0, 1.0, 0.0], [800_000.0, 1.0, 0.0]]),
    )
    corner = np.array([0.0, 0.0, 1.0, 1.0])
    grid = GeolocationGrid(
        line=corner * 63,
        sample=np.array([0.0, 63.0, 0.0, 63.0]),
        azimuth_time_s=corner * 0.1,
        slant_range_time_s=np.full(4, 0.0053),
        lon_deg=corner,
        lat_deg=np.array([0.0, 1.0, 0.0, 1.0]),
        height_m=np.zeros(4),
        incidence_deg=np.full(4, 39.0),
    )
    start = np.datetime64("2024-01-01T00:00:00")
    return Annotation(
        source="made to be compiled",
        mission_id="S1A",
        mode="IW",
        swath="IW",
        polarisation="VV",
        direction="Ascending",
        absolute_orbit=1,
        datatake_id=1,
        start_time_utc=start,
        stop_time_utc=start,
        first_line_time_utc=start,
        line_interval_s=0.0015,
        sample_spacing_m=10.0,
        line_spacing_m=10.0,
        n_lines=64,
        n_samples=64,
        incidence_mid_swath_deg=39.0,
        radar_frequency_hz=5.405e9,
        orbit=orbit,
        slant_to_ground=records,
        geolocation=grid,
    )
