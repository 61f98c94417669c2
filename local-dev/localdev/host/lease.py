"""The visibility lease of a queue message while its function runs."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from localdev.host.logs import log
from localdev.host.waiting import pause

TAKEN = ("PopReceiptMismatch", "MessageNotFound")


def is_taken(error: AzureError) -> bool:
    """Whether storage says that the message is gone or another's, as opposed to not answering."""
    code = getattr(error, "error_code", None)
    return code in TAKEN or (isinstance(error, ResourceNotFoundError) and code != "QueueNotFound")


class Lease:
    """Extends a message's visibility at half time until left; ``async with``.

    Attributes
    ----------
    lost : bool
        Another has the message now, or it is deleted.
    """

    def __init__(self, queue: QueueClient, message: QueueMessage, lease_s: float) -> None:
        self._queue, self._message, self._lease_s = queue, message, lease_s
        self._receipt = message.pop_receipt
        self._left = asyncio.Event()
        self.lost = False

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not cancelled: an extension under way may already have changed the receipt in storage.
        self._left.set()
        await self._keeper

    async def _keep(self) -> None:
        while True:
            await pause(self._left, self._lease_s / 2)
            if self._left.is_set():
                return
            try:
                updated = await self._queue.update_message(
                    self._message.id, self._receipt, visibility_timeout=whole_seconds(self._lease_s)
                )
                self._receipt = updated.pop_receipt
            except HttpResponseError as error:
                if is_taken(error):
                    self.lost = True
                    log("message_lost", level=logging.WARNING, queue=self._queue.queue_name, message=self._message.id)
                    return
                log("lease_not_renewed", level=logging.WARNING, queue=self._queue.queue_name, error=error)
            except AzureError as error:
                log("lease_not_renewed", level=logging.WARNING, queue=self._queue.queue_name, error=error)

    async def delete(self) -> bool:
        """Delete the message; False when it is no longer ours."""
        try:
            await self._queue.delete_message(self._message.id, self._receipt)
        except HttpResponseError as error:
            if not is_taken(error):
                raise
            return False
        return True

    async def release(self, delay_s: float) -> None:
        """Give the message back, visible after a delay."""
        try:
            await self._queue.update_message(self._message.id, self._receipt, visibility_timeout=whole_seconds(delay_s))
        except HttpResponseError as error:
            if not is_taken(error):
                raise


def whole_seconds(seconds: float) -> int:
    """The queue service counts in whole seconds; never shorter than asked."""
    return -int(-seconds // 1)
