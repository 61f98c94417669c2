"""A search as it comes over HTTP, by GET or POST: understood, or refused with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from orthofunctions.api.problems import ProblemError
from orthofunctions.api.queries import interval_of
from orthofunctions.domain.cql2 import Filter, FilterError, parse_filter
from orthofunctions.domain.indexed import QUERYABLE
from orthofunctions.domain.search_areas import Area, AreaError, box_area, parse_area
from orthofunctions.usecases.search import NEWEST_FIRST, Search

DEFAULT_LIMIT: Final = 10
MOST_ITEMS: Final = 500
"""On a page; who asks for more gets these, and the link to the next."""
MOST_IDS: Final = 250
QUERYABLES: Final = frozenset({"id", "collection", "datetime", *QUERYABLE})
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAMES: Final = frozenset(
    {"bbox", "intersects", "datetime", "ids", "collections", "limit", "sortby"}
    | {"filter", "filter-lang", "filter-crs", "token"}
)
_INSTEAD: Final = {"query": "use filter", "fields": "Items come whole"}
_CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


def of_parameters(parameters: Mapping[str, str], user: str) -> Search:
    """A search by the parameters of a URL.

    Raises
    ------
    ProblemError
        400, where one is not understood.
    """
    body: dict[str, Any] = dict(parameters)
    if "bbox" in body:
        body["bbox"] = [_number("bbox", one) for one in body["bbox"].split(",")]
    if "intersects" in body:
        body["intersects"] = _geometry_in(body["intersects"])
    for name in ("ids", "collections"):
        if name in body:
            body[name] = [one for one in body[name].split(",") if one]
    if "limit" in body:
        if not re.fullmatch(r"[+-]?\d{1,9}", body["limit"]):
            raise _bad(f"limit is a whole number, not {body['limit'][:20]!r}")
        body["limit"] = int(body["limit"])
    if "sortby" in body:
        body["sortby"] = [
            {"field": one.lstrip("+- "), "direction": "desc" if one.startswith("-") else "asc"}
            for one in body["sortby"].split(",")
        ]
    return of_body(body, user)


def of_body(body: Mapping[str, Any], user: str) -> Search:
    """A search by a JSON object.

    Raises
    ------
    ProblemError
        400, where a member is not understood.
    """
    unknown = sorted(body.keys() - _NAMES)
    if unknown:
        reason = _INSTEAD.get(unknown[0], f"there are {', '.join(sorted(_NAMES))}")
        raise _bad(f"{unknown[0][:40]!r} is not understood here: {reason}")
    body = {name: value for name, value in body.items() if value is not None}
    when = body.get("datetime")
    if when is not None and not isinstance(when, str):
        raise _bad("datetime is a text")
    earliest, latest = interval_of(when)
    ids = _texts(body, "ids")
    if ids is not None and len(ids) > MOST_IDS:
        raise _bad(f"{len(ids)} ids; {MOST_IDS} are possible")
    token = body.get("token")
    if token is not None and not isinstance(token, str):
        raise _bad("token is a text")
    return Search(
        user=user,
        area=_area(body),
        earliest=earliest,
        latest=latest,
        ids=tuple(one for one in ids if _DIGEST.fullmatch(one)) if ids is not None else None,
        collections=_texts(body, "collections"),
        filter=_filter(body),
        order=_order(body["sortby"]) if "sortby" in body else NEWEST_FIRST,
        limit=_limit(body),
        token=token,
    )


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def _geometry_in(text: str) -> Any:
    """JSON without NaN and Infinity."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _bad(f"intersects is not JSON: {str(error)[:200]}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _bad(detail: str) -> ProblemError:
    return ProblemError(400, "Invalid search", detail)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _bad(f"{name} is of numbers, not {text[:20]!r}") from None


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, str):  # not what the standard has, but what clients send
        value = [value]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _bad(f"{name} is a list of texts")
    return tuple(value) or None  # an empty list asks for nothing in particular


def _limit(body: Mapping[str, Any]) -> int:
    limit = body.get("limit", DEFAULT_LIMIT)
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise _bad(f"limit is a whole number from 1, not {str(limit)[:20]}")
    return min(limit, MOST_ITEMS)


def _area(body: Mapping[str, Any]) -> Area | None:
    box, geometry = body.get("bbox"), body.get("intersects")
    if box is not None and geometry is not None:
        raise _bad("give either bbox or intersects")
    try:
        if box is not None:
            if not isinstance(box, list) or not all(_is_number(one) for one in box):
                raise _bad("bbox is a list of numbers")
            return box_area([float(one) for one in box])
        return parse_area(geometry) if geometry is not None else None
    except (AreaError, OverflowError) as error:
        raise _bad(f"{'bbox' if box is not None else 'intersects'}: {error}") from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _filter(body: Mapping[str, Any]) -> Filter | None:
    value = body.get("filter")
    if value is None:
        return None
    if body.get("filter-lang", "cql2-text") not in ("cql2-text", "cql2-json"):
        raise _bad("filter-lang is cql2-text or cql2-json")
    if body.get("filter-crs", _CRS84) != _CRS84:
        raise _bad(f"filter-crs is {_CRS84}")
    try:
        return parse_filter(value, QUERYABLES)
    except FilterError as error:
        raise _bad(f"filter: {error}") from error


def _order(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise _bad('sortby is a list of {"field": ..., "direction": "asc" or "desc"}')
    order = []
    for one in value:
        field = str(one.get("field", "")).removeprefix("properties.")
        direction = one.get("direction", "asc")
        if field not in QUERYABLES:
            raise _bad(f"sortby: {field[:40]!r} is no queryable; there are {', '.join(sorted(QUERYABLES))}")
        if direction not in ("asc", "desc"):
            raise _bad(f"sortby: a direction is asc or desc, not {str(direction)[:20]!r}")
        order.append(("-" if direction == "desc" else "+") + field)
    return tuple(order)
