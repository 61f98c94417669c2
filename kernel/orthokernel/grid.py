"""The map grid an orthoimage is made on: a coordinate system, an affine transform, and a size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyproj
import rasterio
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import RasterioIOError

from orthocontracts.tiles import TILE_SIZE_M, TileError, tile_bounds
from orthokernel.errors import GridError

Float64Array: TypeAlias = NDArray[np.float64]
CrsLike: TypeAlias = pyproj.CRS | int | str

MAX_SIDE_PX = 2**31 - 1
"""TIFF and GDAL count rows and columns in signed 32-bit integers."""
MAX_PIXELS = 2**36
"""A float32 band of 256 GiB: larger grids are a mistake in the spacing, not an order."""
MAX_GEOGRAPHIC_SPACING_DEG = 1.0
_METRES_PER_DEGREE = 111_319.49  # of longitude on the WGS 84 equator
_SNAP_TOLERANCE_PX = 1e-6


@dataclass(frozen=True)
class Grid:
    """Rows and columns on a map. Immutable, hashable, picklable.

    Attributes
    ----------
    crs : pyproj.CRS
        Horizontal coordinate system, x (east) before y (north) whatever its own axis order. Also accepted: an EPSG
        code, or any text PROJ knows.
    transform : affine.Affine
        From ``(col, row)`` of pixel *corners* to ``(x, y)``; the centre of pixel ``[0, 0]`` is at ``(.5, .5)``.
    n_rows, n_cols : int

    Raises
    ------
    GridError
        For a grid that cannot be: no pixels, too many, a singular transform, a geographic spacing over a degree.
    """

    crs: pyproj.CRS
    transform: Affine
    n_rows: int
    n_cols: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "crs", _horizontal(self.crs))
        transform = Affine(*tuple(self.transform)[:6])
        object.__setattr__(self, "transform", transform)
        object.__setattr__(self, "n_rows", int(self.n_rows))
        object.__setattr__(self, "n_cols", int(self.n_cols))
        if not all(math.isfinite(v) for v in tuple(transform)[:6]) or transform.determinant == 0:
            raise GridError(f"transform {tuple(transform)[:6]} cannot be inverted: give a spacing other than zero")
        if self.n_rows < 1 or self.n_cols < 1:
            raise GridError(f"a grid of {self.n_rows} x {self.n_cols} pixels holds nothing: check its bounds")
        if max(self.n_rows, self.n_cols) > MAX_SIDE_PX or self.n_rows * self.n_cols > MAX_PIXELS:
            raise GridError(
                f"a grid of {self.n_rows} x {self.n_cols} pixels is larger than any output can be: "
                "give a coarser spacing or smaller bounds, both in the units of the coordinate system"
            )
        if self.crs.is_geographic and max(self.spacing_xy) > MAX_GEOGRAPHIC_SPACING_DEG:
            raise GridError(
                f"spacing {max(self.spacing_xy):g} is in degrees on {self.crs.name}: "
                "give degrees, or a projected coordinate system for metres"
            )

    @classmethod
    def mgrs(cls, tile: str, spacing_m: float = 10.0) -> Grid:
        """The grid of a Sentinel-2 tile, such as ``33TTG``.

        Raises
        ------
        GridError
            Where there is no such tile, or the spacing does not divide its 109.8 km.
        """
        try:
            bounds = tile_bounds(tile)
        except TileError as error:
            raise GridError(str(error)) from error
        _check_spacing(spacing_m)
        size_px = TILE_SIZE_M / spacing_m
        if round(size_px) < 1 or abs(size_px - round(size_px)) > _SNAP_TOLERANCE_PX:
            raise GridError(f"spacing {spacing_m:g} m does not divide a tile's {TILE_SIZE_M:g} m: use 10, 20, 60, …")
        transform = Affine(spacing_m, 0.0, bounds.left, 0.0, -spacing_m, bounds.top)
        return cls(_crs(bounds.epsg), transform, round(size_px), round(size_px))

    @classmethod
    def from_bounds(cls, crs: CrsLike, bounds: tuple[float, float, float, float], spacing: float) -> Grid:
        """A north-up grid over ``bounds``, its edges moved outward to multiples of ``spacing``.

        Parameters
        ----------
        crs : pyproj.CRS, int or str
        bounds : (left, bottom, right, top)
            In the units of ``crs``; degrees (longitude first) where it is geographic.
        spacing : float
            Pixel size, in the units of ``crs``.

        Raises
        ------
        GridError
            For a grid that cannot be.
        """
        left, bottom, right, top = (float(v) for v in bounds)
        _check_spacing(spacing)
        if not all(math.isfinite(v) for v in (left, bottom, right, top)):
            raise GridError(f"bounds {bounds} are not finite")
        if not (left < right and bottom < top):
            raise GridError(f"bounds {bounds} are empty; expected left < right and bottom < top")
        if max(abs(v) for v in (left, bottom, right, top)) / spacing > 2**52:
            raise GridError(f"spacing {spacing:g} is too fine for bounds {bounds}: pixels cannot be told apart")
        # The tolerance keeps 0.1 + 0.2 from adding a column.
        col0, col1 = math.floor(left / spacing + _SNAP_TOLERANCE_PX), math.ceil(right / spacing - _SNAP_TOLERANCE_PX)
        row0, row1 = math.floor(-top / spacing + _SNAP_TOLERANCE_PX), math.ceil(-bottom / spacing - _SNAP_TOLERANCE_PX)
        transform = Affine(spacing, 0.0, col0 * spacing, 0.0, -spacing, -row0 * spacing)
        return cls(_crs(crs), transform, max(row1 - row0, 1), max(col1 - col0, 1))

    @classmethod
    def like(cls, raster: str | Path) -> Grid:
        """The grid of a georeferenced raster file.

        Raises
        ------
        GridError
            Where the file cannot be read or is not georeferenced.
        """
        try:
            with rasterio.open(raster) as source:
                wkt = source.crs.to_wkt() if source.crs else None
                transform, n_rows, n_cols = source.transform, source.height, source.width
        except RasterioIOError as error:
            raise GridError(f"{raster}: cannot be read as a raster ({error})") from error
        if wkt is None:
            raise GridError(f"{raster}: has no coordinate system; expected a georeferenced raster")
        return cls(_crs(wkt), transform, n_rows, n_cols)

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_rows, n_cols)``."""
        return self.n_rows, self.n_cols

    @property
    def epsg(self) -> int | None:
        """EPSG code of the coordinate system, None where it has none."""
        code: int | None = self.crs.to_epsg()
        return code

    @property
    def spacing_xy(self) -> tuple[float, float]:
        """Length of a pixel's side along columns and along rows, in the units of the coordinate system."""
        return math.hypot(self.transform.a, self.transform.d), math.hypot(self.transform.b, self.transform.e)

    @property
    def spacing_m(self) -> float:
        """Height of a pixel in metres (degrees counted as on the equator): what resolutions are compared by."""
        return self.spacing_xy[1] * metres_per_unit(self.crs)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(left, bottom, right, top)`` of the pixels' outer edges."""
        corners = [self.transform @ (c, r) for c in (0, self.n_cols) for r in (0, self.n_rows)]
        xs, ys = [c[0] for c in corners], [c[1] for c in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def window(self, row0: int, row1: int, col0: int, col1: int) -> Grid:
        """The part from ``row0`` to before ``row1`` and ``col0`` to before ``col1``; may reach beyond the grid."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        moved = Affine(a, b, c + a * col0 + b * row0, d, e, f + d * col0 + e * row0)
        return Grid(self.crs, moved, row1 - row0, col1 - col0)

    def xy(self, rows: ArrayLike, cols: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """Map coordinates of pixel centres; ``rows`` and ``cols`` are 0-based, may be fractions, and broadcast."""
        row, col = np.asarray(rows, np.float64) + 0.5, np.asarray(cols, np.float64) + 0.5
        a, b, c, d, e, f = tuple(self.transform)[:6]
        return a * col + b * row + c, d * col + e * row + f

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """WGS 84 longitude and latitude, in degrees, of pixel centres (see `xy`)."""
        x, y = np.broadcast_arrays(*self.xy(rows, cols))
        lon_deg, lat_deg = to_lonlat(self.crs).transform(x, y)
        return np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64)

    def rowcol(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """Fractional row and column (0-based, integers at pixel centres) of WGS 84 points."""
        lon, lat = np.broadcast_arrays(np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64))
        x, y = from_lonlat(self.crs).transform(lon, lat)
        a, b, c, d, e, f = tuple(~self.transform)[:6]
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return d * x + e * y + f - 0.5, a * x + b * y + c - 0.5

    def centres(self) -> tuple[Float64Array, Float64Array]:
        """Map coordinates of all pixel centres, each ``(n_rows, n_cols)``: for windows, not for whole tiles."""
        x, y = self.xy(np.arange(self.n_rows)[:, None], np.arange(self.n_cols)[None, :])
        return np.broadcast_to(x, self.shape), np.broadcast_to(y, self.shape)

    def footprint_lonlat(self, points_per_edge: int = 16) -> Float64Array:
        """Outline of the outer edges as a closed ring ``(4 * points_per_edge + 1, 2)`` of ``lon_deg, lat_deg``.

        Longitudes are continuous along the ring: across the antimeridian they run beyond ±180.
        """
        t = np.arange(points_per_edge) / points_per_edge
        row = np.concatenate([1 + 0 * t, 1 - t, 0 * t, t, [1]]) * self.n_rows - 0.5
        col = np.concatenate([t, 1 + 0 * t, 1 - t, 0 * t, [0]]) * self.n_cols - 0.5
        lon, lat = self.lonlat(row, col)
        ring = np.stack([np.unwrap(lon, period=360.0), lat], axis=1)
        if abs(ring[-1, 0] - ring[0, 0]) < 1.0:
            ring[-1] = ring[0]  # equal but for the last bit; not so round a pole, where a turn lies between them
        return ring


def metres_per_unit(crs: pyproj.CRS) -> float:
    """Metres in one unit of a coordinate system's axes; a degree counts as on the equator."""
    factor = float(crs.axis_info[0].unit_conversion_factor)
    return math.degrees(factor) * _METRES_PER_DEGREE if crs.is_geographic else factor


@lru_cache(maxsize=64)
def to_lonlat(crs: pyproj.CRS) -> pyproj.Transformer:
    """Transformer from a map's ``x, y`` to WGS 84 ``lon_deg, lat_deg``."""
    return pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)


@lru_cache(maxsize=64)
def from_lonlat(crs: pyproj.CRS) -> pyproj.Transformer:
    """Transformer from WGS 84 ``lon_deg, lat_deg`` to a map's ``x, y``."""
    return pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True)


@lru_cache(maxsize=256)
def _crs(crs: CrsLike) -> pyproj.CRS:
    try:
        found = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise GridError(f"{crs!r} is no coordinate system PROJ knows: give an EPSG code") from error
    # Systems that are equal may be written differently, in files above all, and would then hash differently.
    code = found.to_epsg(min_confidence=100)
    by_code = found if code is None else pyproj.CRS.from_epsg(code)
    return by_code if by_code == found else found


def _horizontal(crs: CrsLike) -> pyproj.CRS:
    """The 2-D part of a coordinate system; the grid itself carries no heights."""
    found = _crs(crs)
    if found.is_compound:
        found = found.sub_crs_list[0]
    if len(found.axis_info) == 3:
        found = found.to_2d()
    if not (found.is_geographic or found.is_projected):
        raise GridError(f"{found.name} is neither a map projection nor longitude and latitude")
    return found


def _check_spacing(spacing: float) -> None:
    if not (math.isfinite(spacing) and spacing > 0):
        raise GridError(f"spacing {spacing!r} is not a positive number")
