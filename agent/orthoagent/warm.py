"""Has the kernel compiled before the first task: a made image of a few pixels goes through all of it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from orthokernel import Grid, Terrain, open_product, orthorectify

SIDE_PX = 512
HALF_SIDE_DEG = 0.025


def warm_kernel() -> None:
    """Orthorectify a made image with each resampling method. Takes a moment where the cache is filled."""
    with tempfile.TemporaryDirectory(prefix="orthoagent-warm-") as folder:
        path = Path(folder) / "warm.tif"
        _write_image(path)
        grid = Grid.from_bounds(32631, (499_700.0, 4_982_700.0, 500_300.0, 4_983_300.0), 10.0)
        with open_product(path) as product:
            for resampling in ("nearest", "bilinear", "cubic", "average"):
                orthorectify(product, grid, Terrain.constant(0.0), resampling=resampling)


def _write_image(path: Path) -> None:
    """Pixels of about 10 m around 3 degrees east, 45 north, and coefficients that say just that."""
    unit = [1.0, *[0.0] * 19]
    by_lon, by_lat = [0.0, 1.0, *[0.0] * 18], [0.0, 0.0, -1.0, *[0.0] * 17]
    half_px = SIDE_PX / 2
    rpc = RPC(
        height_off=0.0,
        height_scale=500.0,
        lat_off=45.0,
        lat_scale=HALF_SIDE_DEG,
        line_den_coeff=unit,
        line_num_coeff=by_lat,
        line_off=half_px,
        line_scale=half_px,
        long_off=3.0,
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
