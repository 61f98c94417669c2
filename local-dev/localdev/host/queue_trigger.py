"""Queue triggers: a message of storage becomes a ``func.QueueMessage``."""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from azure.functions.queue import QueueMessage as FunctionMessage
from azure.storage.queue import QueueMessage

from localdev.host.connections import Connections
from localdev.host.errors import UnreadableMessageError
from localdev.host.host_json import QueueOptions
from localdev.host.invoker import Invoker
from localdev.host.queue_listener import POISON_SUFFIX, QueueListener, QueuePolicy
from localdev.host.specs import FunctionSpec, QueueTrigger

WHITE_SPACE = str.maketrans("", "", " \t\r\n")  # what .NET's decoder skips


def decode(text: str, encoding: Literal["base64", "none"]) -> bytes:
    """The body of a message as it lies in the queue.

    Raises
    ------
    UnreadableMessageError
        When it should be base64 and is not. The real host moves it to poison at once, as it stands.
    """
    if encoding == "none":
        return text.encode()
    try:
        return base64.b64decode(text.translate(WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableMessageError(f"not base64: {error}") from error


def queue_policy(options: QueueOptions, lease_s: float) -> QueuePolicy:
    """What ``host.json`` says about queues, as the listener takes it."""
    return QueuePolicy(
        batch_size=options.batch_size,
        new_batch_threshold=options.new_batch_threshold,
        visibility_timeout_s=options.visibility_timeout_s,
        max_dequeue_count=options.max_dequeue_count,
        max_polling_interval_s=options.max_polling_interval_s,
        lease_s=lease_s,
    )


def queue_listener(
    spec: FunctionSpec,
    trigger: QueueTrigger,
    connections: Connections,
    invoker: Invoker,
    *,
    options: QueueOptions,
    lease_s: float,
) -> QueueListener:
    """The listener of one queue-triggered function."""

    async def handle(message: QueueMessage) -> None:
        body = decode(message.content, options.message_encoding)
        given = FunctionMessage(
            id=message.id,
            body=body,
            dequeue_count=message.dequeue_count,
            expiration_time=message.expires_on,
            insertion_time=message.inserted_on,
            time_next_visible=message.next_visible_on,
            pop_receipt=message.pop_receipt,
        )
        await invoker.invoke(spec, given, queue=trigger.queue, message=message.id, tries=message.dequeue_count)

    service = connections.queues(trigger.connection)
    # As in the storage extension, a queue of poison messages has none of its own.
    has_poison = not trigger.queue.endswith(POISON_SUFFIX)
    poison = service.get_queue_client(trigger.queue + POISON_SUFFIX) if has_poison else None
    return QueueListener(service.get_queue_client(trigger.queue), poison, queue_policy(options, lease_s), handle)
