"""A small image with RPC on disk, for tests of what comes after the geometry."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
import rasterio.warp
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from orthokernel.grid import Grid

PLACE_LONLAT = (5.2, 44.2)
SIZE_PX = 256
SPACING_M = 2.0
BOUNDS_UTM31 = (675_500.0, 4_896_400.0, 675_900.0, 4_896_800.0)


def write_rpc_image(path: Path, bands: int = 1) -> NDArray[np.uint16]:
    """An image of smooth waves, zero in one corner; returns its pixels ``(bands, lines, samples)``."""
    line, sample = np.mgrid[0:SIZE_PX, 0:SIZE_PX]
    pixels = np.stack([400 + 100 * np.sin(line / 9 + k) * np.cos(sample / 11) for k in range(bands)]).astype(np.uint16)
    pixels[:, :20, :20] = 0
    half = 0.5 * SIZE_PX
    lat_scale = half * SPACING_M / 111_200.0
    one = [1.0, *[0.0] * 19]
    rpc = RPC(
        height_off=500.0,
        height_scale=500.0,
        lat_off=PLACE_LONLAT[1],
        lat_scale=lat_scale,
        line_den_coeff=one,
        line_num_coeff=[0.0, 0.1, -1.0, 0.05, *[0.0] * 16],
        line_off=half,
        line_scale=half,
        long_off=PLACE_LONLAT[0],
        long_scale=lat_scale / float(np.cos(np.radians(PLACE_LONLAT[1]))),
        samp_den_coeff=one,
        samp_num_coeff=[0.0, 1.0, 0.1, 0.1, *[0.0] * 16],
        samp_off=half,
        samp_scale=half,
    )
    profile = {"driver": "GTiff", "height": SIZE_PX, "width": SIZE_PX, "count": bands, "dtype": "uint16", "nodata": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as target:
            target.write(pixels)
            target.rpcs = rpc
    return pixels


def place_grid(spacing_m: float = 2.0) -> Grid:
    """A grid of 400 m over the middle of the image, and past its corner without data."""
    x, y = rasterio.warp.transform("EPSG:4326", "EPSG:32631", [PLACE_LONLAT[0]], [PLACE_LONLAT[1]])
    return Grid.from_bounds(32631, (x[0] - 290, y[0] - 200, x[0] + 110, y[0] + 200), spacing_m)
