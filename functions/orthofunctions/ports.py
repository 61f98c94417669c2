"""What the use cases need of the world. Adapters implement these; nothing else touches a socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from orthofunctions.telemetry import Meter, NoMeter, NoTracer, Tracer

Value = str | int | float | bool | datetime


@dataclass(frozen=True)
class BlobFacts:
    """A blob's properties. ``md5`` is the stored Content-MD5 as hex, where there is one.

    Of a file on a server ``etag`` is "" where it has none, and begins with ``W/`` where it is weak.
    """

    container: str
    name: str
    size_bytes: int
    etag: str
    md5: str | None
    last_modified: datetime


class BlobMissingError(Exception):
    """No such blob."""

    def __init__(self, container: str, name: str) -> None:
        super().__init__(f"there is no blob {container}/{name}")
        self.container = container
        self.name = name


class RemoteRefusedError(Exception):
    """A place that is not read: the site does not allow it, or its server lets nobody in. Says which setting."""


class RemoteDownError(Exception):
    """A server that does not answer, cannot now, or says nothing of use. The message says what."""


class Reader(Protocol):
    """What can be looked at in a place: a container, or a server."""

    def facts(self, container: str, name: str) -> BlobFacts | None: ...

    def read(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> bytes:
        """Bytes of a file or a range of it. Raises BlobMissingError, and BlobChangedError where its ETag is another."""
        ...

    def list(self, container: str, prefix: str = "") -> Iterator[BlobFacts]: ...


class Remote(Reader, Protocol):
    """Files on servers that a site allows. Its containers are ``https://HOST``, ``http://HOST`` and ``s3://BUCKET``.

    All of it raises RemoteRefusedError and RemoteDownError too; ``list`` is for buckets only.
    """

    def check(self, container: str) -> None:
        """Raises RemoteRefusedError where the site does not allow it. Asks nobody."""
        ...


class BlobChangedError(Exception):
    """A blob is there in another version than the one that was asked for."""

    def __init__(self, container: str, name: str) -> None:
        super().__init__(f"{container}/{name} has changed meanwhile")


class LeaseHeldError(Exception):
    """Someone else holds the lease."""


class LeaseLostError(Exception):
    """The lease is no longer ours: stop writing."""


class Blobs(Protocol):
    def facts(self, container: str, name: str) -> BlobFacts | None: ...

    def read(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> bytes:
        """Bytes of a blob or a range of it. Raises BlobMissingError, and BlobChangedError where its ETag is another."""
        ...

    def create(self, container: str, name: str, data: bytes) -> bool:
        """Write only where nothing is (If-None-Match: *). False where something was: then nothing changed."""
        ...

    def write(self, container: str, name: str, data: bytes) -> None: ...

    def delete(self, container: str, name: str, *, etag: str | None = None) -> None:
        """Delete; a blob that is not there is no error. With an ETag, one that has another is left."""
        ...

    def list(self, container: str, prefix: str = "") -> Iterator[BlobFacts]: ...

    def names_below(self, container: str, folder: str = "", token: str = "") -> tuple[Sequence[str], str]:
        """A page of whole names right below a folder, which ends with ``/``, as those of its folders do; and the token
        of the next, "" after the last."""
        ...

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        """Lease id of a blob (made empty where absent). Raises LeaseHeldError."""
        ...

    def renew_lease(self, container: str, name: str, lease_id: str) -> None:
        """Raises LeaseLostError."""
        ...

    def release_lease(self, container: str, name: str, lease_id: str) -> None: ...


class Queues(Protocol):
    def send(self, queue: str, body: str, *, visible_in_s: float = 0) -> None:
        """Put a message that never expires (base64, as the functions host reads it)."""
        ...

    def send_release(self, queue: str, body: str) -> None:
        """Put a message on a pool queue, making the queue where it is absent."""
        ...

    def length(self, queue: str) -> int:
        """Approximate number of messages, hidden ones included; 0 where there is no such queue."""
        ...

    def oldest(self, queue: str) -> datetime | None:
        """When the first of its messages that nobody has taken was put there. None where there is none, or no queue."""
        ...

    def drain(self, queue: str, limit: int) -> Sequence[str]:
        """Take and delete up to ``limit`` messages (poison queues), as text."""
        ...


@dataclass(frozen=True)
class Row:
    """A table row as read: its values and the ETag that a change must name."""

    partition: str
    key: str
    values: Mapping[str, Value]
    etag: str = ""


ANY_ETAG = "*"


class RowExistsError(Exception):
    """A row to be inserted is already there. Nothing was changed."""


class RowChangedError(Exception):
    """The row is gone or was changed since it was read. Nothing was changed: read again and decide again."""


@dataclass(frozen=True)
class Change:
    """One step of a transaction; all steps share table and partition.

    ``insert`` fails where the row exists; ``replace`` and ``delete`` fail where the ETag does not match, or where it is
    `ANY_ETAG` and there is no row; ``put`` writes whatever is there.
    """

    kind: Literal["insert", "replace", "delete", "put"]
    row: Row


class Tables(Protocol):
    def get(self, table: str, partition: str, key: str) -> Row | None: ...

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
        """Rows in (partition, key) order; partitions and keys from ``…_from`` on and below ``…_below``.

        With ``fields`` rows have just these of their values: what else they hold is not read.
        """
        ...

    def insert(self, table: str, row: Row) -> Row:
        """Raises RowExistsError. Returns the row with its ETag."""
        ...

    def replace(self, table: str, row: Row) -> Row:
        """Compare and swap by ``row.etag``. Raises RowChangedError. Returns the row with its new ETag."""
        ...

    def put(self, table: str, row: Row) -> None:
        """Write whatever is there (only for rows without rivals: agents, index)."""
        ...

    def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> None:
        """Delete; absent is no error. With an ETag, raises RowChangedError where it does not match."""
        ...

    def transact(self, table: str, changes: Sequence[Change]) -> None:
        """All or nothing, up to 100 changes of one partition. Raises RowExistsError or RowChangedError."""
        ...


class Links(Protocol):
    """Issues links that expire. They are secrets: never logged, never in messages."""

    def read_url(self, container: str, name: str, expires_at: datetime) -> str: ...

    def create_url(self, container: str, name: str, expires_at: datetime) -> str:
        """May create this one blob, and never overwrite it."""
        ...


class Bell(Protocol):
    """Publishes over MQTT, best effort: a broker that is down must never hold up or fail a use case."""

    def publish(self, topic: str, body: str, *, retain: bool = False) -> None: ...


class NotToldError(Exception):
    """An HTTP request got no answer, or was not sent at all. The message says why."""


class Poster(Protocol):
    """Calls addresses that users name."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """POST, and the status of the answer. Raises NotToldError."""
        ...


class PagesDownError(Exception):
    """A page of a catalogue that did not come, or is none. The message says why."""


class Pages(Protocol):
    """Reads catalogues that operators name."""

    def get(self, url: str) -> Any:
        """The JSON there. Raises PagesDownError."""
        ...


class NoPages:
    """What a process has that reads no catalogues."""

    def get(self, url: str) -> Any:
        raise PagesDownError("this process reads no catalogues")


class Clock(Protocol):
    def now(self) -> datetime: ...


class IssuerDownError(Exception):
    """The issuer of tokens cannot be asked for a key just now: try again after ``retry_after_s``."""

    def __init__(self, reason: str, retry_after_s: int) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class SigningKey:
    """A public key of an issuer. ``algorithm`` None: whatever suits it."""

    key: Any
    algorithm: str | None = None


class SigningKeys(Protocol):
    def find(self, key_id: str | None) -> SigningKey | None:
        """The key of that id; for None the issuer's only one. Raises IssuerDownError where one cannot know."""
        ...


class Nowhere:
    """No server at all: what a site has that allows none."""

    def check(self, container: str) -> None:
        raise RemoteRefusedError(
            f"{container} is not read from: this site allows no servers (ORTHOBURST_PRODUCT_HOSTS, "
            "ORTHOBURST_PRODUCT_BUCKETS)"
        )

    def facts(self, container: str, name: str) -> BlobFacts | None:
        self.check(container)
        return None

    def read(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> bytes:
        self.check(container)
        raise BlobMissingError(container, name)

    def list(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        self.check(container)
        return iter(())


@dataclass(frozen=True)
class Ports:
    """All a use case is given of the world, in one hand: ``bootstrap`` fills it once per process."""

    blobs: Blobs
    queues: Queues
    tables: Tables
    links: Links
    bell: Bell
    clock: Clock
    remote: Remote = field(default_factory=Nowhere)
    pages: Pages = field(default_factory=NoPages)
    tracer: Tracer = field(default_factory=NoTracer)
    meter: Meter = field(default_factory=NoMeter)
