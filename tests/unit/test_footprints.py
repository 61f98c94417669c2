"""Which tiles a footprint calls for: all it needs, and none it only brushes."""

from __future__ import annotations

import math

import pytest

from orthocontracts.tiles import tile_bounds
from orthocontracts.utm import utm_forward, utm_inverse
from orthofunctions.domain.footprints import may_touch, radius_m, tiles_called_for, tiles_touched, widened

EAST_EDGE_OF_33TTG, WEST_EDGE_OF_33TUG = 309_780.0, 300_000.0


def _square(left: float, right: float, bottom: float, top: float) -> list[tuple[float, float]]:
    corners = ((left, bottom), (right, bottom), (right, top), (left, top))
    return [utm_inverse(x, y, 33, south=False) for x, y in corners]


@pytest.mark.parametrize(
    ("right", "called_for"),
    [(301_400.0, {"33TTG"}), (304_000.0, {"33TTG"}), (309_000.0, {"33TTG", "33TUG"}), (400_000.0, {"33TTG", "33TUG"})],
)
def test_a_tile_that_is_only_brushed_is_not_called_for(right: float, called_for: set[str]) -> None:
    ring = _square(220_000.0, right, 4_600_000.0 + 20_000.0, 4_690_000.0 - 20_000.0)
    assert tiles_touched(ring) >= {"33TTG", "33TUG"}
    assert tiles_called_for(ring) & {"33TTG", "33TUG"} == called_for
    covered = max(tile_bounds(name).right for name in called_for)
    assert right <= covered


def test_a_small_image_on_two_tiles_keeps_at_least_one() -> None:
    for left in range(296_000, 312_000, 1_000):
        ring = _square(left, left + 500.0, 4_650_000.0, 4_650_500.0)
        assert tiles_called_for(ring) & tiles_touched(ring)


def test_a_widened_ring_reaches_five_kilometres_further() -> None:
    wide = widened(_square(400_000.0, 600_000.0, 4_500_000.0, 4_700_000.0))
    x, y = zip(*(utm_forward(lon, lat, 33, south=False) for lon, lat in wide), strict=True)
    for reached, edge, outward in (
        (min(x), 400_000.0, -1),
        (max(x), 600_000.0, 1),
        (min(y), 4_500_000.0, -1),
        (max(y), 4_700_000.0, 1),
    ):
        assert 3_000.0 < outward * (reached - edge) < 6_000.0


def test_the_radius_of_a_square() -> None:
    ring = _square(400_000.0, 402_000.0, 4_650_000.0, 4_652_000.0)
    assert radius_m(ring) == pytest.approx(2_000.0 / 2**0.5, rel=3e-3)


@pytest.mark.parametrize("easting_m", [1e9, -1e9, 1e308, 3e7])
def test_far_beyond_the_map_there_is_no_place(easting_m: float) -> None:
    assert all(math.isnan(part) for part in utm_inverse(easting_m, 4.6e6, 33, south=False))
    assert all(math.isnan(part) for part in utm_inverse(5e5, easting_m, 33, south=False))


def test_a_rectangle_that_reaches_beyond_its_map_may_touch_anything_one_that_lies_there_nothing() -> None:
    ring = _square(400_000.0, 402_000.0, 4_650_000.0, 4_652_000.0)
    assert may_touch(32633, (-1e8, -1e8, 1e8, 1e8), ring)
    assert not may_touch(32633, (1e9, 0.0, 1e9 + 1000.0, 1000.0), ring)
    assert not may_touch(32633, (700_000.0, 4_650_000.0, 702_000.0, 4_652_000.0), ring)
