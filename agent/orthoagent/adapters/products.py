"""Container ``products``, where stubs of the site's archive go."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient

from orthoagent.adapters.storage import asking

PUT_LIMIT_S = 120.0
"""Of a manifest, or a file below a megabyte."""
SLOWEST_BYTES_PER_S = 200_000.0
"""Of a large file: what takes longer is begun anew."""


class ProductBlobs:
    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def md5_of(self, name: str) -> bytes | None:
        """None where there is no such blob, or nobody knows its MD5. Raises StorageSilentError."""
        async with asking("look at a product"):
            try:
                properties = await self._container.get_blob_client(name).get_blob_properties()
            except ResourceNotFoundError:
                return None
        md5 = properties.content_settings.content_md5
        return bytes(md5) if md5 is not None else None

    async def put_file(self, name: str, path: Path, md5: bytes) -> None:
        """Write a blob of any size with its MD5, whatever is there. Raises StorageSilentError."""
        size_bytes = await asyncio.to_thread(lambda: path.stat().st_size)
        settings = ContentSettings(content_md5=bytearray(md5))
        async with asking("upload a product", limit_s=PUT_LIMIT_S + size_bytes / SLOWEST_BYTES_PER_S):
            with await asyncio.to_thread(path.open, "rb") as data:
                await self._container.upload_blob(
                    name, data, length=size_bytes, overwrite=True, content_settings=settings, max_concurrency=4
                )

    async def put(self, name: str, data: bytes) -> None:
        """Write a blob with its MD5, whatever is there. Raises StorageSilentError."""
        md5 = bytearray(hashlib.md5(data, usedforsecurity=False).digest())
        async with asking("upload a part of a product", limit_s=PUT_LIMIT_S):
            await self._container.upload_blob(
                name, data, overwrite=True, content_settings=ContentSettings(content_md5=md5), max_concurrency=1
            )
