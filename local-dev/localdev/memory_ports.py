"""The ports in memory: same promises as the adapters over Azure Storage, held to them by the same tests.

Every port has a lock: use cases call them from threads of their own.
"""

from __future__ import annotations

import hashlib
import itertools
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import RLock

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
    """A clock that stands still until somebody moves it."""

    moment: datetime = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


PAGE = 2
"""Names that are told at once: few, so that tests turn pages."""


@dataclass
class _Lease:
    lease_id: str
    until: datetime
    seconds: int


@dataclass
class _Container:
    blobs: dict[str, tuple[bytes, BlobFacts]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """In order."""

    def put(self, facts: BlobFacts, data: bytes) -> None:
        if facts.name not in self.blobs:
            insort(self.names, facts.name)
        self.blobs[facts.name] = (data, facts)

    def remove(self, name: str) -> None:
        del self.blobs[name]
        del self.names[bisect_left(self.names, name)]


class MemoryBlobs:
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._containers: dict[str, _Container] = {}
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._numbers = itertools.count(1)
        self._lock = RLock()

    def facts(self, container: str, name: str) -> BlobFacts | None:
        found = self._find(container, name)
        return found[1] if found else None

    def read(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> bytes:
        found = self._find(container, name)
        if found is None:
            raise BlobMissingError(container, name)
        data, facts = found
        if etag is not None and etag != facts.etag:
            raise BlobChangedError(container, name)
        return data[offset:] if length is None else data[offset : offset + length]

    def create(self, container: str, name: str, data: bytes) -> bool:
        with self._lock:
            if self._find(container, name) is not None:
                return False
            self.write(container, name, data)
            return True

    def write(self, container: str, name: str, data: bytes) -> None:
        with self._lock:
            facts = BlobFacts(
                container=container,
                name=name,
                size_bytes=len(data),
                etag=f"0x{next(self._numbers):X}",
                md5=hashlib.md5(data).hexdigest(),
                last_modified=self._clock.now(),
            )
            self._containers.setdefault(container, _Container()).put(facts, data)

    def delete(self, container: str, name: str, *, etag: str | None = None) -> None:
        with self._lock:
            found = self._find(container, name)
            if found is not None and etag in (None, found[1].etag):
                self._containers[container].remove(name)

    def list(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        with self._lock:
            there = self._containers.get(container, _Container())
            found = []
            for n in range(bisect_left(there.names, prefix), len(there.names)):
                if not there.names[n].startswith(prefix):
                    break
                found.append(there.blobs[there.names[n]][1])
        yield from found

    def names_below(self, container: str, folder: str = "", token: str = "") -> tuple[Sequence[str], str]:
        below = set()
        for facts in self.list(container, folder):
            first, slash, _ = facts.name.removeprefix(folder).partition("/")
            below.add(folder + first + slash)
        rest = sorted(name for name in below if name > token)
        return rest[:PAGE], (rest[PAGE - 1] if len(rest) > PAGE else "")

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        with self._lock:
            self.create(container, name, b"")
            held = self._leases.get((container, name))
            if held is not None and held.until > self._clock.now():
                raise LeaseHeldError(f"{container}/{name}")
            lease_id = f"lease-{next(self._numbers)}"
            self._leases[container, name] = _Lease(lease_id, self._clock.now() + timedelta(seconds=seconds), seconds)
            return lease_id

    def renew_lease(self, container: str, name: str, lease_id: str) -> None:
        with self._lock:
            held = self._leases.get((container, name))
            if held is None or held.lease_id != lease_id:
                raise LeaseLostError(f"{container}/{name}")
            held.until = self._clock.now() + timedelta(seconds=held.seconds)

    def release_lease(self, container: str, name: str, lease_id: str) -> None:
        with self._lock:
            held = self._leases.get((container, name))
            if held is not None and held.lease_id == lease_id:
                del self._leases[container, name]

    def _find(self, container: str, name: str) -> tuple[bytes, BlobFacts] | None:
        there = self._containers.get(container)
        return there.blobs.get(name) if there else None


@dataclass(eq=False)
class MemoryMessage:
    body: str
    visible_at: datetime
    sent_at: datetime
    dequeue_count: int = 0


class MemoryQueues:
    """``receive`` and ``remove`` are the worker's and the host's side, which no use case has.

    ``releases`` is every body ever put by ``send_release``.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._queues: dict[str, list[MemoryMessage]] = {}
        self._lock = RLock()
        self.releases: list[str] = []

    def send(self, queue: str, body: str, *, visible_in_s: float = 0) -> None:
        now = self._clock.now()
        with self._lock:
            message = MemoryMessage(body, now + timedelta(seconds=visible_in_s), sent_at=now)
            self._queues.setdefault(queue, []).append(message)

    def send_release(self, queue: str, body: str) -> None:
        self.releases.append(body)
        self.send(queue, body)

    def length(self, queue: str) -> int:
        return len(self._queues.get(queue, []))

    def oldest(self, queue: str) -> datetime | None:
        now = self._clock.now()
        return next((one.sent_at for one in self._queues.get(queue, []) if one.visible_at <= now), None)

    def drain(self, queue: str, limit: int) -> Sequence[str]:
        with self._lock:
            taken = [one for one in self._queues.get(queue, []) if one.visible_at <= self._clock.now()][:limit]
            for message in taken:
                self._queues[queue].remove(message)
        return [message.body for message in taken]

    def receive(self, queue: str, hidden_for_s: float) -> MemoryMessage | None:
        with self._lock:
            for message in self._queues.get(queue, []):
                if message.visible_at <= self._clock.now():
                    message.dequeue_count += 1
                    message.visible_at = self._clock.now() + timedelta(seconds=hidden_for_s)
                    return message
        return None

    def remove(self, queue: str, message: MemoryMessage) -> None:
        with self._lock:
            self._queues[queue] = [one for one in self._queues[queue] if one is not message]

    def lose_everything(self) -> None:
        self._queues.clear()

    def bodies(self, queue: str) -> list[str]:
        return [message.body for message in self._queues.get(queue, [])]


@dataclass
class _Partition:
    rows: dict[str, Row] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    """In order."""

    def put(self, row: Row) -> None:
        if row.key not in self.rows:
            insort(self.keys, row.key)
        self.rows[row.key] = row

    def remove(self, key: str) -> None:
        if key in self.rows:
            del self.rows[key]
            del self.keys[bisect_left(self.keys, key)]

    def between(self, key_from: str | None, key_below: str | None) -> list[Row]:
        first = 0 if key_from is None else bisect_left(self.keys, key_from)
        last = len(self.keys) if key_below is None else bisect_left(self.keys, key_below)
        return [self.rows[key] for key in self.keys[first:last]]


@dataclass
class _Table:
    partitions: dict[str, _Partition] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """In order."""

    def get(self, partition: str, key: str) -> Row | None:
        there = self.partitions.get(partition)
        return there.rows.get(key) if there else None

    def put(self, row: Row) -> None:
        there = self.partitions.get(row.partition)
        if there is None:
            there = self.partitions[row.partition] = _Partition()
            insort(self.names, row.partition)
        there.put(row)

    def remove(self, partition: str, key: str) -> None:
        there = self.partitions.get(partition)
        if there is None:
            return
        there.remove(key)
        if not there.rows:
            del self.partitions[partition]
            del self.names[bisect_left(self.names, partition)]

    def between(self, partition_from: str | None, partition_below: str | None) -> list[_Partition]:
        first = 0 if partition_from is None else bisect_left(self.names, partition_from)
        last = len(self.names) if partition_below is None else bisect_left(self.names, partition_below)
        return [self.partitions[name] for name in self.names[first:last]]


class MemoryTables:
    """Rows in the order of their keys, so that a query looks at no more of them than Azure's would."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self._numbers = itertools.count(1)
        self._lock = RLock()

    def get(self, table: str, partition: str, key: str) -> Row | None:
        return self._table(table).get(partition, key)

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
        with self._lock:
            there = self._table(table)
            if partition is not None:
                found = there.partitions.get(partition)
                partitions = [] if found is None else [found]
            else:
                partitions = there.between(partition_from, partition_below)
            rows = [row for one in partitions for row in one.between(key_from, key_below)]
        wanted = list((equal or {}).items())
        fitting = (row for row in rows if all(row.values.get(name) == value for name, value in wanted))
        for row in itertools.islice(fitting, limit):
            if fields is None:
                yield row
            else:
                values = {name: value for name, value in row.values.items() if name in fields}
                yield Row(row.partition, row.key, values, row.etag)

    def insert(self, table: str, row: Row) -> Row:
        with self._lock:
            if self._table(table).get(row.partition, row.key) is not None:
                raise RowExistsError(f"{table}/{row.partition}/{row.key}")
            return self._store(table, row)

    def replace(self, table: str, row: Row) -> Row:
        with self._lock:
            self._check(table, row)
            return self._store(table, row)

    def put(self, table: str, row: Row) -> None:
        with self._lock:
            self._store(table, row)

    def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> None:
        with self._lock:
            if etag is not None:
                self._check(table, Row(partition, key, {}, etag))
            self._table(table).remove(partition, key)

    def transact(self, table: str, changes: Sequence[Change]) -> None:
        if len(changes) > 100:
            raise ValueError(f"{len(changes)} changes in one transaction; 100 is the most")
        if len({change.row.partition for change in changes}) > 1:
            raise ValueError("a transaction holds changes of one partition only")
        if len({change.row.key for change in changes}) < len(changes):
            raise ValueError("a transaction changes a row once only")
        with self._lock:
            for change in changes:
                row = change.row
                if change.kind in ("replace", "delete"):
                    self._check(table, row)
                elif change.kind == "insert" and self._table(table).get(row.partition, row.key) is not None:
                    raise RowExistsError(f"{table}/{row.partition}/{row.key}")
            for change in changes:
                if change.kind == "delete":
                    self._table(table).remove(change.row.partition, change.row.key)
                else:
                    self._store(table, change.row)

    def _table(self, table: str) -> _Table:
        return self._tables.setdefault(table, _Table())

    def _check(self, table: str, row: Row) -> None:
        found = self._table(table).get(row.partition, row.key)
        if not row.etag or found is None or row.etag not in (found.etag, ANY_ETAG):
            raise RowChangedError(f"{table}/{row.partition}/{row.key}")

    def _store(self, table: str, row: Row) -> Row:
        stored = Row(row.partition, row.key, dict(row.values), f'W/"{next(self._numbers)}"')
        self._table(table).put(stored)
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
