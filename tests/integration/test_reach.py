"""The grid planned around an image holds all of it, wherever its terrain puts it."""

from __future__ import annotations

import numpy as np
import pytest

from orthofunctions.domain.rpc_header import footprint_lonlat, read_tiff_header, rpc_of_text
from orthokernel import Terrain, open_product
from realdata import real_data

pytestmark = [pytest.mark.real, pytest.mark.parallel]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_real_image_on_a_real_mountain_lies_within_its_reach(side: str) -> None:
    """At the middle of the heights its RPC are made for, it lies 50 to 200 m elsewhere."""
    image, geom = real_data("rpc", "ventoux", f"{side}_image.tif"), real_data("rpc", "ventoux", f"{side}_image.geom")
    data = image.read_bytes()
    header, rpc = read_tiff_header(lambda offset, size: data[offset : offset + size]), rpc_of_text(geom.read_text())
    terrain = Terrain(real_data("rpc", "ventoux", "N44E005.hgt"), real_data("geoid", "egm96_15.gtx"))
    with open_product(image) as product:
        model = product.sensor_model()
        line, sample = np.array([-0.5, -0.5, 499.5, 499.5]), np.array([-0.5, 499.5, -0.5, 499.5])
        true = np.stack(model.image_to_terrain(line, sample, terrain)[:2], axis=1)

    def box(*heights: float) -> tuple[np.ndarray, np.ndarray]:
        points = np.array([point for height in heights for point in footprint_lonlat(header, rpc, height)])
        return points.min(axis=0), points.max(axis=0)

    low, high = box(-1.0, 1.0)
    assert (true >= low).all()
    assert (true <= high).all()
    low, high = box(0.0)
    assert not ((true >= low).all() and (true <= high).all()), "the middle height alone would have cut it"
