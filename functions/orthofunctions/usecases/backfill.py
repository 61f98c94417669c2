"""A standing order over products that came before it: a page of the inventory at a time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from orthocontracts.orders import StandingOrder
from orthocontracts.references import scheme_of
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.standing import OrderBook
from orthofunctions.ports import Ports
from orthofunctions.usecases.arrivals import ask_for
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.inventory import others_of_name
from orthofunctions.usecases.passes import Known, facts_of_announced
from orthofunctions.usecases.places import Places
from orthofunctions.usecases.product_search import Search, find_products
from orthofunctions.usecases.site import load_site

logger = logging.getLogger(__name__)

PRODUCTS_A_PAGE = 50
"""Each is read by range as if it arrived: some tenths of a second."""


@dataclass(frozen=True)
class Page:
    """What a page of products came to: the jobs, and where to go on."""

    n_products: int
    jobs: list[JobRecord]
    more: str | None


def back_fill(ports: Ports, order: StandingOrder, start: datetime | None, stop: datetime | None, after: str) -> Page:
    """Ask for an order's images of products that lie in the store, newest first.

    An image is the one that the product's arrival would have made: what was made already is not made again. Nothing
    waits for a neighbour: whoever would come is there. None is in a hurry: new products come first.
    """
    book = OrderBook.of([order.model_copy(update={"within_s": None, "urgent": False})])
    found, more = find_products(ports, order.user, Search(start=start, stop=stop, after=after), PRODUCTS_A_PAGE)
    places = Places.of_site(ports.blobs, ports.remote, load_site(ports))
    known: Known = {}
    jobs: list[JobRecord] = []
    for record in found:
        try:
            product = inspect_product(ports.blobs, record.ref, places)
        except PlanError as error:  # it has changed, or gone, since it was listed
            logger.info("%s is left out: %s", record.ref, error, extra={"action": "backfill_unreadable"})
            continue
        if not record.arrived:
            announced = facts_of_announced(record)
            if announced is None or any(scheme_of(ref) is None for ref in others_of_name(ports, product)):
                continue  # the same lies in the store: that is asked for
            product = announced
        jobs += ask_for(ports, book, product, record.arrived_at, known=known).jobs
    return Page(len(found), jobs, more)
