"""The terrain under an orthoimage: heights above the ellipsoid at points, and the DEM's cells under a lattice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.errors import OutsideDemError, TerrainError, TooManyCellsError
from orthokernel.grid import Grid, to_lonlat
from orthokernel.terrain.datum import check_geoid_agrees
from orthokernel.terrain.files import raster_paths
from orthokernel.terrain.flags import NODATA, UNUSABLE
from orthokernel.terrain.mosaic import Mosaic
from orthokernel.terrain.sampling import sample_mosaic

Float64Array = NDArray[np.float64]
LonLatBounds = tuple[float, float, float, float]
VoidPolicy = Literal["fill", "nodata"]

_SPACING_SLACK = 1e-6
_OVERLAP_SAMPLES = 65
_MAX_BLOCK_CELLS = 2**26
_GLOBE: LonLatBounds = (-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True)
class DemWindow:
    """The cells of the DEM under a lattice of nodes, for loops that interpolate heights themselves.

    Attributes
    ----------
    cells : (R, C) float32
        Metres, before the geoid is added; NaN where the class is SEA or NODATA.
    classes : (R, C) uint8
        `TerrainFlag` bits.
    all_plain : bool
        No cell has a class to be looked at.
    row0, col0 : int
        Of ``cells[0, 0]``, counted on the DEM's endless lattice.
    """

    cells: NDArray[np.float32]
    classes: NDArray[np.uint8]
    all_plain: bool
    row0: int
    col0: int


class Terrain:
    """Heights of the ground above the WGS 84 ellipsoid: DEM plus geoid.

    Parameters
    ----------
    dem : path, or a list of paths
        A raster of heights (GeoTIFF, SRTM ``.hgt``, DTED, VRT), a folder of them, or a list of both, in one coordinate
        system. A vertical or compound system is read for its name and unit only.
    geoid : path or None
        Raster of geoid heights (for instance ``egm96_15.gtx``), added to the DEM. None: the DEM's heights are above
        the ellipsoid.
    void_policy : {"fill", "nodata"}
        What to do with voids inside the DEM: fill them from their rims up to 64 cells away, or leave them without
        height.

    Raises
    ------
    TerrainError
        A file cannot be read, or its vertical system contradicts ``geoid``.

    Notes
    -----
    Where there is no DEM tile the height is the geoid's (0 without one), flagged SEA. Safe to share between threads;
    pickles by its paths.
    """

    def __init__(
        self,
        dem: str | Path | Sequence[str | Path],
        geoid: str | Path | None,
        void_policy: VoidPolicy = "fill",
    ) -> None:
        if void_policy not in ("fill", "nodata"):
            raise TerrainError("void_policy", repr(void_policy), "'fill' or 'nodata'")
        self._constant_m: float | None = None
        self._is_none = False
        self._void_policy: VoidPolicy = void_policy
        self._dem: Mosaic | None = Mosaic(raster_paths(dem), fill=void_policy == "fill")
        check_geoid_agrees(self._dem.datum, self._dem.paths[0], geoid)
        self._geoid = None if geoid is None else Mosaic(raster_paths(geoid), fill=False)

    @classmethod
    def constant(cls, height_m: float) -> Terrain:
        """A terrain of one height above the ellipsoid, everywhere."""
        if not math.isfinite(height_m):
            raise TerrainError("constant height", repr(height_m), "a finite number of metres")
        terrain = cls.__new__(cls)
        terrain._constant_m = float(height_m)
        terrain._is_none = False
        terrain._void_policy = "fill"
        terrain._dem = terrain._geoid = None
        return terrain

    @classmethod
    def none(cls) -> Terrain:
        """What lies under pixels that are on the map already: height 0, which nobody asks for."""
        terrain = cls.constant(0.0)
        terrain._is_none = True
        return terrain

    @property
    def is_none(self) -> bool:
        """Whether nobody asks for its heights."""
        return self._is_none

    @property
    def spacing_m(self) -> float:
        """Height of a DEM cell, in metres; infinite for a constant terrain."""
        return math.inf if self._dem is None else self._dem.spacing_m

    @property
    def bounds(self) -> LonLatBounds:
        """``(west, south, east, north)`` of the DEM in degrees; the globe for a constant terrain."""
        if self._dem is None:
            return _GLOBE
        to_wgs84 = to_lonlat(self._dem.datum.horizontal)
        boxes = np.array([to_wgs84.transform_bounds(*box) for box in self._dem.tile_bounds()])
        west, south = boxes[:, 0].min(), boxes[:, 1].min()
        east, north = boxes[:, 2].max(), boxes[:, 3].max()
        return float(west), float(south), float(east), float(north)

    def describe(self) -> dict[str, object]:
        """What the heights are made from, for provenance: JSON types only, file names without folders."""
        if self._dem is None:
            return {"none": True} if self._is_none else {"constant_height_m": self._constant_m}
        return {
            "dem": sorted(Path(path).name for path in self._dem.paths),
            "dem_crs": self._dem.datum.horizontal.name,
            "dem_vertical_crs": self._dem.datum.vertical_name,
            "dem_spacing_m": round(self._dem.spacing_m, 3),
            "geoid": None if self._geoid is None else Path(self._geoid.paths[0]).name,
            "void_policy": self._void_policy,
        }

    def require_overlap(self, grid: Grid) -> None:
        """Refuse a grid that the DEM does not touch at all.

        To be called once per output, not per block: a block at sea is fine where others have land.

        Raises
        ------
        OutsideDemError
            With the bounds of both.
        """
        if self._dem is None:
            return
        n = _OVERLAP_SAMPLES
        rows = np.linspace(-0.5, grid.n_rows - 0.5, n)[:, None]
        cols = np.linspace(-0.5, grid.n_cols - 0.5, n)[None, :]
        lon, lat = grid.lonlat(rows, cols)
        if self._dem.touches(*self._dem.rowcol(lon, lat, None)):
            return
        # A DEM may be smaller than the mesh of the samples: look for its own points in the grid, too.
        to_wgs84 = to_lonlat(self._dem.datum.horizontal)
        for left, bottom, right, top in self._dem.tile_bounds():
            x, y = np.meshgrid(np.linspace(left, right, 9), np.linspace(bottom, top, 9))
            row, col = grid.rowcol(*to_wgs84.transform(x, y))
            inside = (row >= -0.5) & (row <= grid.n_rows - 0.5) & (col >= -0.5) & (col <= grid.n_cols - 0.5)
            if inside.any():
                return
        ring = grid.footprint_lonlat()
        west, south = ring.min(axis=0)
        east, north = ring.max(axis=0)
        raise OutsideDemError((float(west), float(south), float(east), float(north)), self.bounds)

    def heights(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Float64Array, NDArray[np.uint8]]:
        """Exact heights at points.

        Parameters
        ----------
        lon_deg, lat_deg : array_like
            WGS 84 degrees, broadcast.

        Returns
        -------
        height_m : float64
            DEM (bilinear between cell centres, unfiltered) plus geoid (likewise), above the ellipsoid; NaN where
            NODATA.
        flags : uint8
            `TerrainFlag` bits.
        """
        lon, lat = np.broadcast_arrays(np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64))
        shape = lon.shape
        lon, lat = np.ascontiguousarray(lon).reshape(-1), np.ascontiguousarray(lat).reshape(-1)
        if self._dem is None:
            finite = np.isfinite(lon) & np.isfinite(lat)
            height = np.where(finite, np.float64(self._constant_m or 0.0), np.nan)
            flags = np.where(finite, 0, NODATA).astype(np.uint8)
        else:
            height, flags = sample_mosaic(self._dem, lon, lat)
            height = height + self._geoid_heights(lon, lat)
            flags[np.isnan(height)] = NODATA
        return height.reshape(shape), flags.reshape(shape)

    def height_range(self, west: float, south: float, east: float, north: float) -> tuple[float, float]:
        """Bounds ``(lowest_m, highest_m)`` of the heights over an area in degrees; NaN where it has none.

        Never narrower than the heights, sometimes wider. Longitudes may run beyond ±180.
        """
        if self._dem is None:
            assert self._constant_m is not None
            return self._constant_m, self._constant_m
        lon, lat = np.meshgrid(np.linspace(west, east, 17), np.clip(np.linspace(south, north, 17), -90, 90))
        low, high = _mosaic_range(self._dem, lon, lat)
        if self._geoid is not None:
            geoid_low, geoid_high = _mosaic_range(self._geoid, lon, lat)
            low, high = low + geoid_low, high + geoid_high
        return low, high

    def window(self, nodes: Float64Array, level: int = 1) -> DemWindow:
        """The cells under ``(3, I, J)`` nodes of this level (see `nodes`), a few Mpx, with at least one around them.

        ``level`` cells on a side are first averaged into one.

        Raises
        ------
        TooManyCellsError
            The nodes span more cells than memory should hold.
        TerrainError
            A raster cannot be read.
        """
        row, col, _ = nodes
        if self._dem is None:
            assert self._constant_m is not None
            cells = np.full((2, 2), self._constant_m, np.float32)
            return DemWindow(cells, np.zeros((2, 2), np.uint8), True, 0, 0)
        if not np.isfinite(row).any():
            return DemWindow(np.full((2, 2), np.nan, np.float32), np.full((2, 2), NODATA, np.uint8), False, 0, 0)
        row0, row1 = math.floor(np.nanmin(row)) - 1, math.floor(np.nanmax(row)) + 3
        col0, col1 = math.floor(np.nanmin(col)) - 1, math.floor(np.nanmax(col)) + 3
        if (row1 - row0) * (col1 - col0) > _MAX_BLOCK_CELLS:
            raise TooManyCellsError(
                self._dem.paths[0], f"{row1 - row0} x {col1 - col0} cells under one block", "a coarser DEM"
            )
        cells, classes = self._dem.region(level, row0, row1, col0, col1)
        return DemWindow(cells, classes, not classes.any(), row0, col0)

    def nodes(
        self, lon_deg: Float64Array, lat_deg: Float64Array, level: int = 1, near_col: float | None = None
    ) -> Float64Array:
        """Where WGS 84 points ``(I, J)`` lie in the DEM, without reading it.

        ``near_col`` tells, for a DEM that goes round the globe, which of its columns are meant; the middle point's
        where None. A constant terrain has one cell.

        Returns
        -------
        (3, I, J) float64
            Row and column, counted on the DEM's endless lattice (integers at cell centres), whatever is read of it: so
            that a point interpolated between the same nodes comes out the same to the last bit; NaN off the DEM's map
            projection. Geoid height in metres, to be added; NaN off a regional geoid.
        """
        if self._dem is None:
            half = np.where(np.isfinite(lon_deg) & np.isfinite(lat_deg), 0.5, np.nan)
            return np.stack([half, half, 0.0 * half])
        if near_col is None:
            near_col = self.column_near(lon_deg, lat_deg)
        row, col = self._dem.rowcol(lon_deg, lat_deg, near_col)
        geoid_m = self._geoid_heights(lon_deg.reshape(-1), lat_deg.reshape(-1)).reshape(lon_deg.shape)
        nodes = np.stack([(row - (level - 1) / 2) / level, (col - (level - 1) / 2) / level, geoid_m])
        nodes[:2, ~(np.isfinite(nodes[0]) & np.isfinite(nodes[1]))] = np.nan
        return nodes

    def column_near(self, lon_deg: Float64Array, lat_deg: Float64Array) -> float | None:
        """Column, at level 1, of the middle one of points ``(I, J)``; None where it has none."""
        if self._dem is None:
            return None
        middle = tuple(n // 2 for n in lon_deg.shape)
        near_col = float(self._dem.rowcol(lon_deg[middle], lat_deg[middle], None)[1])
        return near_col if math.isfinite(near_col) else None

    def level_for(self, spacing_m: float) -> int:
        """How many cells on a side are averaged into one for a grid: two or more where it is that much coarser."""
        return 1 if self._dem is None else max(1, math.floor(spacing_m / self._dem.spacing_m + _SPACING_SLACK))

    def _geoid_heights(self, lon_deg: Float64Array, lat_deg: Float64Array) -> Float64Array:
        """Geoid heights at points ``(N,)``; NaN off a regional geoid, 0 without one."""
        if self._geoid is None:
            return np.zeros(lon_deg.shape)
        height, classes = sample_mosaic(self._geoid, lon_deg, lat_deg)
        height[(classes & UNUSABLE) != 0] = np.nan
        return height


def _mosaic_range(mosaic: Mosaic, lon_deg: Float64Array, lat_deg: Float64Array) -> tuple[float, float]:
    """Lowest and highest cell of a mosaic around a mesh of points."""
    middle = tuple(n // 2 for n in lon_deg.shape)
    near_col = float(mosaic.rowcol(lon_deg[middle], lat_deg[middle], None)[1])
    row, col = mosaic.rowcol(lon_deg, lat_deg, near_col)
    row, col = row[np.isfinite(row)], col[np.isfinite(col)]
    if not row.size or not col.size:
        return math.nan, math.nan
    # The outline of the mesh bulges between its points on a map: a few cells more.
    return mosaic.value_range(
        math.floor(row.min()) - 3, math.floor(row.max()) + 5, math.floor(col.min()) - 3, math.floor(col.max()) + 5
    )
