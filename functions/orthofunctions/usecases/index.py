"""The index of the catalogue, in table ``items``: made when an output is committed, deleted before its entry is.

Nothing here is the authority: rows follow from catalogue entries and the Items that lie beside the images, and are
made again from them.
"""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor

from orthocontracts import names
from orthocontracts.outputs import CatalogueEntry
from orthocontracts.stores import split_site_url
from orthocontracts.tasks import COPY
from orthofunctions.domain.indexed import Indexed, made_by
from orthofunctions.domain.item_places import ALL_MONTHS, digest_of_key
from orthofunctions.domain.items import MOST_BYTES
from orthofunctions.domain.records import DigestRecord, DigestState
from orthofunctions.ports import BlobMissingError, Ports, Row, RowChangedError
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.digests import STATE_KEY
from orthofunctions.usecases.rows import load

logger = logging.getLogger(__name__)

PARALLEL_ITEMS = 8
"""Made at once where many are lacking: each waits for storage six times."""
_COPIES = "copies"
"""The partition of rows that say of an entry that it needs no Item."""


def index_entry(ports: Ports, entry: CatalogueEntry) -> None:
    """Make the rows of an entry. Repeating it changes nothing; a copy of an image is no Item, its image is.

    Whoever was held up before this may come so late that the image has expired: its rows are deleted before its entry
    is, so one that is on its way out, or out, now is looked for when the rows are there.
    """
    for row in _rows(ports, entry):
        ports.tables.put(names.TABLE_ITEMS, row)
    record = load(ports.tables, DigestRecord, entry.digest, STATE_KEY)
    going = record is not None and record.state is DigestState.GONE
    now = None if going else read_entry(ports, entry.digest)
    if now is None or made_by(now) != made_by(entry):
        forget_entry(ports, entry)


def index_digest(ports: Ports, digest: str) -> None:
    """The same, of what the catalogue has now."""
    entry = read_entry(ports, digest)
    if entry is not None:
        index_entry(ports, entry)


def forget_entry(ports: Ports, entry: CatalogueEntry) -> None:
    """Delete the rows of an entry, but for those of the same image made again since."""
    for row in reversed(_rows(ports, entry)):
        _delete(ports, row, made_by(entry))


def read_indexed(ports: Ports, entry: CatalogueEntry) -> tuple[Indexed, tuple[str, ...]]:
    """An image as the index has it, from its entry and its Item, and the partitions it lies in."""
    return Indexed.of(entry, _delivered(ports, entry))


def repair_index(ports: Ports) -> int:
    """Make what the index lacks, delete what is left over. Returns how many Items it was.

    Reads the names of all entries and the keys of all rows: some 30 s for 100,000 Items.
    """
    there = {blob.name.removesuffix(".json") for blob in ports.blobs.list(names.CONTAINER_CATALOGUE)}
    by_month: set[str] = set()
    by_place: set[str] = set()
    leftover: list[Row] = []
    for row in ports.tables.query(names.TABLE_ITEMS, fields=["made_by"]):
        digest = digest_of_key(row.key)
        if row.partition == _COPIES or row.partition.startswith(ALL_MONTHS[0]):
            by_month.add(digest)
        if not row.partition.startswith(ALL_MONTHS[0]):
            by_place.add(digest)
        if digest not in there:
            leftover.append(row)
    n_repaired = 0
    for row in leftover:
        # one that was committed since the entries were listed is no leftover
        if read_entry(ports, digest_of_key(row.key)) is None:
            _delete(ports, row, str(row.values["made_by"]))
            n_repaired += 1
    with apart("index", ports.meter) as each, ThreadPoolExecutor(PARALLEL_ITEMS) as pool:
        making = {digest: pool.submit(index_digest, ports, digest) for digest in sorted(there - (by_month & by_place))}
        try:
            for digest, made in making.items():
                with each(digest):
                    made.result()
                    n_repaired += 1
        finally:
            pool.shutdown(cancel_futures=True)
    if n_repaired:
        logger.warning("repaired %d items of the index", n_repaired, extra={"action": "index_repaired"})
    return n_repaired


def _rows(ports: Ports, entry: CatalogueEntry) -> list[Row]:
    if entry.identity.process == COPY:
        return [Row(_COPIES, f"-{entry.digest}", {"made_by": made_by(entry)})]
    indexed, places = read_indexed(ports, entry)
    return indexed.rows(places)


def _delete(ports: Ports, row: Row, maker: str) -> None:
    found = ports.tables.get(names.TABLE_ITEMS, row.partition, row.key)
    if found is not None and found.values.get("made_by") == maker:
        with contextlib.suppress(RowChangedError):  # made again just now
            ports.tables.delete(names.TABLE_ITEMS, row.partition, row.key, etag=found.etag)


def _delivered(ports: Ports, entry: CatalogueEntry) -> bytes | None:
    """The Item as its worker delivered it; None where it cannot be read from here."""
    file = entry.files.get("item")
    if file is None or split_site_url(file.blob) is not None:
        return None
    container, _, name = file.blob.partition("/")
    try:
        return ports.blobs.read(container, name, length=MOST_BYTES + 1)
    except BlobMissingError:
        return None
