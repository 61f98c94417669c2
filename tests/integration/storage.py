"""The functions' ports over the test suite's Azurite, for tests of adapters and use cases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orthofunctions.adapters.blobs import AzureBlobs
from orthofunctions.adapters.links import AccountKeyLinks
from orthofunctions.adapters.queues import AzureQueues
from orthofunctions.adapters.tables import AzureTables
from orthofunctions.adapters.transport import new_session
from orthofunctions.ports import Ports


@dataclass
class HandClock:
    """A clock that a test sets."""

    moment: datetime = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class RecordingBell:
    """Keeps what was published."""

    published: list[tuple[str, str, bool]] = field(default_factory=list)

    def publish(self, topic: str, body: str, *, retain: bool = False) -> None:
        self.published.append((topic, body, retain))


@contextmanager
def azure_ports(connection_string: str) -> Iterator[Ports]:
    """Real blobs, queues, tables and links; a clock and a bell in the test's hand."""
    with new_session() as session:
        yield Ports(
            blobs=AzureBlobs.connect(connection_string, session),
            queues=AzureQueues.connect(connection_string, session),
            tables=AzureTables.connect(connection_string, session),
            links=AccountKeyLinks(connection_string),
            bell=RecordingBell(),
            clock=HandClock(),
        )
