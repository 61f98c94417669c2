"""Tiles of the Copernicus DEM that an area needs, fetched into a folder: ``orthokernel dem``."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from orthocontracts.demtiles import SOURCES, TILE_LIST, Cell, Spacing, cells_in_list, tile_name
from orthokernel.errors import DemFetchError

TRIES: Final = 4
TIMEOUT_S: Final = 60.0
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """What became of the squares of an area: tiles that came, that were there already, and squares of the sea."""

    came: int = 0
    there: int = 0
    sea: int = 0


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Whoever sends us on to another server is not followed."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            raise DemFetchError(req.full_url, f"sent on to {urlsplit(newurl).netloc}", "tiles on its own server")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_tiles(
    cells: Iterable[Cell],
    folder: Path,
    *,
    spacing: Spacing = "10",
    source: str | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Fetched:
    """Bring the tiles of some squares into a folder, each whole or not at all; those that are there are left.

    A square that the source's list does not name, or where it has no list and no tile, is the sea.

    Parameters
    ----------
    source : str, optional
        ``https://`` address below which tiles lie as in the public buckets, which are the default.

    Raises
    ------
    DemFetchError
        The source does not answer, or sends something else than tiles.
    """
    base = (source or SOURCES[spacing]).rstrip("/")
    if not base.startswith("https://") and urlsplit(base).hostname not in ("127.0.0.1", "localhost"):
        raise DemFetchError(base, "no https address", "one such as https://copernicus-dem-30m.s3.amazonaws.com")
    opener = urllib.request.build_opener(_SameHost)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sorted(cells)
    listed = _listed(opener, base)
    came = there = sea = 0
    for number, cell in enumerate(wanted):
        name = tile_name(cell, spacing)
        target = folder / f"{name}.tif"
        if target.exists():
            there += 1
        elif listed is not None and cell not in listed:
            sea += 1
        elif _bring(opener, f"{base}/{name}/{name}.tif", target):
            came += 1
        elif listed is not None:
            raise DemFetchError(f"{base}/{name}", "nothing, although the source's list names it", "a tile")
        else:
            sea += 1
        progress((number + 1) / len(wanted))
    return Fetched(came, there, sea)


def _listed(opener: urllib.request.OpenerDirector, base: str) -> frozenset[Cell] | None:
    body = _tried(opener, f"{base}/{TILE_LIST}", lambda answer: bytes(answer.read(16 << 20)))
    return None if body is None else cells_in_list(body.decode("utf-8", errors="replace").splitlines())


def _bring(opener: urllib.request.OpenerDirector, url: str, target: Path) -> bool:
    """False where there is nothing."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")

    def store(answer: http.client.HTTPResponse) -> bool:
        promised = answer.length
        with part.open("wb") as out:
            while chunk := answer.read(_CHUNK_BYTES):
                out.write(chunk)
        size = part.stat().st_size
        if promised is not None and size != promised:
            raise http.client.IncompleteRead(b"", promised - size)
        with part.open("rb") as written:
            if written.read(2) not in (b"II", b"MM"):
                raise DemFetchError(url, "something that is no TIFF", "a tile of the Copernicus DEM")
        part.rename(target)
        return True

    try:
        return bool(_tried(opener, url, store))
    finally:
        part.unlink(missing_ok=True)


def _tried(opener: urllib.request.OpenerDirector, url: str, use: Callable[[Any], Any]) -> Any:
    """What is made of the answer; None where there is nothing (status 404, or 403 as buckets say it)."""
    trouble: Exception = TimeoutError()
    for pause_s in (0.5, 1.0, 2.0, 0.0)[:TRIES]:
        try:
            with opener.open(url, timeout=TIMEOUT_S) as answer:
                return use(answer)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (403, 404):
                return None
            trouble = error
        except (OSError, http.client.HTTPException) as error:
            trouble = error
        time.sleep(pause_s)
    why = f"no answer ({type(trouble).__name__}: {trouble})"
    raise DemFetchError(url, why, "a tile; try again, or name another source")
