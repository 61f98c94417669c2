"""Blob triggers: new versions are found by listing, queued, and worked off like messages.

In Azure, Event Grid (or a scan) puts each new version on an internal queue that gives it retries and poison. Here the
scan is the only source, for ``source="EventGrid"`` too: like Event Grid, which delivers again what a stopped host has
missed, it also finds what came while nothing ran. A version is queued first and receipted second, so a host killed
between the two queues it twice, and the receipt of the first success makes the second a no-op. Several hosts on one
account may queue a version each; while both run it at the same moment it runs twice, as Event Grid may deliver twice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
from azure.functions.blob import InputStream
from azure.storage.blob.aio import BlobClient
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from localdev.host.blob_receipts import Receipts, version_key
from localdev.host.connections import Connections
from localdev.host.errors import UnreadableMessageError
from localdev.host.host_json import BlobOptions
from localdev.host.invoker import Invoker
from localdev.host.logs import log
from localdev.host.outputs import put
from localdev.host.queue_listener import QueueListener, QueuePolicy
from localdev.host.queue_trigger import decode
from localdev.host.specs import STORAGE, BlobTrigger, FunctionSpec
from localdev.host.waiting import pause

POISON_QUEUE = "webjobs-blobtrigger-poison"
MAX_POLLING_S = 2.0
SCAN_SHARE = 4  # a scan that takes a second is followed by four of rest
MAX_BATCH = 32


@dataclass(frozen=True, slots=True)
class BlobFunction:
    """A blob-triggered function with its receipts."""

    spec: FunctionSpec
    trigger: BlobTrigger
    receipts: Receipts


class BlobScanner:
    """Finds new versions for one function and queues them."""

    def __init__(self, function: BlobFunction, connections: Connections, queue: QueueClient, interval_s: float) -> None:
        self._function, self._queue, self._interval_s = function, queue, interval_s
        service = connections.blobs(function.trigger.connection)
        self._container = service.get_container_client(function.trigger.container)
        self._seen: set[str] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Scan until told to stop."""
        while not stop.is_set():
            begun = time.monotonic()
            try:
                await self._scan(stop)
            except AzureError as error:
                log(
                    "container_not_read", level=logging.WARNING, container=self._function.trigger.container, error=error
                )
            await pause(stop, max(self._interval_s, SCAN_SHARE * (time.monotonic() - begun)))

    async def _scan(self, stop: asyncio.Event) -> None:
        trigger = self._function.trigger
        if self._seen is None:
            self._seen = await self._function.receipts.load()
        listed: set[str] = set()
        try:
            async for blob in self._container.list_blobs(name_starts_with=trigger.prefix or None):
                if stop.is_set():
                    return
                if trigger.names.fullmatch(blob.name) is None:
                    continue
                key = version_key(trigger.container, blob.name, blob.etag)
                listed.add(key)
                if key not in self._seen:
                    await self._enqueue(blob.name, blob.etag)
                    await self._function.receipts.mark(key, "queued")
                    self._seen.add(key)
        except ResourceNotFoundError:
            return  # the container is the app's to make
        self._seen &= listed  # an etag does not come back

    async def _enqueue(self, name: str, etag: str) -> None:
        message = {
            "Type": "BlobTrigger",
            "FunctionId": function_id(self._function.spec),
            "BlobType": "BlockBlob",
            "ContainerName": self._function.trigger.container,
            "BlobName": name,
            "ETag": etag,
        }
        await put(self._queue, base64.b64encode(json.dumps(message).encode()).decode())


def function_id(spec: FunctionSpec) -> str:
    """How the host names a function in its own messages."""
    return f"Host.Functions.{spec.name}"


class BlobHandler:
    """Gives queued versions to their functions."""

    def __init__(self, functions: Sequence[BlobFunction], connections: Connections, invoker: Invoker) -> None:
        self._functions = {function_id(each.spec): each for each in functions}
        self._connections, self._invoker = connections, invoker

    async def __call__(self, message: QueueMessage) -> None:
        """Handle one message of the internal queue; what is gone, replaced or done already is dropped."""
        try:
            found = json.loads(decode(message.content, "base64"))
            function = self._functions.get(found["FunctionId"])
            container, name, etag = found["ContainerName"], found["BlobName"], found["ETag"]
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableMessageError(f"not a message of this host: {error}") from error
        if function is None:
            log("blob_dropped", level=logging.WARNING, blob=f"{container}/{name}", reason="its function is gone")
            return
        key = version_key(container, name, etag)
        client = self._connections.blobs(function.trigger.connection).get_blob_client(container, name)
        try:
            current = (await client.get_blob_properties()).etag
            if version_key(container, name, current) != key or await function.receipts.is_done(key):
                return
            argument = await self._argument(function.trigger, client, current)
        except (ResourceNotFoundError, ResourceModifiedError):
            return
        await self._invoker.invoke(function.spec, argument, blob=f"{container}/{name}", tries=message.dequeue_count)
        await function.receipts.mark(key, "done")

    async def _argument(self, trigger: BlobTrigger, client: BlobClient, etag: str) -> object:
        container, name = client.container_name, client.blob_name
        if trigger.kind == "client":
            return self._connections.sync_blobs(trigger.connection).get_blob_client(container, name)
        stream = await client.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
        data = bytes(await stream.readall())
        if trigger.kind == "bytes":
            return data
        if trigger.kind == "str":
            return data.decode()
        properties: Mapping[str, object] = {"Length": len(data), "ETag": etag}
        metadata = dict(stream.properties.metadata or {})
        return InputStream(
            data=data,
            name=f"{container}/{name}",
            uri=client.url,
            length=len(data),
            blob_properties=dict(properties),
            metadata=metadata,
        )


def blob_workers(
    triggers: Sequence[tuple[FunctionSpec, BlobTrigger]],
    connections: Connections,
    invoker: Invoker,
    options: BlobOptions,
    *,
    host_id: str,
    lease_s: float,
    interval_s: float,
) -> list[BlobScanner | QueueListener]:
    """A scanner for each function, and for each storage account one listener on its internal queue."""
    workers: list[BlobScanner | QueueListener] = []
    policy = QueuePolicy(
        batch_size=min(options.max_degree_of_parallelism, MAX_BATCH),
        new_batch_threshold=min(options.max_degree_of_parallelism, MAX_BATCH) // 2,
        visibility_timeout_s=0.0,
        max_dequeue_count=options.poison_blob_threshold,
        max_polling_interval_s=MAX_POLLING_S,
        lease_s=lease_s,
    )
    functions = [
        BlobFunction(spec, trigger, Receipts(connections.blobs(STORAGE), host_id, spec.name))
        for spec, trigger in triggers
    ]
    handler = BlobHandler(functions, connections, invoker)
    # Two names may stand for one account, which must have one listener.
    by_account: dict[str, list[BlobFunction]] = {}
    for each in functions:
        by_account.setdefault(connections.string(each.trigger.connection), []).append(each)
    for members in by_account.values():
        service = connections.queues(members[0].trigger.connection)
        queue = service.get_queue_client(f"azure-webjobs-blobtrigger-{host_id}")
        workers += [BlobScanner(each, connections, queue, interval_s) for each in members]
        workers.append(QueueListener(queue, service.get_queue_client(POISON_QUEUE), policy, handler))
    return workers
