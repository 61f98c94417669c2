"""Normalised Radar Backscatter of simulated mountains, from product to Item: complete, or saying what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

from localdev.scene import SceneSpec, make_sentinel1
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.result import MaskBit
from reference.targets import frame_over

pytestmark = pytest.mark.parallel


def test_a_run_makes_an_item_that_lacks_nothing(tmp_path: Path) -> None:
    scene = make_sentinel1(
        SceneSpec(
            tmp_path, size_lines_samples=(100, 300), fractal_seed=4, relief_m=3500.0, orbit_file=True,
            polarisations=("vv", "vh"),
        )
    )  # fmt: skip
    assert scene.dem_path is not None
    assert scene.orbit_path is not None
    terrain = Terrain(scene.dem_path, None)
    how: dict[str, Any] = {"radiometry": "gamma0_rtc", "facility": "A laptop", "threads": 2}
    with open_product(scene.path, orbits=scene.orbit_path) as product:
        corners = product.sensor_model("vv").image_to_ground(
            np.array([20.0, 80.0]), np.array([40.0, 260.0]), np.full(2, 1000.0)
        )
        transform, n_rows, n_cols = frame_over(*corners, 32633, 10.0, margin_px=0)
        west, north = 10.0 * round(transform.c / 10.0), 10.0 * round(transform.f / 10.0)
        grid = Grid.from_bounds(32633, (west, north - 10.0 * n_rows, west + 10.0 * n_cols, north), 10.0)
        orthorectify(product, grid, terrain, **how, out=tmp_path / "out.tif")
    with open_product(scene.path) as product:
        orthorectify(product, grid, terrain, **how, out=tmp_path / "other.tif")
    item = pystac.Item.from_file(str(tmp_path / "out.json"))
    assert item.properties["ceosard:specification"] == "NRB"
    assert "orthoburst:nrb_missing" not in item.properties
    (source,) = item.properties["orthoburst:sources"]
    assert (source["orbit_data_source"], source["orbit_data_file"]) == ("precise", scene.orbit_path.name)
    assert source["processing_facility"] == "Simulated scene"
    # Without an orbit file nobody knows where the simulator's state vectors come from.
    other = pystac.Item.from_file(str(tmp_path / "other.json"))
    assert other.properties["orthoburst:nrb_missing"] == [
        "4.3 geometric accuracy: no figures for this satellite or orbit"
    ]
    assert "ceosard:specification" not in other.properties

    bits = {
        field["name"]: 1 << field["offset"] for field in item.assets["mask"].extra_fields["classification:bitfields"]
    }
    rasters = {}
    for key, asset in item.assets.items():
        if "raster:bands" in asset.extra_fields:
            with rasterio.open(tmp_path / asset.href) as file:
                rasters[key] = file.read()
                assert file.dtypes[0] == asset.extra_fields["raster:bands"][0]["data_type"]
                assert file.tags().get("AREA_OR_POINT") == "Area"
    mask = rasters["mask"][0]
    invalid = (mask & (bits["shadow"] | bits["layover"])) != 0
    assert invalid.sum() > 100
    assert not (mask[invalid] & bits["valid"]).any()
    assert np.isnan(rasters["data"][:, invalid]).all()
    valid = (mask & MaskBit.VALID) != 0
    assert np.isfinite(rasters["data"][:, valid]).any(axis=0).all()
    assert np.isfinite(rasters["local_incidence"][0, valid]).all()
    assert (rasters["acquisition"][0, valid] == source["acquisition_id"]).all()
