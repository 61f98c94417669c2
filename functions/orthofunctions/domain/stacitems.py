"""Products as a STAC API lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from orthocontracts.wire import explain
from orthofunctions.domain.announced import Announced, NotAnnouncedError, ring_of, stem_of
from orthofunctions.domain.multihash import checksum_of

BY_ACQUISITION = "datetime"
"""The property of time that every catalogue can be asked for. Others are asked for in CQL2."""


def announced_by(catalogue: str, item: Mapping[str, Any], published: str) -> Announced:
    """The product of a STAC Item.

    Parameters
    ----------
    published : str
        The property that says when it was published.

    Raises
    ------
    NotAnnouncedError
        Where it is no product of a kind that images are made of, lies nowhere, or says too little.
    """
    stem = stem_of(str(item.get("id") or ""))
    said = item.get("properties")
    properties: Mapping[str, Any] = said if isinstance(said, dict) else {}
    clouds = properties.get("eo:cloud_cover")
    orbit = properties.get("sat:relative_orbit")
    direction = properties.get("sat:orbit_state")
    start = properties.get("start_datetime") or properties.get("datetime")
    place = _place(stem, item)
    try:
        return Announced.model_validate(
            {
                "catalogue": catalogue,
                "id": item.get("id"),
                "name": stem,
                "ref": place,
                "checksum": _checksum(item, place),
                "footprint_lonlat": ring_of(item.get("geometry")),
                "start": start,
                "stop": properties.get("end_datetime") or None,
                "published_at": properties.get(published) or start,
                "orbit_direction": direction if direction in ("ascending", "descending") else None,
                "relative_orbit": orbit if isinstance(orbit, int) and 1 <= orbit <= 385 else None,
                "cloud_cover_percent": clouds if isinstance(clouds, int | float) and 0 <= clouds <= 100 else None,
            }
        )
    except ValidationError as error:
        raise NotAnnouncedError(f"{stem}: {explain(error)}") from error


def first_page(
    url: str, since: datetime, until: datetime, collections: tuple[str, ...], published: str, page_size: int
) -> str:
    """The address of the Items that were published from ``since`` on and before ``until``, the oldest first."""
    query = {"collections": ",".join(collections), "limit": str(page_size)}
    if published == BY_ACQUISITION:
        query["datetime"] = f"{_time(since)}/{_time(until)}"
    else:
        conditions = f"{published} >= TIMESTAMP('{_time(since)}') AND {published} < TIMESTAMP('{_time(until)}')"
        query |= {"filter-lang": "cql2-text", "filter": conditions, "sortby": f"+{published}"}
    return f"{url.rstrip('/')}/search?{urlencode({name: value for name, value in query.items() if value})}"


def page_of_ids(url: str, ids: tuple[str, ...], collections: tuple[str, ...]) -> str:
    """The address of the Items that have one of these ids."""
    query = {"ids": ",".join(ids), "collections": ",".join(collections)}
    return f"{url.rstrip('/')}/search?{urlencode({name: value for name, value in query.items() if value})}"


def page_of(body: Any) -> tuple[list[Any], str | None]:
    """What a page lists, and the address of the next. Raises ValueError where it is none, or the next is asked for
    otherwise than by an address."""
    match body:
        case {"features": list(listed), **more}:
            links = more.get("links")
        case _:
            raise ValueError("no list of Items (features)")
    for link in links if isinstance(links, list) else []:
        match link:
            case {"rel": "next", "href": str(href)} if str(link.get("method", "GET")).upper() == "GET":
                return listed, href
            case {"rel": "next"}:
                raise ValueError("its next page is asked for by POST, which is not done here")
    return listed, None


def _place(stem: str, item: Mapping[str, Any]) -> str:
    """The product's folder or zip, by an asset that lies in it: in a bucket before on a server."""
    hrefs = sorted(_hrefs(item), key=lambda href: not href.startswith("s3://"))
    for href in hrefs:
        parts = href.partition("?")[0].split("/")
        for n, part in enumerate(parts):
            if n > 2 and part.startswith(stem) and part.endswith((".SAFE", ".SEN3", ".zip")):
                return "/".join(parts[: n + 1])
    raise NotAnnouncedError(f"{stem}: no asset lies in a folder or zip of its name")


def _checksum(item: Mapping[str, Any], place: str) -> str | None:
    """Of the asset that is the product as a whole, a zip."""
    found = (checksum_of(digest) for href, digest in _files(item) if href.partition("?")[0] == place and digest)
    return next(found, None)


def _hrefs(item: Mapping[str, Any]) -> Iterator[str]:
    return (href for href, _ in _files(item))


def _files(item: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Of each asset, and the same elsewhere, the address and its ``file:checksum``."""
    assets = item.get("assets")
    for asset in assets.values() if isinstance(assets, dict) else []:
        if not isinstance(asset, dict):
            continue
        alternates = asset.get("alternate")
        for one in [asset, *(alternates.values() if isinstance(alternates, dict) else [])]:
            match one:
                case {"href": str(href)} if href.startswith(("s3://", "https://")):
                    yield href, one.get("file:checksum", asset.get("file:checksum"))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
