"""What there is to make images of: a row per product in table ``inventory``, and one per cell it touches.

Rows are a picture of what has been uploaded or announced, made from the products' own metadata: written again whenever
one comes again. Those of products that have gone lie in a partition of their own, under no cell.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from orthocontracts.inputs import CHECKSUM
from orthocontracts.polygons import unwrap
from orthocontracts.products import ProductNameError, parse_product
from orthofunctions.domain.cells import cells_of
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.footprints import LonLat, along_great_circles
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.ports import Ports, RowChangedError, Tables
from orthofunctions.usecases.rows import load
from orthofunctions.usecases.tallies import PRODUCTS_BELOW, put_counted, remove_counted

EVERYWHERE = "all"
"""The partition with every product once."""
GONE = "gone"
"""The partition of those that were here."""
_LAST_SECOND = 9_999_999_999


def take_stock(
    ports: Ports, facts: ProductFacts, *, at: datetime, completed_by: str = "", checksum: str | None = None
) -> None:
    """Write the rows of a product that has arrived at a time, or been announced.

    The row that says where the others are comes first, and goes last.

    Parameters
    ----------
    completed_by : str
        The blob that completes it; nothing where it lies in somebody else's archive.
    checksum : str, optional
        Of the whole product, where somebody says it.
    """
    record = _record(facts, at, completed_by).changed(checksum=checksum)
    put_counted(ports, record)
    for cell in sorted(cells_of_product(record)):
        ports.tables.put(InventoryRecord.TABLE, record.changed(cell=cell).to_row())
    if (gone := load(ports.tables, InventoryRecord, GONE, record.key)) is not None:
        remove_counted(ports, gone)


def refs_of_name(ports: Ports, name: str) -> list[str]:
    """References of products of a name that are listed, wherever they lie."""
    return [row.ref for row in listed_of_name(ports, name)]


def listed_of_name(ports: Ports, name: str) -> list[InventoryRecord]:
    """Products of an official name, wherever they lie, whether or not they are there still."""
    try:
        key = key_of_start(parse_product(name).start)
    except ProductNameError:  # an image with RPC
        return []
    rows = ports.tables.query(InventoryRecord.TABLE, partition=EVERYWHERE, key_from=f"{key}-", key_below=f"{key}.")
    return [row for row in map(InventoryRecord.from_row, rows) if row.name == name]


def others_of_name(ports: Ports, facts: ProductFacts) -> list[str]:
    """References of products of the same name that are listed already, in other places."""
    return [ref for ref in refs_of_name(ports, facts.name) if ref != facts.source.ref]


def imaged_between(ports: Ports, start: datetime, stop: datetime) -> list[InventoryRecord]:
    """Products that are listed and whose first line is of a time between two, whether or not they are there still."""
    newest, oldest = key_of_start(stop), key_of_start(start)
    rows = ports.tables.query(InventoryRecord.TABLE, partition=EVERYWHERE, key_from=newest, key_below=f"{oldest}.")
    return [InventoryRecord.from_row(row) for row in rows]


def with_checksum(tables: Tables, facts: ProductFacts) -> ProductFacts:
    """The facts of a zip on somebody else's server with the checksum that its catalogue announced, if it did: whoever
    fetches the whole of it holds it against that. Of a folder nobody fetches a whole."""
    is_whole = facts.source.kind == "file" and facts.source.ref.endswith(".zip") and len(facts.elsewhere) == 1
    if not is_whole or not facts.elsewhere[0].foreign:
        return facts
    key = inventory_key(facts.source.ref, facts.name, datetime.fromtimestamp(0, UTC))  # its name says when
    listed = load(tables, InventoryRecord, EVERYWHERE, key)
    if listed is None or listed.checksum is None or not re.fullmatch(CHECKSUM, listed.checksum):
        return facts
    file = facts.elsewhere[0].model_copy(update={"checksum": listed.checksum})
    return replace(facts, elsewhere=(file,))


def all_products(ports: Ports, cell: str = EVERYWHERE) -> Iterator[InventoryRecord]:
    """Every product of a partition, newest first: its tallies lie after them."""
    for row in ports.tables.query(InventoryRecord.TABLE, partition=cell, key_below=PRODUCTS_BELOW):
        yield InventoryRecord.from_row(row)


def rows_of(ports: Ports, key: str) -> list[InventoryRecord]:
    """All rows of a product that is listed, as they are now; the one that leads to the others last."""
    first = load(ports.tables, InventoryRecord, EVERYWHERE, key)
    if first is None:
        return []
    beside = (load(ports.tables, InventoryRecord, cell, key) for cell in sorted(cells_of_product(first)))
    return [*(one for one in beside if one is not None), first]


def drop_rows(ports: Ports, records: Iterable[InventoryRecord]) -> None:
    """Delete rows of products as they were read: those that were written again meanwhile stay."""
    for one in records:
        if one.cell in (EVERYWHERE, GONE):
            remove_counted(ports, one)
            continue
        try:
            ports.tables.delete(InventoryRecord.TABLE, one.cell, one.key, etag=one.etag)
        except RowChangedError:
            continue


def inventory_key(ref: str, name: str, at: datetime) -> str:
    """The key of a product that arrived at a time: later ones come first."""
    return f"{key_of_start(_times(name, at)[0])}-{hashlib.sha256(ref.encode()).hexdigest()[:16]}"


def key_of_start(start: datetime, plus_s: float = 0.0) -> str:
    """What keys of products begin with. Years before 1970 and after 2286 are not told apart."""
    return f"{min(max(_LAST_SECOND - int(start.timestamp() + plus_s), 0), _LAST_SECOND):010d}"


def cells_of_product(record: InventoryRecord) -> frozenset[str]:
    return cells_of(unwrap(outline_of(record)))


def outline_of(record: InventoryRecord) -> list[LonLat]:
    """Its outline, with so many points that straight lines between them will do."""
    return along_great_circles(record.ring)


def _record(facts: ProductFacts, at: datetime, completed_by: str) -> InventoryRecord:
    start, stop = _times(facts.name, at)
    return InventoryRecord(
        cell=EVERYWHERE,
        key=inventory_key(facts.source.ref, facts.name, at),
        ref=facts.source.ref,
        name=facts.name,
        mission=facts.mission,
        product_type=facts.kind,
        start=start,
        stop=stop,
        size_bytes=facts.source.size_bytes + sum(facts.bytes_at.values()),
        footprint=json.dumps([[round(lon, 6), round(lat, 6)] for lon, lat in facts.footprint_lonlat]),
        arrived=completed_by,
        arrived_at=at,
        orbit_direction=facts.orbit_direction,
        relative_orbit=facts.relative_orbit,
        store=min(facts.bytes_at, default="") if completed_by else "",
    )


def _times(name: str, at: datetime) -> tuple[datetime, datetime]:
    try:
        found = parse_product(name)
    except ProductNameError:  # an image with RPC: its name says no time
        return at, at
    return found.start, getattr(found, "stop", found.start)
