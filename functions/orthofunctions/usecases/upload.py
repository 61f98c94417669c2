"""A blob has landed under ``products/``: when it completes a product, standing orders make requests."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.model import Message, UtcTime
from orthocontracts.orders import StandingOrder
from orthocontracts.products import mission_of, product_of_upload
from orthocontracts.requests import OrderTemplate, Request, StandingDefault
from orthocontracts.wire import explain
from orthofunctions.domain.faults import BrokenProductError, PlanError, UnsafeProductError
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.arrivals import ask_for
from orthofunctions.usecases.asking import NO_WAITING, Waiting
from orthofunctions.usecases.contents import content_of
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.inventory import take_stock
from orthofunctions.usecases.keep import keep_for_operators
from orthofunctions.usecases.orders import order_book
from orthofunctions.usecases.presence import note_arrival
from orthofunctions.usecases.submit import submit
from orthofunctions.usecases.twins import TwinUnreadError
from orthofunctions.usecases.wanted import wake_waiters

logger = logging.getLogger(__name__)

STILL_COMING = timedelta(minutes=5)
"""For how long after its manifest the members of a folder may come, which should have come before."""
UNREAD_TWINS = timedelta(minutes=2)
"""For how long after an upload the plan is waited for of what was announced under the same name."""
LOOK_AGAIN_S = 30.0


class DefaultOrderError(Exception):
    """``settings/default_order.json`` cannot be used. Uploads wait until it is mended."""


class LookAgain(Message):
    """A message on queue ``uploads``: what completes a product. Members of its folder may still come, or the plan of
    the same product as it was announced."""

    blob: str
    seen_at: UtcTime | None = None
    """When it was taken in first, where some of its images have waited for a neighbour since."""


def take_upload(ports: Ports, blob: str, waiting: Waiting = NO_WAITING) -> list[JobRecord]:
    """List a product, and ask for what standing orders want of it; where none does, for what the site makes by default.

    Events come more than once and out of order: a request's id follows from the product and its content, so each
    content of a product is one job for each order, and one for each seam with a neighbour. A folder that lacks
    something while its manifest is minutes old is looked at again, and so is a product whose images on a seam wait.

    Parameters
    ----------
    blob : str
        Path inside container ``products``.

    Returns
    -------
    list of JobRecord
        None while the product is incomplete, where no order covers it, or while all its images wait. A broken one that
        the default order has no template for is kept for operators: nobody's job would say that it is.
    """
    ref = product_of_upload(blob)
    if ref is None:
        return []
    facts = ports.blobs.facts(names.CONTAINER_PRODUCTS, blob)
    if facts is None:
        logger.info("%s has gone again", blob, extra={"action": "upload_gone"})
        return []
    if not note_arrival(ports, ref, facts):
        logger.info("%s has expired", ref, extra={"action": "upload_gone"})
        return []
    broken: PlanError | None = None
    try:
        product = inspect_product(ports.blobs, ref)
    except PlanError as error:
        if isinstance(error, BrokenProductError) and _may_still_come(blob, facts.last_modified, ports.clock.now()):
            ports.queues.send(names.QUEUE_UPLOADS, LookAgain(blob=blob).to_json(), visible_in_s=LOOK_AGAIN_S)
            return []
        broken = error if isinstance(error, BrokenProductError | UnsafeProductError) else None
        logger.info("%s is not listed: %s", ref, error, extra={"action": "upload_unreadable"})
    else:
        take_stock(ports, product, at=facts.last_modified, completed_by=facts.name)
        wake_waiters(ports, product.name)
        try:
            asked = ask_for(
                ports,
                order_book(ports),
                product,
                facts.last_modified,
                default=lambda one: _standing(default_order(ports), one.source.ref),
                waiting=waiting,
                may_wait_for_twin=ports.clock.now() - facts.last_modified < UNREAD_TWINS,
            )
        except TwinUnreadError:
            again = LookAgain(blob=blob, seen_at=waiting.seen_at or ports.clock.now())
            ports.queues.send(names.QUEUE_UPLOADS, again.to_json(), visible_in_s=LOOK_AGAIN_S)
            return []
        if asked.look_again_at is not None:
            now = ports.clock.now()
            again = LookAgain(blob=blob, seen_at=waiting.seen_at or now)
            wait_s = max(1.0, (asked.look_again_at - now).total_seconds())
            ports.queues.send(names.QUEUE_UPLOADS, again.to_json(), visible_in_s=wait_s)
        elif not asked.jobs:
            logger.info("no order covers %s", ref, extra={"action": "upload_unordered"})
        return asked.jobs
    order = _standing(default_order(ports), ref)
    if order is None:
        if broken is not None:
            keep_for_operators(ports, names.QUEUE_UPLOADS, LookAgain(blob=blob).to_json(), f"{broken.kind}: {broken}")
        logger.info("no order covers %s", ref, extra={"action": "upload_unordered"})
        return []
    identity = f"{ref}|{facts.size_bytes}|{content_of(facts)}"
    request = Request(
        request_id="u" + hashlib.sha256(identity.encode()).hexdigest()[:31],
        user=order.user,
        products=(ref,),
        grid=order.grid,
        options=order.options,
        terrain=order.terrain,
        patience_s=order.patience_s,
    )
    return [submit(ports, request, "upload")]


def _may_still_come(blob: str, since: datetime, now: datetime) -> bool:
    """A zip or an image is one blob: it is there or not."""
    return blob.endswith((".safe", ".xml")) and now - since < STILL_COMING


def default_order(ports: Ports) -> StandingDefault | None:
    """``settings/default_order.json``, where there is one.

    Raises
    ------
    DefaultOrderError
        Where it is there and wrong.
    """
    try:
        data = ports.blobs.read(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER)
    except BlobMissingError:
        return None
    try:
        return StandingDefault.model_validate_json(data)
    except ValidationError as error:
        raise DefaultOrderError(f"settings/{names.BLOB_DEFAULT_ORDER}: {explain(error)}") from error


def _standing(order: StandingDefault | None, ref: str) -> StandingOrder | None:
    """The default order as a standing one for products of the same mission: what no images are made of is ordered too,
    and its job says so."""
    template: OrderTemplate | None = None
    if order is not None:
        match mission_of(ref):
            case "sentinel-1":
                template = order.sentinel1
            case "sentinel-2":
                template = order.sentinel2
            case "sentinel-3":
                template = order.sentinel3
            case "rpc":
                template = order.rpc
    if order is None or template is None:
        return None
    return StandingOrder(
        order_id="default",
        user=order.user,
        grid=template.grid,
        options=template.options,
        terrain=order.terrain,
        patience_s=template.patience_s,
        created_at=datetime(1970, 1, 1, tzinfo=UTC),
    )
