"""Which products of the inventory a campaign is for, by what the inventory says of them, row by row.

What only the product itself tells, its orbit, its clouds, its tiles, what has been made of it, is looked at when its
turn comes: see `campaign_requests`.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from orthocontracts.campaigns import CampaignOrder
from orthocontracts.orders import StandingOrder
from orthocontracts.polygons import unwrap
from orthocontracts.products import Mission, ProductNameError, Sentinel1Name, Sentinel2Name, parse_product
from orthocontracts.tiles import part_bounds_deg
from orthofunctions.domain.access import may_read
from orthofunctions.domain.arrivals import Arrival
from orthofunctions.domain.cells import box_meets, cells_in
from orthofunctions.domain.footprints import Bounds, LonLat, along_great_circles
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.standing import OrderBook, fits_but_area
from orthofunctions.ports import Ports
from orthofunctions.usecases.inventory import EVERYWHERE, key_of_start
from orthofunctions.usecases.product_search import MOST_CELLS
from orthofunctions.usecases.tallies import PRODUCTS_BELOW

_LOOKED_AT = (
    "ref", "name", "mission", "product_type", "start", "stop", "size_bytes", "footprint", "arrived", "arrived_at",
)  # fmt: skip
"""Of a row: a third is left where it is."""
_PLAIN_DEG, _PLAIN_BELOW_DEG, _BULGE_DEG = 10.0, 75.0, 0.5
"""An edge of a footprint that is so short, and no nearer to a pole, is a great circle's: it leaves the box around its
ends by less than a tenth of a degree, towards the pole only."""
_MARGIN_DEG = 0.5
"""A tile reaches beyond its zone and band by as much, and more towards the poles; its name is looked at afterwards."""


class Matcher:
    """A campaign's products among the rows of the inventory: those it may be for, by all that rows tell.

    It is asked a hundred thousand times where a campaign is planned: what costs much is looked at last.
    """

    def __init__(self, order: CampaignOrder, site: SiteSpec, arrived_until: datetime | None) -> None:
        self._order, self._site, self._arrived_until = order, site, arrived_until
        told = order.products.model_copy(
            update={"orbit_direction": None, "relative_orbits": None, "max_cloud_cover_percent": None}
        )
        self._told = StandingOrder(
            order_id="campaign",
            user=order.user,
            products=told,
            since=order.since,
            until=order.until,
            created_at=order.created_at,
        )
        self._book = OrderBook.of([self._told])
        self._asks_names = bool(told.platforms or told.modes or told.polarisations or order.tiles)
        self._boxes = [_widened(part_bounds_deg(part)) for part in order.tiles or ()]
        self._area_boxes = [] if told.area is None else [_box_of(ring) for ring in told.area.outlines()]

    def fits(self, record: InventoryRecord) -> bool:
        if self._arrived_until is not None and record.arrived_at > self._arrived_until:
            return False
        ring = () if not self._boxes and not self._area_boxes else record.ring
        arrival = _arrival(record, ring, self._order.tiles, asks_name=self._asks_names)
        if arrival is None or not fits_but_area(self._told, arrival):
            return False
        if not may_read(self._site, self._order.user, record.ref):
            return False
        return not ring or self._lies_there(arrival)

    def _lies_there(self, arrival: Arrival) -> bool:
        ring = arrival.footprint_lonlat
        if not _may_meet(self._boxes, ring) or not _may_meet(self._area_boxes, ring):
            return False
        exact = replace(arrival, footprint_lonlat=tuple(along_great_circles(ring)))
        if self._boxes and not any(box_meets(box, unwrap(exact.footprint_lonlat)) for box in self._boxes):
            return False
        return not self._area_boxes or bool(self._book.matching(exact))

    def cells(self) -> list[str]:
        """Partitions of the inventory that hold them all."""
        cells = sorted({cell for box in self._boxes or self._area_boxes for cell in cells_in(box)})
        return cells if 0 < len(cells) <= MOST_CELLS else [EVERYWHERE]


def listed(ports: Ports, order: CampaignOrder, matcher: Matcher, after: str = "") -> Iterator[InventoryRecord]:
    """All that the inventory's keys tell apart, newest first, each once, after a key."""
    newest = key_of_start(order.until) if order.until else ""
    oldest = f"{key_of_start(order.since)}." if order.since else PRODUCTS_BELOW  # "." follows "-"
    begin = max(newest, f"{after}!" if after else "")
    streams = (
        ports.tables.query(InventoryRecord.TABLE, partition=cell, key_from=begin, key_below=oldest, fields=_LOOKED_AT)
        for cell in matcher.cells()
    )
    last = ""
    for row in heapq.merge(*streams, key=lambda row: row.key):
        if row.key != last:
            last = row.key
            yield InventoryRecord.from_row(row)


def _arrival(
    record: InventoryRecord, ring: tuple[LonLat, ...], tiles: tuple[str, ...] | None, *, asks_name: bool
) -> Arrival | None:
    """A row as filters look at it; None where its name alone says that it is not on the tiles."""
    said: dict[str, Any] = {}
    name = None
    if asks_name:
        with contextlib.suppress(ProductNameError):  # an image with RPC
            name = parse_product(record.name)
            said["platform"] = name.platform
    if isinstance(name, Sentinel1Name):
        said |= {"mode": name.mode, "polarisations": name.polarisations}
    if isinstance(name, Sentinel2Name) and name.tile and tiles and not name.tile.startswith(tiles):
        return None
    return Arrival(
        ref=record.ref,
        mission=cast(Mission, record.mission),
        product_type=record.product_type,
        footprint_lonlat=ring,
        sensed_at=record.start,
        **said,
    )


def _may_meet(boxes: Sequence[Bounds], ring: Sequence[LonLat]) -> bool:
    """False where it is certain that a footprint meets none of some boxes, by its corners alone."""
    if not boxes:
        return True
    corners = unwrap([*ring, ring[0]])
    lons, lats = [lon for lon, _ in corners], [lat for _, lat in corners]
    if max(lons) - min(lons) > _PLAIN_DEG or max(map(abs, lats)) > _PLAIN_BELOW_DEG:
        return True
    return any(box_meets((box[0], box[1] - _BULGE_DEG, box[2], box[3] + _BULGE_DEG), corners) for box in boxes)


def _box_of(ring: Sequence[LonLat]) -> Bounds:
    lons, lats = [lon for lon, _ in ring], [lat for _, lat in ring]
    return min(lons), min(lats), max(lons), max(lats)


def _widened(bounds: Bounds) -> Bounds:
    west, south, east, north = bounds
    margin_deg = _MARGIN_DEG * (1 if max(abs(south), abs(north)) < 60 else 4)
    return west - margin_deg, max(-90.0, south - _MARGIN_DEG), east + margin_deg, min(90.0, north + _MARGIN_DEG)
