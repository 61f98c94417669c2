"""The site in miniature on the real storage emulator."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobClient, BlobLeaseClient
from azure.storage.queue import QueueClient, QueueMessage

from fakes.world import World
from orthocontracts import names
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.ports import Ports


@dataclass
class HeldMessage:
    body: str
    dequeue_count: int
    message: QueueMessage


@dataclass
class QueuesOfBothSides:
    """The functions' queues, and the worker's and the host's side of them."""

    ours: object
    connection_string: str
    transport: RequestsTransport
    releases: list[str] = field(default_factory=list)
    clients: dict[str, QueueClient] = field(default_factory=dict)

    def __getattr__(self, name: str) -> object:
        return getattr(self.ours, name)

    def send_release(self, queue: str, body: str) -> None:
        self.releases.append(body)
        self.ours.send_release(queue, body)  # type: ignore[attr-defined]

    def receive(self, queue: str, hidden_for_s: float) -> HeldMessage | None:
        message = self.client(queue).receive_message(visibility_timeout=max(1, round(hidden_for_s)))
        if message is None:
            return None
        return HeldMessage(base64.b64decode(message.content).decode(), message.dequeue_count or 0, message)

    def remove(self, queue: str, held: HeldMessage) -> None:
        self.client(queue).delete_message(held.message)

    def client(self, queue: str) -> QueueClient:
        if queue not in self.clients:
            self.clients[queue] = QueueClient.from_connection_string(
                self.connection_string, queue, transport=self.transport
            )
        return self.clients[queue]


@dataclass
class AzuriteWorld(World):
    real: Ports | None = None
    connection_string: str = ""
    transport: RequestsTransport | None = None
    visibility_s: float = 1

    def __post_init__(self) -> None:
        """The server dates blobs by its own clock: on a loaded machine writing them takes longer than a second."""
        super().__post_init__()
        self.clock.moment = SystemClock().now() + timedelta(seconds=1)

    def make_ports(self) -> Ports:
        assert self.real is not None
        assert self.transport is not None
        queues = QueuesOfBothSides(self.real.queues, self.connection_string, self.transport)
        return replace(self.real, queues=queues, clock=self.clock)  # type: ignore[arg-type]

    @property
    def queues(self) -> QueuesOfBothSides:  # type: ignore[override]
        return self.ports.queues  # type: ignore[return-value]

    def outlive_the_lease(self) -> None:
        super().outlive_the_lease()
        lease = BlobLeaseClient(
            BlobClient.from_connection_string(
                self.connection_string, names.CONTAINER_CONTROL, names.BLOB_DISPATCH_LEASE
            )
        )
        with contextlib.suppress(HttpResponseError):  # it died without one
            lease.break_lease(0)
