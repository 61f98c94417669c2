"""Container ``products``, where stubs of the site's archive go."""

from __future__ import annotations

import hashlib

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient

from orthoagent.adapters.storage import asking

PUT_LIMIT_S = 120.0
"""Of a manifest, or a file below a megabyte."""


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

    async def put(self, name: str, data: bytes) -> None:
        """Write a blob with its MD5, whatever is there. Raises StorageSilentError."""
        md5 = bytearray(hashlib.md5(data, usedforsecurity=False).digest())
        async with asking("upload a part of a product", limit_s=PUT_LIMIT_S):
            await self._container.upload_blob(
                name, data, overwrite=True, content_settings=ContentSettings(content_md5=md5), max_concurrency=1
            )
