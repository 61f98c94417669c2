"""Expiring links (SAS), signed with the account's key or with one that an identity is given for some days."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from azure.storage.blob import BlobSasPermissions, BlobServiceClient, UserDelegationKey, generate_blob_sas

_READ: Final = BlobSasPermissions(read=True)
_CREATE: Final = BlobSasPermissions(create=True)
"""Without "write": the service refuses to overwrite, and refuses Put Block."""
_KEY_LASTS: Final = timedelta(days=7)
"""The most that storage gives."""
_SKEW: Final = timedelta(minutes=15)
"""A key from now on would not yet be one to a clock that is behind."""


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
        return self._url(container, name, _READ, expires_at)

    def create_url(self, container: str, name: str, expires_at: datetime) -> str:
        return self._url(container, name, _CREATE, expires_at)

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


class IdentityLinks:
    """``orthofunctions.ports.Links`` for an account whose key nobody holds.

    The links are signed with a key that storage gives to an identity for a week at most. It is asked for again when a
    link would outlive it.

    Parameters
    ----------
    service : BlobServiceClient
        Of an identity that may ask for such keys: *Storage Blob Data Owner* on the account, say.
    """

    def __init__(self, service: BlobServiceClient, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._service = service
        self._now = now
        self._lock = threading.Lock()
        self._key: UserDelegationKey | None = None
        self._key_until = datetime.min.replace(tzinfo=UTC)

    def read_url(self, container: str, name: str, expires_at: datetime) -> str:
        return self._url(container, name, _READ, expires_at)

    def create_url(self, container: str, name: str, expires_at: datetime) -> str:
        return self._url(container, name, _CREATE, expires_at)

    def _url(self, container: str, name: str, permission: BlobSasPermissions, expires_at: datetime) -> str:
        query = generate_blob_sas(
            account_name=self._service.account_name or "",
            container_name=container,
            blob_name=name,
            user_delegation_key=self._key_for(expires_at),
            permission=permission,
            expiry=expires_at,
            protocol="https",
        )
        return f"{self._service.url.rstrip('/')}/{quote(container)}/{quote(name)}?{query}"

    def _key_for(self, expires_at: datetime) -> UserDelegationKey:
        with self._lock:
            if self._key is None or self._key_until < expires_at:
                start = self._now() - _SKEW
                until = start + _KEY_LASTS
                if until < expires_at:
                    raise ValueError(f"a link until {expires_at}: an identity signs for {_KEY_LASTS.days} days at most")
                self._key = self._service.get_user_delegation_key(start, until)
                self._key_until = until
            return self._key
