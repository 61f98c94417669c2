"""Which blob versions a function was already given: kept in the host's own container, so that a restart knows."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Literal

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

HOST_CONTAINER = "azure-webjobs-hosts"

State = Literal["queued", "done"]


def version_key(container: str, name: str, etag: str) -> str:
    """Names one version of one blob; hashed, as blob names may be as long as a receipt's."""
    digest = hashlib.sha256(f"{container}/{name}".encode()).hexdigest()[:32]
    return f"{etag.strip(chr(34))}/{digest}"


class Receipts:
    """Receipts of one function: ``blobreceipts/<host>/<function>/<etag>/<hash>``, holding the state."""

    def __init__(self, service: BlobServiceClient, host_id: str, function: str) -> None:
        self._container = service.get_container_client(HOST_CONTAINER)
        self._folder = f"blobreceipts/{host_id}/{function}/"

    async def load(self) -> set[str]:
        """Keys of every version that was queued, done or not; makes the container when it is new."""
        with suppress(ResourceExistsError):
            await self._container.create_container()
        names = self._container.list_blob_names(name_starts_with=self._folder)
        return {name.removeprefix(self._folder) async for name in names}

    async def mark(self, key: str, state: State) -> None:
        """Write a receipt. ``queued`` never overwrites ``done``."""
        with suppress(ResourceExistsError):
            await self._container.upload_blob(self._folder + key, state.encode(), overwrite=state == "done")

    async def is_done(self, key: str) -> bool:
        """Whether the function has succeeded with this version."""
        try:
            stream = await self._container.download_blob(self._folder + key)
        except ResourceNotFoundError:
            return False
        return bytes(await stream.readall()) == b"done"
