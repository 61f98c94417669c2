"""ESA's Sentinel-2 tiles: squares of 109.8 km named after the MGRS square of 100 km that they contain.

A tile's name is that of its MGRS square: zone, latitude band, column and row letter (``33TTG``). Its upper left corner
is the square's, moved outward (west and north) to the 60 m grid that all bands share.

Source: NGA.STND.0037, "Universal Grids and Grid Reference Systems" (2014), 3-4 (MGRS letters), and the corners that
Sentinel-2 products carry.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from orthocontracts.polygons import polygons_touch, unwrap
from orthocontracts.utm import FALSE_NORTHING_SOUTH_M, utm_forward, utm_inverse, utm_zone

TILE_SIZE_M: Final = 109_800
SQUARE_SIZE_M: Final = 100_000
GRID_STEP_M: Final = 60

BANDS: Final = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS: Final = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3
_ROWS: Final = "ABCDEFGHJKLMNPQRSTUV"
_EVEN_ZONE_ROW_SHIFT: Final = 5
_NAME: Final = re.compile(r"(\d{1,2})([A-Z])([A-Z])([A-Z])")
_PART: Final = re.compile(r"(\d{1,2})([A-Z])")
# No tile outside: Svalbard's zones swallow these.
_MISSING_ZONES: Final = {("X", 32), ("X", 34), ("X", 36)}


class TileError(ValueError):
    """A text that names no Sentinel-2 tile; the message says which part is wrong."""

    def __init__(self, tile: str, reason: str) -> None:
        super().__init__(f"tile {tile!r}: {reason}")
        self.tile = tile
        self.reason = reason


@dataclass(frozen=True)
class TileBounds:
    """A tile on the map: EPSG code of its UTM zone and its edges in metres."""

    epsg: int
    left: int
    bottom: int
    right: int
    top: int


@dataclass(frozen=True)
class _Square:
    """An MGRS square: zone, band letter, and its south-west corner counted in 100 km from the equator."""

    zone: int
    band: str
    column: int  # easting of the west edge, 100 km
    row: int  # northing of the south edge from the equator, 100 km; negative in the south

    @property
    def south(self) -> bool:
        return self.band < "N"

    @property
    def name(self) -> str:
        column = _COLUMNS[self.zone % 3][self.column - 1]
        shift = 0 if self.zone % 2 else _EVEN_ZONE_ROW_SHIFT
        return f"{self.zone:02d}{self.band}{column}{_ROWS[(self.row + shift) % 20]}"


def parse_tile(tile: str) -> str:
    """Canonical name (two digits of zone, capitals) of a tile; a leading ``T`` as in product names is dropped.

    Raises
    ------
    TileError
        Where the text names no tile.
    """
    return _square(tile).name


def tile_bounds(tile: str) -> TileBounds:
    """Where ESA puts a tile: 109.8 km, upper left corner of its square moved outward to the 60 m grid.

    Raises
    ------
    TileError
        Where the text names no tile.
    """
    return _bounds(_square(tile))


def part_bounds_deg(part: str) -> tuple[float, float, float, float]:
    """West, south, east and north of a zone's band ("31T"), or of the box around a tile ("31TCJ").

    Raises
    ------
    TileError
        Where the text names neither.
    """
    found = _PART.fullmatch(part.strip().upper().removeprefix("T"))
    if found is None:
        ring = tile_ring_lonlat(part)
        lons, lats = [lon for lon, _ in ring], [lat for _, lat in ring]
        return min(lons), min(lats), max(lons), max(lats)
    zone, band = int(found[1]), found[2]
    if not 1 <= zone <= 60 or band not in BANDS or (band, zone) in _MISSING_ZONES:
        raise TileError(part, "there is no such zone and band: zones are 1 to 60, bands C to X without I and O")
    (south, north), (west, east) = _band_limits_deg(band), _zone_limits_deg(zone, band)
    return west, south, east, north


def parse_part(part: str) -> str:
    """Canonical name of a zone's band or a tile: what the names of its tiles begin with.

    Raises
    ------
    TileError
    """
    part_bounds_deg(part)
    found = _PART.fullmatch(part.strip().upper().removeprefix("T"))
    return parse_tile(part) if found is None else f"{int(found[1]):02d}{found[2]}"


def tile_ring_lonlat(tile: str, points_per_edge: int = 8) -> list[tuple[float, float]]:
    """Outline of a tile as a closed ring of ``(lon_deg, lat_deg)``, counter-clockwise from its lower left.

    Longitudes are continuous along the ring: on a tile that crosses the antimeridian they run beyond ±180.

    Raises
    ------
    TileError
        Where the text names no tile.
    """
    return list(_ring(_square(tile), points_per_edge))


def tiles_intersecting(ring_lonlat: Sequence[tuple[float, float]]) -> list[str]:
    """Names of the tiles that a polygon on the globe touches, sorted.

    Parameters
    ----------
    ring_lonlat : sequence of (lon_deg, lat_deg)
        Outer ring, closed or not. Consecutive longitudes more than 180 degrees apart are read as crossing the
        antimeridian. Edges are straight in longitude and latitude.

    Notes
    -----
    A square that two latitude bands share goes by the band its centre lies in, as ESA's tiles do. Points beyond 84 N
    or 80 S, where MGRS leaves UTM, have no tile.

    Raises
    ------
    ValueError
        For fewer than three points, or coordinates that are no longitude and latitude.
    """
    ring = _unwrapped(ring_lonlat)
    found = set()
    west, east = min(p[0] for p in ring), max(p[0] for p in ring)
    south, north = min(p[1] for p in ring), max(p[1] for p in ring)
    for square in _candidates(west, south, east, north):
        outline = _ring(square, 8)
        # The same tile, a turn of the globe away, may be the one that touches.
        for turn_deg in (-360.0, 0.0, 360.0):
            if polygons_touch(ring, [(lon + turn_deg, lat) for lon, lat in outline]):
                found.add(square.name)
                break
    return sorted(found)


@lru_cache(maxsize=4096)
def _square(tile: str) -> _Square:
    text = tile.strip().upper()
    if len(text) == 6 and text.startswith("T"):
        text = text[1:]
    match = _NAME.fullmatch(text)
    if match is None:
        raise TileError(tile, "a tile is a zone, a latitude band and two letters, like 33TTG")
    zone, band = int(match[1]), match[2]
    if not 1 <= zone <= 60:
        raise TileError(tile, f"zone {zone} is not between 1 and 60")
    if band not in BANDS:
        raise TileError(tile, f"{band} is no latitude band (C to X without I and O)")
    if (band, zone) in _MISSING_ZONES:
        raise TileError(tile, f"zone {zone} does not exist in band X (Svalbard uses 31, 33, 35, 37)")
    columns = _COLUMNS[zone % 3]
    if match[3] not in columns:
        raise TileError(tile, f"zone {zone} has the columns {columns}, not {match[3]}")
    if match[4] not in _ROWS:
        raise TileError(tile, f"{match[4]} is no row letter (A to V without I and O)")
    column = columns.index(match[3]) + 1
    shift = 0 if zone % 2 else _EVEN_ZONE_ROW_SHIFT
    letter_row = (_ROWS.index(match[4]) - shift) % 20
    for square in (_Square(zone, band, column, letter_row + 20 * turn) for turn in range(-5, 5)):
        if _touches_its_cell(square):
            return square
    raise TileError(tile, f"square {match[3]}{match[4]} does not touch zone {zone}, band {band}")


def _bounds(square: _Square) -> TileBounds:
    false_northing_m = int(FALSE_NORTHING_SOUTH_M) if square.south else 0
    left = square.column * SQUARE_SIZE_M // GRID_STEP_M * GRID_STEP_M
    top = -(-((square.row + 1) * SQUARE_SIZE_M + false_northing_m) // GRID_STEP_M) * GRID_STEP_M
    epsg = (32700 if square.south else 32600) + square.zone
    return TileBounds(epsg, left, top - TILE_SIZE_M, left + TILE_SIZE_M, top)


def _band_limits_deg(band: str) -> tuple[float, float]:
    south = -80.0 + 8.0 * BANDS.index(band)
    return south, 84.0 if band == "X" else south + 8.0


def _band_of(lat_deg: float) -> str:
    return BANDS[max(0, min(19, int((lat_deg + 80.0) // 8.0)))]


def _touches_its_cell(square: _Square) -> bool:
    """Whether any of a raster of points over the square lies in the square's own zone and band.

    A point each 2.5 km finds slivers down to that size; MGRS references in smaller ones are read as wrong.
    """
    south_deg, north_deg = _band_limits_deg(square.band)
    # Cheap first: a degree of latitude is at least 110.5 km on the ground.
    if (square.row + 1) * 100 < south_deg * 111.7 - 150 or square.row * 100 > north_deg * 111.7 + 150:
        return False
    steps = range(41)
    for i in steps:
        northing_m = (square.row + i / 40) * SQUARE_SIZE_M + (FALSE_NORTHING_SOUTH_M if square.south else 0)
        for j in steps:
            lon, lat = utm_inverse(
                (square.column + j / 40) * SQUARE_SIZE_M, northing_m, square.zone, south=square.south
            )
            if south_deg <= lat < north_deg and utm_zone(lon, lat) == square.zone:
                return True
    return False


def _ring(square: _Square, points_per_edge: int) -> Iterable[tuple[float, float]]:
    return _ring_cached(square, points_per_edge)


@lru_cache(maxsize=4096)
def _ring_cached(square: _Square, points_per_edge: int) -> tuple[tuple[float, float], ...]:
    b = _bounds(square)
    corners = [(b.left, b.bottom), (b.right, b.bottom), (b.right, b.top), (b.left, b.top), (b.left, b.bottom)]
    ring: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        for k in range(points_per_edge):
            t = k / points_per_edge
            lonlat = utm_inverse(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t, square.zone, south=square.south)
            ring.append(lonlat)
    ring.append(ring[0])
    return tuple(unwrap(ring))


def _candidates(west: float, south: float, east: float, north: float) -> list[_Square]:
    """Squares whose tiles may touch a box of longitude and latitude, each square once."""
    # A tile reaches 10 km beyond its square. A square with any part in its zone may lie beyond it with all the rest.
    margin_deg, beyond_zone_deg = 0.2, 1.1
    south, north = max(-80.0, south - margin_deg), min(84.0, north + margin_deg)
    squares: dict[str, _Square] = {}
    if south > north:
        return []
    for zone in range(1, 61):
        for band in BANDS:
            if (band, zone) in _MISSING_ZONES:
                continue
            band_south, band_north = _band_limits_deg(band)
            zone_west, zone_east = _zone_limits_deg(zone, band)
            if zone_east <= zone_west or band_south > north or band_north < south:
                continue
            lat_max = max(abs(max(south, band_south)), abs(min(north, band_north)))
            width = max(0.1, math.cos(math.radians(min(lat_max, 84.0))))
            lon_margin_deg, beyond_deg = margin_deg / width, beyond_zone_deg / width
            for turn_deg in (-360.0, 0.0, 360.0):
                lon0 = max(west - lon_margin_deg, zone_west - beyond_deg + turn_deg)
                lon1 = min(east + lon_margin_deg, zone_east + beyond_deg + turn_deg)
                if lon0 > lon1:
                    continue
                lat_limits = max(south, band_south), min(north, band_north)
                for square in _squares_over(zone, band, (lon0, lon1), lat_limits):
                    squares[square.name] = square
    return list(squares.values())


def _zone_limits_deg(zone: int, band: str) -> tuple[float, float]:
    west = -180.0 + 6.0 * (zone - 1)
    if band == "V" and zone in (31, 32):
        return (0.0, 3.0) if zone == 31 else (3.0, 12.0)
    if band == "X" and zone in (31, 33, 35, 37):
        return {31: (0.0, 9.0), 33: (9.0, 21.0), 35: (21.0, 33.0), 37: (33.0, 42.0)}[zone]
    return west, west + 6.0


def _squares_over(
    zone: int, band: str, lon_limits: tuple[float, float], lat_limits: tuple[float, float]
) -> Iterable[_Square]:
    """Squares that go by this band and touch the box, in rows and columns counted from its projected outline."""
    (west, east), (south, north) = lon_limits, lat_limits
    southern = band < "N"
    xs, ys = [], []
    for i in range(9):
        for j in range(9):
            x, y = utm_forward(west + (east - west) * i / 8, south + (north - south) * j / 8, zone, south=False)
            xs.append(x)
            ys.append(y)
    for column in range(max(1, int(min(xs) // SQUARE_SIZE_M)), min(8, int(max(xs) // SQUARE_SIZE_M)) + 1):
        for row in range(int(min(ys) // SQUARE_SIZE_M), int(max(ys) // SQUARE_SIZE_M) + 1):
            lat_centre = utm_inverse((column + 0.5) * SQUARE_SIZE_M, (row + 0.5) * SQUARE_SIZE_M, zone, south=False)[1]
            # Band X runs on to 84 degrees; what lies beyond has no tile.
            owner = _band_of(lat_centre)
            square = _Square(zone, owner, column, row)
            if (owner < "N") == southern and (owner, zone) not in _MISSING_ZONES and _exists(square):
                yield square


@lru_cache(maxsize=8192)
def _exists(square: _Square) -> bool:
    return _touches_its_cell(square)


def _unwrapped(ring_lonlat: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    ring = [(float(lon), float(lat)) for lon, lat in ring_lonlat]
    if len(ring) < 3:
        raise ValueError(f"a polygon has at least three points, not {len(ring)}")
    for lon, lat in ring:
        if not (math.isfinite(lon) and -90.0 <= lat <= 90.0 and -540.0 <= lon <= 540.0):
            raise ValueError(f"({lon}, {lat}) is no longitude and latitude in degrees")
    if ring[0] != ring[-1]:
        ring.append(ring[0])
    return unwrap(ring)
