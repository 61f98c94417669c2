"""Areas that people draw: which are refused, and the grid around those that are not."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyproj import Transformer
from shapely.geometry import LinearRing

from fakes.products import NEXT_RING, NEXT_SLICE, ROME, ROME_RING
from orthocontracts.areas import Polygon
from orthocontracts.outputs import GridSpec, ResolvedTerrain, Source
from orthocontracts.requests import Request
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import OffProductError, TooLargeError
from orthofunctions.domain.planning import Limits, make_plan
from orthofunctions.domain.plans import Plan

Ring = list[list[float]]
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def polygon(*ring: list[float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    return polygon([west, south], [east, south], [east, north], [west, north])


def product(stem: str = ROME, ring: Any = ROME_RING) -> ProductFacts:
    source = Source(ref=f"products/{stem}.SAFE", content="c", size_bytes=10, kind="folder")
    return ProductFacts(source, "sentinel-1", stem, "p1", ring, ring)


def plan(area: dict[str, Any], *products: ProductFacts, **grid: Any) -> Plan:
    asked = Request.model_validate(
        {
            "request_id": "r1",
            "products": [one.source.ref for one in products],
            "grid": {"kind": "area", "area": area, **grid},
        }
    )
    return make_plan("j1", asked, products, ResolvedTerrain(height_m=0.0), trust="site", limits=Limits(), now=NOW)


def grid_of(area: dict[str, Any], **grid: Any) -> GridSpec:
    (output,) = plan(area, product(), **grid).outputs
    return output.identity.grid


@pytest.mark.parametrize(
    ("coordinates", "says"),
    [
        ([[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]], "crosses or touches itself near 0.5000, 0.5000"),
        ([[[0, 0], [4, 0], [4, 4], [2, 0], [0, 4], [0, 0]]], "crosses or touches itself near"),
        ([[[179, 0], [-179, 2], [-179, 0], [179, 2], [179, 0]]], "crosses or touches itself near"),
        ([[[0, 0], [1, 0], [2, 0], [0, 0]]], "crosses or touches itself near"),
        ([[[0, 0], [1, 0], [1, 1], [0, 1]]], "begins at .0.0, 0.0. and ends at .0.0, 1.0.: close it"),
        ([[[0, 0], [1, 0], [0, 0], [0, 0]]], "needs three different points, this one has 2"),
        ([[[0, 0], [1, 0], [math.nan, 1], [0, 0]]], "finite number"),
        ([[[0, 0], [190, 0], [1, 1], [0, 0]]], "less than or equal to 180"),
        ([[[0, 0], [1, 0], [1, 91], [0, 0]]], "less than or equal to 90"),
        ([[[0, 0], [1, 0], [0, 0]]], "at least 4 items"),
        ([], "at least 1 item"),
    ],
)
def test_areas_that_are_none_are_refused_with_the_place(coordinates: list[Ring], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Polygon(type="Polygon", coordinates=coordinates)  # type: ignore[arg-type]


def test_a_coast_of_ten_thousand_points_is_taken_and_one_more_is_not() -> None:
    angles = np.linspace(0, 2 * np.pi, 9_999, endpoint=False)
    radii = 1 + 1e-4 * np.random.default_rng(1).random(angles.size)
    coast = np.column_stack([12 + radii * np.cos(angles), 42 + radii * np.sin(angles)]).tolist()
    assert len(Polygon.model_validate(polygon(*coast)).coordinates[0]) == 10_000
    with pytest.raises(ValidationError, match="the area has 10001 points; 10000 are possible: simplify it"):
        Polygon.model_validate(polygon(*coast[:1], [13.01, 42.0], *coast[1:]))


@pytest.mark.parametrize("turned", [False, True])
def test_a_long_coast_is_taken_whichever_way_it_runs(turned: bool) -> None:
    shore = [[12 + k * 1e-3, 42 + 0.01 * math.sin(k / 7)] for k in range(6_000)]
    ring = [*shore, [18.0, 41.0], [12.0, 41.0]]
    Polygon.model_validate(polygon(*([lat, lon] for lon, lat in ring) if turned else ring))


def test_a_scribble_is_refused_rather_than_compared_for_minutes() -> None:
    # a comb whose teeth lean so far that all of them lie beside each other
    leaning = [[k * 1e-3 + 5 * (k % 2), 40.0 + 5 * (k % 2)] for k in range(9_990)]
    with pytest.raises(ValidationError, match=r"cannot be checked, .*: simplify it"):
        Polygon.model_validate(polygon(*leaning, [9.99, 30.0], [-1.0, 30.0]))


corner = st.tuples(st.integers(-4, 4), st.integers(-4, 4))


@settings(max_examples=300, deadline=None)
@given(st.lists(corner, min_size=3, max_size=7))
def test_crossings_are_those_that_shapely_finds(corners: list[tuple[int, int]]) -> None:
    ring = [*corners, corners[0]]
    apart = [one for one, other in itertools.pairwise(ring) if one != other]
    expected = len(set(apart)) >= 3 and LinearRing([*apart, apart[0]]).is_simple
    try:
        Polygon.model_validate({"type": "Polygon", "coordinates": [ring]})
    except ValidationError:
        assert not expected
    else:
        assert expected


def test_the_image_surrounds_the_area_in_the_zone_of_its_middle_on_the_spacing() -> None:
    grid = grid_of(box(12.4, 41.8, 12.6, 42.0), spacing_m=20)
    assert (grid.epsg, grid.spacing, grid.tile) == (32633, 20, None)
    lons, lats = np.meshgrid(np.linspace(12.4, 12.6, 41), np.linspace(41.8, 42.0, 41))
    x, y = Transformer.from_crs(4326, 32633, always_xy=True).transform(lons, lats)
    right, bottom = grid.left + grid.n_cols * 20, grid.top - grid.n_rows * 20
    # what surrounds every point of the area, and nothing more than a pixel on each side
    assert (0 <= x.min() - grid.left < 20, 0 <= right - x.max() < 20) == (True, True)
    assert (0 <= grid.top - y.max() < 20, 0 <= y.min() - bottom < 20) == (True, True)
    assert grid.left % 20 == grid.top % 20 == 0


def test_the_grid_follows_from_the_area_alone() -> None:
    area = box(12.4, 42.2, 14.0, 43.0)
    (both,) = plan(area, product(), product(NEXT_SLICE, NEXT_RING)).outputs
    assert both.identity.grid == grid_of(area)
    assert len(both.identity.products) == 2


def test_an_area_in_degrees() -> None:
    grid = grid_of(box(12.4, 41.8, 12.6, 42.0), epsg=4326, spacing_m=100)
    assert 1 / grid.spacing == pytest.approx(1113)
    assert grid.left <= 12.4 < grid.left + grid.spacing
    assert grid.top >= 42.0 > grid.top - grid.spacing


SEAM_RING = ((178.0, -20.0), (-178.0, -20.0), (-178.0, -16.0), (178.0, -16.0))
CROSSING = polygon([179.5, -18], [-179.5, -18], [-179.5, -17], [179.5, -17])
CUT = {
    "type": "MultiPolygon",
    "coordinates": [
        box(179.5, -18, 180, -17)["coordinates"],
        box(-180, -18, -179.5, -17)["coordinates"],
    ],
}


def test_an_area_across_the_antimeridian_is_one_image_however_it_is_written() -> None:
    grids = []
    for area in (CROSSING, CUT):
        (output,) = plan(area, product(ring=SEAM_RING), spacing_m=100).outputs
        grids.append(output.identity.grid)
    assert grids[0] == grids[1]
    assert (grids[0].epsg, 1000 < grids[0].n_cols < 1200, 1000 < grids[0].n_rows < 1200) == (32701, True, True)
    with pytest.raises(OffProductError, match="crosses the antimeridian, 4326 ends there: leave the EPSG code out"):
        plan(CROSSING, product(ring=SEAM_RING), epsg=4326)


@pytest.mark.parametrize(
    ("area", "grid", "error", "says"),
    [
        (box(30, 41, 31, 42), {}, OffProductError, "no product touches the grid"),
        (
            box(0, 41, 30, 42),
            {},
            OffProductError,
            "15.0 degrees from the middle of EPSG:32633, 12 may be",
        ),
        (box(12, 41, 13, 42), {"epsg": 32613}, OffProductError, "degrees from the middle of EPSG:32613"),
        (box(12, 41, 15, 43), {"spacing_m": 0.5}, TooLargeError, "at 0.5 m these are .* pixels"),
    ],
)
def test_areas_that_no_image_can_be_made_of(
    area: dict[str, Any], grid: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        plan(area, product(), **grid)
