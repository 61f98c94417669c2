"""Signs grants with the account's key: one service SAS a queue or container, for what is done there and no more."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Self

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from azure.storage.queue import QueueSasPermissions, QueueServiceClient, generate_queue_sas

from orthocontracts import names
from orthocontracts.grants import PoolGrant, PresenceGrant, ProcureGrant, WatchGrant

# To renew a message's lease is to update it, to take it is to process it.
_TAKE = QueueSasPermissions(process=True, update=True)
_ADD = QueueSasPermissions(add=True)
_READ = ContainerSasPermissions(read=True)
_READ_WRITE = ContainerSasPermissions(read=True, create=True, write=True)


class AccountKeyGrants:
    """Issues grants for an account whose key we hold.

    Raises
    ------
    ValueError
        Where the connection string holds no account key.
    """

    def __init__(self, connection_string: str) -> None:
        self._blobs = BlobServiceClient.from_connection_string(connection_string)
        self._queues = QueueServiceClient.from_connection_string(connection_string)
        self._account: str = self._blobs.account_name or ""
        self._key: str | None = getattr(self._blobs.credential, "account_key", None)
        if not self._key:
            raise ValueError("the storage connection string has no AccountKey, which signing grants needs")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._blobs.close()
        self._queues.close()

    def for_pool(self, pool: str, result_version: int, expires_at: datetime) -> PoolGrant:
        return PoolGrant(
            v=1,
            kind="pool",
            pool=pool,
            result_version=result_version,
            queue=self._queue(names.pool_queue(pool, result_version), _TAKE, expires_at),
            tickets=self._container(names.ticket_container(pool), _READ, expires_at),
            results=self._queue(names.QUEUE_RESULTS, _ADD, expires_at),
            expires_at=expires_at,
        )

    def for_presence(self, expires_at: datetime) -> PresenceGrant:
        capacity = self._queue(names.QUEUE_CAPACITY, _ADD, expires_at)
        return PresenceGrant(v=1, kind="presence", capacity=capacity, expires_at=expires_at)

    def for_watch(self, expires_at: datetime) -> WatchGrant:
        products = self._container(names.CONTAINER_PRODUCTS, _READ_WRITE, expires_at)
        return WatchGrant(v=1, kind="watch", products=products, expires_at=expires_at)

    def for_procure(self, expires_at: datetime) -> ProcureGrant:
        return ProcureGrant(
            v=1,
            kind="procure",
            wanted=self._queue(names.QUEUE_WANTED, _TAKE, expires_at),
            procured=self._queue(names.QUEUE_PROCURED, _ADD, expires_at),
            products=self._container(names.CONTAINER_PRODUCTS, _READ_WRITE, expires_at),
            expires_at=expires_at,
        )

    def _queue(self, name: str, permission: QueueSasPermissions, expires_at: datetime) -> str:
        url = f"{self._queues.url.rstrip('/')}/{name}"
        protocol = _protocol(url)
        query = generate_queue_sas(
            self._account, name, account_key=self._key, permission=permission, expiry=expires_at, protocol=protocol
        )
        return f"{url}?{query}"

    def _container(self, name: str, permission: ContainerSasPermissions, expires_at: datetime) -> str:
        url = f"{self._blobs.url.rstrip('/')}/{name}"
        protocol = _protocol(url)
        query = generate_container_sas(
            self._account, name, account_key=self._key, permission=permission, expiry=expires_at, protocol=protocol
        )
        return f"{url}?{query}"


def _protocol(url: str) -> str:
    return "https" if url.startswith("https:") else "https,http"
