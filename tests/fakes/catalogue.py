"""A catalogue over HTTP, OData and STAC, as bad as they get: it fails, repeats, reorders, and lists late."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from fakes.products import S2_TILE
from fakes.served import Served

RING = [[-4.35, 48.22], [-2.87, 48.75], [-2.87, 47.77], [-4.33, 47.76], [-4.35, 48.22]]


def text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass
class Entry:
    """A product. ``listed_at`` is when a query finds it, later perhaps than it says it was published."""

    name: str
    published_at: datetime
    listed_at: datetime


@dataclass
class Catalogue(Served):
    """Serves while the block runs.

    ``fail`` is asked before every answer, with the number of the request: what it returns is sent as the status.
    """

    clock: Callable[[], datetime]
    page_size: int = 10
    entries: list[Entry] = field(default_factory=list)
    fail: Callable[[int], int | None] = lambda _: None
    reorder: Callable[[list[Entry]], list[Entry]] = lambda entries: entries
    repeats: int = 0
    """Entries of the page before that each page begins with."""
    next_url: str | None = None
    """Where every next page is said to be."""
    body: bytes | None = None
    requests: list[str] = field(default_factory=list)

    def publish(self, n: int, at: datetime, *, late_s: float = 0) -> list[str]:
        names = []
        for _ in range(n):
            created = datetime(2023, 6, 5, 13, tzinfo=UTC) + timedelta(seconds=len(self.entries))
            name = f"{S2_TILE[:-15]}{created:%Y%m%dT%H%M%S}"
            self.entries.append(Entry(name, at, at + timedelta(seconds=late_s)))
            names.append(name)
        return names

    def __enter__(self) -> Self:
        catalogue = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = catalogue._answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if 300 <= status < 400:
                    self.send_header("Location", catalogue.url)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.serve(Handler)
        return self

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def _answer(self, path: str) -> tuple[int, bytes]:
        self.requests.append(path)
        status = self.fail(len(self.requests))
        if status is not None:
            return status, b"{}"
        if self.body is not None:
            return 200, self.body
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        is_stac = urlsplit(path).path == "/v1/search"
        chosen = self.reorder(self._asked_for(query, "filter" if is_stac else "$filter"))
        skip = int(query.get("skip", 0))
        start = max(0, skip - self.repeats)
        page, more = chosen[start : skip + self.page_size], skip + self.page_size < len(chosen)
        following = None
        if more:
            again = urlencode({**query, "skip": skip + self.page_size})
            following = self.next_url or f"{self.url}/{'search' if is_stac else 'Products'}?{again}"
        document = _stac(page, following) if is_stac else _odata(page, following)
        return 200, json.dumps(document).encode()

    def _asked_for(self, query: dict[str, str], conditions: str) -> list[Entry]:
        """By id, by name, or by when it was published."""
        named = re.fullmatch(r"Name eq '(.*)'", query.get(conditions, ""))
        if named or "ids" in query:
            wanted = {named[1]} if named else set(query["ids"].split(","))
            return [one for one in self.entries if wanted & {one.name, f"{one.name}.SAFE"}]
        return self._chosen(query.get(conditions) or query["datetime"])

    def _chosen(self, conditions: str) -> list[Entry]:
        since, until = (datetime.fromisoformat(one) for one in re.findall(r"\d{4}-[\d:T.-]+Z", conditions)[:2])
        now = self.clock()
        there = [one for one in self.entries if one.listed_at <= now and since <= one.published_at < until]
        return sorted(there, key=lambda one: one.published_at)


def _odata(page: list[Entry], following: str | None) -> dict[str, Any]:
    products = [
        {
            "Id": f"id-{one.name}",
            "Name": f"{one.name}.SAFE",
            "S3Path": f"/eodata/{one.name}.SAFE",
            "ContentDate": {"Start": "2023-06-05T11:06:19Z", "End": "2023-06-05T11:06:19Z"},
            "PublicationDate": text_of(one.published_at),
            "GeoFootprint": {"type": "Polygon", "coordinates": [RING]},
        }
        for one in page
    ]
    return {"value": products, **({"@odata.nextLink": following} if following else {})}


def _stac(page: list[Entry], following: str | None) -> dict[str, Any]:
    items = [
        {
            "type": "Feature",
            "id": one.name,
            "geometry": {"type": "Polygon", "coordinates": [RING]},
            "properties": {"datetime": "2023-06-05T11:06:19Z", "published": text_of(one.published_at)},
            "assets": {"manifest": {"href": f"s3://eodata/{one.name}.SAFE/manifest.safe"}},
        }
        for one in page
    ]
    links = [{"rel": "next", "href": following, "method": "GET"}] if following else []
    return {"type": "FeatureCollection", "features": items, "links": [{"rel": "self", "href": "x"}, *links]}
