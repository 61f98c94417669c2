"""The products that images can be made of, and those that were here, as GeoJSON."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query

from orthocontracts.products import Mission
from orthofunctions.api.context import Reader
from orthofunctions.api.queries import bbox_of, interval_of
from orthofunctions.api.shapes import answer
from orthofunctions.domain.raw_rules import ArchiveFileError, RawRules
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.expire_raw import read_rules, waits_for
from orthofunctions.usecases.product_search import ProductState, Search, find_products, state_of_row

router = APIRouter()

MOST_PRODUCTS = 200
PARALLEL_LOOKS = 8
_KEY = r"^\d{10}-[0-9a-f]{16}$"


@router.get("/products", **answer("Products"))
def products(
    asked: Reader,
    bbox: Annotated[str | None, Query(description="west,south,east,north in degrees")] = None,
    datetime: Annotated[str | None, Query(description="a moment, or two with a slash between; .. is open")] = None,
    mission: Mission | None = None,
    type: Annotated[str | None, Query(max_length=40, description="GRD, L1C, OL_1_EFR, …")] = None,
    state: Annotated[ProductState | None, Query(description="default: here and elsewhere")] = None,
    where: Annotated[
        str | None, Query(max_length=200, description="blobs, a store of the site, s3://BUCKET, https://HOST")
    ] = None,
    waiting: Annotated[bool, Query(description="only what is so old that it may expire")] = False,
    limit: Annotated[int, Query(ge=1, le=MOST_PRODUCTS)] = 50,
    token: Annotated[str | None, Query(pattern=_KEY, description="of a next link")] = None,
) -> dict[str, Any]:
    """Products that you may have images of, newest first. A page may hold less than its limit, and have a next one."""
    start, stop = interval_of(datetime)
    ports, rules = asked.system.ports, _rules(asked.system.ports)
    search = Search(
        bounds=bbox_of(bbox),
        start=start,
        stop=stop,
        mission=mission,
        product_type=type,
        state=state,
        where=where,
        waiting=rules if waiting else None,
        after=token or "",
    )
    found, more = find_products(ports, asked.user, search, limit)
    links = [asked.link("/products", "self", "this document", "application/geo+json")]
    if more:
        again = {"bbox": bbox, "datetime": datetime, "mission": mission, "type": type, "state": state, "where": where}
        again |= {"waiting": "true" if waiting else None, "limit": str(limit), "token": more}
        query = urlencode({name: value for name, value in again.items() if value is not None})
        links.append(asked.link(f"/products?{query}", "next", "more products", "application/geo+json"))
    with ThreadPoolExecutor(PARALLEL_LOOKS) as pool:
        features = list(pool.map(lambda one: _feature(ports, one, rules, waiting), found))
    return {"type": "FeatureCollection", "features": features, "links": links}


def _rules(ports: Ports) -> RawRules:
    """While they cannot be used nothing expires."""
    try:
        return read_rules(ports)
    except ArchiveFileError:
        return RawRules()


def _feature(ports: Ports, record: InventoryRecord, rules: RawRules, waiting: bool) -> dict[str, Any]:
    ring = json.loads(record.footprint)
    state = state_of_row(record)
    expires = rules.expires_at(record) if state is ProductState.HERE else None
    waits = waits_for(ports, rules, record) if waiting else None
    more = {
        "expires": None if expires is None else _shown(expires),
        "waits_for": waits.value if waits is not None else None,
        "gone": None if record.gone_at is None else _shown(record.gone_at),
        "why": record.why or None,
    }
    return {
        "type": "Feature",
        "id": record.ref,
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "ref": record.ref,
            "name": record.name,
            "mission": record.mission,
            "product_type": record.product_type,
            "start": _shown(record.start),
            "stop": _shown(record.stop),
            "size_bytes": record.size_bytes,
            "state": state.value,
            "where": record.where,
            "arrived": _shown(record.arrived_at),
            **{name: value for name, value in more.items() if value is not None},
        },
    }


def _shown(moment: Any) -> str:
    return str(moment.isoformat()).replace("+00:00", "Z")
