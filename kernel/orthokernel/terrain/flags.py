"""What a height is, where it is not plainly the DEM's."""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class TerrainFlag(IntFlag):
    """Taken from the DEM cell that holds the point."""

    SEA = 1  # no DEM tile: the height is the geoid's (0 without a geoid)
    FILLED = 2  # a void of the DEM, filled from its surroundings
    NODATA = 4  # no height: NaN


# Plain integers for numba, which would box the members of an enum.
OK: Final = 0
SEA: Final = 1
FILLED: Final = 2
NODATA: Final = 4
UNUSABLE: Final = SEA | NODATA
