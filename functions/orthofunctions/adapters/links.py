"""Expiring links signed with the account's key (SAS)."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas


class AccountKeyLinks:
    """``orthofunctions.ports.Links`` for an account whose key we hold: emulators and on-site storage.

    The links are secrets; this object never logs one and never shows its key.

    Raises
    ------
    ValueError
        Where the connection string holds no account key.
    """

    def __init__(self, connection_string: str) -> None:
        with BlobServiceClient.from_connection_string(connection_string) as service:
            self._account: str = service.account_name or ""
            self._base_url: str = service.url.rstrip("/")
            self._key: str | None = getattr(service.credential, "account_key", None)
        if not self._key:
            raise ValueError("the storage connection string has no AccountKey, which signing links needs")
        self._protocol = "https" if self._base_url.startswith("https:") else "https,http"

    def read_url(self, container: str, name: str, expires_at: datetime) -> str:
        return self._url(container, name, BlobSasPermissions(read=True), expires_at)

    def create_url(self, container: str, name: str, expires_at: datetime) -> str:
        # "c" without "w": the service refuses to overwrite, and refuses Put Block
        return self._url(container, name, BlobSasPermissions(create=True), expires_at)

    def _url(self, container: str, name: str, permission: BlobSasPermissions, expires_at: datetime) -> str:
        query = generate_blob_sas(
            account_name=self._account,
            container_name=container,
            blob_name=name,
            account_key=self._key,
            permission=permission,
            expiry=expires_at,
            protocol=self._protocol,
        )
        return f"{self._base_url}/{quote(container)}/{quote(name)}?{query}"
