"""The terrain under an orthoimage: heights above the ellipsoid at points and over blocks of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.grid import Grid

Float64Array = NDArray[np.float64]
VoidPolicy = Literal["fill", "nodata"]


class TerrainFlag(IntFlag):
    """What a height is, where it is not plainly the DEM's; taken from the DEM cell that holds the point."""

    SEA = 1  # no DEM tile: the height is the geoid's (0 without a geoid)
    FILLED = 2  # a void of the DEM, filled from its surroundings
    NODATA = 4  # no height: NaN


@dataclass(frozen=True)
class TerrainBlock:
    """Heights over a window of a grid.

    Attributes
    ----------
    height_m : (n_rows, n_cols) float32
        Above the WGS 84 ellipsoid at pixel centres; NaN where flagged NODATA.
    flags : (n_rows, n_cols) uint8
        `TerrainFlag` bits.
    coverage : float
        Share of the pixels, 0 to 1, whose height comes from the DEM (neither SEA nor NODATA).
    height_min_m, height_max_m : float
        Over the pixels that have a height; NaN where none has.
    """

    height_m: NDArray[np.float32]
    flags: NDArray[np.uint8]
    coverage: float
    height_min_m: float
    height_max_m: float


class Terrain:
    """Heights of the ground. See `__init__` for files, `constant` for a plane above the ellipsoid.

    Safe to share between threads; picklable (caches stay behind).
    """

    def __init__(
        self,
        dem: str | Path | Sequence[str | Path],
        geoid: str | Path | None,
        void_policy: VoidPolicy = "fill",
    ) -> None:
        raise NotImplementedError

    @classmethod
    def constant(cls, height_m: float) -> Terrain:
        """A terrain of one height above the ellipsoid."""
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(west, south, east, north)`` of the DEM in degrees."""
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        """What the heights were made from, for provenance: JSON types only."""
        raise NotImplementedError

    def require_overlap(self, grid: Grid) -> None:
        """Raise `OutsideDemError` unless the DEM covers some of the grid. Call once per output, not per block:
        a block at sea is fine where others have land."""
        raise NotImplementedError

    def heights(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Float64Array, NDArray[np.uint8]]:
        """Exact ``height_m, flags`` at points, broadcast; DEM and geoid each bilinear between their own samples."""
        raise NotImplementedError

    def height_range(self, west: float, south: float, east: float, north: float) -> tuple[float, float]:
        """Bounds ``(lowest_m, highest_m)`` of the heights over an area in degrees; west may exceed east at ±180."""
        raise NotImplementedError

    def block(self, grid_window: Grid) -> TerrainBlock:
        """Heights at the pixel centres of a window (about 1 to 4 Mpx) of a grid."""
        raise NotImplementedError
