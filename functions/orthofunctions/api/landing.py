"""OGC API - Processes 1.0: the landing page, what it conforms to, and the description of the API."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from orthofunctions.api.context import Anyone
from orthofunctions.api.openapi import OPENAPI_TYPE, describe
from orthofunctions.api.shapes import answer

router = APIRouter()

_CLASSES = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"
CONFORMS_TO = tuple(
    f"{_CLASSES}/{name}"
    for name in ("core", "ogc-process-description", "json", "oas30", "job-list", "callback", "dismiss")
)


@router.get("/", **answer("LandingPage"))
def landing(asked: Anyone) -> dict[str, Any]:
    asked.headers["Vary"] = "Accept"  # browsers get the page
    return {
        "title": "orthoburst",
        "description": "Sentinel and very-high-resolution products into orthorectified, analysis-ready images",
        "links": [
            asked.link("/", "self", "this document"),
            asked.link("/openapi.json", "service-desc", "OpenAPI", OPENAPI_TYPE),
            asked.link("/conformance", "http://www.opengis.net/def/rel/ogc/1.0/conformance", "conformance classes"),
            asked.link("/processes", "http://www.opengis.net/def/rel/ogc/1.0/processes", "processes"),
            asked.link("/jobs", "http://www.opengis.net/def/rel/ogc/1.0/job-list", "your jobs"),
            asked.link("/stac", "related", "STAC API of what has been made"),
            asked.link("/orders", "related", "your standing orders"),
            asked.link("/products", "related", "products in the store", "application/geo+json"),
            asked.link("/pools", "related", "pools, workers and queues"),
        ],
    }


@router.get("/conformance", **answer("ConfClasses"))
def conformance(_: Anyone) -> dict[str, Any]:
    return {"conformsTo": list(CONFORMS_TO)}


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> Response:
    return Response(json.dumps(describe(request.app)), media_type=OPENAPI_TYPE)
