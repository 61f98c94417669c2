"""Providers of products, as EODAG sees them: a STAC API, and downloads behind a login. They fail on demand.

A product is one zip over HTTP, a file after the other over HTTP, or objects in a bucket.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from fakes.file_server import FileServer
from fakes.served import Served

USER, PASSWORD = "ada", "correct-horse-battery"
BUCKET, KEY_ID, SECRET = "eodata", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class Answer:
    """How one download is answered. ``stop_at`` is where the connection breaks, counted from its first byte."""

    status: int = 200
    stop_at: int | None = None
    ranges: bool = True
    says_bytes: int | None = None
    retry_after: str | None = None
    piece_s: float = 0.0
    """For which every 32 KiB take."""


@dataclass
class Provider(Served):
    """Serves while the block runs.

    ``answers`` of a product are taken one by one; the last counts for ever, and a whole answer where there is none.
    """

    zips: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    ranges: dict[str, list[str]] = field(default_factory=dict)
    """What was asked for of each product, ``""`` for all of it."""
    most_at_once: dict[str, int] = field(default_factory=dict)
    """Of a product's answers; one more gets status 429."""
    peaks: dict[str, int] = field(default_factory=dict)
    store: FileServer = field(default_factory=FileServer)
    """Where files lie one by one: below ``/files`` and in a bucket."""
    _at_once: dict[str, int] = field(default_factory=dict)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(provider._listed(asked.get("ids", []), self.path)).encode()
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

    def put_in_store(self, name: str) -> list[str]:
        """A product as files one by one, in both places. Returns their paths below its folder."""
        with zipfile.ZipFile(io.BytesIO(self.zips[name])) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        for member, data in members.items():
            self.store.files[f"/files/{member}"] = self.store.files[f"/{BUCKET}/{member}"] = data
        return sorted(members)

    def write_settings(self, folder: Path, name: str, password: str) -> None:
        """EODAG's settings for zips over HTTP, under a name, with a login."""
        download = {"type": "HTTPDownload", "ignore_assets": True, "auth_error_code": 401}
        self._write(
            folder, name, "search", download | {"order_status": {"ordered": {"http_code": 202}}}, self._basic(password)
        )

    def write_settings_of_files(self, folder: Path, name: str) -> None:
        """The same for files one by one."""
        auth = self._basic(PASSWORD) | {"matching_url": self.store.address}
        self._write(folder, name, "files", {"type": "HTTPDownload", "auth_error_code": 401}, auth)

    def write_settings_of_bucket(self, folder: Path, name: str) -> None:
        """The same for objects."""
        where = {"s3_endpoint": self.store.address}
        credentials = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}
        auth = {"type": "AwsAuth", "auth_error_code": 403, "matching_url": f"s3://{BUCKET}", "credentials": credentials}
        self._write(folder, name, "bucket", {"type": "AwsDownload", "ignore_assets": True} | where, auth | where)

    def _basic(self, password: str) -> dict[str, Any]:
        credentials = {"username": USER, "password": password}
        return {"type": "GenericAuth", "matching_url": self.url, "credentials": credentials}

    def _write(self, folder: Path, name: str, listing: str, download: dict[str, Any], auth: dict[str, Any]) -> None:
        settings = {
            name: {
                "priority": 1,
                "description": "of a test",
                "url": self.url,
                "search": {
                    "type": "StacSearch",
                    "api_endpoint": f"{self.url}/{listing}",
                    "need_auth": False,
                    "metadata_mapping": {"eodag:download_link": "$.assets.product.href"},
                },
                "products": {"S2_MSI_L1C": {"_collection": "S2_MSI_L1C"}},
                "download": download,
                "auth": auth,
            }
        }
        (folder / f"{name}.yml").write_text(json.dumps(settings))

    def _listed(self, names: list[str], listing: str) -> dict[str, Any]:
        items = [
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
                "bbox": [0, 0, 1, 1],
                "properties": {"datetime": "2023-06-05T11:06:19Z", "title": name},
                "assets": {key: {"href": href} for key, href in self._assets(name, listing).items()},
                "links": [],
            }
            for name in names
            if name in self.zips
        ]
        return {"type": "FeatureCollection", "features": items, "links": []}

    def _assets(self, name: str, listing: str) -> dict[str, str]:
        if listing == "/bucket":
            return {"product": f"s3://{BUCKET}/{name}.SAFE"}
        if listing == "/files":
            start = f"/files/{name}.SAFE/"
            return {path: self.store.address + path for path in self.store.files if path.startswith(start)}
        return {"product": f"{self.url}/download/{name}"}

    def _download(self, request: Any) -> None:
        name = unquote(request.path.rpartition("/")[2])
        send: Callable[..., None] = request._send
        if request.headers.get("Authorization") != LOGIN:
            return send(401, b"who knocks with " + str(request.headers.get("Authorization")).encode())
        wanted = request.headers.get("Range", "")
        self.ranges.setdefault(name, []).append(wanted)
        planned = self.answers.get(name, [])
        answer = planned.pop(0) if len(planned) > 1 else (planned[0] if planned else Answer())
        if answer.status != 200:
            more = {"Retry-After": answer.retry_after} if answer.retry_after else {}
            return send(answer.status, b"no", **more)
        with self._counting:
            at_once = self._at_once.get(name, 0)
            if at_once == self.most_at_once.get(name):
                return send(429, b"no")
            self._at_once[name] = at_once + 1
            self.peaks[name] = max(self.peaks.get(name, 0), at_once + 1)
        try:
            self._send_zip(request, self.zips[name], answer, wanted if answer.ranges else "")
        finally:
            with self._counting:
                self._at_once[name] -= 1
        return None

    def _send_zip(self, request: Any, data: bytes, answer: Answer, wanted: str) -> None:
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first or 0), int(last) + 1 if last else len(data)
        body = data[start:stop]
        request.send_response(206 if wanted else 200)
        request.send_header("Content-Length", str(answer.says_bytes if answer.says_bytes is not None else len(body)))
        request.send_header("ETag", '"1"')
        if wanted:
            request.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        request.end_headers()
        request.close_connection = True
        end = min(
            len(body), answer.stop_at if answer.stop_at is not None else len(body), answer.says_bytes or len(body)
        )
        with contextlib.suppress(ConnectionError):  # who asked has heard enough
            for at in range(0, end, 1 << 15):
                time.sleep(answer.piece_s)
                request.wfile.write(body[at : min(end, at + (1 << 15))])
