"""Which rows of the inventory a campaign is for: the quick look at corners finds what the exact one would."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orthocontracts.areas import Polygon
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.orders import ProductFilter, StandingOrder
from orthocontracts.polygons import unwrap
from orthocontracts.tiles import part_bounds_deg
from orthofunctions.domain.arrivals import Arrival
from orthofunctions.domain.cells import box_meets
from orthofunctions.domain.footprints import along_great_circles
from orthofunctions.domain.pools import DEFAULT_SITE
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.standing import OrderBook
from orthofunctions.usecases.campaign_products import Matcher, _widened

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def footprint(chance: Random) -> list[tuple[float, float]]:
    """A quadrangle somewhere, also over the antimeridian and near a pole; each corner at most half the globe away."""
    lon, lat = chance.uniform(-180, 180), chance.choice((chance.uniform(-89, 89), chance.uniform(55, 89.5)))
    size = chance.choice((0.3, 2.0, 6.0, 14.0))
    ring = []
    for turn in range(4):
        angle = math.tau * turn / 4 + chance.uniform(0, 1)
        east = size * math.cos(angle) / max(0.05, math.cos(math.radians(lat)))
        ring.append(((lon + east + 180) % 360 - 180, max(-89.9, min(89.9, lat + size * math.sin(angle)))))
    return ring


def row(ring: list[tuple[float, float]]) -> InventoryRecord:
    name = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371"
    return InventoryRecord(
        cell="all", key="k", ref=f"products/{name}.SAFE", name=name, mission="sentinel-1", product_type="GRD",
        start=NOW, stop=NOW + timedelta(seconds=25), size_bytes=1, footprint=json.dumps(ring), arrived="x",
        arrived_at=NOW,
    )  # fmt: skip


def order(**changes: object) -> CampaignOrder:
    return CampaignOrder(campaign_id="c", user="u", created_at=NOW, **changes)  # type: ignore[arg-type]


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_tiles_and_areas_are_met_as_the_exact_outline_meets_them(seed: int) -> None:
    chance = Random(seed)
    ring = footprint(chance)
    exact = along_great_circles(ring)
    tile = f"{chance.randint(1, 60):02d}{chance.choice('CDEFGHJKLMNPQRSTUVWX')}"
    tile = tile.replace("36X", "37X").replace("34X", "35X").replace("32X", "33X")  # there are none over Svalbard
    box = _widened(part_bounds_deg(tile))
    assert Matcher(order(tiles=(tile,)), DEFAULT_SITE, None).fits(row(ring)) == box_meets(box, unwrap(exact))

    west, south = ring[0][0] + chance.uniform(-12, 12), max(-89.0, min(84.0, ring[0][1] + chance.uniform(-9, 9)))
    west = max(-180.0, min(172.0, west))
    east, north = west + chance.uniform(0.1, 8), south + chance.uniform(0.1, 5)
    area = Polygon(
        type="Polygon", coordinates=[[(west, south), (east, south), (east, north), (west, north), (west, south)]]
    )
    book = OrderBook.of([StandingOrder(order_id="o", user="u", products=ProductFilter(area=area), created_at=NOW)])
    arrival = Arrival(ref="r", mission="sentinel-1", product_type="GRD", footprint_lonlat=tuple(exact), sensed_at=NOW)
    found = Matcher(order(products=ProductFilter(area=area)), DEFAULT_SITE, None).fits(row(ring))
    assert found == bool(book.matching(arrival))
