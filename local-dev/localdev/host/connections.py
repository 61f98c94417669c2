"""Storage clients, one of each kind for every connection a binding names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from localdev.host.errors import SettingsError

# The loops here back off by themselves, and a stop must not wait out the SDK's default (three retries, 15 s and more).
RETRY: dict[str, Any] = {"initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1, "retry_total": 2}
TIMEOUTS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 60}
Client = TypeVar("Client")


class Connections:
    """Opens clients when first asked and closes them together."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._queues: dict[str, QueueServiceClient] = {}
        self._blobs: dict[str, AsyncBlobServiceClient] = {}
        self._sync_blobs: dict[str, BlobServiceClient] = {}

    def string(self, name: str) -> str:
        """The connection string that an app setting of this name (or ``AzureWebJobs`` + name) holds.

        Raises
        ------
        SettingsError
            When there is none; the message names the setting, never its value.
        """
        for key in (name, f"AzureWebJobs{name}"):
            if value := self._environ.get(key):
                return value
        if any(key.startswith(f"{name}__") for key in self._environ):
            raise SettingsError(
                f"connection {name} is identity-based ({name}__...): this host takes connection strings"
            )
        raise SettingsError(f"connection {name}: no app setting {name} holds a connection string")

    def queues(self, name: str) -> QueueServiceClient:
        """Queues of an account; messages pass as they are, unencoded."""
        return self._open(self._queues, name, QueueServiceClient.from_connection_string)

    def blobs(self, name: str) -> AsyncBlobServiceClient:
        """Blobs of an account, for the host's own use."""
        return self._open(self._blobs, name, AsyncBlobServiceClient.from_connection_string)

    def sync_blobs(self, name: str) -> BlobServiceClient:
        """Blobs of an account, for functions that are bound to a ``BlobClient``."""
        return self._open(self._sync_blobs, name, BlobServiceClient.from_connection_string)

    def _open(self, clients: dict[str, Client], name: str, make: Callable[..., Client]) -> Client:
        if name not in clients:
            try:
                clients[name] = make(self.string(name), **RETRY, **TIMEOUTS)
            except ValueError as error:
                raise SettingsError(f"connection {name} is not a storage connection string") from error
        return clients[name]

    async def close(self) -> None:
        """Close every client."""
        async with AsyncExitStack() as stack:
            for queues in self._queues.values():
                stack.push_async_callback(queues.close)
            for blobs in self._blobs.values():
                stack.push_async_callback(blobs.close)
            for sync_blobs in self._sync_blobs.values():
                stack.callback(sync_blobs.close)
