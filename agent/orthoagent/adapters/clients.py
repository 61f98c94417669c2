"""SDK clients with this worker's patience: short time-outs and no retries, because the callers retry."""

from __future__ import annotations

from typing import Any

from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

# The SDK's own first retry waits 15 s: longer than a renewal may.
_PATIENCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 15}


def queue_service(connection: str) -> QueueServiceClient:
    return QueueServiceClient.from_connection_string(connection, **_PATIENCE)


def blob_service(connection: str) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(connection, **_PATIENCE)
