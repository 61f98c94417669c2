"""Queue ``wanted``: products to fetch."""

from __future__ import annotations

from dataclasses import dataclass

from azure.storage.queue.aio import QueueClient

from orthoagent.adapters.storage import Hold, take_message
from orthocontracts.procurement import Wanted


@dataclass
class WantedHold(Hold):
    """The message of a product."""

    wanted: Wanted


class WantedQueue:
    def __init__(self, queue: QueueClient, *, lease_s: int) -> None:
        self._queue, self._lease_s = queue, lease_s

    async def take(self) -> WantedHold | None:
        """The next product, or None. What is no such message is deleted. Raises StorageSilentError."""
        taken = await take_message(self._queue, Wanted, self._lease_s)
        if taken is None:
            return None
        wanted, message = taken
        receipt = str(message.pop_receipt)
        return WantedHold(message.dequeue_count or 1, self._queue, message.id, receipt, self._lease_s, wanted)
