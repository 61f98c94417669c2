"""Which standing orders a new product fits: thousands of orders, one product, a few milliseconds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from orthocontracts.orders import ProductFilter, StandingOrder
from orthocontracts.polygons import near_polygons_touch, unwrap
from orthofunctions.domain.arrivals import Arrival
from orthofunctions.domain.cells import cells_in
from orthofunctions.domain.footprints import Bounds, LonLat

CELL_DEG = 1
MOST_CELLS = 1000
"""Of an area; a larger one is looked at for every product."""


@dataclass(frozen=True)
class _Ring:
    """Closed, with the box around it."""

    points: Sequence[LonLat]
    box: Bounds

    @classmethod
    def of(cls, points: Sequence[LonLat]) -> _Ring:
        lons, lats = [lon for lon, _ in points], [lat for _, lat in points]
        return cls(points, (min(lons), min(lats), max(lons), max(lats)))

    def touches(self, other: _Ring) -> bool:
        """Whether they share a point, on whatever turn around the globe either lies."""
        west, south, east, north = other.box
        left, bottom, right, top = self.box
        if bottom > north or top < south:
            return False
        turn = 360.0 * round((west + east - left - right) / 720.0)
        if left + turn > east or right + turn < west:
            return False
        points = [(lon + turn, lat) for lon, lat in self.points] if turn else self.points
        return near_polygons_touch(points, other.points)


@dataclass(frozen=True)
class _Filed:
    order: StandingOrder
    rings: tuple[_Ring, ...]
    """Of its area; empty where it has none."""


@dataclass(frozen=True)
class OrderBook:
    """Standing orders by the cells that their areas touch. Built once, asked often.

    A product looks at the orders of its own cells only: with areas of a country's size, a hundredth of them.
    """

    by_cell: dict[str, list[_Filed]] = field(default_factory=dict)
    anywhere: list[_Filed] = field(default_factory=list)
    asks_for_clouds: bool = False
    """Whether any order cares: to know it of a product costs another read."""

    @classmethod
    def of(cls, orders: Iterable[StandingOrder]) -> OrderBook:
        orders = list(orders)
        book = cls(asks_for_clouds=any(one.products.max_cloud_cover_percent is not None for one in orders))
        for order in orders:
            area = order.products.area
            filed = _Filed(order, () if area is None else tuple(map(_Ring.of, area.outlines())))
            cells = {cell for ring in filed.rings for cell in cells_in(ring.box, CELL_DEG)}
            if area is None or len(cells) > MOST_CELLS:
                book.anywhere.append(filed)
                continue
            for cell in cells:
                book.by_cell.setdefault(cell, []).append(filed)
        return book

    def matching(self, product: Arrival) -> list[StandingOrder]:
        """The orders that the product fits, by user and id."""
        footprint = _Ring.of(unwrap([*product.footprint_lonlat, product.footprint_lonlat[0]]))
        fitting = {
            (filed.order.user, filed.order.order_id): filed.order
            for filed in self._near(footprint)
            if fits_but_area(filed.order, product)
            and (not filed.rings or any(ring.touches(footprint) for ring in filed.rings))
        }
        return [fitting[name] for name in sorted(fitting)]

    def _near(self, footprint: _Ring) -> Iterator[_Filed]:
        yield from self.anywhere
        seen: set[int] = set()
        for cell in cells_in(footprint.box, CELL_DEG):
            for filed in self.by_cell.get(cell, ()):
                if id(filed) not in seen:
                    seen.add(id(filed))
                    yield filed


def fits_but_area(order: StandingOrder, product: Arrival) -> bool:
    """Whether a product is one that an order is for, wherever it lies."""
    if order.since is not None and product.sensed_at < order.since:
        return False
    if order.until is not None and product.sensed_at > order.until:
        return False
    wanted = order.products
    return (
        _is_one_of(wanted.missions, product.mission)
        and _is_one_of(wanted.product_types, product.product_type)
        and _is_one_of(wanted.platforms, product.platform)
        and _is_one_of(wanted.modes, product.mode)
        and _is_one_of(wanted.relative_orbits, product.relative_orbit)
        and (wanted.orbit_direction is None or wanted.orbit_direction == product.orbit_direction)
        and (wanted.polarisations is None or set(wanted.polarisations) <= set(product.polarisations))
        and _is_clear_enough(wanted, product)
    )


def _is_one_of(wanted: Sequence[object] | None, found: object) -> bool:
    return wanted is None or found in wanted


def _is_clear_enough(wanted: ProductFilter, product: Arrival) -> bool:
    most, found = wanted.max_cloud_cover_percent, product.cloud_cover_percent
    return most is None or (found is not None and found <= most)
