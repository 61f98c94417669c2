"""Sentinel-3 from a product's files over the plan to the worker's compute function, on each map the planner chooses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio

from integration.planned_kit import make, pixels
from localdev.scene.sentinel3 import OlciScene, OlciSpec, make_olci
from localdev.scene.sentinel3_slstr import SlstrSpec, make_slstr

pytestmark = pytest.mark.parallel


@pytest.mark.parametrize("zip_it", [None, "deflated"])
def test_a_frame_comes_on_longitude_and_latitude_in_its_unit(tmp_path: Path, zip_it: str | None) -> None:
    spec = OlciSpec(tmp_path, size_lines_samples=(120, 160), cameras=False, duplicates=False, bands=(8,), zip_it=zip_it)  # type: ignore[arg-type]
    scene = make_olci(spec)
    ((order, made),) = make([scene.path], tmp_path, options={"bands": ["oa08"], "extras": ["quality"]})
    assert (order.grid.epsg, order.grid.spacing) == (4326, 1 / 371)
    assert (order.dem, order.height_m) == (None, None)
    values, lon, lat = pixels(made)
    _check_radiance(values, scene, lon, lat)
    with rasterio.open(made.files["quality"]) as file:
        quality = file.read(1)
    assert np.array_equal(quality[~np.ma.getmaskarray(values)] & 1, np.ones(values.count(), np.uint8))


def test_a_frame_near_the_pole_and_one_across_the_antimeridian_come_on_maps_of_their_own(tmp_path: Path) -> None:
    for centre, epsg in (((20.0, 76.5), 3413), ((-176.7, -16.0), 32701)):
        common: dict[str, Any] = {"cameras": False, "duplicates": False, "bands": (8,)}
        scene = make_olci(
            OlciSpec(tmp_path / str(epsg), centre_lonlat_deg=centre, size_lines_samples=(120, 160), **common)
        )
        ((order, made),) = make([scene.path], tmp_path / str(epsg))
        assert order.grid.epsg == epsg
        values, x, y = pixels(made)
        _check_radiance(values, scene, *pyproj.Transformer.from_crs(epsg, "OGC:CRS84", always_xy=True).transform(x, y))


def test_a_tile_of_a_frame(tmp_path: Path) -> None:
    scene = make_olci(OlciSpec(tmp_path, size_lines_samples=(120, 160), cameras=False, duplicates=False, bands=(8,)))
    made = make([scene.path], tmp_path, grid={"kind": "mgrs"}, options={"bands": ["oa08"]})
    assert made
    for order, one in made:
        values, x, y = pixels(one)
        assert values.shape == (366, 366)
        to_lonlat = pyproj.Transformer.from_crs(order.grid.epsg, "OGC:CRS84", always_xy=True)
        _check_radiance(values, scene, *to_lonlat.transform(x, y), at_least=50)


def _check_radiance(
    values: np.ma.MaskedArray, scene: OlciScene, lon: np.ndarray, lat: np.ndarray, at_least: int = 15_000
) -> None:
    """Within half a step of the pixels' numbers and what bilinear leaves of waves of 40 km; up to half a pixel beyond
    the edge, and beside a line without data, the values are those of the edge."""
    assert values.count() >= at_least
    error = np.abs(values - scene.radiance(8, lon, lat)).compressed()
    assert float(np.quantile(error, 0.95)) < 0.006
    assert float(error.max()) < 0.3


def test_both_views_of_slstr_come_with_the_nearest_measurements(tmp_path: Path) -> None:
    scene = make_slstr(SlstrSpec(tmp_path))
    bands = ("s8", "s8_oblique", "s2")
    ((order, made),) = make([scene.path], tmp_path, options={"bands": list(bands), "extras": ["quality"]})
    assert (order.grid.epsg, order.grid.spacing) == (4326, 1 / 223)
    with rasterio.open(made.files["image"]) as file:
        assert file.descriptions == bands
    item = json.loads(made.files["item"].read_text())
    data = item["assets"]["data"]
    units = [band["unit"] for band in data["raster:bands"]]
    assert units == ["K", "K", "mW.m-2.sr-1.nm-1"]
    for number, channel in ((1, "S8"), (2, "S8"), (3, "S2")):
        values, lon, lat = pixels(made, number)
        assert values.count() > 10_000
        error = np.abs(values - scene.value(channel, lon, lat)).compressed()
        # of the nearest measurement, half a pixel away or, where the pixel's own was lost, one or two
        assert float(np.median(error)) < 0.3
        assert float(np.quantile(error, 0.95)) < 1.0
