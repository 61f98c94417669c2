"""Which products of the inventory a campaign is for, by what the inventory says of them, row by row.

What only the product itself tells, its orbit, its clouds, its tiles, what has been made of it, is looked at when its
turn comes: see `campaign_requests`.
"""

from __future__ import annotations

import contextlib
import heapq
import json
from collections.abc import Iterator
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
from orthofunctions.domain.footprints import Bounds, along_great_circles
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.standing import OrderBook
from orthofunctions.ports import Ports
from orthofunctions.usecases.inventory import EVERYWHERE, key_of_start
from orthofunctions.usecases.product_search import MOST_CELLS
from orthofunctions.usecases.tallies import PRODUCTS_BELOW

_MARGIN_DEG = 0.5
"""A tile reaches beyond its zone and band by as much, and more towards the poles; its name is looked at afterwards."""


class Matcher:
    """A campaign's products among the rows of the inventory: those it may be for, by all that rows tell."""

    def __init__(self, order: CampaignOrder, site: SiteSpec, arrived_until: datetime | None) -> None:
        self._order, self._site, self._arrived_until = order, site, arrived_until
        told = order.products.model_copy(
            update={"orbit_direction": None, "relative_orbits": None, "max_cloud_cover_percent": None}
        )
        self._book = OrderBook.of(
            [
                StandingOrder(
                    order_id="campaign",
                    user=order.user,
                    products=told,
                    since=order.since,
                    until=order.until,
                    created_at=order.created_at,
                )
            ]
        )
        self._boxes = [_widened(part_bounds_deg(part)) for part in order.tiles or ()]

    def fits(self, record: InventoryRecord) -> bool:
        if self._arrived_until is not None and record.arrived_at > self._arrived_until:
            return False
        arrival = _arrival(record, self._order)
        if arrival is None or not may_read(self._site, self._order.user, record.ref):
            return False
        if self._boxes and not any(box_meets(box, unwrap(arrival.footprint_lonlat)) for box in self._boxes):
            return False
        return bool(self._book.matching(arrival))

    def cells(self) -> list[str]:
        """Partitions of the inventory that hold them all."""
        boxes = self._boxes
        if not boxes and self._order.products.area is not None:
            rings = self._order.products.area.outlines()
            boxes = [
                (min(lon for lon, _ in ring), min(lat for _, lat in ring), max(lon for lon, _ in ring),
                 max(lat for _, lat in ring))
                for ring in rings
            ]  # fmt: skip
        cells = sorted({cell for box in boxes for cell in cells_in(box)})
        return cells if 0 < len(cells) <= MOST_CELLS else [EVERYWHERE]


def listed(ports: Ports, order: CampaignOrder, matcher: Matcher, after: str = "") -> Iterator[InventoryRecord]:
    """All that the inventory's keys tell apart, newest first, each once, after a key."""
    newest = key_of_start(order.until) if order.until else ""
    oldest = f"{key_of_start(order.since)}." if order.since else PRODUCTS_BELOW  # "." follows "-"
    begin = max(newest, f"{after}!" if after else "")
    streams = (
        ports.tables.query(InventoryRecord.TABLE, partition=cell, key_from=begin, key_below=oldest)
        for cell in matcher.cells()
    )
    last = ""
    for row in heapq.merge(*streams, key=lambda row: row.key):
        if row.key != last:
            last = row.key
            yield InventoryRecord.from_row(row)


def _arrival(record: InventoryRecord, order: CampaignOrder) -> Arrival | None:
    """A row as filters look at it; None where its name alone says that it is not on the tiles."""
    said: dict[str, Any] = {}
    name = None
    with contextlib.suppress(ProductNameError):  # an image with RPC
        name = parse_product(record.name)
        said["platform"] = name.platform
    if isinstance(name, Sentinel1Name):
        said |= {"mode": name.mode, "polarisations": name.polarisations}
    if isinstance(name, Sentinel2Name) and name.tile and order.tiles and not name.tile.startswith(order.tiles):
        return None
    ring = [(lon, lat) for lon, lat in json.loads(record.footprint)]
    return Arrival(
        ref=record.ref,
        mission=cast(Mission, record.mission),
        product_type=record.product_type,
        footprint_lonlat=tuple(along_great_circles(ring)),
        sensed_at=record.start,
        **said,
    )


def _widened(bounds: Bounds) -> Bounds:
    west, south, east, north = bounds
    margin_deg = _MARGIN_DEG * (1 if max(abs(south), abs(north)) < 60 else 4)
    return west - margin_deg, max(-90.0, south - _MARGIN_DEG), east + margin_deg, min(90.0, north + _MARGIN_DEG)
