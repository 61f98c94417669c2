"""Where an Item lies in the index, and where a search must look.

Images on a tile are under the tile. Others are under each cell of ten degrees that they touch, or, where those are
many, under ``wide``, which every search by place looks into. All are under the month of their time too, for searches
that name no place, or too large a one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from orthocontracts.planar import Bounds
from orthocontracts.tiles import tiles_intersecting
from orthofunctions.domain.cells import cells_in
from orthofunctions.domain.search_areas import Area

CELL_DEG: Final = 10
MOST_CELLS: Final = 12
"""A frame of Sentinel-3 touches six to ten; the polar ones touch all around."""
MOST_PLACES: Final = 30
"""Asked one by one, eight at a time, they are as fast as a month of 100,000 Items in two years is read."""
WIDE: Final = "wide"
LONGEST: Final = timedelta(hours=2)
"""Of an Item, from start to end: more than an orbit."""
_MARGIN_DEG: Final = 0.05
"""Edges of tiles are curves, of footprints straight; they differ by metres."""
_LATEST_MS: Final = 253_402_300_799_999  # the last millisecond of year 9999
_TILES_UP_TO_DEG: Final = (-79.0, 83.0)
"""Tiles at the ends of UTM reach a degree beyond their squares."""


def time_key(start: datetime, digest: str) -> str:
    """A row's key: newest first, and no two alike."""
    return f"{_inverted(start)}-{digest}"


def digest_of_key(key: str) -> str:
    return key.partition("-")[2]


def key_range(earliest: datetime | None, latest: datetime | None) -> tuple[str | None, str | None]:
    """From which key, and below which, Items lie that were seen at any moment between two."""
    start = _inverted(latest) if latest else None
    below = f"{_inverted(_minus(earliest, LONGEST))}." if earliest else None  # "." follows "-"
    return start, below


def month(when: datetime) -> str:
    """The partition of a month: newest first."""
    when = when.astimezone(UTC)
    return f"when-{119_999 - (12 * when.year + when.month - 1):06d}"


ALL_MONTHS: Final = ("when-", "when.")


def month_range(earliest: datetime | None, latest: datetime | None) -> tuple[str, str]:
    """From which month's partition, and below which."""
    start = month(latest) if latest else ALL_MONTHS[0]
    below = f"{month(_minus(earliest, LONGEST))}~" if earliest else ALL_MONTHS[1]
    return start, below


def month_of_key(key: str) -> str:
    """The month's partition of a row."""
    milliseconds = _LATEST_MS - int(key.partition("-")[0])
    return month(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds))


def places_of(tile: str | None, footprint: Area | None) -> tuple[str, ...]:
    """The partitions of an image."""
    if tile is not None:
        return (tile,)
    cells = cells_of_area(footprint) if footprint is not None else []
    return tuple(cells) if 0 < len(cells) <= MOST_CELLS else (WIDE,)


def places_to_search(area: Area) -> tuple[str, ...] | None:
    """The partitions of all images that may touch an area; None where they are too many to be asked one by one."""
    if sum(_tiles_about(box) for box in area.boxes) > MOST_PLACES:
        return None
    cells = cells_of_area(area)
    tiles = {tile for box in area.boxes for tile in _tiles(box)}
    places = (*sorted(tiles), *cells, WIDE)
    return places if len(places) <= MOST_PLACES + MOST_CELLS else None


def cells_of_area(area: Area) -> list[str]:
    """The partitions of what lies on no tile, but for `WIDE`."""
    return sorted({f"cell-{cell}" for box in area.boxes for cell in cells_in(box, CELL_DEG)})


def _tiles_about(box: Bounds) -> float:
    """How many tiles a box touches, roughly."""
    west, south, east, north = box
    nearest = 0.0 if south <= 0 <= north else min(abs(south), abs(north))
    wide = (east - west) * max(0.05, math.cos(math.radians(nearest)))
    return (1.11 * wide + 1.1) * (1.11 * (north - south) + 1.1)


def _tiles(box: Bounds) -> Iterable[str]:
    west, south, east, north = (box[0] - _MARGIN_DEG, box[1] - _MARGIN_DEG, box[2] + _MARGIN_DEG, box[3] + _MARGIN_DEG)
    south = max(-90.0, min(south, _TILES_UP_TO_DEG[1]))
    north = min(90.0, max(north, _TILES_UP_TO_DEG[0]))
    if west < -400.0 or east > 400.0:
        turns = 360.0 * round((west + east) / 720.0)
        west, east = west - turns, east - turns
    return tiles_intersecting([(west, south), (east, south), (east, north), (west, north)])


def _inverted(when: datetime) -> str:
    since = when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{max(0, _LATEST_MS - since // timedelta(milliseconds=1)):015d}"


def _minus(when: datetime, by: timedelta) -> datetime:
    try:
        return when - by
    except OverflowError:
        return when
