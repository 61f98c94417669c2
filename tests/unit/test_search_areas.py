"""Areas that share a point, as shapely finds it; and geometries that are none."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orthocontracts.planar import turn
from orthofunctions.domain.search_areas import MOST_POINTS, Area, AreaError, area_box, box_area, parse_area

# A coarse raster, so that corners meet corners and edges lie on edges.
coarse = st.integers(-12, 12)
fine = st.floats(-80, 80, allow_nan=False, allow_infinity=False)
places = st.tuples(coarse, coarse) | st.tuples(fine, fine)


@st.composite
def polygons(draw: st.DrawFn, places: st.SearchStrategy[tuple[float, float]] = places) -> Any:
    """Triangles, and hulls of more points, with and without a hole."""
    points = draw(st.lists(places, min_size=3, max_size=9))
    hull = shapely.MultiPoint(points).convex_hull
    assume(hull.geom_type == "Polygon" and hull.area > 1e-6)
    hole = shapely.affinity.scale(hull, 0.5, 0.5) if draw(st.booleans()) else None
    return shapely.Polygon(hull.exterior.coords, [hole.exterior.coords] if hole else [])


def lines() -> st.SearchStrategy[Any]:
    return st.lists(places, min_size=2, max_size=5, unique=True).map(shapely.LineString)


geometries = polygons() | lines() | places.map(shapely.Point)


def area(geometry: Any) -> Area:
    return parse_area(_json(geometry))


def _json(geometry: Any) -> dict[str, Any]:
    def lists(value: Any) -> Any:
        return [lists(one) for one in value] if isinstance(value, tuple) else value

    document = shapely.geometry.mapping(geometry)
    return {"type": document["type"], "coordinates": lists(document["coordinates"])}


@settings(max_examples=400, deadline=None)
@given(geometries, geometries)
def test_what_shares_a_point_is_what_shapely_says(one: Any, other: Any) -> None:
    assert area(one).touches(area(other)) == one.intersects(other)
    assert area(other).touches(area(one)) == one.intersects(other)


@settings(max_examples=200, deadline=None)
@given(polygons(st.tuples(coarse, coarse)), polygons(st.tuples(coarse, coarse)), st.sampled_from([-360, 360]))
def test_a_turn_of_the_globe_changes_nothing(one: Any, other: Any, turn_deg: int) -> None:
    assert area(one).touches(area(shapely.affinity.translate(other, turn_deg))) == one.intersects(other)


@settings(max_examples=300, deadline=None)
@given(st.lists(places, min_size=3, max_size=7))
def test_a_ring_that_crosses_itself_is_refused(points: list[tuple[float, float]]) -> None:
    # to a tenth of a metre: whether slivers of 1e-71 degree touch is a matter of rounding
    rounded = [(round(x, 6), round(y, 6)) for x, y in points]
    points = [point for point, _ in itertools.groupby(rounded)]
    assume(len(points) >= 3 and points[0] != points[-1])
    ring = [*points, points[0]]
    valid = bool(shapely.Polygon(ring).is_valid)
    document = {"type": "Polygon", "coordinates": [[list(point) for point in ring]]}
    if valid:
        parse_area(document)
    else:
        with pytest.raises(AreaError):
            parse_area(document)


def test_turns_are_exact_where_floats_are_not() -> None:
    p, q = (0.1, 0.1), (0.3, 0.3)
    assert turn(p, q, (0.2, 0.2)) == 0
    assert turn(p, q, (0.2, math.nextafter(0.2, 1))) == 1
    assert turn(p, q, (0.2, math.nextafter(0.2, 0))) == -1


FIJI = [[178.0, -19.0], [-178.0, -19.0], [-178.0, -16.0], [178.0, -16.0], [178.0, -19.0]]


@pytest.mark.parametrize(
    ("lon", "lat", "inside"),
    [(179, -17, True), (-179, -17, True), (180, -17, True), (177, -17, False), (0, -17, False)],
)
def test_across_the_antimeridian(lon: float, lat: float, inside: bool) -> None:
    place = parse_area({"type": "Point", "coordinates": [lon, lat]})
    cut = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[178, -19], [180, -19], [180, -16], [178, -16], [178, -19]]],
            [[[-180, -19], [-178, -19], [-178, -16], [-180, -16], [-180, -19]]],
        ],
    }
    beyond = [[lon % 360, lat] for lon, lat in FIJI]
    for one in (
        parse_area({"type": "Polygon", "coordinates": [FIJI]}),
        parse_area({"type": "Polygon", "coordinates": [beyond]}),
        parse_area(cut),
        box_area([178, -19, -178, -16]),
        box_area([178, -19, 0, -178, -16, 100]),
    ):
        assert one.touches(place) is inside
        assert place.touches(one) is inside
        assert area_box(one) == [178, -19, -178, -16]


def test_around_a_pole() -> None:
    ring = [[0, 80], [90, 80], [180, 80], [-90, 80], [0, 80]]
    cap = parse_area({"type": "Polygon", "coordinates": [ring]})
    for lon, lat, inside in ((0, 90, True), (33, 85, True), (-170, 81, True), (33, 79, False), (33, -85, False)):
        assert cap.touches(parse_area({"type": "Point", "coordinates": [lon, lat]})) is inside
    assert area_box(cap) == [-180, 80, 180, 90]
    world = [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]
    assert parse_area({"type": "Polygon", "coordinates": [world]}).touches(cap)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (None, "GeoJSON object"),
        ({"type": "Circle", "coordinates": [0, 0]}, "'Circle'"),
        ({"type": "Point", "coordinates": [0]}, "position"),
        ({"type": "Point", "coordinates": [True, 0]}, "position"),
        ({"type": "Point", "coordinates": [float("nan"), 0]}, "longitude"),
        ({"type": "Point", "coordinates": [0, 91]}, "longitude"),
        ({"type": "Point", "coordinates": "here"}, "position"),
        ({"type": "LineString", "coordinates": [[0, 0]]}, "two"),
        ({"type": "Polygon", "coordinates": []}, "one ring"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}, "four positions"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "its last is its first"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "crosses itself"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0], [0, 0]]]}, "corners|crosses"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [0, 0], [0, 0], [0, 0]]]}, "corners"),
        ({"type": "GeometryCollection"}, "geometries"),
        ({"type": "GeometryCollection", "geometries": []}, "empty"),
        ({"type": "MultiPoint", "coordinates": [[0, 0]] * (MOST_POINTS + 1)}, "simplify"),
    ],
)
def test_what_is_no_geometry(document: Any, says: str) -> None:
    with pytest.raises(AreaError, match=says):
        parse_area(document)


@pytest.mark.parametrize(
    "numbers",
    [
        [0, 0, 1], [0, 0, 1, 1, 1], [0, 1, 1, 0], [0, 0, math.nan, 1], [0, 0, math.inf, 1], [-181, 0, 1, 1],
        [0, -91, 1, 1], [0, 0, 0, 1, -1, 0],
    ],
)  # fmt: skip
def test_what_is_no_box(numbers: list[float]) -> None:
    with pytest.raises(AreaError):
        box_area(numbers)


def coast(n: int) -> dict[str, Any]:
    """A jagged ring of so many corners."""
    ring = [
        [10 + (4 + 0.5 * math.sin(k * 7.3)) * math.cos(math.tau * k / n), 45 + 4 * math.sin(math.tau * k / n)]
        for k in range(n)
    ]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def comb(n: int) -> dict[str, Any]:
    """Teeth, each as high as the whole, leaning so that all overlap in longitude."""
    there = [[k * 1e-3 + 5 * (k % 2), 40.0 + 5 * (k % 2)] for k in range(n)]
    return {"type": "Polygon", "coordinates": [[*there, [n * 1e-3, 30.0], [-1.0, 30.0], there[0]]]}


def test_ten_thousand_corners_are_quick_or_refused() -> None:
    began = time.process_time()
    shape = parse_area(coast(10_000))
    reference = shapely.geometry.shape(coast(10_000))
    for k in range(200):
        box = [5 + k * 0.05, 41 + k * 0.03, 5.2 + k * 0.05, 41.2 + k * 0.03]
        assert shape.touches(box_area(box)) == reference.intersects(shapely.box(*box))
    with pytest.raises(AreaError, match="too close together"):
        parse_area(comb(10_000))
    assert time.process_time() - began < 15, "a second or two when the machine is calm"
