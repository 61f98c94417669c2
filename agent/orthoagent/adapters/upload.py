"""Finished files to their create-only links: one streamed Put Blob each, with its MD5. Or into a store of the site."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from orthoagent.adapters.sites import Sites, keep
from orthoagent.errors import FaultError
from orthoagent.logs import log
from orthoagent.patience import pauses_s
from orthocontracts.outputs import FileFacts
from orthocontracts.tickets import OutputFile

CHUNK_BYTES = 1 << 20


class Uploader:
    def __init__(self, http: aiohttp.ClientSession, sites: Sites) -> None:
        self._http = http
        self._sites = sites

    async def put(self, path: Path, to: OutputFile, *, until: datetime) -> FileFacts:
        """Write the file to its blob, trying again until the link expires; or copy it to its place on site.

        Raises
        ------
        FaultError
            Where the service refuses it, or the link's time is over.
        """
        size, md5 = await asyncio.to_thread(_measure, path)
        place = self._sites.path_of(to.url)
        if place is not None:
            await asyncio.to_thread(keep, path, place)
            return FileFacts(blob=to.blob, size_bytes=size, md5=md5.hex())
        headers = {
            "x-ms-blob-type": "BlockBlob",
            "Content-MD5": base64.b64encode(md5).decode(),
            "Content-Length": str(size),
            "Content-Type": _CONTENT_TYPE.get(path.suffix, "application/octet-stream"),
            "If-None-Match": "*",
        }
        retried = False
        for pause in pauses_s():
            try:
                async with self._http.put(to.url, data=_stream(path), headers=headers) as answer:
                    status, code = answer.status, answer.headers.get("x-ms-error-code", "")
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                status, code = 0, type(error).__name__  # its own text may quote the link
            # Nobody else writes to this delivery's name: after a try without an answer, "exists" is that try's success.
            if status == 201 or (status in {409, 412} and retried and code in {"BlobAlreadyExists", ""}):
                return FileFacts(blob=to.blob, size_bytes=size, md5=md5.hex())
            if status and status < 500 and status != 429 and code != "Md5Mismatch":
                raise FaultError("DeliveryRefused", f"{to.blob}: status {status} {code}")
            if datetime.now(UTC) >= until:
                raise FaultError("DeliveryFailed", f"{to.blob}: not delivered before its link expired; last: {code}")
            log("upload_again", level=logging.WARNING, blob=to.blob, status=status, code=code)
            retried = True
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")


_CONTENT_TYPE = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".png": "image/png",
    ".json": "application/geo+json",
}


def _measure(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        return file.tell(), digest.digest()


async def _stream(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
