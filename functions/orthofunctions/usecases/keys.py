"""API keys: made, proved, listed, revoked."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from orthofunctions.domain.keytext import digest_of, id_of, is_key, is_key_id, new_key, shelf_of
from orthofunctions.domain.principals import Principal, Scope
from orthofunctions.domain.records import KeyRecord
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.rows import find, load, swap

logger = logging.getLogger(__name__)

PROVED_S = 60.0
"""How long a key that was looked up is believed without another look: so long it may live on once it is revoked."""

MOST_KEYS = 100
"""That a user may have at a time."""

_MOST_PROVED = 10_000
_NOTE_USE_S = 3600.0
_TRIES = 20


class TooManyKeysError(Exception):
    """A user has as many keys as one may have."""


@dataclass(frozen=True)
class KeyOrder:
    """What a new key is to be."""

    name: str
    user: str
    scopes: frozenset[Scope]
    created_by: str
    made_with: str = ""
    expires_at: datetime | None = None


def make_key(ports: Ports, order: KeyOrder) -> tuple[str, KeyRecord]:
    """A new key and its row. The key itself is nowhere but in what is returned.

    Raises
    ------
    TooManyKeysError
    """
    now = ports.clock.now()
    if sum(is_valid(one, now) for one in keys_of(ports, order.user)) >= MOST_KEYS:
        raise TooManyKeysError(f"{order.user} has {MOST_KEYS} keys: revoke some first")
    key = new_key()
    while find_key(ports, id_of(digest_of(key))) is not None:
        key = new_key()
    digest = digest_of(key)
    record = KeyRecord(
        shelf=shelf_of(digest),
        digest=digest,
        name=order.name,
        user=order.user,
        scopes=",".join(sorted(order.scopes)),
        created_at=now,
        created_by=order.created_by,
        made_with=order.made_with,
        expires_at=order.expires_at,
    )
    row = ports.tables.insert(KeyRecord.TABLE, record.to_row())
    logger.info("key made", extra={"action": "key_made", "key": id_of(digest), "user": order.user})
    return key, record.changed(etag=row.etag)


def is_valid(record: KeyRecord, now: datetime) -> bool:
    return record.revoked_at is None and (record.expires_at is None or now < record.expires_at)


def scopes_of(record: KeyRecord) -> frozenset[Scope]:
    return frozenset(Scope(one) for one in record.scopes.split(",") if one)


def find_key(ports: Ports, key_id: str) -> KeyRecord | None:
    """A key by its public id, valid or not."""
    if not is_key_id(key_id):
        return None
    rows = ports.tables.query(
        KeyRecord.TABLE, partition=shelf_of(key_id), key_from=key_id, key_below=f"{key_id}g", limit=1
    )
    return next((KeyRecord.from_row(row) for row in rows), None)


def keys_of(ports: Ports, user: str | None) -> list[KeyRecord]:
    """All keys of a user, or of all, revoked ones too, in the order they were made."""
    found = find(ports.tables, KeyRecord, user=user) if user is not None else find(ports.tables, KeyRecord)
    return sorted(found, key=lambda one: (one.created_at, one.digest))


def any_key(ports: Ports) -> bool:
    return next(iter(ports.tables.query(KeyRecord.TABLE, limit=1)), None) is not None


def revoke_key(ports: Ports, record: KeyRecord) -> KeyRecord:
    """Revoke a key. Any number of times: the first is when it ended."""
    found: KeyRecord | None = record
    for _ in range(_TRIES):
        if found is None or found.revoked_at is not None:
            return found or record
        try:
            revoked = swap(ports.tables, found.changed(revoked_at=ports.clock.now()))
        except RowChangedError:
            found = load(ports.tables, KeyRecord, record.shelf, record.digest)
        else:
            logger.info("key revoked", extra={"action": "key_revoked", "key": id_of(record.digest)})
            return revoked
    raise RowChangedError(f"key {id_of(record.digest)} kept changing")


class ProvedKeys:
    """Keys this process has looked up within the last minute."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, tuple[KeyRecord, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def prove(self, ports: Ports, key: str) -> Principal | None:
        """Whose key it is; None where it is nobody's, has expired or was revoked."""
        record = self.known(ports, key)
        if record is None and is_key(key):
            record = self._look_up(ports, digest_of(key))
        if record is None:
            return None
        return Principal(record.user, scopes_of(record), via="key", key_id=id_of(record.digest))

    def known(self, ports: Ports, key: str) -> KeyRecord | None:
        """The row of a valid key that was looked up a moment ago."""
        now, digest = ports.clock.now(), digest_of(key)
        with self._lock:
            record, until = self._found.get(digest, (None, now))
        return record if record is not None and now < until and is_valid(record, now) else None

    def forget(self, record: KeyRecord) -> None:
        """Look it up again the next time: it was changed here."""
        with self._lock:
            self._found.pop(record.digest, None)

    def _look_up(self, ports: Ports, digest: str) -> KeyRecord | None:
        now = ports.clock.now()
        record = load(ports.tables, KeyRecord, shelf_of(digest), digest)
        if record is None or not is_valid(record, now):
            return None
        with self._lock:
            self._found[digest] = (record, now + timedelta(seconds=PROVED_S))
            self._found.move_to_end(digest)
            if len(self._found) > _MOST_PROVED:
                self._found.popitem(last=False)
        _note_use(ports, record, now)
        return record


def _note_use(ports: Ports, record: KeyRecord, now: datetime) -> None:
    """Once an hour, and if it fails it fails: whoever calls must not wait for a note about them."""
    if record.used_at is not None and (now - record.used_at).total_seconds() < _NOTE_USE_S:
        return
    try:
        swap(ports.tables, record.changed(used_at=now))
    except Exception:
        logger.info("use of a key was not noted", extra={"action": "key_use"}, exc_info=True)
