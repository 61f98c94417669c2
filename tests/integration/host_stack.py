"""The test app under the functions host, and what it told."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from localdev.servers import Azurite, FunctionsHost

APP = Path(__file__).parent / "host_app"
Event = dict[str, Any]


class Stage:
    """Names of its own in the shared emulator, hosts of the test app, and their story."""

    def __init__(self, azurite: Azurite, folder: Path) -> None:
        self.azurite, self.folder = azurite, folder
        self.prefix = f"t{uuid.uuid4().hex[:10]}"
        self.story_file = folder / "story"
        self.story_file.touch()
        self.hosts: list[FunctionsHost] = []

    def host(self, name: str = "host", *, lease_s: float = 30.0, app: Path = APP, **settings: str) -> FunctionsHost:
        """A host of the app, not started yet."""
        storage = self.azurite.connection_string
        host = FunctionsHost(
            app,
            self.folder,
            {
                "PREFIX": self.prefix,
                "STORY": str(self.story_file),
                "TICKS": "0 0 0 1 1 *",
                "AzureWebJobsStorage": storage,
                "AzureWebJobsData": storage,
                "AzureFunctionsWebHost__hostid": self.prefix,
                **settings,
            },
            arguments=["--queue-lease-s", str(lease_s), "--blob-poll-s", "0.2", "--stop-grace-s", "5"],
            name=name,
        )
        self.hosts.append(host)
        return host

    def queue(self, name: str, *, make: bool = True) -> QueueClient:
        """A queue of this test, made unless told otherwise."""
        client: QueueClient = QueueClient.from_connection_string(
            self.azurite.connection_string, f"{self.prefix}-{name}"
        )
        if make:
            client.create_queue()
        return client

    def container(self, name: str) -> ContainerClient:
        """A new container of this test."""
        client = ContainerClient.from_connection_string(self.azurite.connection_string, f"{self.prefix}-{name}")
        client.create_container()
        return client

    def story(self, function: str | None = None, event: str | None = None, **fields: object) -> list[Event]:
        """What the functions told, in order."""
        events: list[Event] = [json.loads(line) for line in self.story_file.read_text().splitlines()]
        wanted = {key: value for key, value in (("function", function), ("event", event)) if value} | fields
        return [each for each in events if all(each.get(key) == value for key, value in wanted.items())]

    def logged(self, action: str, host: FunctionsHost | None = None) -> list[Event]:
        """Events of a host's own log."""
        lines = (host or self.hosts[0]).log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith('{"time"')]
        return [event for event in events if event.get("action") == action]


def encoded(content: object) -> str:
    """A queue message as clients of Azure Functions send it."""
    text = content if isinstance(content, str) else json.dumps(content)
    return base64.b64encode(text.encode()).decode()


def wait_for(condition: Callable[[], object], timeout_s: float = 45.0) -> None:
    """Return as soon as a condition holds; fail after a time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.03)


def texts(queue: QueueClient) -> list[str]:
    """Contents of the first visible messages, left where they are."""
    return [str(message.content) for message in queue.peek_messages(32)]


def length(queue: QueueClient) -> int:
    """Messages of a queue, invisible ones included."""
    return int(queue.get_queue_properties().approximate_message_count or 0)
