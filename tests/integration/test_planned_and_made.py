"""From a product's files over the plan to the worker's compute function: what the planner chose, the kernel makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from integration.planned_kit import make, pixels
from localdev.scene import Sentinel2Spec, make_sentinel2

pytestmark = pytest.mark.parallel


def test_tiles_of_a_datatake_are_put_together(tmp_path: Path) -> None:
    # The upper left corner of 33TUG lies within 33TTG, 9.8 km from its eastern edge.
    common: dict[str, Any] = {"bands": ("B04",), "baseline": "05.10"}
    west = make_sentinel2(Sentinel2Spec(tmp_path, tile="33TTG", size_60m_px=60, zip_it=True, **common))
    east = make_sentinel2(Sentinel2Spec(tmp_path, tile="33TUG", size_60m_px=60, **common))
    assert (west.epsg, west.top_m) == (east.epsg, east.top_m)
    bounds = {
        "kind": "bounds", "epsg": west.epsg, "left": west.left_m, "right": east.left_m + 3600,
        "bottom": west.top_m - 3600, "top": west.top_m, "spacing": 60,
    }  # fmt: skip
    ((order, made),) = make([west.path, east.path], tmp_path, grid=bounds, options={"extras": ["acquisition"]})
    assert len(order.products) == 2
    values, x, y = pixels(made)
    seen = (x < west.left_m + 3600) | (x > east.left_m)
    assert np.array_equal(~np.ma.getmaskarray(values), seen)
    assert float(np.abs(values - west.fields["B04"].reflectance(x, y)).max()) < 0.01
    with rasterio.open(made.files["acquisition"]) as file:
        assert set(np.unique(file.read(1)[seen])) == {1, 2}


def test_a_tile_is_made_on_its_neighbour_where_that_is_asked_for(tmp_path: Path) -> None:
    east = make_sentinel2(Sentinel2Spec(tmp_path, tile="33TUG", size_60m_px=60, bands=("B11",)))
    tiles = {"kind": "mgrs", "tiles": ["33TTG"], "spacing_m": 60}
    ((_, made),) = make([east.path], tmp_path, grid=tiles, options={"bands": ["b11"]})
    values, x, y = pixels(made)
    assert values.count() == 60 * 60
    assert float(np.abs(values - east.fields["B11"].reflectance(x, y)).max()) < 0.01
