"""Standing orders: what is made of products as they come."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from orthocontracts.orders import StandingOrder
from orthofunctions.api.context import Caller, Reader
from orthofunctions.api.problems import ProblemError
from orthofunctions.usecases.orders import orders_of
from orthofunctions.usecases.upload import DefaultOrderError, default_order

router = APIRouter()

_MISSIONS = ("sentinel1", "sentinel2", "sentinel3", "rpc")
_AUXILIARY = ("terrain", "gipp", "iers")


@router.get("/orders")
def orders(asked: Reader) -> dict[str, Any]:
    """Your standing orders, after the site's default order, which is changed in ``settings/default_order.json``."""
    return {"orders": [*_default(asked), *(_document(one) for one in orders_of(asked.system.ports, asked.user))]}


def _document(order: StandingOrder) -> dict[str, Any]:
    said = order.model_dump(mode="json", exclude_none=True, exclude={"version", "order_id"})
    return {"id": order.order_id, **said}


def _default(asked: Caller) -> list[dict[str, Any]]:
    try:
        order = default_order(asked.system.ports)
    except DefaultOrderError as error:
        raise ProblemError(500, "The standing order is not usable", str(error)) from error
    if order is None:
        return []
    said = order.model_dump(mode="json", exclude_none=True)
    missions = {name: said[name] for name in _MISSIONS if name in said}
    auxiliary = {name: said[name] for name in _AUXILIARY if name in said}
    return [{"id": "default", "user": order.user, "missions": missions, **auxiliary}]
