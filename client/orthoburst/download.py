"""Fetch one file: streamed, resumed after a cut, checked."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import httpx

from orthoburst.errors import DownloadError

TRIES = 4
TIMEOUT_S = 60.0


def fetch(url: str, path: Path, *, md5: str | None = None) -> Path:
    """Fetch ``url`` to ``path``; a file that is there with the right MD5 is left alone.

    The bytes grow in ``<path>.part``, which a later call resumes; the file appears under its name only when whole.

    Parameters
    ----------
    md5 : str, optional
        Expected MD5 in hex; the server's own ``Content-MD5`` where not given.

    Raises
    ------
    DownloadError
        Where the file does not arrive, or is not what was promised (then the part is deleted).
    """
    if md5 is not None and path.exists() and _md5(path) == md5:
        return path
    part = path.with_name(path.name + ".part")
    fault: Exception | None = None
    for _ in range(TRIES):
        try:
            promised = _append(url, part) or ""
        except (httpx.TransportError, _CutShortError) as error:
            fault = error
            continue
        except httpx.HTTPStatusError as error:
            raise DownloadError(path, f"the store answered {error.response.status_code}") from error
        expected = md5 or promised
        if expected and _md5(part) != expected:
            part.unlink()
            raise DownloadError(path, f"its MD5 is not the promised {expected}")
        part.replace(path)
        return path
    raise DownloadError(path, f"the connection was cut {TRIES} times ({fault})") from fault


class _CutShortError(Exception):
    """The body ended before its announced length."""


def _append(url: str, part: Path) -> str | None:
    """Fetch what ``part`` still lacks; the MD5 of the whole file in hex, where the store says it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with httpx.stream("GET", url, headers=headers, timeout=TIMEOUT_S) as answer:
        if have and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None  # nothing is missing
        answer.raise_for_status()
        resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as file:
            # as it comes: a chunk size would make httpx hold bytes back, and a cut would lose them
            for chunk in answer.iter_raw():
                file.write(chunk)
            size = file.tell()
        announced = int(answer.headers.get("Content-Length", "-1")) + (have if resumed else 0)
        if "Content-Length" in answer.headers and size != announced:
            raise _CutShortError(f"{size} of {announced} bytes")
        whole = answer.headers.get("x-ms-blob-content-md5") or (
            "" if resumed else answer.headers.get("Content-MD5", "")
        )
        return base64.b64decode(whole).hex() if whole else None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
