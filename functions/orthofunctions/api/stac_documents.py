"""What the STAC API answers with: catalogue, collections, queryables, Items with their links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orthofunctions.api.context import Caller
from orthofunctions.api.openapi import OPENAPI_TYPE
from orthofunctions.api.stac_query import QUERYABLES
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.items import STAC_VERSION
from orthofunctions.domain.stac_collections import collection_document, collection_ids

ROOT: Final = "/stac"
GEOJSON: Final = "application/geo+json"
SCHEMA: Final = "application/schema+json"
_STAC: Final = "https://api.stacspec.org/v1.0.0"
_FEATURES: Final = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf"
_FILTER: Final = "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf"
_CQL2: Final = "http://www.opengis.net/spec/cql2/1.0/conf"
STAC_CONFORMS_TO: Final = (
    f"{_STAC}/core",
    f"{_STAC}/collections",
    f"{_STAC}/ogcapi-features",
    f"{_STAC}/ogcapi-features#sort",
    f"{_STAC}/item-search",
    f"{_STAC}/item-search#sort",
    f"{_STAC}/item-search#filter",
    f"{_FEATURES}/core",
    f"{_FEATURES}/geojson",
    f"{_FEATURES}/oas30",
    f"{_FILTER}/filter",
    f"{_FILTER}/features-filter",
    f"{_CQL2}/cql2-text",
    f"{_CQL2}/cql2-json",
    f"{_CQL2}/basic-cql2",
    f"{_CQL2}/advanced-comparison-operators",
)
_QUERYABLES_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
_NUMBERS: Final = frozenset(
    {
        "eo:cloud_cover",
        "sat:absolute_orbit",
        "sat:relative_orbit",
        "view:incidence_angle",
        "orthoburst:spacing",
        "orthoburst:valid_fraction",
        "orthoburst:result_version",
    }
)
VERSION_EXTENSION: Final = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
_TIMES: Final = frozenset({"datetime", "created"})


def root_document(asked: Caller) -> dict[str, Any]:
    children = [
        asked.link(f"{ROOT}/collections/{one}", "child", str((collection_document(one) or {})["title"]))
        for one in collection_ids()
    ]
    search = asked.link(f"{ROOT}/search", "search", "search", GEOJSON)
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "orthoburst",
        "title": "orthoburst",
        "description": "Orthorectified, analysis-ready images that orthoburst has made.",
        "conformsTo": list(STAC_CONFORMS_TO),
        "links": [
            asked.link(ROOT, "self", "this document"),
            asked.link(ROOT, "root", "the catalogue"),
            asked.link("/openapi.json", "service-desc", "OpenAPI", OPENAPI_TYPE),
            asked.link(f"{ROOT}/conformance", "conformance", "conformance classes"),
            asked.link(f"{ROOT}/collections", "data", "collections"),
            {**search, "method": "GET"},
            {**search, "method": "POST"},
            asked.link(f"{ROOT}/queryables", _QUERYABLES_REL, "queryables", SCHEMA),
            *children,
        ],
    }


def collections_document(asked: Caller) -> dict[str, Any]:
    documents = [linked_collection(one, asked) for one in collection_ids()]
    return {
        "collections": [one for one in documents if one is not None],
        "links": [
            asked.link(f"{ROOT}/collections", "self", "this document"),
            asked.link(ROOT, "root", "the catalogue"),
            asked.link(ROOT, "parent", "the catalogue"),
        ],
    }


def linked_collection(collection: str, asked: Caller) -> dict[str, Any] | None:
    """None where there is none of that name."""
    document = collection_document(collection)
    if document is None:
        return None
    here = f"{ROOT}/collections/{collection}"
    links = [
        asked.link(here, "self", "this document"),
        asked.link(ROOT, "root", "the catalogue"),
        asked.link(ROOT, "parent", "the catalogue"),
        asked.link(f"{here}/items", "items", "its Items", GEOJSON),
        asked.link(f"{here}/queryables", _QUERYABLES_REL, "queryables", SCHEMA),
    ]
    return {**document, "links": [*links, *document["links"]]}


def queryables_document(path: str, asked: Caller) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": f"{asked.base_url}{path}",
        "type": "object",
        "title": "What a filter may name",
        "properties": {name: _queryable(name) for name in sorted(QUERYABLES)},
        "additionalProperties": False,
    }


def _queryable(name: str) -> dict[str, str]:
    if name in _NUMBERS:
        return {"title": name, "type": "number"}
    return {"title": name, "type": "string", **({"format": "date-time"} if name in _TIMES else {})}


def item_links(item: dict[str, Any], asked: Caller, jobs: Sequence[str] = ()) -> dict[str, Any]:
    """An Item with its links to where it is served, and to the caller's own jobs that have it."""
    collection = f"{ROOT}/collections/{item['collection']}"
    links = [
        asked.link(f"{collection}/items/{item['id']}", "self", "this Item", GEOJSON),
        asked.link(ROOT, "root", "the catalogue"),
        asked.link(collection, "parent", "its collection"),
        asked.link(collection, "collection", "its collection"),
        *(asked.link(f"/jobs/{job_id}", "related", "your job that has it") for job_id in jobs),
    ]
    return {**item, "links": [*links, *item["links"]]}


def with_successor(item: dict[str, Any], successor: Indexed | None, asked: Caller) -> dict[str, Any]:
    """An Item that says, as STAC's version extension has it, which other has taken its place."""
    if successor is None:
        return item
    place = f"{ROOT}/collections/{successor.collection}/items/{successor.digest}"
    return {
        **item,
        "stac_extensions": [*item["stac_extensions"], VERSION_EXTENSION],
        "properties": {**item["properties"], "deprecated": True},
        "links": [*item["links"], asked.link(place, "successor-version", "the same image of more slices", GEOJSON)],
    }


def page_document(items: Sequence[dict[str, Any]], links: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items), "links": list(links), "numberReturned": len(items)}
