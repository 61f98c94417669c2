"""Ground heights above the ellipsoid: a DEM plus a geoid, or one height, as a surface that is bilinear everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import ArrayLike, NDArray
from rasterio.windows import Window

from localdev.scene.ellipsoid import Float64Array

Bounds = tuple[float, float, float, float]  # west, south, east, north in degrees


@dataclass(frozen=True)
class Surface:
    """Heights on a geographic grid, bilinear between nodes, those of the edge beyond it.

    Attributes
    ----------
    lon_deg, lat_deg : float
        Of node [0, 0]; rows go south.
    step_lon_deg, step_lat_deg : float
        Between columns and (downwards) between rows, both positive.
    height_m : (H, W) float32
        Above the ellipsoid.
    sea : (H, W) bool
        Where the node is sea: DEM height zero or less, or no DEM.
    """

    lon_deg: float
    lat_deg: float
    step_lon_deg: float
    step_lat_deg: float
    height_m: NDArray[np.float32]
    sea: NDArray[np.bool_]

    def height(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
        """Ellipsoidal height at ground points."""
        column = (np.asarray(lon_deg, float) - self.lon_deg) / self.step_lon_deg
        row = (self.lat_deg - np.asarray(lat_deg, float)) / self.step_lat_deg
        return bilinear(self.height_m, row, column)


def bilinear(values: NDArray[np.floating], row: ArrayLike, column: ArrayLike) -> Float64Array:
    """Bilinear interpolation at fractional indices, clamped to the array."""
    rows, columns = values.shape
    r = np.clip(np.asarray(row, float), 0, rows - 1)
    c = np.clip(np.asarray(column, float), 0, columns - 1)
    r0 = np.minimum(r.astype(np.int64), max(rows - 2, 0))
    c0 = np.minimum(c.astype(np.int64), max(columns - 2, 0))
    r1, c1 = np.minimum(r0 + 1, rows - 1), np.minimum(c0 + 1, columns - 1)
    wr, wc = r - r0, c - c0
    upper = values[r0, c0] * (1 - wc) + values[r0, c1] * wc
    lower = values[r1, c0] * (1 - wc) + values[r1, c1] * wc
    return np.asarray(upper * (1 - wr) + lower * wr, dtype=np.float64)


def crossings(values: Float64Array, row: Float64Array, column: Float64Array) -> Float64Array:
    """Bilinear interpolation at the crossings of fractional rows and columns inside the array."""
    r = np.minimum(row.astype(np.int64), values.shape[0] - 2)
    c = np.minimum(column.astype(np.int64), values.shape[1] - 2)
    weight = (row - r)[:, None]
    lines = values[r] * (1.0 - weight) + values[r + 1] * weight
    left = np.take(lines, c, axis=1)
    return np.asarray(left + (np.take(lines, c + 1, axis=1) - left) * (column - c), dtype=np.float64)


def flat_surface(bounds: Bounds, height_m: float) -> Surface:
    """One height everywhere."""
    west, south, east, north = bounds
    height = np.full((2, 2), height_m, dtype=np.float32)
    return Surface(west, north, east - west, north - south, height, np.zeros((2, 2), dtype=bool))


def read_surface(dem_file: Path, geoid_file: Path | None, bounds: Bounds) -> Surface:
    """The surface over an area: the DEM at its own nodes, sea where it has none, plus the geoid.

    Raises
    ------
    ValueError
        Where the DEM is not on a north-up geographic grid, or covers nothing of the area.
    """
    west, south, east, north = bounds
    with rasterio.open(dem_file) as source:
        step_lon, step_lat = source.transform.a, -source.transform.e
        if source.transform.b or source.transform.d or step_lat <= 0 or not 0 < step_lon < 0.1:
            raise ValueError(f"{dem_file.name}: the simulator takes a north-up DEM in degrees, this one is not")
        lon, lat = source.transform.c + 0.5 * step_lon, source.transform.f - 0.5 * step_lat
        column0 = int(np.floor((west - lon) / step_lon)) - 1
        column1 = int(np.ceil((east - lon) / step_lon)) + 2
        row0 = int(np.floor((lat - north) / step_lat)) - 1
        row1 = int(np.ceil((lat - south) / step_lat)) + 2
        left, right = max(column0, 0), min(column1, source.width)
        top, bottom = max(row0, 0), min(row1, source.height)
        if left >= right or top >= bottom:
            raise ValueError(f"{dem_file.name} does not touch the scene: {bounds} (west, south, east, north)")
        window = Window(left, top, right - left, bottom - top)  # type: ignore[no-untyped-call, unused-ignore]
        inside = source.read(1, window=window).astype(np.float32)
        void = ~np.isfinite(inside)
        if source.nodata is not None:
            void |= inside == source.nodata
    inside[void] = 0.0
    height = np.zeros((row1 - row0, column1 - column0), dtype=np.float32)
    height[top - row0 : bottom - row0, left - column0 : right - column0] = inside
    sea = height <= 0.0
    lon, lat = lon + column0 * step_lon, lat - row0 * step_lat
    if geoid_file is not None:
        nodes_lon = lon + step_lon * np.arange(height.shape[1])
        nodes_lat = lat - step_lat * np.arange(height.shape[0])
        # In strips: over a full frame the geoid at every DEM node is a large array of float64.
        for top_row in range(0, height.shape[0], 256):
            strip = slice(top_row, top_row + 256)
            height[strip] += geoid_height(geoid_file, nodes_lon[None, :], nodes_lat[strip, None]).astype(np.float32)
    return Surface(lon, lat, step_lon, step_lat, height, sea)


def geoid_height(geoid_file: Path, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
    """Geoid above the ellipsoid, bilinear, going round the Earth in longitude."""
    with rasterio.open(geoid_file) as source:
        grid = source.read(1).astype(np.float64)
        transform = source.transform
    if abs(grid.shape[1] * transform.a - 360.0) < 1.5 * transform.a:
        whole = round(360.0 / transform.a)
        grid = np.concatenate([grid[:, :whole], grid[:, :1]], axis=1)
    lon, lat = np.broadcast_arrays(np.asarray(lon_deg, float), np.asarray(lat_deg, float))
    first = transform.c + 0.5 * transform.a
    column = np.mod(lon - first, 360.0) / transform.a
    row = (lat - (transform.f + 0.5 * transform.e)) / transform.e
    return bilinear(grid, row, column)
