"""Products as the OData catalogue of the Copernicus Data Space has them, and as its subscriptions push them. Pure.

Source: documentation.dataspace.copernicus.eu, "OData" and "Catalog subscriptions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from orthocontracts.model import UtcTime
from orthocontracts.wire import explain
from orthofunctions.domain.announced import Announced, NotAnnouncedError, ring_of, stem_of

_CHECKSUMS: Final = {"MD5": ("md5", 32), "BLAKE3": ("blake3", 64)}
"""And how many digits they have."""


class _Model(BaseModel):
    """Of somebody else's making: what is not known is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _ContentDate(_Model):
    Start: UtcTime
    End: UtcTime | None = None


class _Product(_Model):
    Id: str = Field(max_length=300)
    Name: str = Field(max_length=300)
    S3Path: str = Field(max_length=600)
    ContentDate: _ContentDate
    PublicationDate: UtcTime
    ContentLength: int = Field(default=0, ge=0)
    Online: bool = True
    GeoFootprint: Any = None
    Attributes: list[dict[str, Any]] = Field(default=[], max_length=1000)
    Checksum: list[dict[str, Any]] = Field(default=[], max_length=20)


class Notification(_Model):
    """What a push subscription posts. ``value`` is missing where the catalogue has forgotten it."""

    SubscriptionEvent: str = Field(max_length=100)
    ProductId: str = Field(max_length=300)
    ProductName: str = Field(default="", max_length=300)
    value: dict[str, Any] | None = Field(default=None, validation_alias=AliasChoices("value", "Value"))


def announced_by(catalogue: str, product: Mapping[str, Any]) -> Announced:
    """The product of an OData entity, with its attributes.

    Raises
    ------
    NotAnnouncedError
        Where it is no product of a kind that images are made of, is offline, or says too little.
    """
    stem = stem_of(str(product.get("Name") or ""))
    try:
        read = _Product.model_validate(product)
        attributes = {str(one.get("Name")): one.get("Value") for one in read.Attributes}
        orbit, clouds = attributes.get("relativeOrbitNumber"), attributes.get("cloudCover")
        if not read.Online:
            raise NotAnnouncedError(f"{stem} is offline")
        return Announced(
            catalogue=catalogue,
            id=read.Id,
            name=stem,
            ref=_ref(read.S3Path),
            footprint_lonlat=ring_of(read.GeoFootprint),
            start=read.ContentDate.Start,
            stop=read.ContentDate.End,
            published_at=read.PublicationDate,
            size_bytes=read.ContentLength,
            checksum=_checksum(read.Checksum),
            orbit_direction=_direction(attributes.get("orbitDirection")),
            relative_orbit=orbit if isinstance(orbit, int) and 1 <= orbit <= 385 else None,
            cloud_cover_percent=clouds if isinstance(clouds, int | float) and 0 <= clouds <= 100 else None,
        )
    except ValidationError as error:
        raise NotAnnouncedError(f"{stem}: {explain(error)}") from error


def first_page(url: str, since: datetime, until: datetime, wanted: str, page_size: int) -> str:
    """The address of the products that were published from ``since`` on and before ``until``, the oldest first."""
    conditions = [f"PublicationDate ge {_time(since)}", f"PublicationDate lt {_time(until)}"]
    query = {
        "$filter": " and ".join([*conditions, *([f"({wanted})"] if wanted else [])]),
        "$orderby": "PublicationDate asc",
        "$expand": "Attributes",
        "$top": str(page_size),
    }
    return f"{url.rstrip('/')}/Products?{urlencode(query)}"


def page_of_name(url: str, folder: str) -> str:
    """The address of what is listed as this folder, ``….SAFE`` or ``….SEN3``."""
    query = {"$filter": f"Name eq '{folder}'", "$expand": "Attributes", "$top": "5"}
    return f"{url.rstrip('/')}/Products?{urlencode(query)}"


def page_of(body: Any) -> tuple[list[Any], str | None]:
    """What a page lists, and the address of the next. Raises ValueError where it is none."""
    match body:
        case {"value": list(listed)}:
            following = body.get("@odata.nextLink")
            return listed, following if isinstance(following, str) and following else None
    raise ValueError("no list of products (value)")


def _ref(s3_path: str) -> str:
    """``/eodata/Sentinel-2/…`` begins with its bucket."""
    path = s3_path.strip("/")
    if "/" not in path:
        raise NotAnnouncedError(f"its S3 path {s3_path[:100]!r} names no bucket and product")
    return f"s3://{path}"


def _checksum(known: list[dict[str, Any]]) -> str | None:
    for one in known:
        name, n_digits = _CHECKSUMS.get(str(one.get("Algorithm")), ("", 0))
        value = str(one.get("Value"))
        if name and re.fullmatch(f"[0-9a-fA-F]{{{n_digits}}}", value):
            return f"{name}:{value.lower()}"
    return None


def _direction(text: object) -> Any:
    lower = str(text).lower()
    return lower if lower in ("ascending", "descending") else None


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
