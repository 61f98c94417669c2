"""Storage queues. Bodies are base64 of UTF-8, as the functions host reads them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
from collections.abc import Sequence
from datetime import datetime

import requests
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueServiceClient

from orthofunctions.adapters.transport import client_options

PAGE = 32  # the most messages one receive brings
TAKEN_FOR_S = 120  # how long drained messages stay hidden should we end before deleting them
NEVER = -1


class AzureQueues:
    """``orthofunctions.ports.Queues`` over one storage account."""

    def __init__(self, service: QueueServiceClient) -> None:
        self._service = service
        self._queues: dict[str, QueueClient] = {}

    @classmethod
    def connect(cls, connection_string: str, session: requests.Session) -> AzureQueues:
        return cls(QueueServiceClient.from_connection_string(connection_string, **client_options(session)))

    def make_queue(self, queue: str) -> None:
        """Make a queue; one that is there is no error."""
        with contextlib.suppress(ResourceExistsError):
            self._queue(queue).create_queue()

    def send(self, queue: str, body: str, *, visible_in_s: float = 0) -> None:
        text = base64.b64encode(body.encode()).decode("ascii")
        self._queue(queue).send_message(text, visibility_timeout=math.ceil(visible_in_s) or None, time_to_live=NEVER)

    def send_release(self, queue: str, body: str) -> None:
        try:
            self.send(queue, body)
        except ResourceNotFoundError:
            self.make_queue(queue)
            self.send(queue, body)

    def length(self, queue: str) -> int:
        try:
            return self._queue(queue).get_queue_properties().approximate_message_count or 0
        except ResourceNotFoundError:
            return 0

    def oldest(self, queue: str) -> datetime | None:
        try:
            return next((message.inserted_on for message in self._queue(queue).peek_messages(1)), None)
        except ResourceNotFoundError:
            return None

    def drain(self, queue: str, limit: int) -> Sequence[str]:
        bodies: list[str] = []
        client = self._queue(queue)
        try:
            while len(bodies) < limit:
                page = min(PAGE, limit - len(bodies))
                taken = list(
                    client.receive_messages(messages_per_page=page, max_messages=page, visibility_timeout=TAKEN_FOR_S)
                )
                if not taken:
                    break
                for message in taken:
                    client.delete_message(message)
                    bodies.append(_text(message.content))
        except ResourceNotFoundError:  # no such queue: nothing was ever poisoned
            pass
        return bodies

    def _queue(self, queue: str) -> QueueClient:
        if queue not in self._queues:
            # No encode or decode policy: a message that is not base64 must come out of a poison queue too.
            self._queues[queue] = self._service.get_queue_client(
                queue, message_encode_policy=None, message_decode_policy=None
            )
        return self._queues[queue]


def _text(content: str) -> str:
    """The body of a message; one that is not base64 of UTF-8 is given back as it came."""
    try:
        return base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return content
