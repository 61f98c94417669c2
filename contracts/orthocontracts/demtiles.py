"""Tiles of the Copernicus DEM by their names: squares of one degree, named by their south-western corner.

Source: "Copernicus DEM Product Handbook", AO/1-9422/18/I-LG, version 5.0, section on naming; the COG names are those of
the public buckets of GLO-30 and GLO-90.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from orthocontracts.polygons import unwrap
from orthocontracts.tiles import tile_ring_lonlat

LonLat = tuple[float, float]
Spacing = Literal["10", "30"]
"""GLO-30 and GLO-90, by tenths of arc seconds, as names have it."""

SOURCES: Final[dict[Spacing, str]] = {
    "10": "https://copernicus-dem-30m.s3.amazonaws.com",
    "30": "https://copernicus-dem-90m.s3.amazonaws.com",
}
"""The public buckets of GLO-30 and GLO-90."""
AREA_MARGIN_DEG: Final = 0.5
"""Around an area whose tiles are fetched: products reach beyond the images made of them, and are shaded from beyond."""
FINEST_FIRST: Final[tuple[Spacing, ...]] = ("10", "30")
TILE_LIST: Final = "tileList.txt"
"""Beside the tiles: the names of all there are. With it, a tile that is missing is told apart from the sea."""

_NAME: Final = re.compile(
    r"Copernicus_DSM_(?:COG_)?(?P<spacing>10|30)_(?P<ns>[NS])(?P<lat>\d{2})_00_(?P<ew>[EW])(?P<lon>\d{3})_00_DEM"
)


class Cell(NamedTuple):
    """A square of one degree, by its south-western corner."""

    lon_deg: int
    lat_deg: int


def tile_name(cell: Cell, spacing: Spacing) -> str:
    """``Copernicus_DSM_COG_10_N41_00_E012_00_DEM``, without ending."""
    north = f"{'S' if cell.lat_deg < 0 else 'N'}{abs(cell.lat_deg):02d}"
    east = f"{'W' if cell.lon_deg < 0 else 'E'}{abs(cell.lon_deg):03d}"
    return f"Copernicus_DSM_COG_{spacing}_{north}_00_{east}_00_DEM"


def cell_of(name: str) -> tuple[Cell, Spacing] | None:
    """The square and spacing of a tile, by its name with or without an ending; None for what is no tile of heights."""
    found = _NAME.fullmatch(re.sub(r"\.(tif|tiff|dt[12])$", "", name.rsplit("/", 1)[-1]))
    if found is None:
        return None
    lon = int(found["lon"]) * (-1 if found["ew"] == "W" else 1)
    lat = int(found["lat"]) * (-1 if found["ns"] == "S" else 1)
    spacing: Spacing = "10" if found["spacing"] == "10" else "30"
    return Cell(lon, lat), spacing


def cells_under(points: Sequence[LonLat], margin_deg: float) -> frozenset[Cell]:
    """All squares that the box around points touches, widened by a margin, which is in degrees of latitude.

    Rings may cross the antimeridian; of one around a pole it is everything from its lowest latitude to the pole.
    """
    ring = unwrap([*points, points[0]])
    lons, lats = [lon for lon, _ in ring], [lat for _, lat in ring]
    low, high = max(-90.0, min(lats) - margin_deg), min(89.999999, max(lats) + margin_deg)
    steepest = max(abs(low), abs(high))
    aside = margin_deg / max(math.cos(math.radians(steepest)), 1e-3)
    left, right = min(lons) - aside, max(lons) + aside
    if abs(lons[-1] - lons[0]) > 180.0:
        low, high = (low, 89.999999) if high > 0 else (-90.0, high)
        left, right = -180.0, 179.999999
    if right - left >= 360.0:
        left, right = -180.0, 179.999999
    columns = {(lon + 180) % 360 - 180 for lon in range(math.floor(left), math.floor(right) + 1)}
    return frozenset(Cell(lon, lat) for lon in columns for lat in range(math.floor(low), math.floor(high) + 1))


def cells_in_list(lines: Iterable[str]) -> frozenset[Cell]:
    """The squares of a list of names; lines that name no tile are left."""
    return frozenset(found[0] for line in lines if (found := cell_of(line.strip())) is not None)


def points_of(area: str) -> list[LonLat]:
    """The outline of an area that somebody wrote down.

    Parameters
    ----------
    area : str
        A Sentinel-2 tile (``33TTG``), ``left,bottom,right,top`` in degrees, or GeoJSON.

    Raises
    ------
    ValueError
        Where it is none of these.
    """
    text = area.strip()
    if text.startswith("{"):
        found = list(_positions(json.loads(text)))
        if not found:
            raise ValueError("GeoJSON without coordinates")
        return found
    if "," in text:
        numbers = [float(part) for part in text.split(",")]
        if len(numbers) != 4 or not (-90 <= numbers[1] < numbers[3] <= 90) or not all(map(math.isfinite, numbers)):
            raise ValueError(f"{text!r}: expected left,bottom,right,top in degrees")
        left, bottom, right, top = numbers
        right += 360.0 if right < left else 0.0
        return [(left, bottom), ((left + right) / 2, bottom), (right, bottom), (right, top), ((left + right) / 2, top)]
    return tile_ring_lonlat(text.upper())


def _positions(value: Any) -> Iterator[LonLat]:
    """All positions of a GeoJSON geometry, feature or collection."""
    if isinstance(value, dict):
        for key in ("features", "geometry", "geometries", "coordinates"):
            yield from _positions(value.get(key))
    elif isinstance(value, list):
        if len(value) >= 2 and all(isinstance(part, int | float) for part in value):
            yield float(value[0]), float(value[1])
        else:
            for part in value:
                yield from _positions(part)
