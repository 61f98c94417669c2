"""The storage account: opened by a connection string, or by the identity that this process has in Azure."""

from __future__ import annotations

from dataclasses import dataclass

import requests
from azure.core.credentials import TokenCredential
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from orthofunctions.adapters.blobs import AzureBlobs
from orthofunctions.adapters.links import AccountKeyLinks, IdentityLinks
from orthofunctions.adapters.queues import AzureQueues
from orthofunctions.adapters.tables import AzureTables
from orthofunctions.adapters.transport import client_options, table_options
from orthofunctions.ports import Links


@dataclass(frozen=True)
class Account:
    """What is in one storage account. Nothing is asked of it before it is first used."""

    blobs: AzureBlobs
    queues: AzureQueues
    tables: AzureTables
    links: Links


def default_identity() -> TokenCredential:
    """The identity found here: managed identity, ``az login``, variables of the environment."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  # slow to import, and mostly not needed

    return DefaultAzureCredential()


def by_key(connection_string: str, session: requests.Session) -> Account:
    """Raises ValueError where the connection string holds no account key."""
    return Account(
        blobs=AzureBlobs.connect(connection_string, session),
        queues=AzureQueues.connect(connection_string, session),
        tables=AzureTables.connect(connection_string, session),
        links=AccountKeyLinks(connection_string),
    )


def by_identity(blob_url: str, session: requests.Session, identity: TokenCredential | None = None) -> Account:
    """``blob_url`` is ``https://ACCOUNT.blob.core.windows.net``. Without an ``identity`` the one found here."""
    if identity is None:
        identity = default_identity()
    queue_url, table_url = (blob_url.replace(".blob.", f".{one}.", 1) for one in ("queue", "table"))
    blobs = BlobServiceClient(blob_url, identity, **client_options(session))
    queues = QueueServiceClient(queue_url, identity, **client_options(session))
    tables = TableServiceClient(table_url, credential=identity, **table_options(session))
    return Account(AzureBlobs(blobs), AzureQueues(queues), AzureTables(tables), IdentityLinks(blobs))
