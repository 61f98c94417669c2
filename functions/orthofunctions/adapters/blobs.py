"""Blobs in Azure Storage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import requests
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobClient,
    BlobLeaseClient,
    BlobProperties,
    BlobServiceClient,
    ContainerClient,
    ContentSettings,
    StorageStreamDownloader,
)

from orthofunctions.adapters.transport import client_options
from orthofunctions.ports import BlobChangedError, BlobFacts, BlobMissingError, LeaseHeldError, LeaseLostError

_CONTENT_TYPES = {".json": "application/json", ".png": "image/png", ".tif": "image/tiff", ".xml": "application/xml"}


class AzureBlobs:
    """``orthofunctions.ports.Blobs`` over one storage account. A container that is not there is made on first write."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._service = service
        self._containers: dict[str, ContainerClient] = {}

    @classmethod
    def connect(cls, connection_string: str, session: requests.Session) -> AzureBlobs:
        return cls(BlobServiceClient.from_connection_string(connection_string, **client_options(session)))

    def make_container(self, container: str) -> None:
        """Make a container; one that is there is no error."""
        with contextlib.suppress(ResourceExistsError):
            self._container(container).create_container()

    def facts(self, container: str, name: str) -> BlobFacts | None:
        try:
            return _facts(container, self._blob(container, name).get_blob_properties())
        except ResourceNotFoundError:
            return None

    def read(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> bytes:
        if length == 0:
            return b""
        condition: dict[str, Any] = (
            {} if etag is None else {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        )
        try:
            reader: StorageStreamDownloader[bytes] = self._blob(container, name).download_blob(
                offset, length, **condition
            )
            return reader.readall()
        except ResourceNotFoundError as error:
            raise BlobMissingError(container, name) from error
        except ResourceModifiedError as error:
            raise BlobChangedError(container, name) from error
        except HttpResponseError as error:
            if error.status_code == 416:  # the range starts at or beyond the end
                return b""
            raise

    def create(self, container: str, name: str, data: bytes) -> bool:
        try:
            self._upload(container, name, data, overwrite=False)
        except ResourceExistsError:
            return False
        except HttpResponseError as error:
            if error.status_code in (409, 412):  # leased or written between check and put: something is there
                return False
            raise
        return True

    def write(self, container: str, name: str, data: bytes) -> None:
        self._upload(container, name, data, overwrite=True)

    def delete(self, container: str, name: str, *, etag: str | None = None) -> None:
        condition: dict[str, Any] = (
            {} if etag is None else {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        )
        with contextlib.suppress(ResourceNotFoundError, ResourceModifiedError):
            self._blob(container, name).delete_blob(**condition)

    def list(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        try:
            for properties in self._container(container).list_blobs(name_starts_with=prefix or None):
                yield _facts(container, properties)
        except ResourceNotFoundError:  # no such container: nothing in it
            return

    def names_below(self, container: str, folder: str = "", token: str = "") -> tuple[Sequence[str], str]:
        found = self._container(container).walk_blobs(name_starts_with=folder or None, delimiter="/")
        pages = found.by_page(continuation_token=token or None)
        try:
            page = [str(one.name) for one in next(pages, ())]
        except ResourceNotFoundError:  # no such container
            return [], ""
        return page, str(getattr(pages, "continuation_token", None) or "")

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        self.create(container, name, b"")
        lease = BlobLeaseClient(self._blob(container, name))
        try:
            lease.acquire(lease_duration=seconds)
        except HttpResponseError as error:
            if error.status_code == 409:
                raise LeaseHeldError(f"{container}/{name}") from error
            raise
        return lease.id

    def renew_lease(self, container: str, name: str, lease_id: str) -> None:
        try:
            BlobLeaseClient(self._blob(container, name), lease_id=lease_id).renew()
        except HttpResponseError as error:
            if error.status_code in (404, 409, 412):
                raise LeaseLostError(f"{container}/{name}") from error
            raise

    def release_lease(self, container: str, name: str, lease_id: str) -> None:
        try:
            BlobLeaseClient(self._blob(container, name), lease_id=lease_id).release()
        except HttpResponseError as error:
            if error.status_code not in (404, 409, 412):  # lost already: nothing left to release
                raise

    def _upload(self, container: str, name: str, data: bytes, *, overwrite: bool) -> None:
        suffix = name[name.rfind(".") :] if "." in name else ""
        settings = ContentSettings(content_type=_CONTENT_TYPES.get(suffix, "application/octet-stream"))
        arguments: dict[str, Any] = {"content_settings": settings, "overwrite": overwrite}
        if not overwrite:
            arguments |= {"match_condition": MatchConditions.IfMissing}
        self._making(container, lambda: self._blob(container, name).upload_blob(data, **arguments))

    def _making(self, container: str, write: Callable[[], object]) -> None:
        try:
            write()
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", None) != "ContainerNotFound":
                raise
            self.make_container(container)
            write()

    def _container(self, container: str) -> ContainerClient:
        if container not in self._containers:
            self._containers[container] = self._service.get_container_client(container)
        return self._containers[container]

    def _blob(self, container: str, name: str) -> BlobClient:
        return self._container(container).get_blob_client(name)


def _facts(container: str, properties: BlobProperties) -> BlobFacts:
    md5 = properties.content_settings.content_md5
    return BlobFacts(
        container=container,
        name=properties.name,
        size_bytes=properties.size,
        etag=properties.etag.strip('"'),  # quoted in a blob's own answer, bare in a listing
        md5=bytes(md5).hex() if md5 else None,
        last_modified=properties.last_modified,
    )
