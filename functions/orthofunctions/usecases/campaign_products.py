"""Which products of the inventory a campaign is for, and what it asks of each.

The inventory says most of it, row by row. What only the product itself tells, its orbit, its clouds, its tiles, what
has been made of it, is looked at when its turn comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from orthocontracts import names
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.orders import StandingOrder
from orthocontracts.polygons import unwrap
from orthocontracts.products import Mission, ProductNameError, Sentinel1Name, Sentinel2Name, parse_product
from orthocontracts.requests import Request, TileGrid
from orthocontracts.tiles import part_bounds_deg
from orthofunctions.domain.access import may_read
from orthofunctions.domain.arrivals import Arrival
from orthofunctions.domain.cells import box_meets, cells_in
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.footprints import Bounds, along_great_circles, tiles_called_for
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.item_places import WIDE, cells_of_area, digest_of_key, key_range
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.search_areas import parse_area
from orthofunctions.domain.standing import OrderBook
from orthofunctions.ports import Ports
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.clouds import cloud_cover_percent
from orthofunctions.usecases.inventory import EVERYWHERE, key_of_start
from orthofunctions.usecases.product_search import MOST_CELLS
from orthofunctions.usecases.tallies import PRODUCTS_BELOW

_AROUND = timedelta(minutes=40)
"""An image of a tile is of another moment than its datatake's begin, which is what a product's name may say."""
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


def request_for(ports: Ports, order: CampaignOrder, product: ProductFacts, key: str, attempt: int) -> Request | None:
    """What a campaign asks of a product; None where it is not for it, now that it is looked at closely."""
    if not _fits_closely(ports, order, product) or not _was_made_before(ports, order, product):
        return None
    grid = order.grid
    if order.tiles is not None and (grid is None or isinstance(grid, TileGrid)):
        called = {product.own_tile} if product.own_tile else tiles_called_for(product.footprint_lonlat)
        wanted = tuple(sorted(tile for tile in called if tile and tile.startswith(order.tiles)))
        if not wanted:
            return None
        grid = (grid or TileGrid()).model_copy(update={"tiles": wanted})
    return Request(
        request_id=request_id(order, key, attempt),
        user=order.user,
        products=(product.source.ref,),
        grid=grid,
        options=order.options,
        terrain=order.terrain if product.traits.needs_terrain else None,
        gipp=order.gipp if product.traits.needs_instrument else None,
        iers=order.iers if product.traits.needs_instrument else None,
        orbits=order.orbits if product.mission == "sentinel-1" else None,
        campaign=order.campaign_id,
        keep_days=order.keep_days,
    )


def request_id(order: CampaignOrder, key: str, attempt: int) -> str:
    """Of a product's job: always the same, so that there is one, whoever asks for it again."""
    identity = f"{order.campaign_id}|{order.created_at.isoformat()}|{key}|{attempt}"
    return "c" + hashlib.sha256(identity.encode()).hexdigest()[:31]


def _fits_closely(ports: Ports, order: CampaignOrder, product: ProductFacts) -> bool:
    wanted = order.products
    if wanted.orbit_direction is not None and product.orbit_direction != wanted.orbit_direction:
        return False
    if wanted.relative_orbits is not None and product.relative_orbit not in wanted.relative_orbits:
        return False
    if wanted.max_cloud_cover_percent is None:
        return True
    if not product.source.ref.startswith(f"{names.CONTAINER_PRODUCTS}/"):
        return False
    clouds = cloud_cover_percent(ports.blobs, product)
    return clouds is not None and clouds <= wanted.max_cloud_cover_percent


def _was_made_before(ports: Ports, order: CampaignOrder, product: ProductFacts) -> bool:
    """Whether the catalogue has an image of the product by an older kernel, where the campaign is for such only."""
    if order.made_before is None:
        return True
    start = _start_of(product.name) or product.start
    if start is None:
        return False
    key_from, key_below = key_range(start - _AROUND, (product.stop or start) + _AROUND)
    for place in _places_of(product):
        rows = ports.tables.query(names.TABLE_ITEMS, partition=place, key_from=key_from, key_below=key_below)
        for row in rows:
            version = Indexed.from_row(row).value("orthoburst:result_version")
            if isinstance(version, int | float) and version >= order.made_before:
                continue
            entry = read_entry(ports, digest_of_key(row.key))
            if entry is None or entry.identity.result_version >= order.made_before:
                continue
            if any(one.ref == product.source.ref for one in entry.identity.products):
                return True
    return False


def _places_of(product: ProductFacts) -> tuple[str, ...]:
    """Partitions of the catalogue's index that an image of a product may lie in."""
    ring = [*product.footprint_lonlat, product.footprint_lonlat[0]]
    area = parse_area({"type": "Polygon", "coordinates": [ring]}, strict=False)
    cells = () if area is None else tuple(cells_of_area(area))
    tiles = {product.own_tile} if product.own_tile else tiles_called_for(product.footprint_lonlat)
    return (*sorted(tile for tile in tiles if tile), *cells, WIDE)


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


def _start_of(name: str) -> datetime | None:
    try:
        return parse_product(name).start
    except ProductNameError:
        return None


def _widened(bounds: Bounds) -> Bounds:
    west, south, east, north = bounds
    margin_deg = _MARGIN_DEG * (1 if max(abs(south), abs(north)) < 60 else 4)
    return west - margin_deg, max(-90.0, south - _MARGIN_DEG), east + margin_deg, min(90.0, north + _MARGIN_DEG)
