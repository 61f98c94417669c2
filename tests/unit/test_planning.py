"""The pure planner: which outputs a request has, and how they are grouped into tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.products import NEXT_RING, NEXT_SLICE, ROME, ROME_RING
from orthocontracts.outputs import ResolvedTerrain, Source
from orthocontracts.requests import Request
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import OffProductError, TooLargeError, UnfitOptionError
from orthofunctions.domain.footprints import along_great_circles, tiles_called_for, tiles_touched, utm_bounds
from orthofunctions.domain.planning import Limits, make_plan
from orthofunctions.domain.plans import Plan

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DEFAULTS = Limits()


def product(stem: str = ROME, ring=ROME_RING, pass_key: str = "p1", content: str = "c") -> ProductFacts:
    source = Source(ref=f"products/{stem}.SAFE", content=content, size_bytes=10, kind="folder")
    return ProductFacts(source, "sentinel-1", stem, pass_key, ring, ring)


def plan(*products: ProductFacts, limits: Limits = DEFAULTS, **request: Any) -> Plan:
    asked = Request.model_validate({"request_id": "r1", "products": [one.source.ref for one in products], **request})
    terrain = ResolvedTerrain(height_m=0.0)
    return make_plan("j1", asked, products, terrain, trust="site", limits=limits, now=NOW)


def test_one_output_per_tile_the_product_touches_in_tasks_of_a_few() -> None:
    made = plan(product(), limits=Limits(max_outputs_per_task=4, max_megapixels_per_task=500))
    tiles = [output.identity.grid.tile for output in made.outputs]
    assert "33TUG" in tiles
    assert len(tiles) == len(set(tiles)) >= 8
    assert all(1 <= len(task.outputs) <= 4 and task.megapixels <= 500 for task in made.tasks)
    assert {output.digest for output in made.outputs} == {one.digest for task in made.tasks for one in task.outputs}
    assert {output.task_id for output in made.outputs} == {task.task_id for task in made.tasks}
    grid = made.outputs[0].identity.grid
    assert (grid.n_rows, grid.n_cols, grid.spacing) == (10980, 10980, 10)


OPTICAL = ProductFacts(Source(ref="products/a.tif", content="c", size_bytes=10), "rpc", "a", "p2", ROME_RING, ROME_RING)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"radiometry": "gamma0_rtc"}, "radiometry gamma0_rtc, extra layover_shadow, extra local_incidence"),
        ({"radiometry": "sigma0", "scale": "db"}, "radiometry sigma0"),
        ({"noise_removal": True}, "noise_removal"),
        ({"extras": ["local_incidence"]}, "extra local_incidence"),
    ],
)
def test_options_of_radar_are_refused_for_other_products(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UnfitOptionError, match=f"a is not a radar product: leave out {says}"):
        plan(OPTICAL, options=options)
    with pytest.raises(UnfitOptionError):
        plan(product(), OPTICAL, options=options)
    assert plan(product(), options=options).outputs


@pytest.mark.parametrize("options", [{}, {"radiometry": "dn"}, {"noise_removal": False}, {"extras": ["acquisition"]}])
def test_options_that_any_product_has_are_planned(options: dict[str, Any]) -> None:
    made = plan(OPTICAL, options=options)
    assert {task.options for task in made.tasks} == {made.request.options}


def test_slices_of_one_pass_share_tasks_and_each_output_names_only_what_touches_it() -> None:
    made = plan(product(), product(NEXT_SLICE, NEXT_RING))
    sources = {output.identity.grid.tile: len(output.identity.products) for output in made.outputs}
    assert set(sources.values()) == {1, 2}
    apart = plan(product(), product(NEXT_SLICE, NEXT_RING, pass_key="p2"))
    assert len(apart.outputs) > len(made.outputs)
    assert all(len(output.identity.products) == 1 for output in apart.outputs)


def test_a_digest_follows_from_what_decides_the_pixels_and_from_nothing_else() -> None:
    def digest(*, content: str = "c", **request: Any) -> str:
        return (
            plan(product(content=content), **{"grid": {"kind": "mgrs", "tiles": ["33TUG"]}, **request})
            .outputs[0]
            .digest
        )

    assert digest() == digest(request_id="r2", user="other", patience_s=5)
    of_more = {
        one.identity.grid.tile: one.digest for one in plan(product(), product(NEXT_SLICE, NEXT_RING, "p2")).outputs
    }
    assert digest(grid={"kind": "mgrs", "tiles": ["33TTF"]}) == of_more["33TTF"]
    others = [
        digest(content="d"),
        digest(options={"resampling": "nearest"}),
        digest(grid={"kind": "mgrs", "tiles": ["33TUG"], "spacing_m": 20}),
    ]
    assert len({digest(), *others}) == 4


def test_a_single_output_larger_than_a_task_stands_alone() -> None:
    made = plan(
        product(), grid={"kind": "mgrs", "tiles": ["33TUG", "33TUH"]}, limits=Limits(max_megapixels_per_task=50)
    )
    assert [len(task.outputs) for task in made.tasks] == [1, 1]


def test_tiles_by_other_spellings_are_one() -> None:
    assert len(plan(product(), grid={"kind": "mgrs", "tiles": ["33TUG", "T33TUG", "33tug"]}).outputs) == 1


def test_a_tile_no_product_touches_is_named() -> None:
    with pytest.raises(OffProductError, match="no product touches tile 31TGK"):
        plan(product(), grid={"kind": "mgrs", "tiles": ["33TUG", "31TGK"]})


def test_bounds_off_every_product_are_refused_and_others_counted_in_whole_pixels() -> None:
    bounds = {"kind": "bounds", "epsg": 32633, "left": 300_000, "bottom": 4_600_000, "right": 300_105, "top": 4_600_100}
    grid = plan(product(), grid={**bounds, "spacing": 10}).outputs[0].identity.grid
    assert (grid.n_rows, grid.n_cols, grid.left, grid.top) == (10, 11, 300_000, 4_600_100)
    not_on_earth = ({"left": 1e9, "right": 1e9 + 100}, {"bottom": -1e9, "top": -1e9 + 100})
    for off in ({"epsg": 32650}, {"bottom": 600_000, "top": 600_100}, {"epsg": 32733}, *not_on_earth):
        with pytest.raises(OffProductError, match="no product touches the grid"):
            plan(product(), grid={**bounds, **off, "spacing": 10})


def test_a_footprint_grid_surrounds_the_product_and_is_bounded() -> None:
    ring = ((5.19, 44.2), (5.2, 44.2), (5.2, 44.21), (5.19, 44.21))
    grid = plan(product("a.tif", ring), grid={"kind": "footprint", "spacing_m": 0.5}).outputs[0].identity.grid
    assert grid.epsg == 32631
    assert grid.left % 0.5 == grid.top % 0.5 == 0
    epsg, (left, bottom, right, top) = utm_bounds([ring])
    assert epsg == 32631
    assert 0 <= left - grid.left < 0.5
    assert 0 <= grid.top - top < 0.5
    assert 0 <= grid.left + grid.n_cols * 0.5 - right < 0.5
    assert 0 <= bottom - (grid.top - grid.n_rows * 0.5) < 0.5
    with pytest.raises(TooLargeError, match="coarser"):
        plan(product(), grid={"kind": "footprint", "spacing_m": 1})


def test_too_many_outputs_are_refused_before_anything_is_made() -> None:
    with pytest.raises(TooLargeError, match="split it"):
        plan(product(), limits=Limits(max_outputs_per_job=3))


def test_the_edges_of_a_swath_are_great_circles() -> None:
    # Between two points of one parallel the great circle bulges towards the pole.
    middle = along_great_circles(((0.0, 60.0), (10.0, 60.0), (5.0, 50.0)), points_per_edge=2)[1]
    assert middle[0] == pytest.approx(5.0)
    assert middle[1] == pytest.approx(60.0949, abs=1e-3)  # atan(tan 60° / cos 5°)


def test_footprints_over_the_antimeridian_touch_tiles_on_both_sides() -> None:
    ring = ((179.0, -17.0), (-178.5, -17.0), (-178.5, -16.0), (179.0, -16.0))
    zones = {tile[:2] for tile in tiles_touched(ring)}
    assert zones == {"60", "01"}


def test_a_sliver_calls_for_no_tile_of_its_own() -> None:
    touched, called = tiles_touched(ROME_RING), tiles_called_for(ROME_RING)
    assert called <= touched
    tiny = ((5.19, 44.2), (5.2, 44.2), (5.2, 44.21), (5.19, 44.21))
    assert tiles_called_for(tiny)
