"""Standing orders: what is made of products as they come."""

from __future__ import annotations

import re
import uuid
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from orthocontracts.orders import StandingOrder
from orthocontracts.requests import StandingDefault
from orthofunctions.api.admission import check_groups
from orthofunctions.api.bodies import may_be_id, named_document, parse_json, read_body
from orthofunctions.api.context import Caller, Reader, Submitter
from orthofunctions.api.documents import status_document
from orthofunctions.api.execution import subscriber_in
from orthofunctions.api.problems import Error, ProblemError, error, invalid
from orthofunctions.api.queries import interval_of
from orthofunctions.api.shapes import answer, ref
from orthofunctions.usecases.backfill import back_fill
from orthofunctions.usecases.orders import (
    OrderExistsError,
    OrderRefusedError,
    add_order,
    delete_order,
    find_order,
    orders_of,
)
from orthofunctions.usecases.upload import DefaultOrderError, default_order
from orthofunctions.usecases.views import status_of

router = APIRouter()

_MISSIONS = ("sentinel1", "sentinel2", "sentinel3", "rpc")
_AUXILIARY = ("terrain", "gipp", "iers", "orbits")
_NOT_SAID = {"version", "user", "created_at", "order_id"}
"""Of an order: by whoever asks, and when."""
_KEY = re.compile(r"\d{10}-[0-9a-f]{16}")
_BODY = {"required": True, "content": {"application/json": {"schema": ref("NewOrder")}}}
_PAST = {"required": True, "content": {"application/json": {"schema": ref("Backfill")}}}


@router.get("/orders", **answer("Orders"))
def orders(asked: Reader) -> dict[str, Any]:
    """Your standing orders, after the site's default order, which is changed in ``settings/default_order.json``."""
    return {"orders": [*_default(asked), *(_document(one) for one in orders_of(asked.system.ports, asked.user))]}


@router.post("/orders", status_code=201, openapi_extra={"requestBody": _BODY}, **answer("Order", status=201))
async def order(request: Request, asked: Submitter) -> JSONResponse:
    """Order images of every product to come that fits. The same order under the same id is harmless."""
    body = await read_body(request, asked.system.settings.max_body_bytes)
    return await run_in_threadpool(_order, body, asked)


def _order(body: bytes, asked: Caller) -> JSONResponse:
    wanted = _order_of(parse_json(body), asked)
    check_groups(asked, wanted.shared_with, "shared_with")
    if wanted.redo_with_precise_orbit and wanted.orbits is None and not _orbits_of_site(asked):
        raise invalid([error("redo_with_precise_orbit", "name the folder of orbit files as orbits: the site has none")])
    try:
        kept = add_order(asked.system.ports, wanted)
    except OrderRefusedError as trouble:
        raise ProblemError(400, "Not kept", str(trouble)) from trouble
    except OrderExistsError as trouble:
        raise ProblemError(409, "Another order has this id", str(trouble)) from trouble
    return JSONResponse(_document(kept), 201, headers={"Location": f"{asked.base_url}/orders/{kept.order_id}"})


@router.get("/orders/{order_id}", **answer("Order"))
def one_order(order_id: str, asked: Reader) -> dict[str, Any]:
    """One of your standing orders."""
    return _document(_find(order_id, asked))


@router.delete("/orders/{order_id}", **answer("Order"))
def take_back(order_id: str, asked: Submitter) -> dict[str, Any]:
    """Take an order back. What it has asked for already goes on."""
    found = _find(order_id, asked)
    delete_order(asked.system.ports, asked.user, order_id)
    return _document(found)


@router.post(
    "/orders/{order_id}/backfill",
    status_code=201,
    openapi_extra={"requestBody": _PAST},
    **answer("Backfilled", status=201),
)
async def backfill(order_id: str, request: Request, asked: Submitter) -> JSONResponse:
    """Ask for an order's images of products that came before it, some fifty at a call: send ``token`` as ``after``."""
    body = await read_body(request, asked.system.settings.max_body_bytes)
    return await run_in_threadpool(_backfill, order_id, body, asked)


def _backfill(order_id: str, body: bytes, asked: Caller) -> JSONResponse:
    wanted, errors = parse_json(body), list[Error]()
    if not isinstance(wanted, dict):
        raise invalid([error("body", "it must be an object", found=wanted, expected="an object")])
    for name, value in wanted.items():
        if name not in ("datetime", "after"):
            errors.append(error(name, "no member of a back-fill", expected="datetime, after"))
        elif not isinstance(value, str) or (name == "after" and not _KEY.fullmatch(value)):
            expected = "the token of an answer" if name == "after" else "a text"
            errors.append(error(name, f"it must be {expected}", found=value, expected=expected))
    if errors:
        raise invalid(errors)
    start, stop = interval_of(wanted.get("datetime"))
    system = asked.system
    page = back_fill(system.ports, _find(order_id, asked), start, stop, wanted.get("after", ""))
    jobs = [status_document(status_of(system.ports, job, {}), system.rules, asked) for job in page.jobs]
    more = {} if page.more is None else {"token": page.more}
    return JSONResponse({"products": page.n_products, "jobs": jobs, **more}, 201)


def _find(order_id: str, asked: Caller) -> StandingOrder:
    found = find_order(asked.system.ports, asked.user, order_id) if may_be_id(order_id) else None
    if found is None:
        raise ProblemError(404, "No such order", f"you have no standing order {order_id[:100]}")
    return found


def _order_of(said: Any, asked: Caller) -> StandingOrder:
    if not isinstance(said, dict):
        raise invalid([error("body", "it must be an object", found=said, expected="an object")])
    errors: list[Error] = [
        error(name, "not said in an order, leave it out", found=said[name]) for name in sorted(_NOT_SAID & said.keys())
    ]
    subscriber = subscriber_in(said.get("subscriber"), asked.system.settings.allowed_hosts(), errors)
    if errors:
        raise invalid(errors)
    ours = {
        "order_id": said.get("id", f"o{uuid.uuid4().hex[:15]}"),
        "user": asked.user,
        "created_at": asked.system.ports.clock.now().isoformat(),
        "subscriber": subscriber,
    }
    return named_document(StandingOrder, "order_id", said, **ours)


def _document(order: StandingOrder) -> dict[str, Any]:
    said = order.model_dump(mode="json", exclude_none=True, exclude={"version", "order_id"})
    return {"id": order.order_id, **said}


def _orbits_of_site(asked: Caller) -> bool:
    order = _default_order(asked)
    return order is not None and order.orbits is not None


def _default_order(asked: Caller) -> StandingDefault | None:
    try:
        return default_order(asked.system.ports)
    except DefaultOrderError as error:
        raise ProblemError(500, "The standing order is not usable", str(error)) from error


def _default(asked: Caller) -> list[dict[str, Any]]:
    order = _default_order(asked)
    if order is None:
        return []
    said = order.model_dump(mode="json", exclude_none=True)
    missions = {name: said[name] for name in _MISSIONS if name in said}
    auxiliary = {name: said[name] for name in _AUXILIARY if name in said}
    return [{"id": "default", "user": order.user, "missions": missions, **auxiliary}]
