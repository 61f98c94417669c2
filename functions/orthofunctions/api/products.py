"""The products in the store that images can be made of, as GeoJSON."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query

from orthocontracts.products import Mission
from orthofunctions.api.context import Reader
from orthofunctions.api.queries import bbox_of, interval_of
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.usecases.product_search import Search, find_products

router = APIRouter()

MOST_PRODUCTS = 200
_KEY = r"^\d{10}-[0-9a-f]{16}$"


@router.get("/products")
def products(
    asked: Reader,
    bbox: Annotated[str | None, Query(description="west,south,east,north in degrees")] = None,
    datetime: Annotated[str | None, Query(description="a moment, or two with a slash between; .. is open")] = None,
    mission: Mission | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_PRODUCTS)] = 50,
    token: Annotated[str | None, Query(pattern=_KEY, description="of a next link")] = None,
) -> dict[str, Any]:
    """Products that have been uploaded and that you may have images of, newest first."""
    start, stop = interval_of(datetime)
    search = Search(bounds=bbox_of(bbox), start=start, stop=stop, mission=mission, after=token or "")
    found, more = find_products(asked.system.ports, asked.user, search, limit)
    links = [asked.link("/products", "self", "this document", "application/geo+json")]
    if more:
        again = {"bbox": bbox, "datetime": datetime, "mission": mission, "limit": limit, "token": more}
        query = urlencode({name: value for name, value in again.items() if value is not None})
        links.append(asked.link(f"/products?{query}", "next", "more products", "application/geo+json"))
    return {"type": "FeatureCollection", "features": [_feature(one) for one in found], "links": links}


def _feature(record: InventoryRecord) -> dict[str, Any]:
    ring = json.loads(record.footprint)
    return {
        "type": "Feature",
        "id": record.ref,
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "ref": record.ref,
            "name": record.name,
            "mission": record.mission,
            "product_type": record.product_type,
            "start": record.start.isoformat().replace("+00:00", "Z"),
            "stop": record.stop.isoformat().replace("+00:00", "Z"),
            "size_bytes": record.size_bytes,
        },
    }
