"""What a campaign asks of a product: its images, those on a seam of it and its neighbours made of all of them.

All products are there, so nobody waits: what lies on a seam is asked for by whichever of its products has its turn
first. Its job's id follows from the products and the images, so that the turns of the others find it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from orthocontracts import names
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.products import ProductNameError, parse_product
from orthocontracts.requests import GridRequest, Request, TileGrid
from orthofunctions.domain.access import may_read
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.footprints import tiles_called_for
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.item_places import WIDE, cells_of_area, digest_of_key, key_range
from orthofunctions.domain.ordered import name_of_content
from orthofunctions.domain.pools import SiteSpec
from orthofunctions.domain.seams import Part, has_ends, may_be_cut, parts_of
from orthofunctions.domain.search_areas import parse_area
from orthofunctions.ports import Ports
from orthofunctions.usecases.campaign_products import Matcher
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.clouds import cloud_cover_percent
from orthofunctions.usecases.passes import Known, Member, pass_of

_AROUND = timedelta(minutes=40)
"""An image of a tile is of another moment than its datatake's begin, which is what a product's name may say."""


@dataclass(frozen=True)
class Wish:
    """A request, and how many of the campaign's products ask for it."""

    request: Request
    shared_by: int = 1


class Wishes:
    """A campaign's, product by product. What was looked at for one is known for the next: neighbours have much in
    common."""

    def __init__(self, ports: Ports, order: CampaignOrder, site: SiteSpec, arrived_until: datetime | None) -> None:
        self.matcher = Matcher(order, site, arrived_until)
        self._ports, self._order, self._site, self._arrived_until = ports, order, site, arrived_until
        self._known: Known = {}
        self._fitting: dict[str, bool] = {}

    def of(self, product: ProductFacts, key: str, attempt: int) -> list[Wish]:
        """What it asks of one of its products; nothing where it is not for it, now that it is looked at closely.

        Parameters
        ----------
        key : str
            Of the product in the inventory.
        attempt : int
            Of the campaign: asked for once more it is another request.
        """
        if not self._fits(product):
            return []
        slices, wanted = self._pass(product)
        grid = self._grid(wanted)
        if grid is False:
            return []
        parts = parts_of(grid, product, wanted, slices, may_wait=False)
        wishes = []
        for part in parts:
            own = part.grid is None
            asked = self._grid([product]) if own else part.grid
            if asked is False:
                continue
            request_id = whole_id(self._order, key, attempt) if own else _part_id(self._order, part, attempt)
            shared_by = max(1, sum(one in part.products for one in wanted))
            wishes.append(Wish(self._request(part, request_id, asked), shared_by))
        return wishes

    def _pass(self, product: ProductFacts) -> tuple[list[ProductFacts], list[ProductFacts]]:
        """The slices of its pass that are there, and those of them that the campaign is for."""
        if not may_be_cut(product):
            return [product], [product]
        now = self._ports.clock.now()
        members = pass_of(self._ports, product, now, self._known, arrived_until=self._arrived_until)
        readable = [one for one in members if may_read(self._site, self._order.user, one.facts.source.ref)]
        wanted = [one.facts for one in readable if one.facts is product or self._is_for(one)]
        # as for standing orders: a cloudy piece of a tile is none for who wants clear ones
        return ([one.facts for one in readable] if has_ends(product) else wanted), wanted

    def _is_for(self, member: Member) -> bool:
        return member.listed is not None and self.matcher.fits(member.listed) and self._fits(member.facts)

    def _fits(self, product: ProductFacts) -> bool:
        ref = product.source.ref
        if ref not in self._fitting:
            self._fitting[ref] = _fits_closely(self._ports, self._order, product) and _was_made_before(
                self._ports, self._order, product
            )
        return self._fitting[ref]

    def _grid(self, products: list[ProductFacts]) -> GridRequest | Literal[False] | None:
        """The campaign's grid for some products; False where they have nothing on its tiles."""
        grid = self._order.grid
        if self._order.tiles is None or not (grid is None or isinstance(grid, TileGrid)):
            return grid
        tiles = {tile for one in products for tile in _tiles_of(one) if tile.startswith(self._order.tiles)}
        return (grid or TileGrid()).model_copy(update={"tiles": tuple(sorted(tiles))}) if tiles else False

    def _request(self, part: Part, request_id: str, grid: GridRequest | None) -> Request:
        order, traits, mission = self._order, part.products[0].traits, part.products[0].mission
        return Request(
            request_id=request_id,
            user=order.user,
            products=tuple(sorted(part.refs)),
            grid=grid,
            options=order.options,
            terrain=order.terrain if traits.needs_terrain else None,
            gipp=order.gipp if traits.needs_instrument else None,
            iers=order.iers if traits.needs_instrument else None,
            orbits=order.orbits if mission == "sentinel-1" else None,
            campaign=order.campaign_id,
            keep_days=order.keep_days,
        )


def whole_id(order: CampaignOrder, key: str, attempt: int) -> str:
    """Of a product's own request: always the same, so that there is one job, whoever asks for it again."""
    return _id_of(f"{order.campaign_id}|{order.created_at.isoformat()}|{key}|{attempt}")


def _part_id(order: CampaignOrder, part: Part, attempt: int) -> str:
    """The same in the turn of each of its products."""
    products = "|".join(sorted(map(name_of_content, part.sources)))
    grid = part.grid.to_json() if part.grid else ""
    return _id_of(f"{order.campaign_id}|{order.created_at.isoformat()}|{products}|{grid}|{attempt}")


def _id_of(identity: str) -> str:
    return "c" + hashlib.sha256(identity.encode()).hexdigest()[:31]


def _tiles_of(product: ProductFacts) -> set[str]:
    called = {product.own_tile} if product.own_tile else tiles_called_for(product.footprint_lonlat)
    return {tile for tile in called if tile}


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
    return (*sorted(_tiles_of(product)), *cells, WIDE)


def _start_of(name: str) -> datetime | None:
    try:
        return parse_product(name).start
    except ProductNameError:
        return None
