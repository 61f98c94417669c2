"""Queues and tickets in the storage account, by the asynchronous SDK.

Every answer of the service is turned into one of three: it worked, the thing is not ours any more, or storage is
silent (down, throttling, refusing) and the caller may try again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient
from pydantic import BaseModel

from orthoagent.errors import LeaseLostError, StorageSilentError, TicketNotUnderstoodError, TicketUnreadableError
from orthoagent.logs import log, redact
from orthocontracts import names
from orthocontracts.messages import Release, Report
from orthocontracts.tickets import MAX_TICKET_BYTES, NOT_UNDERSTOOD, Ticket
from orthocontracts.wire import NotUnderstoodError, read_message

M = TypeVar("M", bound=BaseModel)
CALL_LIMIT_S = 20.0
_GONE = frozenset({"MessageNotFound", "PopReceiptMismatch", "QueueNotFound", "QueueBeingDeleted"})


@contextlib.asynccontextmanager
async def asking(what: str, *, limit_s: float = CALL_LIMIT_S) -> AsyncIterator[None]:
    """Around a call to storage. Raises LeaseLostError, StorageSilentError."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except HttpResponseError as error:
        if _code(error) in _GONE:
            raise LeaseLostError(f"{what}: {_code(error)}") from error
        raise StorageSilentError(f"{what}: status {error.status_code} {_code(error)}") from error
    except (AzureError, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise StorageSilentError(f"{what}: {type(error).__name__} {redact(str(error))}") from error


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


@dataclass
class Hold:
    """A queue message that is ours for a while. All calls are one after the other: each changes the pop receipt.

    ``lost_in_silence``: it was lost, and storage had not answered since the last renewal, or not in a way we heard: the
    message may have come back to the queue, or have got a receipt that we do not know.
    """

    delivery: int
    _queue: QueueClient
    _id: str
    _receipt: str
    _lease_s: int

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()
        self.is_closed = False
        self.lost_in_silence = False
        self._was_silent = False

    async def renew(self) -> None:
        """Hide the message for another lease. Raises LeaseLostError, StorageSilentError."""
        await self._hide_for(self._lease_s)

    async def free(self) -> None:
        """Let others take the message now."""
        await self._hide_for(0)
        self.is_closed = True

    async def delete(self) -> None:
        """Delete the message; one that is gone, or another's by now, is no error."""
        async with self._turn:
            if self.is_closed:
                return
            with contextlib.suppress(LeaseLostError):
                async with asking("delete the message"):
                    await self._queue.delete_message(self._id, self._receipt)
            self.is_closed = True

    async def _hide_for(self, seconds: int) -> None:
        async with self._turn:
            if self.is_closed:
                return
            # A renewal that takes longer than the lease is worth nothing.
            try:
                async with asking("renew the lease", limit_s=min(CALL_LIMIT_S, self._lease_s)):
                    updated = await self._queue.update_message(self._id, self._receipt, visibility_timeout=seconds)
            except StorageSilentError:
                self._was_silent = True
                raise
            except LeaseLostError:
                self.lost_in_silence = self._was_silent
                raise
            self._was_silent = False
            assert updated.pop_receipt is not None
            self._receipt = updated.pop_receipt


@dataclass
class Lease(Hold):
    """The message of a release."""

    release: Release


async def take_message(queue: QueueClient, kind: type[M], lease_s: int) -> tuple[M, QueueMessage] | None:
    """The next message that says what it should, or None. What does not is deleted. Raises StorageSilentError."""
    while True:
        try:
            async with asking("take a message"):
                message = await queue.receive_message(visibility_timeout=lease_s)
        except LeaseLostError:
            return None  # the queue is made with the first release
        if message is None:
            return None
        assert message.pop_receipt is not None
        try:
            return read_message(kind, base64.b64decode(message.content, validate=True)), message
        except (NotUnderstoodError, binascii.Error, ValueError, TypeError) as error:
            why = str(error)[:300]
            log("message_not_understood", level=logging.ERROR, queue=queue.queue_name, message=message.id, why=why)
            with contextlib.suppress(LeaseLostError):
                async with asking("delete a message"):
                    await queue.delete_message(message.id, message.pop_receipt)


class PoolQueue:
    """The pool's queue of releases."""

    def __init__(self, queue: QueueClient, *, lease_s: int) -> None:
        self._queue = queue
        self._lease_s = lease_s
        self.name = queue.queue_name

    async def take(self) -> Lease | None:
        """The next release, or None. What is no release is deleted: the dispatcher, which alone writes here, recalls
        what does not start in time. Raises StorageSilentError."""
        taken = await take_message(self._queue, Release, self._lease_s)
        if taken is None:
            return None
        release, message = taken
        receipt = str(message.pop_receipt)
        return Lease(message.dequeue_count or 1, self._queue, message.id, receipt, self._lease_s, release)


class Tickets:
    """The pool's tickets, which this worker may read."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    async def read(self, task_id: str, release: int) -> Ticket | None:
        """The ticket, or None where it was withdrawn. Raises TicketUnreadableError, StorageSilentError."""
        try:
            async with asking("read the ticket"):
                try:
                    stream = await self._container.download_blob(names.ticket_blob(task_id, release))
                    body = await stream.readall()
                except ResourceNotFoundError:
                    return None
            ticket = read_message(Ticket, body, most_bytes=MAX_TICKET_BYTES)
        except NotUnderstoodError as error:
            raise TicketNotUnderstoodError(f"{NOT_UNDERSTOOD}: {error}", _token(body)) from None
        if (ticket.spec.task_id, ticket.release) != (task_id, release):
            says = f"the ticket speaks of {ticket.spec.task_id} release {ticket.release}"
            raise TicketUnreadableError(says, ticket.token)
        return ticket

    async def is_there(self, task_id: str, release: int) -> bool:
        """Whether the ticket still stands. Raises StorageSilentError."""
        async with asking("look at the ticket"):
            return await self._container.get_blob_client(names.ticket_blob(task_id, release)).exists()


def _token(body: bytes) -> str:
    """The token of a ticket that else says nothing we know: enough to hand the work back."""
    try:
        return str(json.loads(body)["token"])[:64]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""


class Outbox:
    """Messages to the functions, each on one queue."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    async def send(self, body: str) -> None:
        """Put a message that never expires. Raises StorageSilentError."""
        try:
            async with asking("send a message"):
                await self._queue.send_message(base64.b64encode(body.encode()).decode(), time_to_live=-1)
        except LeaseLostError as error:
            raise StorageSilentError(str(error)) from error  # a queue that is not there yet

    async def report(self, report: Report) -> None:
        await self.send(report.to_json())
