"""Storage by a grant: a file of signed addresses, one for each queue or container, renewed under a running worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import stat
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.core.credentials import AzureSasCredential
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from orthoagent.errors import AgentError
from orthoagent.logs import log
from orthocontracts.grants import Grant, read_grant
from orthocontracts.wire import NotUnderstoodError

LOOK_EVERY_S = 2.0
"""How often the file is looked at. What storage refuses meanwhile is tried again by whoever asked."""
WARN_BEFORE = timedelta(days=1)


class GrantError(AgentError):
    """A grant that cannot be used."""


class GrantedStorage:
    """The queues and containers that a grant names, and no others."""

    def __init__(self, path: Path, patience: Mapping[str, Any]) -> None:
        self._path, self._patience = path, patience
        self._text = _read(path)
        self._grant = _parsed(path, self._text)
        self._credentials = {name: AzureSasCredential(query) for name, (_, query) in _places(self._grant).items()}
        self._told = ""
        self._clients: list[QueueClient | ContainerClient] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path, patience: Mapping[str, Any]) -> AsyncIterator[GrantedStorage]:
        """Raises GrantError where the file is not there, not a grant, or open to others."""
        storage = await asyncio.to_thread(cls, path, patience)
        log("grant_read", kind=storage._grant.kind, until=storage._grant.expires_at.isoformat())
        watching = asyncio.create_task(storage._watch(), name="grant")
        try:
            yield storage
        finally:
            watching.cancel()
            for client in storage._clients:
                await client.close()

    def queue(self, name: str) -> QueueClient:
        """Raises GrantError where the grant does not cover it."""
        client = QueueClient.from_queue_url(self._url(name), self._credentials[name], **self._patience)
        self._clients.append(client)
        return client

    def container(self, name: str) -> ContainerClient:
        """Raises GrantError where the grant does not cover it."""
        client = ContainerClient.from_container_url(self._url(name), self._credentials[name], **self._patience)
        self._clients.append(client)
        return client

    def _url(self, name: str) -> str:
        places = _places(self._grant)
        if name not in places:
            raise GrantError(f"{self._path} grants {', '.join(places)}, not {name}: is it another pool's or version's?")
        return places[name][0]

    async def _watch(self) -> None:
        while True:
            self._warn()
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except GrantError as error:  # half written, perhaps: the old one holds for as long as it does
                self._tell("grant_unreadable", error=str(error))

    async def _look(self) -> None:
        text = await asyncio.to_thread(_read, self._path)
        if text == self._text:
            return
        grant = _parsed(self._path, text)
        now, before = _places(grant), _places(self._grant)
        if {name: url for name, (url, _) in now.items()} != {name: url for name, (url, _) in before.items()}:
            raise GrantError(f"{self._path} grants other queues or containers than before: restart to use it")
        for name, (_, query) in now.items():
            self._credentials[name].update(query)
        self._text, self._grant, self._told = text, grant, ""
        log("grant_renewed", until=grant.expires_at.isoformat())

    def _warn(self) -> None:
        left = self._grant.expires_at - datetime.now(UTC)
        if left < timedelta(0):
            self._tell("grant_expired", level=logging.ERROR, until=self._grant.expires_at.isoformat())
        elif left < WARN_BEFORE:
            self._tell("grant_expires_soon", until=self._grant.expires_at.isoformat())

    def _tell(self, action: str, level: int = logging.WARNING, **fields: str) -> None:
        if action != self._told:  # once
            self._told = action
            log(action, level=level, **fields)


def _places(grant: Grant) -> dict[str, tuple[str, str]]:
    """Address and signature of each queue and container, by its name."""
    parts = [url.partition("?") for url in grant.signed_urls]
    return {url.rpartition("/")[2]: (url, query) for url, _, query in parts}


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise GrantError(f"{path} is open to everybody on this machine: chmod 600 it, and have a new one issued")
        return path.read_bytes()
    except OSError as error:
        raise GrantError(f"{path}: {error.strerror}") from error


def _parsed(path: Path, text: bytes) -> Grant:
    try:
        return read_grant(text)
    except NotUnderstoodError as error:
        raise GrantError(f"{path} is no grant: {error}") from error
