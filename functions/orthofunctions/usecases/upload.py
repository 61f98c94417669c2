"""A blob has landed under ``products/``: when it completes a product, the site's default order makes a request."""

from __future__ import annotations

import hashlib
import logging

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.products import mission_of, product_of_upload
from orthocontracts.requests import OrderTemplate, Request, StandingDefault
from orthocontracts.wire import explain
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import BlobMissingError, Ports
from orthofunctions.usecases.contents import content_of
from orthofunctions.usecases.inventory import take_stock
from orthofunctions.usecases.submit import submit

logger = logging.getLogger(__name__)


class DefaultOrderError(Exception):
    """``settings/default_order.json`` cannot be used. Uploads wait until it is mended."""


def take_upload(ports: Ports, blob: str) -> JobRecord | None:
    """Order what the site makes of a product by default.

    Events come more than once and out of order: the request's id follows from the product and its content, so each
    content of a product is one job.

    Parameters
    ----------
    blob : str
        Path inside container ``products``.

    Returns
    -------
    JobRecord or None
        None while the product is incomplete, or where no order covers it.
    """
    ref = product_of_upload(blob)
    if ref is None:
        return None
    facts = ports.blobs.facts(names.CONTAINER_PRODUCTS, blob)
    if facts is None:
        logger.info("%s has gone again", blob, extra={"action": "upload_gone"})
        return None
    take_stock(ports, ref, facts)
    order = default_order(ports)
    template = _template(order, ref) if order else None
    if order is None or template is None:
        logger.info("no order covers %s", ref, extra={"action": "upload_unordered"})
        return None
    identity = f"{ref}|{facts.size_bytes}|{content_of(facts)}"
    request = Request.model_validate(
        {
            "request_id": "u" + hashlib.sha256(identity.encode()).hexdigest()[:31],
            "user": order.user,
            "products": [ref],
            "grid": template.grid,
            "options": template.options,
            "terrain": order.terrain,
            "patience_s": template.patience_s,
        }
    )
    return submit(ports, request, "upload")


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


def _template(order: StandingDefault, ref: str) -> OrderTemplate | None:
    """By mission: what no images are made of is ordered too, and its job says so."""
    match mission_of(ref):
        case "sentinel-1":
            return order.sentinel1
        case "sentinel-2":
            return order.sentinel2
        case "sentinel-3":
            return order.sentinel3
        case "rpc":
            return order.rpc
    return None
