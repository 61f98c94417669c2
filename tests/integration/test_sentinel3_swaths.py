"""Real swaths: tie points, geodetic grids and an OLCI subset with its pixels; and pyresample on the same input."""

from __future__ import annotations

import warnings
from typing import Any

import h5py
import numpy as np
import pytest

from figures import tell
from localdev.scene.sentinel3_swath import Field
from orthokernel import Grid, errors
from orthokernel.geolocation import GeolocationModel, Positions
from orthokernel.geolocation.places import nodes_over
from orthokernel.spare import Spare
from realdata import real_data

pytestmark = pytest.mark.parallel

Array = np.ndarray[Any, Any]
EARTH_M = 6.371e6


def read(name: str, *variables: str) -> list[Array]:
    """Values of a file, scaled."""
    with h5py.File(real_data("sentinel3", *name.split("/"))) as file:
        return [file[v][...] * float(np.squeeze(file[v].attrs.get("scale_factor", 1.0))) for v in variables]


def swath(name: str) -> tuple[Array, Array]:
    """Longitudes and latitudes (L, S) of one of the real swaths."""
    if name == "geodetic_tx":
        lon, lat = read("slstr/geodetic_tx.nc", "longitude_tx", "latitude_tx")
        return lon, lat
    if name == "tiepoints_olci":
        lon, lat = read("olci/tiepoints_olci.nc", "OLC_TP_lon", "OLC_TP_lat")
        return lon.reshape(-1, 77), lat.reshape(-1, 77)
    if name == "tiepoints_slstr":
        lon, lat = read("slstr/tiepoints_slstr_n.nc", "SLN_TP_lon", "SLN_TP_lat")
        return lon.reshape(140, 140), lat.reshape(140, 140)
    lon, lat = read("olci/O_L2_0001_SNS_2017104102450_v1.0.nc", "lon", "lat")
    return lon, lat


SWATHS = ("geodetic_tx", "tiepoints_olci", "olci_subset")


@pytest.mark.real
@pytest.mark.parametrize("name", SWATHS)
def test_there_and_back(name: str) -> None:
    """Wherever four neighbours have places, a point between them is found again."""
    lon, lat = swath(name)
    model = GeolocationModel(Positions(lat, lon), name)
    random = np.random.default_rng(0)
    line, sample = random.uniform(0, lon.shape[0] - 1, 20_000), random.uniform(0, lon.shape[1] - 1, 20_000)
    there = model.image_to_ground(line, sample, 0.0)
    back = model.ground_to_image(*there, 0.0)
    known = np.isfinite(there[0])
    assert known.mean() > 0.9
    off = np.maximum(np.abs(back[0] - line), np.abs(back[1] - sample))[known]
    share = float(np.mean(off < 1e-4))
    tell(f"real swath {name}: points found again within 1e-4 px", share, "1, but for bad quads and places seen twice")
    assert share > 0.999 - model.index.counts["bad"] / lon.size * 3


@pytest.mark.real
def test_a_file_of_no_places() -> None:
    """The numbers of this one are no angles: it is refused, by name."""
    lon, lat = swath("tiepoints_slstr")
    with pytest.raises(errors.GeolocationError, match="tiepoints_slstr: no place on the ground"):
        GeolocationModel(Positions(lat, lon), "tiepoints_slstr")


@pytest.mark.real
def test_real_pixels() -> None:
    """Latitude as an image: put on a map, it is that of the map's pixels."""
    lon, lat = swath("olci_subset")
    (rtoa,) = read("olci/O_L2_0001_SNS_2017104102450_v1.0.nc", "rtoa_8")
    model = GeolocationModel(Positions(lat, lon), "subset")
    grid = Grid.from_bounds(4326, (lon.min(), lat.min(), lon.max(), lat.max()), 0.0025)
    line, sample = model.locate_window(nodes_over(grid, model.index.plane), False, 1, Spare(np.float64))[:2]
    inside = (line >= 0) & (line <= lon.shape[0] - 1) & (sample >= 0) & (sample <= lon.shape[1] - 1)
    assert inside.mean() > 0.3
    true_lon, true_lat = grid.lonlat(np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :])
    for image, truth, tolerance in ((lat, true_lat, 2e-5), (lon, true_lon, 4e-5)):
        error = np.abs(bilinear(image, line[inside], sample[inside]) - truth[inside])
        assert error.max() < tolerance
    value = bilinear(rtoa, line[inside], sample[inside])
    assert np.nanmin(rtoa) <= np.nanmin(value) <= np.nanmax(value) <= np.nanmax(rtoa)
    assert np.isfinite(value).mean() > 0.9


def bilinear(image: Array, line: Array, sample: Array) -> Array:
    i = np.minimum(np.floor(line).astype(int), image.shape[0] - 2)
    j = np.minimum(np.floor(sample).astype(int), image.shape[1] - 2)
    p, q = line - i, sample - j
    above = (1 - q) * image[i, j] + q * image[i, j + 1]
    return np.asarray((1 - p) * above + p * ((1 - q) * image[i + 1, j] + q * image[i + 1, j + 1]))


class TestPyresample:
    """On the same input: no hole where it has none; the same nearest pixel; a smooth field as well or better."""

    @pytest.mark.real
    @pytest.mark.parametrize("name", ["tiepoints_olci", "olci_subset"])
    def test_real_swaths(self, name: str) -> None:
        lon, lat = swath(name)
        self.compare(lon, lat, name)

    @pytest.mark.parametrize("place", [(10.0, 48.0), (179.9, -60.0), (0.0, 89.0)])
    def test_irregular_swaths(self, place: tuple[float, float]) -> None:
        """A fifth of a pixel of scatter, a camera seam, and duplicates."""
        random = np.random.default_rng(0)
        shape = (150, 160)
        line, sample = np.meshgrid(np.arange(150.0) - 75, np.arange(160.0) - 80, indexing="ij")
        line, sample = line + random.uniform(-0.2, 0.2, shape), sample + random.uniform(-0.2, 0.2, shape)
        sample[:, 70:] -= 1.3
        line[:, 110::6], sample[:, 110::6] = line[:, 109:-1:6], sample[:, 109:-1:6]
        a, b = np.radians(place)
        up = np.array([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])
        east = np.array([-np.sin(a), np.cos(a), 0.0])
        north = np.cross(up, east)
        n = up + (line[..., None] * (0.3 * east - north) + sample[..., None] * (east + 0.3 * north)) * 300.0 / EARTH_M
        lon, lat = np.arctan2(n[..., 1], n[..., 0]), np.arctan2(n[..., 2], np.hypot(n[..., 0], n[..., 1]))
        self.compare(np.degrees(lon), np.degrees(lat), "made")

    def compare(self, lon: Array, lat: Array, name: str) -> None:
        pyresample = pytest.importorskip("pyresample")
        model = GeolocationModel(Positions(lat, lon), name)
        spacing_m = model.index.quads.spacing * model.index.plane.unit * EARTH_M
        middle = model.image_to_ground(lon.shape[0] / 2, lon.shape[1] / 2, 0.0)
        # The map of pyresample's own sphere, so that its distances are those of this one.
        crs = f"+proj=laea +lon_0={float(middle[0])} +lat_0={float(middle[1])} +ellps=WGS84"
        half_m = 0.5 * float(np.hypot(spacing_m[1] * lon.shape[0], spacing_m[0] * lon.shape[1]))
        step_m = float(spacing_m.min()) * 0.8
        n = min(int(2 * half_m / step_m), 700)
        grid = Grid.from_bounds(crs, (-n / 2 * step_m, -n / 2 * step_m, n / 2 * step_m, n / 2 * step_m), step_m)
        rows, cols = np.arange(grid.n_rows)[:, None], np.arange(grid.n_cols)[None, :]
        to_lon, to_lat = grid.lonlat(rows, cols)
        radius_m = 0.5 * float(spacing_m.min())
        field = Field.made(4, 50.0, 10.0, 60.0 * float(spacing_m.max()), 600.0 * float(spacing_m.max()))
        values = field.at(lon, lat)
        source = pyresample.geometry.SwathDefinition(lons=lon, lats=lat)
        target = pyresample.geometry.SwathDefinition(lons=to_lon, lats=to_lat)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = pyresample.kd_tree.resample_nearest(source, values, target, radius_m, fill_value=np.nan)
        line, sample = model.locate_window(nodes_over(grid, model.index.plane), True, 2, Spare(np.float64))[:2]
        has = np.isfinite(theirs)
        assert has.mean() > 0.05
        holes = has & np.isnan(line)
        assert holes.sum() == 0
        ours = values[line[has].astype(int), sample[has].astype(int)]
        same = float(np.mean(np.isclose(ours, theirs[has], atol=1e-9)))
        tell(f"{name}: pixels with the value of pyresample's nearest", same, "1, but for equal distances")
        assert same > 0.995  # where cameras overlap, the nearest of the one that was chosen
        line, sample = model.locate_window(nodes_over(grid, model.index.plane), False, 2, Spare(np.float64))[:2]
        assert not (has & np.isnan(line)).any()
        inside = has & (line >= 0) & (line <= lon.shape[0] - 1) & (sample >= 0) & (sample <= lon.shape[1] - 1)
        truth = field.at(to_lon, to_lat)
        error = np.abs(bilinear(values, line[inside], sample[inside]) - truth[inside])
        theirs_error = np.abs(theirs - truth)[inside]
        bend = (2 * np.pi / 60.0) ** 2 / 8 * 10.0 * 4  # of the shortest wave over a quad twice as wide
        folds = model.index.counts["bad"] > 0
        assert np.percentile(error, 99 if folds else 100) < bend
        assert np.mean(error) < 0.2 * np.mean(theirs_error)
