"""Slow twin of the terrain: one file read whole, four neighbours of each point, in plain NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


def bilinear(path: Path, lon_deg: Float64Array, lat_deg: Float64Array, *, wrap: bool = False) -> Float64Array:
    """Value of a raster between its cell centres; NaN where one of the four is missing or no data."""
    with rasterio.open(path) as source:
        values = source.read(1).astype(np.float64)
        if source.nodata is not None:
            values[values == source.nodata] = np.nan
        wkt = source.crs.to_wkt()
        inverse = ~source.transform
    crs = pyproj.CRS.from_wkt(wkt)
    horizontal = crs.sub_crs_list[0] if crs.is_compound else crs
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", horizontal, always_xy=True).transform(lon_deg, lat_deg)
    col = inverse.a * np.asarray(x) + inverse.c - 0.5
    row = inverse.e * np.asarray(y) + inverse.f - 0.5
    i, j = np.floor(row).astype(int), np.floor(col).astype(int)
    v, u = row - i, col - j
    total = np.zeros(np.shape(row))
    for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (v if di else 1 - v) * (u if dj else 1 - u)
        r, c = i + di, j + dj
        if wrap:
            c = c % values.shape[1]
        inside = (r >= 0) & (r < values.shape[0]) & (c >= 0) & (c < values.shape[1])
        cell = np.full(np.shape(row), np.nan)
        cell[inside] = values[r[inside], c[inside]]
        total += weight * cell
    return total


def heights(dem: Path, geoid: Path | None, lon_deg: Float64Array, lat_deg: Float64Array) -> Float64Array:
    """DEM plus geoid; NaN near voids and off the DEM."""
    height = bilinear(dem, lon_deg, lat_deg)
    return height if geoid is None else height + bilinear(geoid, lon_deg, lat_deg, wrap=True)
