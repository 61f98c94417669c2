"""The STAC API 1.0.0 of the catalogue: core, collections, features, item search, sort, filter."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from orthofunctions.api.bodies import parse_json, read_body
from orthofunctions.api.context import Caller, Reader
from orthofunctions.api.problems import ProblemError
from orthofunctions.api.shapes import answer, ref
from orthofunctions.api.stac_documents import (
    GEOJSON,
    ROOT,
    SCHEMA,
    STAC_CONFORMS_TO,
    collections_document,
    item_links,
    linked_collection,
    page_document,
    queryables_document,
    root_document,
    with_successor,
)
from orthofunctions.api.stac_query import is_digest, of_body, of_parameters
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.stac_collections import collection_document
from orthofunctions.usecases.item_links import linked_item
from orthofunctions.usecases.search import (
    PARALLEL_READS,
    BadTokenError,
    Page,
    Search,
    TooManyError,
    find_item,
    jobs_that_have,
    search,
)
from orthofunctions.usecases.successors import successor_of

router = APIRouter(prefix=ROOT, tags=["STAC"])

Text = Annotated[str | None, Query()]
FilterLang = Annotated[str | None, Query(alias="filter-lang")]
_SEARCH = {"required": True, "content": {"application/json": {"schema": ref("StacSearch")}}}

FilterCrs = Annotated[str | None, Query(alias="filter-crs")]


@router.get("", **answer("StacDocument"))
def catalogue(asked: Reader) -> dict[str, Any]:
    return root_document(asked)


@router.get("/conformance", **answer("ConfClasses"))
def conformance(_: Reader) -> dict[str, Any]:
    return {"conformsTo": list(STAC_CONFORMS_TO)}


@router.get("/queryables", **answer("StacDocument", media_type=SCHEMA))
def queryables(asked: Reader) -> JSONResponse:
    return JSONResponse(queryables_document(f"{ROOT}/queryables", asked), media_type=SCHEMA)


@router.get("/collections", **answer("StacDocument"))
def collections(asked: Reader) -> dict[str, Any]:
    return collections_document(asked)


@router.get("/collections/{collection}", **answer("StacDocument"))
def one_collection(collection: str, asked: Reader) -> dict[str, Any]:
    document = linked_collection(collection, asked)
    if document is None:
        raise _no_collection(collection)
    return document


@router.get("/collections/{collection}/queryables", **answer("StacDocument", media_type=SCHEMA))
def queryables_of_collection(collection: str, asked: Reader) -> JSONResponse:
    _check_collection(collection)
    path = f"{ROOT}/collections/{collection}/queryables"
    return JSONResponse(queryables_document(path, asked), media_type=SCHEMA)


@router.get("/collections/{collection}/items", **answer("StacItems", media_type=GEOJSON))
def items(
    collection: str,
    request: Request,
    asked: Reader,
    bbox: Text = None,
    intersects: Text = None,
    datetime: Text = None,
    ids: Text = None,
    collections: Text = None,
    limit: Text = None,
    sortby: Text = None,
    filter: Text = None,  # the standard's name
    filter_lang: FilterLang = None,
    filter_crs: FilterCrs = None,
    token: Text = None,
) -> JSONResponse:
    """The Items of a collection, newest first."""
    _check_collection(collection)
    parameters = dict(request.query_params)
    wanted = of_parameters(parameters, asked.user)
    path = f"{ROOT}/collections/{collection}/items"
    of_collection = asked.link(f"{ROOT}/collections/{collection}", "collection", "its collection")
    inside = wanted.collections is None or collection in wanted.collections
    page = _found(asked, replace(wanted, collections=(collection,) if inside else ()))
    return _page(asked, page, [*_get_links(asked, path, parameters, page), of_collection])


@router.get("/collections/{collection}/items/{item}", **answer("StacItem", media_type=GEOJSON))
def one_item(collection: str, item: str, asked: Reader) -> JSONResponse:
    _check_collection(collection)
    ports = asked.system.ports
    found = find_item(ports, asked.user, item) if is_digest(item) else None
    if found is None or found.collection != collection:
        raise ProblemError(404, "No such Item", f"there is no Item {item[:100]} in {collection}")
    document = with_successor(linked_item(ports, found, _valid(asked)), successor_of(ports, found), asked)
    jobs = jobs_that_have(ports, asked.user, found.digest)
    return JSONResponse(item_links(document, asked, jobs), media_type=GEOJSON)


@router.get("/search", **answer("StacItems", media_type=GEOJSON))
def search_by_get(
    request: Request,
    asked: Reader,
    bbox: Text = None,
    intersects: Text = None,
    datetime: Text = None,
    ids: Text = None,
    collections: Text = None,
    limit: Text = None,
    sortby: Text = None,
    filter: Text = None,  # the standard's name
    filter_lang: FilterLang = None,
    filter_crs: FilterCrs = None,
    token: Text = None,
) -> JSONResponse:
    """Items by place, time, id, collection and properties, newest first."""
    parameters = dict(request.query_params)
    page = _found(asked, of_parameters(parameters, asked.user))
    return _page(asked, page, _get_links(asked, f"{ROOT}/search", parameters, page))


@router.post("/search", openapi_extra={"requestBody": _SEARCH}, **answer("StacItems", media_type=GEOJSON))
async def search_by_post(request: Request, asked: Reader) -> JSONResponse:
    """The same, as a JSON object: areas are too long for a URL."""
    text = await read_body(request, asked.system.settings.max_body_bytes)
    return await run_in_threadpool(_search_by_post, text, asked)


def _search_by_post(text: bytes, asked: Caller) -> JSONResponse:
    body = parse_json(text)
    if not isinstance(body, dict):
        raise ProblemError(400, "Invalid search", "the body is a JSON object")
    page = _found(asked, of_body(body, asked.user))
    link = asked.link(f"{ROOT}/search", "self", "this search", GEOJSON)
    links: list[dict[str, Any]] = [
        {**link, "method": "POST", "body": body},
        asked.link(ROOT, "root", "the catalogue"),
    ]
    if page.token is not None:
        links.append({**link, "rel": "next", "title": "more", "method": "POST", "body": {**body, "token": page.token}})
    return _page(asked, page, links)


def _found(asked: Caller, wanted: Search) -> Page:
    try:
        return search(asked.system.ports, wanted)
    except BadTokenError as error:
        raise ProblemError(400, "Invalid token", str(error)) from error
    except TooManyError as error:
        raise ProblemError(400, "Too many Items", str(error)) from error


def _page(asked: Caller, page: Page, links: list[dict[str, Any]]) -> JSONResponse:
    valid, ports = _valid(asked), asked.system.ports

    def document(one: Indexed) -> dict[str, Any]:
        return item_links(with_successor(linked_item(ports, one, valid), successor_of(ports, one), asked), asked)

    with ThreadPoolExecutor(PARALLEL_READS) as pool:  # those on site are looked up
        documents = list(pool.map(document, page.items))
    return JSONResponse(page_document(documents, links), media_type=GEOJSON)


def _get_links(asked: Caller, path: str, parameters: Mapping[str, str], page: Page) -> list[dict[str, Any]]:
    query = f"?{urlencode(parameters)}" if parameters else ""
    links: list[dict[str, Any]] = [
        asked.link(f"{path}{query}", "self", "this document", GEOJSON),
        asked.link(ROOT, "root", "the catalogue"),
    ]
    if page.token is not None:
        following = urlencode({**parameters, "token": page.token})
        links.append({**asked.link(f"{path}?{following}", "next", "more", GEOJSON), "method": "GET"})
    return links


def _valid(asked: Caller) -> timedelta:
    return timedelta(minutes=asked.system.settings.link_minutes)


def _check_collection(collection: str) -> None:
    if collection_document(collection) is None:
        raise _no_collection(collection)


def _no_collection(collection: str) -> ProblemError:
    return ProblemError(404, "No such collection", f"there is no collection {collection[:100]!r}")
