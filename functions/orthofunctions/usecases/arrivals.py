"""A product has arrived: every standing order that it fits asks for its images."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthocontracts.products import ProductNameError, Sentinel1Name, parse_product
from orthocontracts.requests import Request
from orthofunctions.domain.access import may_read
from orthofunctions.domain.arrivals import Arrival
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.footprints import along_great_circles
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.standing import OrderBook
from orthofunctions.ports import Ports
from orthofunctions.usecases.clouds import cloud_cover_percent
from orthofunctions.usecases.orders import may_ask
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.submit import submit

logger = logging.getLogger(__name__)

PARALLEL_ORDERS = 8


def ask_for(
    ports: Ports, book: OrderBook, product: ProductFacts, arrived_at: datetime, *, clouds: float | None = None
) -> list[JobRecord]:
    """One job for each order that the product fits; not where its month is full, or its user may not have the product.

    Repeating it is harmless: a job's id follows from the order and the product's content. ``clouds``, in percent, are
    read of the product's own metadata where they are not given.
    """
    orders = book.matching(_arrival(ports, book, product, arrived_at, clouds))
    if not orders:
        return []
    site, ref = load_site(ports), product.source.ref

    def ask(order: StandingOrder) -> JobRecord | None:
        if not may_read(site, order.user, ref):
            return None
        if not may_ask(ports, order, _name_of(product), ports.clock.now()):
            logger.info("%s: the month of order %s is full", ref, order.order_id, extra={"action": "order_full"})
            return None
        return submit(ports, _request(order, product, arrived_at), "order")

    with ThreadPoolExecutor(PARALLEL_ORDERS) as pool:
        return [job for job in pool.map(ask, orders) if job is not None]


def _request(order: StandingOrder, product: ProductFacts, arrived_at: datetime) -> Request:
    identity = f"{order.order_id}|{order.created_at.isoformat()}|{_name_of(product)}"
    return Request(
        request_id="o" + hashlib.sha256(identity.encode()).hexdigest()[:31],
        user=order.user,
        products=(product.source.ref,),
        grid=order.grid,
        options=order.options,
        terrain=order.terrain if product.traits.needs_terrain else None,
        gipp=order.gipp if product.traits.needs_instrument else None,
        iers=order.iers if product.traits.needs_instrument else None,
        deadline=arrived_at + timedelta(seconds=order.within_s) if order.within_s is not None else None,
        patience_s=order.patience_s,
        urgent=order.urgent,
        subscriber=order.subscriber,
        shared_with=order.shared_with,
        keep_days=order.keep_days,
    )


def _arrival(
    ports: Ports, book: OrderBook, product: ProductFacts, arrived_at: datetime, clouds: float | None
) -> Arrival:
    if clouds is None and book.asks_for_clouds and product.source.ref.startswith(f"{names.CONTAINER_PRODUCTS}/"):
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


def _name_of(product: ProductFacts) -> str:
    return hashlib.sha256(f"{product.source.ref}|{product.source.content}".encode()).hexdigest()[:32]
