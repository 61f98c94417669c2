"""``orthoburst dem``: the tiles of the Copernicus DEM that an area needs, from a public bucket or another source."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from orthoburst.errors import OrthoburstError
from orthocontracts.demtiles import (
    AREA_MARGIN_DEG,
    SOURCES,
    TILE_LIST,
    Cell,
    Spacing,
    cells_in_list,
    cells_under,
    points_of,
    tile_name,
)

PARALLEL: Final = 4
TRIES: Final = 4


class DemError(OrthoburstError):
    """Tiles that cannot be had. Those that came are kept: the next try goes on."""


@dataclass(frozen=True)
class Tiles:
    """The tiles of an area: paths of those that are there now, and how many of its squares are sea."""

    paths: tuple[Path, ...]
    fetched: int
    sea: int


def fetch_dem(
    area: str,
    folder: Path,
    *,
    spacing: Spacing = "10",
    source: str | None = None,
    transport: httpx.BaseTransport | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Tiles:
    """Fetch what an area, with half a degree around it, needs; tiles that are in the folder are left as they are.

    Parameters
    ----------
    area : str
        A Sentinel-2 tile (``33TTG``), ``left,bottom,right,top`` in degrees, or GeoJSON.
    spacing : {"10", "30"}
        GLO-30 or GLO-90.
    source : str, optional
        Address below which tiles lie as in the public buckets, which are the default. Nobody else is asked: a source
        that sends on to another server is refused.

    Raises
    ------
    ValueError
        The area is none.
    DemError
        The source does not answer, or has not what its list names.
    """
    base = (source or SOURCES[spacing]).rstrip("/")
    if urlsplit(base).scheme != "https" and urlsplit(base).hostname not in ("127.0.0.1", "localhost"):
        raise DemError(f"{base}: an https address is expected")
    folder.mkdir(parents=True, exist_ok=True)
    cells = sorted(cells_under(points_of(area), AREA_MARGIN_DEG))
    done = 0
    with httpx.Client(transport=transport, timeout=60.0, follow_redirects=False) as http:
        text = _get(http, f"{base}/{TILE_LIST}", None)
        listed = None if text is None else cells_in_list(text.decode("utf-8", errors="replace").splitlines())

        def bring(cell: Cell) -> tuple[Path | None, bool]:
            nonlocal done
            name = tile_name(cell, spacing)
            path = folder / f"{name}.tif"
            came = False
            if not path.exists() and (listed is None or cell in listed):
                came = _get(http, f"{base}/{name}/{name}.tif", path) is not None
                if not came and listed is not None:
                    raise DemError(f"{base} has no {name}, which its list names")
            done += 1
            progress(done / len(cells))
            return (path if path.exists() else None), came

        with ThreadPoolExecutor(PARALLEL) as pool:
            found = list(pool.map(bring, cells))
    paths = tuple(path for path, _ in found if path is not None)
    return Tiles(paths, sum(came for _, came in found), len(cells) - len(paths))


def _get(http: httpx.Client, url: str, into: Path | None) -> bytes | None:
    """The body, or b"" once it lies in a file, whole or not at all; None where there is none (404; buckets say 403)."""
    trouble: object = None
    for _ in range(TRIES):
        try:
            with http.stream("GET", url) as answer:
                if answer.status_code in (403, 404):
                    return None
                if answer.status_code == 200:
                    return answer.read() if into is None else _stored(answer, into)
                trouble = f"status {answer.status_code}"
                if answer.is_redirect:
                    break
        except httpx.HTTPError as error:
            trouble = type(error).__name__
    raise DemError(f"{url} does not come ({trouble}): try again, or name another source")


def _stored(answer: httpx.Response, into: Path) -> bytes:
    part = into.with_name(f".{into.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            for chunk in answer.iter_bytes():
                out.write(chunk)
        with part.open("rb") as written:
            if written.read(2) not in (b"II", b"MM"):
                raise DemError(f"{answer.url} is no TIFF")
        part.rename(into)
    finally:
        part.unlink(missing_ok=True)
    return b""
