"""The loop behind a queue: receive, run, then delete, release or move to poison."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from localdev.host.errors import FunctionFailedError, UnreadableMessageError
from localdev.host.lease import Lease, whole_seconds
from localdev.host.logs import log
from localdev.host.outputs import put
from localdev.host.waiting import Backoff, either, pause

POISON_SUFFIX = "-poison"
LEASE_S = 600.0  # the storage extension's; it extends at half time
OUTAGE_MAX_S = 5.0

Handler = Callable[[QueueMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How a queue is worked off.

    Attributes
    ----------
    new_batch_threshold : int
        The next batch is fetched when this many messages or fewer are still running.
    visibility_timeout_s : float
        From a failed try to the next.
    lease_s : float
        How long a host that dies keeps its messages from others.
    """

    batch_size: int
    new_batch_threshold: int
    visibility_timeout_s: float
    max_dequeue_count: int
    max_polling_interval_s: float
    lease_s: float = LEASE_S


class QueueListener:
    """Works off one queue.

    Parameters
    ----------
    queue : QueueClient
        Without encoding: the handler decodes.
    poison : QueueClient or None
        Where a message goes that failed too often. Without one (the queue is itself a poison queue) a failed message
        stays invisible until its lease ends, which keeps it from spinning.
    handle : callable
        Raises :class:`FunctionFailedError` for a failed try and :class:`UnreadableMessageError` for a message that no
        retry can help.
    """

    def __init__(self, queue: QueueClient, poison: QueueClient | None, policy: QueuePolicy, handle: Handler) -> None:
        self._queue, self._poison, self._policy, self._handle = queue, poison, policy, handle
        self._running = 0
        self._ended = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop, and return when what was begun is done."""
        idle = Backoff(self._policy.max_polling_interval_s)
        outage = Backoff(OUTAGE_MAX_S)
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                if self._running > self._policy.new_batch_threshold:
                    self._ended.clear()
                    await either(self._ended.wait(), stop.wait())
                    continue
                try:
                    messages = await self._receive()
                except AzureError as error:
                    log("queue_not_read", level=logging.WARNING, queue=self._queue.queue_name, error=error)
                    await pause(stop, outage.next_s())
                    continue
                outage.reset()
                for message in messages:
                    self._running += 1
                    tasks.create_task(self._process(message))
                if messages:
                    idle.reset()
                else:
                    await pause(stop, idle.next_s())

    async def _receive(self) -> list[QueueMessage]:
        """One batch; none when the queue does not exist, which is not this loop's to make."""
        size = self._policy.batch_size
        pages = self._queue.receive_messages(
            messages_per_page=size, max_messages=size, visibility_timeout=whole_seconds(self._policy.lease_s)
        ).by_page()
        try:
            async for page in pages:
                return [message async for message in page]
        except ResourceNotFoundError:
            pass
        return []

    async def _process(self, message: QueueMessage) -> None:
        lease = Lease(self._queue, message, self._policy.lease_s)
        try:
            failed = False
            unreadable: UnreadableMessageError | None = None
            async with lease:
                if (message.dequeue_count or 0) > self._policy.max_dequeue_count and self._poison is not None:
                    failed = True  # its last try ended without a word (a killed host)
                else:
                    try:
                        await self._handle(message)
                    except FunctionFailedError:
                        failed = True
                    except UnreadableMessageError as error:
                        failed, unreadable = True, error
                    except Exception as error:  # one message must not end the loop
                        failed = True
                        name = self._queue.queue_name
                        log("message_not_handled", level=logging.ERROR, queue=name, message=message.id, error=error)
            await self._settle(message, lease, failed, unreadable)
        except AzureError as error:
            # Storage does not answer: the message stays leased and comes back by itself.
            name = self._queue.queue_name
            log("message_not_settled", level=logging.ERROR, queue=name, message=message.id, error=error)
        finally:
            self._running -= 1
            self._ended.set()

    async def _settle(
        self, message: QueueMessage, lease: Lease, failed: bool, unreadable: UnreadableMessageError | None
    ) -> None:
        if lease.lost:
            return
        if not failed:
            if not await lease.delete():
                log("message_lost", level=logging.WARNING, queue=self._queue.queue_name, message=message.id)
        elif self._poison is None:
            pass
        elif unreadable is not None or (message.dequeue_count or 0) >= self._policy.max_dequeue_count:
            reason = str(unreadable) if unreadable else f"{message.dequeue_count} tries"
            await put(self._poison, message.content)
            await lease.delete()
            name = self._poison.queue_name
            log("message_poisoned", level=logging.WARNING, queue=name, message=message.id, reason=reason)
        else:
            await lease.release(self._policy.visibility_timeout_s)
