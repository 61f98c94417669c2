"""Sentinel-2 tiles, against PROJ, the mgrs package and corners that real products carry."""

from __future__ import annotations

import mgrs
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthocontracts import tiles, utm
from orthocontracts.tiles import TileError, tile_bounds, tile_ring_lonlat, tiles_intersecting

# Never on a border of zones or bands, which the mgrs package blurs by a millimetre.
lonlat = st.tuples(
    st.integers(-179_999, 179_999).map(lambda k: k / 1000 + 0.0004),
    st.integers(-79_900, 83_900).map(lambda k: k / 1000 + 0.0004),
)


@settings(max_examples=300, deadline=None)
@given(lonlat)
def test_utm_agrees_with_proj_to_a_micrometre_and_inverts(point: tuple[float, float]) -> None:
    lon, lat = point
    zone, south = utm.utm_zone(lon, lat), lat < 0
    ours = utm.utm_forward(lon, lat, zone, south=south)
    theirs = _proj(zone, south).transform(lon, lat)
    assert ours == pytest.approx(theirs, abs=1e-6)
    back_lon, back_lat = utm.utm_inverse(*ours, zone, south=south)
    assert back_lat == pytest.approx(lat, abs=1e-11)
    assert (back_lon - lon + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


@settings(max_examples=400, deadline=None)
@given(lonlat)
def test_every_point_lies_in_the_tile_that_mgrs_names(point: tuple[float, float]) -> None:
    lon, lat = point
    name = mgrs.MGRS().toMGRS(lat, lon, MGRSPrecision=0).zfill(5)
    try:
        bounds = tile_bounds(name)
    except TileError:
        pytest.fail(f"{name} at {point}")
    zone, south = bounds.epsg % 100, bounds.epsg > 32700
    x, y = utm.utm_forward(lon, lat, zone, south=south)
    assert bounds.left <= x <= bounds.right
    assert bounds.bottom <= y <= bounds.top
    assert utm.utm_zone(lon, lat) == zone


@pytest.mark.parametrize(
    ("tile", "epsg", "left", "top"),
    [
        ("33TTG", 32633, 199980, 4700040),
        ("28RCS", 32628, 300000, 3200040),
        ("32VNM", 32632, 499980, 6700020),
        ("33XVG", 32633, 399960, 8700000),
        ("19HCC", 32719, 300000, 6300000),
        ("60KZG", 32760, 799980, 8200020),
    ],
)
def test_corners_of_tiles(tile: str, epsg: int, left: int, top: int) -> None:
    bounds = tile_bounds(tile)
    assert (bounds.epsg, bounds.left, bounds.top) == (epsg, left, top)
    assert bounds.right - bounds.left == bounds.top - bounds.bottom == 109_800
    assert bounds.left % 60 == 0
    assert bounds.top % 60 == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "zone, a latitude band"),
        ("33TT", "zone, a latitude band"),
        ("61TTG", "zone 61"),
        ("00TTG", "zone 0"),
        ("33ITG", "latitude band"),
        ("33TAG", "columns STUVWXYZ"),
        ("33TTO", "row letter"),
        ("32XMG", "Svalbard"),
        ("33TTA", "does not touch"),
        ("31VFG", "does not touch"),
        ("33TTG'; drop", "zone, a latitude band"),
    ],
)
def test_what_names_no_tile_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(TileError, match=says) as caught:
        tile_bounds(text)
    assert caught.value.tile == text


def test_names_are_read_as_products_write_them() -> None:
    assert tiles.parse_tile("T33TTG") == tiles.parse_tile(" 33ttg ") == "33TTG"
    assert tiles.parse_tile("1KAB") == "01KAB"


def test_a_polygon_finds_the_tiles_it_touches() -> None:
    rome = [(12.3, 41.8), (12.6, 41.8), (12.6, 42.0), (12.3, 42.0)]
    assert tiles_intersecting(rome) == ["32TQM", "33TTG", "33TUG"]
    # Tiles overlap by 10 km, so a point near the edge of a square lies in both.
    inside = tile_ring_lonlat("33TTG")
    assert "33TTG" in tiles_intersecting(inside)


@settings(max_examples=60, deadline=None)
@given(st.floats(-179.9, 179.9), st.floats(-79, 83), st.floats(0.01, 1.5), st.floats(0.01, 0.9))
def test_no_tile_of_a_polygon_is_missed(lon: float, lat: float, width: float, height: float) -> None:
    """Points inside the polygon, named by the mgrs package, are in tiles that were found (by either band's name)."""
    ring = [(lon, lat), (lon + width, lat), (lon + width, lat + height), (lon, lat + height)]
    found = tiles_intersecting(ring)
    squares = {(name[:2], name[3:]) for name in found}
    for u in (0.0, 0.5, 1.0):
        for v in (0.0, 0.5, 1.0):
            point_lon = (lon + u * width + 180) % 360 - 180
            point_lat = min(lat + v * height, 83.99)
            name = mgrs.MGRS().toMGRS(point_lat, point_lon, MGRSPrecision=0).zfill(5)
            assert (name[:2], name[3:]) in squares, (name, found)
    assert len(found) < 60


def test_tiles_of_the_zone_beside_are_touched_as_far_as_they_reach() -> None:
    """A tile lies a hundred kilometres beyond its zone where its square only just begins in it."""
    places = ((-101.6, -101.4, 44.0, "13TGJ"), (11.3, 11.5, 46.0, "33TTM"), (11.55, 11.7, -5.0, "33MSQ"))
    for left, right, lat, tile in places:
        box = [(left, lat), (right, lat), (right, lat + 0.1), (left, lat + 0.1)]
        bounds = tile_bounds(tile)
        x, y = _proj(bounds.epsg % 100, bounds.epsg > 32700).transform((left + right) / 2, lat + 0.05)
        assert bounds.left < x < bounds.right
        assert bounds.bottom < y < bounds.top
        assert tile in tiles_intersecting(box)


@pytest.mark.parametrize(
    ("tile", "not_tile"),
    [("20PPC", "20QPC"), ("36SXA", "36RXA"), ("30TVK", "30SVK"), ("32UPU", "32TPU")],
)
def test_a_square_of_two_bands_goes_by_esas_name(tile: str, not_tile: str) -> None:
    """Martinique, Tel Aviv, Madrid and Munich: MGRS knows both names, ESA's grid the first."""
    assert tile_bounds(tile) == tile_bounds(not_tile)
    found = tiles_intersecting(tile_ring_lonlat(tile))
    assert tile in found
    assert not_tile not in found


def test_the_antimeridian_is_no_border() -> None:
    across = [(179.5, -17.0), (-179.5, -17.0), (-179.5, -16.5), (179.5, -16.5)]
    beyond = [(179.5, -17.0), (180.5, -17.0), (180.5, -16.5), (179.5, -16.5)]
    assert tiles_intersecting(across) == tiles_intersecting(beyond) == ["01KAB", "01KBB", "60KYG", "60KZG"]


def test_a_polygon_must_be_one() -> None:
    with pytest.raises(ValueError, match="three points"):
        tiles_intersecting([(0, 0), (1, 1)])
    with pytest.raises(ValueError, match="no longitude and latitude"):
        tiles_intersecting([(0, 0), (1, 91), (2, 0)])


def test_the_rings_of_tiles_are_their_corners() -> None:
    ring = tile_ring_lonlat("33TTG", points_per_edge=1)
    bounds = tile_bounds("33TTG")
    to_map = _proj(33, False)
    corners = [to_map.transform(*point) for point in ring]
    expected = [
        (bounds.left, bounds.bottom),
        (bounds.right, bounds.bottom),
        (bounds.right, bounds.top),
        (bounds.left, bounds.top),
        (bounds.left, bounds.bottom),
    ]
    for corner, wanted in zip(corners, expected, strict=True):
        assert corner == pytest.approx(wanted, abs=1e-6)


_transformers: dict[tuple[int, bool], pyproj.Transformer] = {}


def _proj(zone: int, south: bool) -> pyproj.Transformer:
    key = zone, south
    if key not in _transformers:
        code = (32700 if south else 32600) + zone
        _transformers[key] = pyproj.Transformer.from_crs("OGC:CRS84", f"EPSG:{code}", always_xy=True)
    return _transformers[key]
