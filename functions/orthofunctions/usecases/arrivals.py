"""A product has arrived: every standing order that it fits asks for its images."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthocontracts.products import ProductNameError, Sentinel1Name, parse_product
from orthofunctions.domain.arrivals import Arrival
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.footprints import along_great_circles
from orthofunctions.domain.standing import OrderBook
from orthofunctions.ports import Ports
from orthofunctions.telemetry import carrying
from orthofunctions.usecases.asking import NO_WAITING, Asked, Asking, Fit, Waiting
from orthofunctions.usecases.clouds import cloud_cover_percent
from orthofunctions.usecases.passes import Known, pass_of

PARALLEL_ORDERS = 8

Default = Callable[[ProductFacts], StandingOrder | None]


def ask_for(
    ports: Ports,
    book: OrderBook,
    product: ProductFacts,
    arrived_at: datetime,
    *,
    clouds: float | None = None,
    default: Default | None = None,
    waiting: Waiting = NO_WAITING,
    known: Known | None = None,
    may_wait_for_twin: bool = False,
    only_begun: bool = False,
) -> Asked:
    """Jobs for each order that the product fits; not where its month is full, or its user may not have the product.

    One for its images, and one more for each seam with a neighbour: those that lie on it are made of both. Where the
    neighbour is not there they wait. Who comes later asks for them, also for orders that only the first one fits; so
    does whoever looks again when they are due.

    Repeating it is harmless: a job's id follows from the order, its products' content and which images it is of. What
    an order has asked for already as it was announced, it does not ask for again.

    Parameters
    ----------
    clouds : float, optional
        In percent; read of the product's own metadata where they are not given.
    default : callable, optional
        The site's order for a product that fits no other, or only such as have a full month.
    known : mapping, optional
        Products in the store that the caller has looked at, see `passes.pass_of`.
    only_begun : bool
        Whether orders are passed over that have not asked for anything of the product yet.

    Raises
    ------
    TwinUnreadError
        Where it was announced too, nobody knows yet whether that is the same, and ``may_wait_for_twin``.
    """
    members = pass_of(ports, product, arrived_at, {} if known is None else known)
    asking = Asking(ports, product, members, waiting, may_wait_for_twin=may_wait_for_twin, only_begun=only_begun)
    fits: dict[tuple[str, str, datetime], Fit] = {}
    for member in members:
        own_clouds = clouds if member.facts is product else None
        orders = book.matching(_arrival(ports, book, member.facts, member.arrived_at, own_clouds))
        found = [(order, "order") for order in orders]
        if default is not None and not asking.is_taken(member.facts, orders):
            site_order = default(member.facts)
            found += [(site_order, "upload")] if site_order is not None else []
        for order, source in found:
            fit = fits.setdefault((order.user, order.order_id, order.created_at), Fit(order, source))
            fit.products.append(member.facts)
    if not fits:
        return Asked([])
    with ThreadPoolExecutor(PARALLEL_ORDERS) as pool:
        asked = list(pool.map(carrying(asking.of_order), fits.values()))
    return Asked(
        [job for one in asked for job in one.jobs],
        min((one.look_again_at for one in asked if one.look_again_at), default=None),
    )


def _arrival(
    ports: Ports, book: OrderBook, product: ProductFacts, arrived_at: datetime, clouds: float | None
) -> Arrival:
    if clouds is None and book.asks_for_clouds and _is_near(product):
        clouds = cloud_cover_percent(ports.blobs, product)
    arrival = Arrival(
        ref=product.source.ref,
        mission=product.mission,
        product_type=product.kind,
        footprint_lonlat=tuple(along_great_circles(product.footprint_lonlat)),
        sensed_at=arrived_at,
        orbit_direction=product.orbit_direction,
        relative_orbit=product.relative_orbit,
        cloud_cover_percent=clouds,
    )
    try:
        name = parse_product(product.name)
    except ProductNameError:  # an image with RPC
        return arrival
    arrival = replace(arrival, sensed_at=name.start, platform=name.platform)
    if isinstance(name, Sentinel1Name):
        arrival = replace(arrival, mode=name.mode, polarisations=name.polarisations)
    return arrival


def _is_near(product: ProductFacts) -> bool:
    return product.source.ref.startswith(f"{names.CONTAINER_PRODUCTS}/")
