"""A product has been announced that lies in somebody else's archive: it is listed, and standing orders ask for it."""

from __future__ import annotations

import logging

from pydantic import TypeAdapter, ValidationError

from orthocontracts import names
from orthocontracts.references import scheme_of
from orthocontracts.requests import ProductRef
from orthofunctions.domain.announced import Announced
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.arrivals import ask_for
from orthofunctions.usecases.asking import Waiting
from orthofunctions.usecases.inventory import others_of_name, take_stock
from orthofunctions.usecases.orders import order_book
from orthofunctions.usecases.packagings import packaging_of
from orthofunctions.usecases.wanted import wake_waiters

logger = logging.getLogger(__name__)

_REF: TypeAdapter[str] = TypeAdapter(ProductRef)


def pass_on(ports: Ports, product: Announced) -> None:
    """Have it taken in by the queue: whoever told of it waits for no more than that."""
    ports.queues.send(names.QUEUE_ANNOUNCED, product.to_json())


def take_announced(ports: Ports, product: Announced, wait_s: float = 0.0) -> list[JobRecord]:
    """List a product, and ask for what standing orders want of it.

    Announcements come more than once, by several doors and in any order: a product is one by its name. Where one of
    that name is listed already in another place, uploaded say, nothing is done but what an earlier delivery of the
    announcement began. Images on a seam wait up to ``wait_s`` for a neighbour: then the announcement comes again.

    Raises
    ------
    UnknownProductError
        Where it is no product that images are made of.
    """
    facts = packaging_of(product.name).facts(product.source(), product.manifest())
    others = others_of_name(ports, facts)
    if not others:
        take_stock(ports, facts, at=product.published_at, checksum=product.checksum)
        wake_waiters(ports, facts.name)
        # uploaded just now: that asks
        others = [ref for ref in others_of_name(ports, facts) if scheme_of(ref) is None]
    if others:
        logger.info("%s is there as %s", product.ref, others[0], extra={"action": "announced_elsewhere"})
    try:
        _REF.validate_python(product.ref)
    except ValidationError:
        logger.warning("%s cannot be requested from there", product.ref, extra={"action": "announced_unreachable"})
        return []
    asked = ask_for(
        ports,
        order_book(ports),
        facts,
        product.published_at,
        clouds=product.cloud_cover_percent,
        waiting=Waiting(wait_s, product.seen_at),
        only_begun=bool(others),
    )
    if asked.look_again_at is not None:
        now = ports.clock.now()
        again = product.model_copy(update={"seen_at": product.seen_at or now})
        visible_in_s = max(1.0, (asked.look_again_at - now).total_seconds())
        ports.queues.send(names.QUEUE_ANNOUNCED, again.to_json(), visible_in_s=visible_in_s)
    return asked.jobs
