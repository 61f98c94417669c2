"""A real Sentinel-2 L1B product through its public door, against grids that ESA's Sen2VM computed for it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy.interpolate import RegularGridInterpolator

from figures import tell
from orthokernel import Grid, open_product, orthorectify
from orthokernel.blocks import Walk, ground_under, lattice_geometry
from orthokernel.errors import (
    AnnotationError,
    BulletinError,
    GippValidityError,
    MissingGippError,
    MissingMeasurementError,
    OptionError,
    ProductError,
)
from orthokernel.loop import BILINEAR
from orthokernel.sentinel2.bands import BANDS, Band
from orthokernel.sentinel2.bulletin import orientation_from
from orthokernel.sentinel2.datastrip import Datastrip, read_datastrip
from orthokernel.sentinel2.gipp import Gipp
from orthokernel.sentinel2.gippfiles import choose, list_files
from orthokernel.sentinel2.l1b import L1BProduct
from orthokernel.sentinel2.table import line_table
from orthokernel.terrain import Terrain
from realdata import real_data
from reference import pushbroom as twin

pytestmark = [pytest.mark.real, pytest.mark.parallel]

DETECTORS = ("01", "03", "05", "07", "09", "11")
GRID_STEP_PX = {10: 600, 20: 300, 60: 100}
INVERSE_STEP_M = {10: 6000, 20: 3000, 60: 1000}
TILE_UPPER_LEFT = (199_980, 3_700_020)
GRANULE_LINES = 2304
N_LINES = 6 * GRANULE_LINES


@pytest.fixture(scope="module")
def madeira() -> Path:
    return real_data("sentinel2/l1b-madeira")


@pytest.fixture(scope="module")
def product(madeira: Path) -> Iterator[L1BProduct]:
    """Without images: it is good for its geometry."""
    with open_product(madeira / "L1B", gipp=madeira / "gipp", iers=next(madeira.glob("*UT1UTC*.txt"))) as opened:
        assert isinstance(opened, L1BProduct)
        yield opened


@pytest.fixture(scope="module")
def datastrip(product: L1BProduct) -> Datastrip:
    return product.datastrip


@pytest.fixture(scope="module")
def gipp(madeira: Path, datastrip: Datastrip) -> Gipp:
    return Gipp(madeira / "gipp", datastrip)


@pytest.fixture(scope="module")
def terrain(madeira: Path) -> Terrain:
    return Terrain(madeira / "dem", next((madeira / "geoid").glob("*.gtx")))


def direct_grid(madeira: Path, datastrip: Datastrip, band: Band, detector: str) -> np.ndarray:
    """``line, sample, lon, lat, altitude``, (5, N), of the grids of a detector's granules."""
    step = GRID_STEP_PX[band.resolution_m]
    found = []
    for path in sorted((madeira / "reference/Direct").glob(f"*_D{detector}_{band.name}.tif")):
        sensing = path.name.split("_")[-3]
        (first,) = (
            line for name, (of, line) in datastrip.granules.items() if of == detector and f"_{sensing}_" in name
        )
        row0 = (first * 10 // band.resolution_m + step // 2) // step
        with rasterio.open(path) as source:
            lon, lat, altitude = source.read()
        rows, columns = np.mgrid[row0 : row0 + lon.shape[0], 0 : lon.shape[1]]
        found.append(np.stack([rows * step, columns * step, lon, lat, altitude]).reshape(5, -1))
    return np.concatenate(found, axis=1)


def every_sensor() -> Iterator[tuple[Band, str]]:
    return ((band, detector) for detector in DETECTORS for band in BANDS)


@pytest.fixture(autouse=True)
def _grids_without_georeference() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def test_lines_of_sight_are_esas_and_ground_to_image_inverts_them(madeira: Path, product: L1BProduct) -> None:
    """All bands, six detectors, 11,310 points, at the altitudes of the grids."""
    off_deg, back_px, count = 0.0, 0.0, 0
    for band, detector in every_sensor():
        sensor = product.sensor_model(band.name, detector=detector)
        line, sample, lon, lat, altitude = direct_grid(madeira, product.datastrip, band, detector)
        ours = sensor.image_to_ground(line, sample, altitude)
        off_deg = max(off_deg, np.abs(ours - np.array([lon, lat])).max())
        again = sensor.ground_to_smooth(*ours, altitude)
        back_px = max(back_px, np.abs(again - np.array([line, sample])).max())
        count += line.size
    assert count > 9000
    tell("Sentinel-2 L1B direct location against Sen2VM, worst, degrees", off_deg, "within 1e-7")
    tell("Sentinel-2 L1B there and back, worst, px", back_px, "within 1e-4")
    assert off_deg < 1e-7
    assert back_px < 1e-8


@pytest.mark.parametrize(("name", "detector"), [("B02", "01"), ("B05", "07"), ("B10", "11")])
def test_lines_of_sight_meet_the_terrain_where_esas_do(
    madeira: Path, product: L1BProduct, terrain: Terrain, name: str, detector: str
) -> None:
    band = next(band for band in BANDS if band.name == name)
    line, sample, lon, lat, altitude = direct_grid(madeira, product.datastrip, band, detector)
    hit = product.sensor_model(name, detector=detector).image_to_terrain(line, sample, terrain)
    assert np.abs(np.array(hit[:2]) - [lon, lat]).max() < 1e-7
    tell(f"Sentinel-2 L1B altitude met, {name} D{detector}, worst, m", np.abs(hit[2] - altitude).max(), "within 0.05")
    assert np.abs(hit[2] - altitude).max() < 0.05


def test_inverse_grids_are_met_inside_the_detectors(madeira: Path, product: L1BProduct, terrain: Terrain) -> None:
    """Within 0.01 px, but for a few points that theirs misses by more than that: back along the lines of sight, which
    are ESA's to 1e-7 degree, it comes out beside the point, and ours at the point."""
    to_lonlat = pyproj.Transformer.from_crs(32628, 4326, always_xy=True)
    worst, theirs_miss, ours_miss, count, outside, over = 0.0, math.inf, 0.0, 0, 0, 0
    for band, detector in every_sensor():
        (path,) = (madeira / "reference/Inverse").glob(f"*_D{detector}_{band.name}.tif")
        with rasterio.open(path) as source:
            their_sample, their_line = source.read() - 0.5  # theirs are 0.5 at a pixel's centre
        step = INVERSE_STEP_M[band.resolution_m]
        rows, columns = np.nonzero(np.isfinite(their_line))
        if not rows.size:
            continue
        lon, lat = to_lonlat.transform(TILE_UPPER_LEFT[0] + columns * step, TILE_UPPER_LEFT[1] - rows * step)
        height = terrain.heights(lon, lat)[0]
        sensor = product.sensor_model(band.name, detector=detector)
        inside = np.isfinite(sensor.ground_to_image(lon, lat, height)[0])
        ours = np.array(sensor.ground_to_smooth(lon, lat, height))
        theirs = np.array([their_line[rows, columns], their_sample[rows, columns]])
        off = np.abs(ours - theirs).max(axis=0)
        far = inside & (off > 0.01)
        worst, count, outside = max(worst, off[inside].max()), count + inside.sum(), outside + (~inside).sum()
        over += far.sum()
        if far.any():
            point = lon[far], lat[far]
            miss = [
                _distance_m(point, sensor.image_to_ground(*found[:, far], height[far])) / band.resolution_m
                for found in (ours, theirs)
            ]
            ours_miss, theirs_miss = max(ours_miss, miss[0].max()), min(theirs_miss, miss[1].min())
    print(f"{count} points inside, {over} of them off by more than 0.01 px, {outside} outside")
    tell("Sentinel-2 L1B inverse location against Sen2VM, worst, px", worst, "within 0.01")
    tell("where it is more, Sen2VM's answer is beside the point by, least, px", theirs_miss, "more than 0.01")
    tell("and ours, most, px", ours_miss, "1e-4")
    assert count > 20_000
    assert over <= 10
    assert worst < 0.012
    assert theirs_miss > 0.01
    assert ours_miss < 1e-4


def _distance_m(one: Sequence[NDArray[np.float64]], other: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(pyproj.Geod(ellps="WGS84").inv(*one, *other)[2])


def test_the_table_is_the_model(product: L1BProduct, datastrip: Datastrip, gipp: Gipp) -> None:
    """Against the slow twin, which reckons each point by itself; between lines and at joints of attitudes, too."""
    rng = np.random.default_rng(1)
    for band, detector in ((BANDS[1], "01"), (BANDS[0], "12"), (BANDS[11], "06")):
        sensor = product.sensor_model(band.name, detector=detector)
        line = rng.uniform(-300, sensor.n_lines + 300, 12)
        sample = rng.uniform(0, sensor.n_samples - 1, 12)
        height = rng.uniform(-400, 8800, 12)
        ours = np.array(sensor.image_to_ground(line, sample, height))
        theirs = np.array(
            [
                twin.meets_height(*twin.line_of_sight(datastrip, gipp, band, detector, *where), h)
                for *where, h in zip(line, sample, height, strict=True)
            ]
        ).T
        assert np.abs(ours - theirs).max() < 2e-9, "0.2 mm"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("LINE_PERIOD", "NO_PERIOD", "no element <Time_Stamp/LINE_PERIOD>"),
        ("<GPS_Point>", "<Gone>", "does not parse"),
        ("12:02:08</GPS_TIME>", "noon</GPS_TIME>", "expected a GPS time"),
        ('bandId="1"', 'bandId="77"', "band 77"),
        ("UT1_UTC", "UT0_UTC", "no element <UT1_UTC>"),
        ("</GPS_Points_List>", "</GPS_Points_List><!DOCTYPE a>", "does not parse"),
    ],
)
def test_a_datastrip_that_lacks_something_says_what(madeira: Path, old: str, new: str, says: str) -> None:
    (path,) = madeira.glob("L1B/DATASTRIP/*/*.xml")
    text = path.read_text().replace(old, new)
    with pytest.raises(ProductError, match=re.escape(says)) as caught:
        read_datastrip(text.encode(), path.name)
    assert path.name in str(caught.value)


def test_an_image_beyond_orbit_and_attitude_is_refused(datastrip: Datastrip, gipp: Gipp) -> None:
    with pytest.raises(AnnotationError, match="one that covers the image"):
        line_table(datastrip, gipp, BANDS[0], "01", (0, 20_000))


def test_a_folder_without_gipp_or_of_others_is_refused(madeira: Path, product: L1BProduct, tmp_path: Path) -> None:
    with pytest.raises(MissingGippError, match="no GIP_SPAMOD file of B00"):
        Gipp(tmp_path, product.datastrip)
    with pytest.raises(AnnotationError, match="nothing for detector 13"):
        Gipp(madeira / "gipp", product.datastrip).viewing_directions(BANDS[0], "13", None)
    spacecraft = next((madeira / "gipp").glob("*SPAMOD*"))
    shutil.copy(spacecraft, tmp_path)
    with pytest.raises(MissingGippError, match="no GIP_VIEDIR file of B01"):
        Gipp(tmp_path, product.datastrip).viewing_directions(BANDS[0], "01", None)
    (tmp_path / spacecraft.name).rename(tmp_path / spacecraft.name.replace("S2A_", "S2B_"))
    with pytest.raises(MissingGippError, match="GIP_SPAMOD of B00 only of S2B"):
        Gipp(tmp_path, product.datastrip)


def test_parameters_are_those_of_the_time(madeira: Path, datastrip: Datastrip, tmp_path: Path) -> None:
    """The one the datastrip names; or else the last in force; or, of one processed anew, the next after the named."""
    b10 = next((madeira / "gipp").glob("*VIEDIR*_B10.xml"))
    named = b10.name
    others = [
        "S2A_OPER_GIP_VIEDIR_MPC__20170208T132500_V20160622T000000_21000101T000000_B10.xml",
        "S2A_OPER_GIP_VIEDIR_MPC__20180208T132500_V20170622T000000_21000101T000000_B10.xml",
        "S2A_OPER_GIP_VIEDIR_MPC__20210208T132500_V20210622T000000_21000101T000000_B10.xml",
        "S2A_OPER_GIP_VIEDIR_MPC__20180308T132500_V20180622T000000_20190101T000000_B10.xml",
    ]
    for name in [named, *others]:
        (tmp_path / name).touch()
    assert choose(list_files(tmp_path), tmp_path, "VIEDIR", "B10", datastrip).path.name == named
    (tmp_path / named).unlink()
    assert choose(list_files(tmp_path), tmp_path, "VIEDIR", "B10", datastrip).path.name == others[1]
    (tmp_path / others[0]).unlink()
    (tmp_path / others[1]).unlink()
    with pytest.raises(GippValidityError, match=r"in force 2018-06-22T00:00:00 to .*the start of S2A_OPER_MSI_L1B_DS"):
        choose(list_files(tmp_path), tmp_path, "VIEDIR", "B10", datastrip)
    # The datastrip of 2020 names a spacecraft model of 2021, version 24; the folder has 25, of 2022.
    used = choose(list_files(madeira / "gipp"), madeira / "gipp", "SPAMOD", "B00", datastrip).path.name
    assert "_V20220125T022000_" in used


def test_the_bulletin_is_what_the_datastrip_says(madeira: Path, product: L1BProduct, tmp_path: Path) -> None:
    """ESA's processing and Sen2VM take the day's values; a bulletin that differs moves the ground."""
    with open_product(madeira / "L1B", gipp=madeira / "gipp") as without:
        assert isinstance(without, L1BProduct)
        by_datastrip, by_bulletin = without.datastrip.orientation, product.datastrip.orientation
        np.testing.assert_allclose(dataclasses.astuple(by_datastrip), dataclasses.astuple(by_bulletin), atol=1e-9)
    bulletin = next(madeira.glob("*UT1UTC*.txt")).read_text()
    known = product.datastrip.orientation
    changed = tmp_path / "bulletin.txt"
    changed.write_text(bulletin.replace("59078       0.2393      0.3620     -0.27381", "59078 0.2493 0.3720 -0.28381"))
    noon = np.datetime64("2020-08-16T12:00", "us")
    moved = orientation_from(changed, noon, known)
    np.testing.assert_allclose(dataclasses.astuple(moved)[:3], [-0.27881, 0.2443, 0.3670], atol=1e-9)
    measured = orientation_from(changed, np.datetime64("2019-10-19T06:00", "us"), known)
    np.testing.assert_allclose(dataclasses.astuple(measured)[:3], [-0.1533475, 0.176355, 0.29422], atol=1e-7)
    with pytest.raises(BulletinError, match=r"days 58774 to 59078"):
        orientation_from(changed, np.datetime64("2021-01-01", "us"), known)
    with pytest.raises(BulletinError, match="those around 2020-01-01"):
        orientation_from(changed, np.datetime64("2020-01-01", "us"), known)
    changed.write_text("nothing of the sort")
    with pytest.raises(BulletinError, match="no rows"):
        orientation_from(changed, noon, known)


def test_a_granules_model_is_its_detectors(product: L1BProduct) -> None:
    """Its lines only, counted in the datastrip's image: a granule begins at its POSITION minus 1."""
    granule = "S2A_OPER_MSI_L1B_GR_DPRM_20140630T140000_S20200816T120230_D01"
    whole = product.sensor_model("B02", detector="01")
    own = product.sensor_model(band="B02", detector="01", granule=granule)
    assert (own.first_line, own.n_lines, own.n_samples) == (2304, 2304, 2552)
    assert (whole.first_line, whole.n_lines) == (0, N_LINES)
    assert product.sensor_model("b09", granule=f"{granule}_N05.00").first_line == 384
    line, sample = np.array([2304.0, 3000.3, 4607.0]), np.array([0.0, 1000.7, 2551.0])
    ground = np.array(whole.image_to_ground(line, sample, 500.0))
    # Its own table ends 12 km beyond its lines; between rows nothing else differs.
    assert np.abs(np.array(own.image_to_ground(line, sample, 500.0)) - ground).max() < 1e-11
    np.testing.assert_allclose(own.ground_to_image(*ground, 500.0), [line, sample], atol=1e-6)
    assert np.isnan(own.ground_to_image(*whole.image_to_ground(2000.0, 5.0, 0.0), 0.0)).all()
    with pytest.raises(OptionError, match="with detector 03: it is of 01"):
        product.sensor_model("b02", detector="03", granule=granule)
    with pytest.raises(OptionError, match="granule 'x'"):
        product.sensor_model("b02", granule="x")
    with pytest.raises(OptionError, match="detector '13'"):
        product.sensor_model("b02", detector="13")


def test_all_sensors_are_cut_where_the_others_see(product: L1BProduct) -> None:
    """13 bands of 12 detectors: what the first band's cut leaves to a detector, it sees in every band."""
    worst_px = np.inf
    every = {(b, d): product.sensor_model(b, detector=d) for b in product.bands for d in product.detectors}
    for first in ("b02", "b12", "b01"):
        for part, (one, other) in zip(product.parts, itertools.pairwise(product.detectors), strict=False):
            model, (low, high) = every[first, one], part.samples(first)
            assert low == -0.5
            for height in (0.0, 2000.0):
                ground = model.image_to_ground(np.linspace(0.2, 0.6, 5) * model.n_lines, high, height)
                for band in product.bands:
                    left, right = every[band, one], every[band, other]
                    to_end = left.n_samples - 0.5 - left.ground_to_smooth(*ground, height)[1]
                    from_start = right.ground_to_smooth(*ground, height)[1] + 0.5
                    worst_px = min(worst_px, to_end.min(), from_start.min())
    tell("Sentinel-2 L1B, samples that a detector goes on beyond the cut, least of all bands", worst_px, "more than 2")
    assert worst_px > 2.0


@pytest.mark.parametrize(("band", "number"), [("b02", 1), ("b05", 7), ("b10", 12)])
def test_what_the_lattice_carries_and_what_the_loop_adds_are_the_model(
    product: L1BProduct, band: str, number: int
) -> None:
    """A real platform shakes: by most of a pixel; put together again, it is the exact model, joints and all."""
    part = next(part for part in product.parts if part.number == number)
    steady, exact = part.sensor_model(band), product.sensor_model(band, detector=number)
    shaking = steady.break_lines
    assert shaking is not None
    assert shaking.line_px is not None
    rng = np.random.default_rng(number)
    line, sample = rng.uniform(0, exact.n_lines - 1, 5000), rng.uniform(0, exact.n_samples - 1, 5000)
    height = rng.uniform(0, 3000, 5000)
    smooth = steady.ground_to_smooth(*exact.image_to_ground(line, sample, height), height)
    places = shaking.line, shaking.first_sample + shaking.step_samples * np.arange(shaking.line_px.shape[1])
    at = np.stack(smooth, axis=1)
    off_line = (
        smooth[0] + RegularGridInterpolator(places, shaking.line_px, bounds_error=False, fill_value=None)(at) - line
    )
    off_sample = smooth[1] - sample
    off_sample += RegularGridInterpolator(places, shaking.correction_px, bounds_error=False, fill_value=None)(at)
    off = max(np.abs(off_line).max(), np.abs(off_sample).max())
    assert max(shaking.reach_px) > 10 * off
    tell(f"Sentinel-2 L1B {band}, shaking by {max(shaking.reach_px):.2f} px, told within, worst, px", off, "0.01")
    assert off < 0.01


@pytest.mark.parametrize(("spacing_m", "least_step_px"), [(10.0, 32), (20.0, 16), (60.0, 8)])
def test_a_lattice_follows_a_real_satellite(
    product: L1BProduct, terrain: Terrain, spacing_m: float, least_step_px: int
) -> None:
    """With nodes hundreds of metres apart, for the finest pixels; without the table one every 40 m would not do."""
    part = next(part for part in product.parts if part.number == 7)
    model = part.sensor_model("b02")
    middle = model.image_to_ground(0.6 * model.n_lines, 0.5 * model.n_samples, 0.0)
    x, y = pyproj.Transformer.from_crs(4326, 32628, always_xy=True).transform(*middle)
    left, top, half_m = round(float(x) / 60) * 60.0, round(float(y) / 60) * 60.0, 200 * spacing_m
    grid = Grid.from_bounds(32628, (left - half_m, top - half_m, left + half_m, top + half_m), spacing_m)
    ground = ground_under(terrain, grid, Walk.over(spacing_m / 10.0, grid.n_cols))
    lattice = lattice_geometry(model, ground, BILINEAR).lattice
    assert lattice is not None
    assert lattice.error_px < 0.01
    assert lattice.arrays.step_px >= least_step_px


def test_twelve_real_detectors_make_one_image(
    madeira: Path, product: L1BProduct, terrain: Terrain, tmp_path: Path
) -> None:
    """Each image painted with its detector's number: bands of a pixel are of one, and what any sees whole is there."""
    folder = tmp_path / "L1B"
    shutil.copytree(madeira / "L1B" / "DATASTRIP", folder / "DATASTRIP")
    for granule in product.granules:
        images = folder / "GRANULE" / granule.id / "IMG_DATA"
        images.mkdir(parents=True)
        (metadata,) = (madeira / "L1B" / "GRANULE" / granule.id).glob("*.xml")
        shutil.copy(metadata, images.parent)
        for k, band in enumerate(("B01", "B10")):
            n_lines, n_samples = granule.sizes[60]
            pixels = np.full((n_lines, n_samples), 10 * int(granule.detector) + k, np.uint16)
            name = images / f"{granule.id.removesuffix('_N05.00')}_{band}.jp2"
            with rasterio.open(
                name, "w", driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES", count=1, height=n_lines,
                width=n_samples, dtype="uint16",
            ) as sink:  # fmt: skip
                sink.write(pixels, 1)
    grid = Grid.from_bounds(32628, (90_000.0, 3_600_000.0, 420_000.0, 3_660_000.0), 240.0)
    bands = ["b01", "b10"]
    with open_product(folder, gipp=madeira / "gipp") as painted:
        result = orthorectify(
            painted, grid, terrain, bands=bands, extras=["detector"], resampling="nearest", radiometry="dn"
        )
    assert result.data is not None
    number = result.extras["detector"]
    assert set(np.unique(number)) == set(range(13))
    for k in range(2):
        known = ~np.isnan(result.data[k])
        np.testing.assert_array_equal(result.data[k][known], (10.0 * number + k)[known])
    rows, cols = np.mgrid[0 : grid.n_rows : 3, 0 : grid.n_cols : 3]
    lon, lat = grid.lonlat(rows, cols)
    height = terrain.heights(lon, lat)[0]
    whole = np.zeros(rows.shape, bool)
    for detector in product.detectors:
        seen = [product.sensor_model(band, detector=detector).ground_to_image(lon, lat, height)[0] for band in bands]
        whole |= np.isfinite(seen).all(axis=0)
    there = ~np.isnan(result.data[:, ::3, ::3]).any(axis=0)
    assert whole.mean() > 0.4
    assert (whole & ~there).sum() <= 2, "but for rounding at the outer edge, nothing is lost between detectors"


def test_facts_and_what_is_not_there(product: L1BProduct, madeira: Path) -> None:
    facts = product.properties()
    assert (facts["platform"], facts["relative_orbit"], facts["absolute_orbit"]) == ("sentinel-2a", 23, 26904)
    assert facts["detectors"] == list(range(1, 13))
    assert facts["gipp"]["SPAMOD B00"].startswith("S2A_OPER_GIP_SPAMOD")
    assert 55 < facts["sun_elevation_deg"] < 65
    assert (product.id, product.mission) == (product.datastrip.id, "sentinel-2")
    assert len(product.bands) == 13
    assert product.default_bands == ("b02", "b03", "b04", "b08")
    with pytest.raises(MissingMeasurementError, match="no image of B02 in granule S2A"):
        product.open_band("b02")
    with pytest.raises(MissingGippError, match="no such folder"):
        open_product(madeira / "L1B", gipp=madeira / "none")


def test_points_outside_are_nan_and_still_smooth(product: L1BProduct) -> None:
    sensor = product.sensor_model("b02", detector=5)
    lon, lat = sensor.image_to_ground([100.0, -30.0, 100.0, 100.0], [50.0, 50.0, -4.0, np.nan], 0.0)
    line, sample = sensor.ground_to_image(lon, lat, 0.0)
    assert np.isfinite(line).tolist() == np.isfinite(sample).tolist() == [True, False, False, False]
    smooth = np.array(sensor.ground_to_smooth(lon, lat, 0.0))
    np.testing.assert_allclose(smooth[:, :3], [[100, -30, 100], [50, 50, -4]], atol=1e-6)
    far = np.array(sensor.ground_to_smooth([0.0, 160.0], [0.0, -33.0], 0.0))
    assert not np.isfinite(far).any()


def test_the_sun_stands_where_esa_has_it(product: L1BProduct, madeira: Path) -> None:
    """Over the middle of each granule, at the time that its metadata have."""
    worst_deg = 0.0
    for granule in product.granules:
        (file,) = (madeira / "L1B" / "GRANULE" / granule.id).glob("*.xml")
        text = file.read_text()
        lat, lon, _ = (float(v) for v in re.findall(r"<GROUND_CENTER>(.*)</GROUND_CENTER>", text)[0].split())
        time = np.datetime64(re.findall(r"<SENSING_TIME.*>(.*)Z</SENSING_TIME>", text)[0])
        gps_s = float((time - time.astype("datetime64[D]")) / np.timedelta64(1, "us")) * 1e-6 + 18.0
        assert granule.sun is not None
        found_deg = np.degrees(np.arccos(product.sun.cosine(lon, lat, gps_s)))
        worst_deg = max(worst_deg, abs(float(found_deg) - granule.sun[0]))
    tell("S2A Madeira, sun's zenith angle in 72 granules against ESA's, worst, deg", worst_deg, "within 5e-4")
    assert worst_deg < 5e-4


def test_counts_are_radiances_and_reflectances(product: L1BProduct) -> None:
    """As the datastrip has gains and offsets, and the sun's irradiance is ESA's of Sentinel-2A."""
    assert product.radiometries("b02") == ("reflectance", "physical", "dn")
    measure = product.measure("b02", "physical")
    assert measure.gain * 4095 + measure.offset == pytest.approx((4095 - 100) / 3.75048246)
    measure = product.measure("b12", "reflectance")
    days = (np.datetime64("2020-08-16") - np.datetime64("1950-01-01")).astype(int)
    factor = (1 - 0.01673 * np.cos(0.0172 * (days - 2))) ** -2
    whole = np.pi * (1000 - 100) / 106.03388763 / (85.25 * factor)
    assert measure.gain * 1000 + measure.offset == pytest.approx(whole, rel=1e-12)
