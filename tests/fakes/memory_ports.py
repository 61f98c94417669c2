"""The ports in memory: same promises as the adapters over Azure Storage, held to them by the same tests."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orthofunctions.ports import (
    ANY_ETAG,
    BlobChangedError,
    BlobFacts,
    BlobMissingError,
    Change,
    LeaseHeldError,
    LeaseLostError,
    Ports,
    Row,
    RowChangedError,
    RowExistsError,
    Value,
)


@dataclass
class ManualClock:
    """A clock that stands still until a test moves it."""

    moment: datetime = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class _Lease:
    lease_id: str
    until: datetime
    seconds: int


class MemoryBlobs:
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._blobs: dict[tuple[str, str], tuple[bytes, BlobFacts]] = {}
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._numbers = itertools.count(1)

    def facts(self, container: str, name: str) -> BlobFacts | None:
        found = self._blobs.get((container, name))
        return found[1] if found else None

    def read(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> bytes:
        if (container, name) not in self._blobs:
            raise BlobMissingError(container, name)
        data, facts = self._blobs[container, name]
        if etag is not None and etag != facts.etag:
            raise BlobChangedError(container, name)
        return data[offset:] if length is None else data[offset : offset + length]

    def create(self, container: str, name: str, data: bytes) -> bool:
        if (container, name) in self._blobs:
            return False
        self.write(container, name, data)
        return True

    def write(self, container: str, name: str, data: bytes) -> None:
        facts = BlobFacts(
            container=container,
            name=name,
            size_bytes=len(data),
            etag=f"0x{next(self._numbers):X}",
            md5=hashlib.md5(data).hexdigest(),
            last_modified=self._clock.now(),
        )
        self._blobs[container, name] = (data, facts)

    def delete(self, container: str, name: str, *, etag: str | None = None) -> None:
        facts = self.facts(container, name)
        if facts is not None and etag in (None, facts.etag):
            del self._blobs[container, name]

    def list(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        for (where, name), (_, facts) in sorted(self._blobs.items()):
            if where == container and name.startswith(prefix):
                yield facts

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        self.create(container, name, b"")
        held = self._leases.get((container, name))
        if held is not None and held.until > self._clock.now():
            raise LeaseHeldError(f"{container}/{name}")
        lease_id = f"lease-{next(self._numbers)}"
        self._leases[container, name] = _Lease(lease_id, self._clock.now() + timedelta(seconds=seconds), seconds)
        return lease_id

    def renew_lease(self, container: str, name: str, lease_id: str) -> None:
        held = self._leases.get((container, name))
        if held is None or held.lease_id != lease_id:
            raise LeaseLostError(f"{container}/{name}")
        held.until = self._clock.now() + timedelta(seconds=held.seconds)

    def release_lease(self, container: str, name: str, lease_id: str) -> None:
        held = self._leases.get((container, name))
        if held is not None and held.lease_id == lease_id:
            del self._leases[container, name]


@dataclass
class MemoryMessage:
    body: str
    visible_at: datetime
    dequeue_count: int = 0


class MemoryQueues:
    """``receive`` and ``remove`` are the worker's and the host's side, which no use case has.

    ``releases`` is every body ever put by ``send_release``.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._queues: dict[str, list[MemoryMessage]] = {}
        self.releases: list[str] = []

    def send(self, queue: str, body: str, *, visible_in_s: float = 0) -> None:
        visible_at = self._clock.now() + timedelta(seconds=visible_in_s)
        self._queues.setdefault(queue, []).append(MemoryMessage(body, visible_at))

    def send_release(self, queue: str, body: str) -> None:
        self.releases.append(body)
        self.send(queue, body)

    def length(self, queue: str) -> int:
        return len(self._queues.get(queue, []))

    def drain(self, queue: str, limit: int) -> Sequence[str]:
        taken = [one for one in self._queues.get(queue, []) if one.visible_at <= self._clock.now()][:limit]
        for message in taken:
            self._queues[queue].remove(message)
        return [message.body for message in taken]

    def receive(self, queue: str, hidden_for_s: float) -> MemoryMessage | None:
        for message in self._queues.get(queue, []):
            if message.visible_at <= self._clock.now():
                message.dequeue_count += 1
                message.visible_at = self._clock.now() + timedelta(seconds=hidden_for_s)
                return message
        return None

    def remove(self, queue: str, message: MemoryMessage) -> None:
        self._queues[queue] = [one for one in self._queues[queue] if one is not message]

    def lose_everything(self) -> None:
        self._queues.clear()

    def bodies(self, queue: str) -> list[str]:
        return [message.body for message in self._queues.get(queue, [])]


class MemoryTables:
    def __init__(self) -> None:
        self._tables: dict[str, dict[tuple[str, str], Row]] = {}
        self._numbers = itertools.count(1)

    def get(self, table: str, partition: str, key: str) -> Row | None:
        return self._rows(table).get((partition, key))

    def query(
        self,
        table: str,
        *,
        partition: str | None = None,
        partition_from: str | None = None,
        partition_below: str | None = None,
        key_from: str | None = None,
        key_below: str | None = None,
        equal: Mapping[str, Value] | None = None,
        limit: int | None = None,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Row]:
        found = 0
        for (where, key), row in sorted(self._rows(table).items()):
            if (
                (partition is not None and where != partition)
                or (partition_from is not None and where < partition_from)
                or (partition_below is not None and where >= partition_below)
                or (key_from is not None and key < key_from)
                or (key_below is not None and key >= key_below)
                or any(row.values.get(name) != value for name, value in (equal or {}).items())
            ):
                continue
            if found == limit:
                return
            found += 1
            if fields is None:
                yield row
            else:
                values = {name: value for name, value in row.values.items() if name in fields}
                yield Row(row.partition, row.key, values, row.etag)

    def insert(self, table: str, row: Row) -> Row:
        if (row.partition, row.key) in self._rows(table):
            raise RowExistsError(f"{table}/{row.partition}/{row.key}")
        return self._store(table, row)

    def replace(self, table: str, row: Row) -> Row:
        self._check(table, row)
        return self._store(table, row)

    def put(self, table: str, row: Row) -> None:
        self._store(table, row)

    def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> None:
        if etag is not None:
            self._check(table, Row(partition, key, {}, etag))
        self._rows(table).pop((partition, key), None)

    def transact(self, table: str, changes: Sequence[Change]) -> None:
        if len(changes) > 100:
            raise ValueError(f"{len(changes)} changes in one transaction; 100 is the most")
        if len({change.row.partition for change in changes}) > 1:
            raise ValueError("a transaction holds changes of one partition only")
        if len({change.row.key for change in changes}) < len(changes):
            raise ValueError("a transaction changes a row once only")
        for change in changes:
            if change.kind in ("replace", "delete"):
                self._check(table, change.row)
            elif change.kind == "insert" and (change.row.partition, change.row.key) in self._rows(table):
                raise RowExistsError(f"{table}/{change.row.partition}/{change.row.key}")
        for change in changes:
            if change.kind == "delete":
                del self._rows(table)[change.row.partition, change.row.key]
            else:
                self._store(table, change.row)

    def _rows(self, table: str) -> dict[tuple[str, str], Row]:
        return self._tables.setdefault(table, {})

    def _check(self, table: str, row: Row) -> None:
        found = self.get(table, row.partition, row.key)
        if not row.etag or found is None or row.etag not in (found.etag, ANY_ETAG):
            raise RowChangedError(f"{table}/{row.partition}/{row.key}")

    def _store(self, table: str, row: Row) -> Row:
        stored = Row(row.partition, row.key, dict(row.values), f'W/"{next(self._numbers)}"')
        self._rows(table)[row.partition, row.key] = stored
        return stored


class MemoryLinks:
    def read_url(self, container: str, name: str, expires_at: datetime) -> str:
        return f"memory://{container}/{name}?r&until={expires_at.isoformat()}"

    def create_url(self, container: str, name: str, expires_at: datetime) -> str:
        return f"memory://{container}/{name}?c&until={expires_at.isoformat()}"


@dataclass
class MemoryBell:
    published: list[tuple[str, str]] = field(default_factory=list)
    retained: dict[str, str] = field(default_factory=dict)

    def publish(self, topic: str, body: str, *, retain: bool = False) -> None:
        self.published.append((topic, body))
        if retain:
            self.retained[topic] = body


def memory_ports(clock: ManualClock | None = None) -> Ports:
    """A world of its own, empty, at noon of 2026-05-01."""
    clock = clock or ManualClock()
    return Ports(
        blobs=MemoryBlobs(clock),
        queues=MemoryQueues(clock),
        tables=MemoryTables(),
        links=MemoryLinks(),
        bell=MemoryBell(),
        clock=clock,
    )
