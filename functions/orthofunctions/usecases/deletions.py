"""Deleting a product's blobs: those that were there when it was given up, and no others, whoever dies meanwhile.

What is to be deleted is listed in a blob before the product's row turns *gone*, with the ETag of each, so that what is
uploaded meanwhile stays. Order: list → row → inventory → blobs, the one that completes the product first → list → row.
Until the last, whoever looks goes on where another died. A product without the blob that completes it has not arrived,
so that nobody takes what is left of it for a product.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final
from uuid import uuid4

from orthocontracts import names
from orthofunctions.domain.records import ArchiveRecord, InventoryRecord, RawState
from orthofunctions.ports import BlobFacts, BlobMissingError, Ports
from orthofunctions.usecases.inventory import GONE, drop_rows, rows_of
from orthofunctions.usecases.raw_state import state_of, try_store
from orthofunctions.usecases.rows import load
from orthofunctions.usecases.sidecars import named_sidecar
from orthofunctions.usecases.tallies import put_counted

logger = logging.getLogger(__name__)

PARALLEL_DELETES: Final = 8
_LEFT_OVER: Final = timedelta(days=1)
"""After which a list that no row names is nobody's."""


def blobs_of(ports: Ports, ref: str) -> list[BlobFacts]:
    """The blobs of a product: a folder's, or a zip, or an image and the file of its name that holds its RPC."""
    container, _, name = ref.partition("/")
    if name.upper().endswith((".SAFE", ".SEN3")):
        return list(ports.blobs.list(container, f"{name}/"))
    facts = ports.blobs.facts(container, name)
    if facts is None:
        return []
    if not name.lower().endswith((".tif", ".tiff")):
        return [facts]
    beside = named_sidecar(ports.blobs, container, name)
    return [facts] if beside is None else [facts, beside]


def list_for_deletion(ports: Ports, record: ArchiveRecord, blobs: Sequence[BlobFacts]) -> str:
    """Write down what is to be deleted, and return the list's name. It means nothing until the row names it."""
    deletion = uuid4().hex
    ordered = sorted(blobs, key=lambda one: one.name != record.blob)
    document = {"ref": record.ref, "blobs": [[one.name, one.etag] for one in ordered]}
    ports.blobs.write(names.CONTAINER_CONTROL, _blob(record.product, deletion), json.dumps(document).encode())
    return deletion


def finish_deletion(ports: Ports, record: ArchiveRecord) -> ArchiveRecord:
    """Do what is still to be done of a product that has gone. Any number of times, and side by side."""
    if record.state is not RawState.GONE or not record.deletion:
        return record
    shelve(ports, record)
    listed = _blobs_in(ports, record.product, record.deletion)
    for name, etag in listed[:1]:
        ports.blobs.delete(names.CONTAINER_PRODUCTS, name, etag=etag)
    with ThreadPoolExecutor(PARALLEL_DELETES, "delete") as pool:
        list(pool.map(lambda one: ports.blobs.delete(names.CONTAINER_PRODUCTS, one[0], etag=one[1]), listed[1:]))
    ports.blobs.delete(names.CONTAINER_CONTROL, _blob(record.product, record.deletion))
    done = try_store(ports, record.changed(deletion=""))
    logger.info("deleted", extra={"action": "product_deleted", "product": record.ref, "blobs": len(listed)})
    return done or state_of(ports, record.ref) or record


def finish_all(ports: Ports) -> int:
    """Go on with every deletion that somebody left. Returns how many."""
    n_finished = 0
    for blob in list(ports.blobs.list(names.CONTAINER_CONTROL, names.FOLDER_DELETIONS)):
        product, _, deletion = blob.name.removeprefix(names.FOLDER_DELETIONS).removesuffix(".json").partition("-")
        record = load(ports.tables, ArchiveRecord, product, "state")
        if record is not None and record.deletion == deletion:
            finish_deletion(ports, record)
            n_finished += 1
        elif ports.clock.now() - blob.last_modified > _LEFT_OVER:
            ports.blobs.delete(blob.container, blob.name, etag=blob.etag)
    return n_finished


def shelve(ports: Ports, record: ArchiveRecord) -> None:
    """Move the inventory's rows of a product that has gone to those that were here.

    Rows are read before its state is looked at again, and deleted only as they were read: one that has come again has
    turned its state before its rows were written.
    """
    rows = rows_of(ports, record.key)
    if not rows or not _is_still(ports, record):
        return
    shelved = rows[-1].changed(cell=GONE, etag="", gone_at=record.gone_at, why=record.why)
    put_counted(ports, shelved)
    drop_rows(ports, rows)
    if not _is_still(ports, record):
        drop_rows(ports, [one for one in [load(ports.tables, InventoryRecord, GONE, record.key)] if one is not None])


def _is_still(ports: Ports, record: ArchiveRecord) -> bool:
    now = state_of(ports, record.ref)
    return now is not None and now.state is RawState.GONE and now.gone_at == record.gone_at


def _blobs_in(ports: Ports, product: str, deletion: str) -> list[tuple[str, str]]:
    try:
        text = ports.blobs.read(names.CONTAINER_CONTROL, _blob(product, deletion))
    except BlobMissingError:  # another has finished it
        return []
    return [(name, etag) for name, etag in json.loads(text)["blobs"]]


def _blob(product: str, deletion: str) -> str:
    return f"{names.FOLDER_DELETIONS}{product}-{deletion}.json"
