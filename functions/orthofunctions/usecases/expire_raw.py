"""Uploaded products expire by the site's rules, once nobody needs them: see `needs` and `deletions`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from orthocontracts import names
from orthocontracts.stores import ELSEWHERE
from orthofunctions.domain.raw_rules import ArchiveFileError, RawRule, RawRules, parse_raw_rules
from orthofunctions.domain.records import ArchiveRecord, InventoryRecord, RawState
from orthofunctions.ports import BlobMissingError, Ports, Value
from orthofunctions.usecases.deletions import blobs_of, finish_all, finish_deletion, list_for_deletion
from orthofunctions.usecases.inventory import EVERYWHERE
from orthofunctions.usecases.needs import needs_of
from orthofunctions.usecases.presence import note_missing
from orthofunctions.usecases.raw_state import KEPT_PRODUCTS, new_state, state_of, try_store
from orthofunctions.usecases.rows import load
from orthofunctions.usecases.tallies import PRODUCTS_BELOW

logger = logging.getLogger(__name__)

LOOK_S: Final = 60.0
"""What one look may take: the next goes on where it ended."""
SETTLED: Final = timedelta(days=1)
"""Before a product of which nothing was known may go: if that was lost with a table, `rebuild` has the time to say who
needs it."""
PARALLEL_LOOKS: Final = 8
_AT_ONCE: Final = 64
_LOOKED_AT: Final = ("arrived_at", "arrived", "ref", "mission", "product_type", "store")
_NEVER: Final = datetime.fromtimestamp(0, UTC)
_NO_MATTER: Final[dict[str, Value]] = {
    "name": "",
    "start": _NEVER,
    "stop": _NEVER,
    "size_bytes": 0,
    "footprint": "[]",
    "arrived": "",
}
"""Of a product, while it is only asked whether its time has come."""


class Waits(StrEnum):
    """What becomes of a product whose time has come, or what it waits for."""

    GONE = "gone"
    KEPT = "kept"  # by an operator
    NEEDED = "needed"  # by a job
    UNASKED = "unasked"  # no image was ever asked of it
    IDLE = "idle"  # its last job was over too short a time ago
    NEXT = "next"  # nothing but the next look
    CHANGED = "changed"  # somebody was faster


def read_rules(ports: Ports) -> RawRules:
    """What ``settings/archive.yaml`` says now.

    Raises
    ------
    ArchiveFileError
        Where it is there and wrong.
    """
    try:
        return parse_raw_rules(ports.blobs.read(names.CONTAINER_SETTINGS, names.BLOB_ARCHIVE))
    except BlobMissingError:
        return RawRules()


def expire_products(ports: Ports) -> int:
    """Go on through the inventory for so many seconds, and expire what may go. Returns how many went."""
    finish_all(ports)
    try:
        rules = read_rules(ports)
    except ArchiveFileError as error:
        logger.warning("%s; nothing expires until it is mended", error, extra={"action": "archive_file"})
        return 0
    if not rules.any_expire:
        return 0
    began, n_gone, last = ports.clock.now(), 0, ""
    with ThreadPoolExecutor(PARALLEL_LOOKS, "expire") as pool:
        for due in _due(ports, rules, began):
            n_gone += sum(pool.map(lambda key: _expire(ports, rules, key), due))
            if ports.clock.now() - began > timedelta(seconds=LOOK_S):
                last = due[-1]
                break
    ports.blobs.write(names.CONTAINER_CONTROL, names.BLOB_ARCHIVE_TOUR, json.dumps({"after": last}).encode())
    if n_gone:
        logger.info("%d products have expired", n_gone, extra={"action": "products_expired"})
    return n_gone


def _due(ports: Ports, rules: RawRules, now: datetime) -> Iterator[Sequence[str]]:
    """Keys of products whose time has come, some at a time, from where the last look ended."""
    after = _cursor(ports)
    rows = ports.tables.query(
        InventoryRecord.TABLE,
        partition=EVERYWHERE,
        key_from=f"{after}!" if after else None,
        key_below=PRODUCTS_BELOW,
        fields=_LOOKED_AT,
    )
    due: list[str] = []
    for row in rows:
        expires_at = rules.expires_at(InventoryRecord.from_row(replace(row, values={**_NO_MATTER, **row.values})))
        if expires_at is not None and expires_at <= now:
            due.append(row.key)
        if len(due) == _AT_ONCE:
            yield due
            due = []
    if due:
        yield due


def _expire(ports: Ports, rules: RawRules, key: str) -> bool:
    record = load(ports.tables, InventoryRecord, EVERYWHERE, key)
    return record is not None and expire_product(ports, rules, record) is Waits.GONE


def expire_product(ports: Ports, rules: RawRules, listed: InventoryRecord) -> Waits | None:
    """Delete a product whose time has come and that nobody needs; None where its time has not come."""
    rule, now = rules.of(listed), ports.clock.now()
    if rule is None or not rule.old_enough(listed.arrived_at, now):
        return None
    record = state_of(ports, listed.ref) or new_state(listed.ref, listed.arrived, listed.arrived_at)
    if record.state is RawState.GONE:
        return Waits.GONE if note_missing(ports, listed) else Waits.CHANGED
    if not record.etag:
        record = try_store(ports, record.changed(noted_at=now)) or record
    waits = _waits(ports, rule, record, now)
    if waits is not Waits.NEXT:
        return waits
    marked = try_store(ports, record.changed(state=RawState.EXPIRING, key=listed.key, blob=listed.arrived))
    if marked is None:
        return Waits.CHANGED
    return _give_up(ports, rule, listed, marked, now)


def waits_for(ports: Ports, rules: RawRules, listed: InventoryRecord) -> Waits | None:
    """What a product waits for before it goes; None where its time has not come."""
    rule, now = rules.of(listed), ports.clock.now()
    if rule is None or not rule.old_enough(listed.arrived_at, now):
        return None
    record = state_of(ports, listed.ref) or new_state(listed.ref, listed.arrived, listed.arrived_at)
    return Waits.GONE if record.state is RawState.GONE else _waits(ports, rule, record, now)


def _waits(ports: Ports, rule: RawRule, record: ArchiveRecord, now: datetime) -> Waits:
    if record.kept_by or ports.tables.get(names.TABLE_ARCHIVE, KEPT_PRODUCTS, record.product) is not None:
        return Waits.KEPT
    if not record.etag or (record.noted_at is not None and now - record.noted_at < SETTLED):
        return Waits.IDLE
    ends = [record.idle_since]
    for one in needs_of(ports, record.ref):
        if one.over_at is None:
            return Waits.NEEDED
        ends.append(one.over_at)
    idle_since = max((end for end in ends if end is not None), default=None)
    if rule.idle_enough(idle_since, now):
        return Waits.NEXT
    return Waits.UNASKED if idle_since is None else Waits.IDLE


def _give_up(ports: Ports, rule: RawRule, listed: InventoryRecord, marked: ArchiveRecord, now: datetime) -> Waits:
    """From here on whoever needs the product takes the mark back, or comes too late."""
    blobs = blobs_of(ports, marked.ref)
    complete = next((one for one in blobs if one.name == marked.blob), None)
    waits = _waits(ports, rule, marked, now)
    if any(one.name.endswith(f"/{ELSEWHERE}") for one in blobs):
        waits = Waits.KEPT  # a stub that was listed by functions which did not tell them apart
    all_old = all(rule.old_enough(one.last_modified, now) for one in blobs)
    if waits is not Waits.NEXT or complete is None or not all_old:
        try_store(ports, marked.changed(state=RawState.HERE))
        if complete is None and note_missing(ports, listed):
            return Waits.GONE
        return Waits.CHANGED if waits is Waits.NEXT else waits
    gone = marked.changed(
        state=RawState.GONE,
        gone_at=now,
        why=f"this site keeps such products for {rule.days:g} days, and no job needed it any longer",
        etag_gone=complete.etag,
        deletion=list_for_deletion(ports, marked, blobs),
    )
    stored = try_store(ports, gone)
    if stored is None:
        return Waits.CHANGED
    logger.info("%s has expired", stored.ref, extra={"action": "product_expired", "product": stored.ref})
    finish_deletion(ports, stored)
    return Waits.GONE


def _cursor(ports: Ports) -> str:
    try:
        return str(json.loads(ports.blobs.read(names.CONTAINER_CONTROL, names.BLOB_ARCHIVE_TOUR))["after"])
    except (BlobMissingError, ValueError, KeyError, TypeError):
        return ""
