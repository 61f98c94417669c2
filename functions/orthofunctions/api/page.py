"""The page: for browsers at ``/``, with its files below ``/page``. It is public; what it asks the API is not."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from orthocontracts import names
from orthofunctions.api.problems import ProblemError
from orthofunctions.bootstrap import System

_FOLDER = resources.files("orthofunctions") / "page"
_INDEX = "index.html"
_PLACE_OF_FILES = "{{files}}"
_SMALL_BYTES = 1000
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".json": "application/json"}
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_OF_A_PAGE = {
    "Cache-Control": "no-store",
    "Vary": "Accept, Accept-Encoding",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
    "X-Frame-Options": "DENY",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class File:
    """``packed`` is None where packing would save nothing."""

    content: bytes
    packed: bytes | None
    media_type: str

    @classmethod
    def of(cls, name: str, content: bytes) -> File:
        suffix = f".{name.rpartition('.')[2]}"
        media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        packed = gzip.compress(content, 9, mtime=0) if len(content) > _SMALL_BYTES else b""
        return cls(content, packed if 0 < len(packed) < len(content) else None, media_type)


class _ForBrowsers(APIRoute):
    """Matches only who would rather have HTML than JSON; all others go on to the API's landing page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is Match.FULL and not wants_html(Request(scope)):
            return Match.NONE, {}
        return match, child


router = APIRouter(include_in_schema=False)
_browsers = APIRouter(route_class=_ForBrowsers)


@_browsers.api_route("/", methods=["GET", "HEAD"])
def page(request: Request) -> Response:
    html = _files()[_INDEX].content.decode().replace(_PLACE_OF_FILES, f"page/{version()}")
    system: System = request.app.state.system()
    headers = {**_OF_A_PAGE, "Content-Security-Policy": _policy(_storage_origin(system))}
    return _answer(File.of(_INDEX, html.encode()), request, headers)


@router.api_route("/page/{wanted_version}/{path:path}", methods=["GET", "HEAD"])
def file(wanted_version: str, path: str, request: Request) -> Response:
    """One of the page's files. Its address has a hash of them all, so that it may be kept for ever."""
    found = _files().get(path)
    if found is None or path == _INDEX:
        raise ProblemError(404, "No such file", f"the page has no file {path[:100]!r}")
    # a page of another version is open somewhere: it gets what there is, and does not keep it
    kept = _FOR_EVER if wanted_version == version() else "no-store"
    return _answer(found, request, {"Cache-Control": kept, "Vary": "Accept-Encoding"})


router.include_router(_browsers)


def wants_html(request: Request) -> bool:
    """Whether a caller would rather have HTML than JSON. ``f`` decides where it is given."""
    asked = request.query_params.get("f")
    if asked is not None:
        return asked == "html"
    wishes = dict(_wish(one) for one in request.headers.get("accept", "").split(",") if one.strip())

    def wish(media_type: str) -> float:
        group = media_type.partition("/")[0] + "/*"
        return next((wishes[name] for name in (media_type, group, "*/*") if name in wishes), 0.0)

    return wish("text/html") > wish("application/json")


def _wish(entry: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return media_type, float(quality)
    except ValueError:
        return media_type, 0.0


@cache
def version() -> str:
    """A hash of all the page's files."""
    found = hashlib.sha256()
    for name, one in sorted(_files().items()):
        found.update(f"{name}\0{len(one.content)}\0".encode() + one.content)
    return found.hexdigest()[:16]


@cache
def _files() -> dict[str, File]:
    """By path below the folder."""
    return {name: File.of(name, one.read_bytes()) for name, one in _walk(_FOLDER, "")}


def _walk(folder: Traversable, before: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for one in folder.iterdir():
        name = f"{before}{one.name}"
        found += _walk(one, f"{name}/") if one.is_dir() else [(name, one)]
    return found


def _policy(storage_origin: str) -> str:
    """Nothing from anywhere else, but for browse images, which come from storage."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
        f"img-src 'self' {storage_origin}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _storage_origin(system: System) -> str:
    """Where links to results point."""
    ports = system.ports
    found = urlsplit(ports.links.read_url(names.CONTAINER_RESULTS, "any", ports.clock.now()))
    return f"{found.scheme}://{found.netloc}"


def _answer(found: File, request: Request, headers: dict[str, str]) -> Response:
    content = found.content
    headers = {**_ALWAYS, **headers}
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", "").lower():
        content, headers["Content-Encoding"] = found.packed, "gzip"
    return Response(content, media_type=found.media_type, headers=headers)
