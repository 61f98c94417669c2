"""The archive of products: how many there are, which are kept, whether the inventory is right."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from orthocontracts.references import PRODUCT_PATTERN
from orthofunctions.api.bodies import parse_json, read_body
from orthofunctions.api.context import Caller, Operator, Reader
from orthofunctions.api.problems import ProblemError, error, invalid
from orthofunctions.api.shapes import answer, ref
from orthofunctions.domain.faults import ProductGoneError
from orthofunctions.domain.raw_rules import ArchiveFileError
from orthofunctions.domain.records import ArchiveRecord
from orthofunctions.usecases.archive import KINDS, NoSuchProductError, count_products, keep_product, release_product
from orthofunctions.usecases.check_archive import TokenUnknownError, check_archive
from orthofunctions.usecases.expire_raw import read_rules

router = APIRouter()

_KIND = "|".join(KINDS)
_NAMED = {"required": True, "content": {"application/json": {"schema": ref("NamedProduct")}}}
_AFTER = {"required": True, "content": {"application/json": {"schema": ref("CheckFrom")}}}


@router.get("/products/summary", **answer("ProductSummary"))
def summary(
    asked: Reader,
    by: Annotated[
        str, Query(pattern=rf"^({_KIND})(,({_KIND}))*$", description=f"some of {', '.join(KINDS)}")
    ] = "state,mission,product_type",
) -> dict[str, Any]:
    """How many products there are and were, and their bytes, restricted ones included; and the rules they go by."""
    ports = asked.system.ports
    counts = count_products(ports, list(dict.fromkeys(by.split(","))))
    try:
        rules = {"rules": read_rules(ports).model_dump(mode="json", exclude_none=True)["raw"]}
    except ArchiveFileError as trouble:
        rules = {"rules": [], "rules_error": str(trouble)}
    return {
        "counts": [{**one.kind, "products": one.n_products, "bytes": one.n_bytes} for one in counts],
        **rules,
    }


@router.post("/products/keep", openapi_extra={"requestBody": _NAMED}, **answer("KeptProduct"))
async def keep(request: Request, asked: Operator) -> dict[str, Any]:
    """Keep a product in blob storage whatever the site's rules say, until it is released."""
    body = await read_body(request, asked.system.settings.max_body_bytes)
    return await run_in_threadpool(_keep, body, asked)


@router.post("/products/release", openapi_extra={"requestBody": _NAMED}, **answer("KeptProduct"))
async def release(request: Request, asked: Operator) -> dict[str, Any]:
    """Let the site's rules decide again."""
    body = await read_body(request, asked.system.settings.max_body_bytes)
    return await run_in_threadpool(_release, body, asked)


@router.post("/products/check", openapi_extra={"requestBody": _AFTER}, **answer("CheckedProducts"))
async def check(request: Request, asked: Operator) -> dict[str, Any]:
    """Hold the next part of inventory and store against each other, and mend: send ``token`` as ``after``."""
    body = await read_body(request, asked.system.settings.max_body_bytes)
    return await run_in_threadpool(_check, body, asked)


def _keep(body: bytes, asked: Caller) -> dict[str, Any]:
    named = _text_in(body, "ref")
    try:
        return _shown(keep_product(asked.system.ports, _ref(named), asked.user))
    except ProductGoneError as trouble:
        raise ProblemError(409, "Gone", str(trouble)) from trouble
    except NoSuchProductError as trouble:
        raise ProblemError(404, "No such product", str(trouble)) from trouble


def _release(body: bytes, asked: Caller) -> dict[str, Any]:
    named = _text_in(body, "ref")
    try:
        return _shown(release_product(asked.system.ports, _ref(named)))
    except NoSuchProductError as trouble:
        raise ProblemError(404, "No such product", str(trouble)) from trouble


def _check(body: bytes, asked: Caller) -> dict[str, Any]:
    after = _text_in(body, "after", default="")
    try:
        found = check_archive(asked.system.ports, after)
    except TokenUnknownError as trouble:
        raise invalid([error("after", str(trouble), found=after, expected="the token of an answer")]) from trouble
    said = asdict(found)
    said["unreadable"] = [{"ref": one, "why": why} for one, why in found.unreadable]
    token = said.pop("more")
    return {**said, **({"token": token} if token else {})}


def _text_in(body: bytes, name: str, default: str | None = None) -> str:
    said = parse_json(body)
    if not isinstance(said, dict):
        raise invalid([error("body", "it must be an object", found=said, expected="an object")])
    for other in said:
        if other != name:
            raise invalid([error(other, "nothing of this name is asked for", expected=name)])
    value = said.get(name, default)
    if not isinstance(value, str):
        raise invalid([error(name, "it must be a text", found=value, expected="a text")])
    return value


def _ref(named: str) -> str:
    if not (named.startswith("products/") and re.fullmatch(PRODUCT_PATTERN, named)):
        raise invalid(
            [error("ref", "it must name what was uploaded", found=named, expected="products/NAME: only they expire")]
        )
    return named


def _shown(record: ArchiveRecord) -> dict[str, Any]:
    kept = {"kept_by": record.kept_by} if record.kept_by else {}
    return {"ref": record.ref, "state": "gone" if record.state == "gone" else "here", **kept}
