"""Output bindings: what a function sets or returns becomes queue messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal

import azure.functions as func
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from localdev.host.bindings import RETURN
from localdev.host.connections import Connections
from localdev.host.specs import FunctionSpec


class Out(func.Out[Any]):
    """What a function is given for an output parameter."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Set the value; the last one counts."""
        self._value = val

    def get(self) -> Any:
        """The value set last, or None."""
        return self._value


def message_texts(value: object) -> list[bytes]:
    """Bodies of the messages that a value stands for: one for a string or bytes, one for each item of a list.

    Raises
    ------
    TypeError
        For anything else.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [value.encode()]
    if isinstance(value, bytes | bytearray):
        return [bytes(value)]
    if isinstance(value, func.QueueMessage):
        return [value.get_body()]
    if isinstance(value, dict):
        return [json.dumps(value).encode()]
    if isinstance(value, Iterable):
        return [text for item in value for text in message_texts(item)]
    raise TypeError(f"a queue output cannot take a {type(value).__name__}")


class OutputSender:
    """Sends what output bindings hold, before the invocation counts as done."""

    def __init__(self, connections: Connections, encoding: Literal["base64", "none"]) -> None:
        self._connections, self._encoding = connections, encoding

    async def send(self, spec: FunctionSpec, outs: dict[str, Out], returned: object) -> None:
        """Send the messages of one invocation."""
        for output in spec.outputs:
            value = returned if output.name == RETURN else outs[output.name].get()
            for body in message_texts(value):
                text = base64.b64encode(body).decode() if self._encoding == "base64" else body.decode()
                await put(self._connections.queues(output.connection).get_queue_client(output.queue), text)


async def put(queue: QueueClient, text: str) -> None:
    """Send a message; the queue is made if it is not there, as the real host does for outputs and poison."""
    try:
        await queue.send_message(text)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):
            await queue.create_queue()
        await queue.send_message(text)
