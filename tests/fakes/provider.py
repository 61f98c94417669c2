"""A provider of products over HTTP, as EODAG sees one: a STAC API, and downloads behind a login. It fails on demand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from fakes.served import Served

USER, PASSWORD = "ada", "correct-horse-battery"


@dataclass
class Answer:
    """How one download is answered. ``stop_at`` is where the connection breaks, counted from its first byte."""

    status: int = 200
    stop_at: int | None = None
    ranges: bool = True
    says_bytes: int | None = None
    retry_after: str | None = None


@dataclass
class Provider(Served):
    """Serves while the block runs.

    ``answers`` of a product are taken one by one; the last counts for ever, and a whole answer where there is none.
    """

    zips: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    ranges: dict[str, list[str]] = field(default_factory=dict)
    """What was asked for of each product, ``""`` for all of it."""

    def __enter__(self) -> Self:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(provider._listed(asked.get("ids", []))).encode()
                self._send(200, body, **{"Content-Type": "application/geo+json"})

            def do_GET(self) -> None:
                provider._download(self)

            def _send(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.serve(Handler)
        return self

    @property
    def url(self) -> str:
        return self.origin

    def write_settings(self, folder: Path, name: str, password: str) -> None:
        """EODAG's settings for this provider, under a name, with a login."""
        settings = {
            name: {
                "priority": 1,
                "description": "of a test",
                "url": self.url,
                "search": {
                    "type": "StacSearch",
                    "api_endpoint": f"{self.url}/search",
                    "need_auth": False,
                    "metadata_mapping": {"eodag:download_link": "$.assets.product.href"},
                },
                "products": {"S2_MSI_L1C": {"_collection": "S2_MSI_L1C"}},
                "download": {
                    "type": "HTTPDownload",
                    "ignore_assets": True,
                    "auth_error_code": 401,
                    "order_status": {"ordered": {"http_code": 202}},
                },
                "auth": {
                    "type": "GenericAuth",
                    "matching_url": self.url,
                    "credentials": {"username": USER, "password": password},
                },
            }
        }
        (folder / f"{name}.yml").write_text(json.dumps(settings))

    def _listed(self, names: list[str]) -> dict[str, Any]:
        items = [
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
                "bbox": [0, 0, 1, 1],
                "properties": {"datetime": "2023-06-05T11:06:19Z", "title": name},
                "assets": {"product": {"href": f"{self.url}/download/{name}", "type": "application/zip"}},
                "links": [],
            }
            for name in names
            if name in self.zips
        ]
        return {"type": "FeatureCollection", "features": items, "links": []}

    def _download(self, request: Any) -> None:
        name = unquote(request.path.rpartition("/")[2])
        send: Callable[..., None] = request._send
        login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != login:
            return send(401, b"who knocks with " + str(request.headers.get("Authorization")).encode())
        wanted = request.headers.get("Range", "")
        self.ranges.setdefault(name, []).append(wanted)
        planned = self.answers.get(name, [])
        answer = planned.pop(0) if len(planned) > 1 else (planned[0] if planned else Answer())
        if answer.status != 200:
            more = {"Retry-After": answer.retry_after} if answer.retry_after else {}
            return send(answer.status, b"no", **more)
        data = self.zips[name]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and answer.ranges else 0
        body = data[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(answer.says_bytes if answer.says_bytes is not None else len(body)))
        request.send_header("ETag", '"1"')
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        stop = answer.stop_at if answer.stop_at is not None else len(body)
        request.wfile.write(body[: min(stop, answer.says_bytes or stop)])
        request.close_connection = True
        return None
