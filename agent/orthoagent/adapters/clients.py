"""Clients for the queues and containers this process may use: of the account, by identity, or by a grant.

Short time-outs and no retries of the SDK's own, because the callers retry.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from orthoagent.adapters.grants import GrantedStorage
from orthoagent.errors import AgentError
from orthoagent.settings import StorageSettings

# The SDK's own first retry waits 15 s: longer than a renewal may.
PATIENCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 15}


class Storage(Protocol):
    """Where queues and containers are got from, by name."""

    def queue(self, name: str) -> QueueClient: ...

    def container(self, name: str) -> ContainerClient: ...


class AccountStorage:
    """A whole account, by connection string or identity: what may be done there is the account's business."""

    def __init__(self, queues: QueueServiceClient, blobs: BlobServiceClient) -> None:
        self._queues, self._blobs = queues, blobs

    def queue(self, name: str) -> QueueClient:
        # No decode policy: the SDK's own would raise for the one bad message and keep the good ones from us.
        return self._queues.get_queue_client(name)

    def container(self, name: str) -> ContainerClient:
        return self._blobs.get_container_client(name)


@contextlib.asynccontextmanager
async def open_storage(settings: StorageSettings) -> AsyncIterator[Storage]:
    """Storage as the settings open it.

    Raises
    ------
    AgentError
        Where the grant cannot be used, or the package for identities is not installed.
    """
    async with contextlib.AsyncExitStack() as stack:
        if settings.grant is not None:
            yield await stack.enter_async_context(GrantedStorage.open(settings.grant, PATIENCE))
        elif settings.storage is not None:
            connection = settings.storage.get_secret_value()
            queues = await stack.enter_async_context(QueueServiceClient.from_connection_string(connection, **PATIENCE))
            blobs = await stack.enter_async_context(BlobServiceClient.from_connection_string(connection, **PATIENCE))
            yield AccountStorage(queues, blobs)
        else:
            assert settings.storage_account is not None
            blob_url, identity = settings.storage_account, await stack.enter_async_context(_identity())
            queue_url = blob_url.replace(".blob.", ".queue.", 1)
            queues = await stack.enter_async_context(QueueServiceClient(queue_url, identity, **PATIENCE))
            blobs = await stack.enter_async_context(BlobServiceClient(blob_url, identity, **PATIENCE))
            yield AccountStorage(queues, blobs)


def _identity() -> Any:
    try:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  # an extra: most sites have grants
    except ImportError as error:
        raise AgentError(
            "ORTHOAGENT_STORAGE_ACCOUNT needs azure-identity: install orthoburst[agent,identity]"
        ) from error
    return DefaultAzureCredential()
