"""What lies in the store to make images of: a row per product in table ``inventory``, and one per cell it touches.

Rows are a picture of what has been uploaded, made from the products' own metadata: written again whenever one comes
again, and dropped where a product turns out to be gone.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from orthocontracts import names
from orthocontracts.polygons import unwrap
from orthocontracts.products import Mission, ProductNameError, parse_product
from orthofunctions.domain.access import may_read
from orthofunctions.domain.cells import box_meets, cells_in, cells_of
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.footprints import Bounds, along_great_circles
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.rows import delete_all
from orthofunctions.usecases.site import load_site

EVERYWHERE = "all"
"""The partition with every product once."""
MOST_CELLS = 40
"""A search over more goes through all products instead."""
LONGEST_PRODUCT_S = 7200.0
"""From its first line to its last: an orbit."""
PARALLEL_LOOKS = 8
_LAST_SECOND = 9_999_999_999


@dataclass(frozen=True)
class Search:
    """What is looked for; None: no matter.

    Attributes
    ----------
    bounds : tuple, optional
        ``left, bottom, right, top`` in degrees; ``left`` above ``right`` across the antimeridian.
    start, stop : datetime, optional
        Products with any part between them.
    after : str
        The key of the last product that was seen.
    """

    bounds: Bounds | None = None
    start: datetime | None = None
    stop: datetime | None = None
    mission: Mission | None = None
    after: str = ""


def take_stock(
    ports: Ports, facts: ProductFacts, *, at: datetime, completed_by: str = "", checksum: str | None = None
) -> None:
    """Write the rows of a product that has arrived at a time, or been announced.

    Parameters
    ----------
    completed_by : str
        The blob that completes it; nothing where it lies in somebody else's archive.
    checksum : str, optional
        Of the whole product, where somebody says it.
    """
    record = _record(facts, at, completed_by).changed(checksum=checksum)
    for cell in (EVERYWHERE, *sorted(_cells(record))):
        ports.tables.put(InventoryRecord.TABLE, record.changed(cell=cell).to_row())


def others_of_name(ports: Ports, facts: ProductFacts) -> list[str]:
    """References of products of the same name that are listed already, in other places."""
    key = _key_of(parse_product(facts.name).start.timestamp())
    rows = ports.tables.query(InventoryRecord.TABLE, partition=EVERYWHERE, key_from=f"{key}-", key_below=f"{key}.")
    listed = [InventoryRecord.from_row(row) for row in rows]
    return [one.ref for one in listed if one.name == facts.name and one.ref != facts.source.ref]


def imaged_between(ports: Ports, start: datetime, stop: datetime) -> list[InventoryRecord]:
    """Products that are listed and whose first line is of a time between two, whether or not they are there still."""
    newest, oldest = _key_of(stop.timestamp()), _key_of(start.timestamp())
    rows = ports.tables.query(InventoryRecord.TABLE, partition=EVERYWHERE, key_from=newest, key_below=f"{oldest}.")
    return [InventoryRecord.from_row(row) for row in rows]


def find_products(ports: Ports, user: str, search: Search, limit: int) -> tuple[list[InventoryRecord], str | None]:
    """Products that lie in the store and that the user may have images of, newest first.

    Returns
    -------
    list of InventoryRecord
        ``limit`` at most.
    str or None
        Where to go on (`Search.after`); None where there are no more.
    """
    site = load_site(ports)
    found: list[InventoryRecord] = []
    last = None
    for record in _candidates(ports, search):
        if len(found) == limit:
            there = _still_there(ports, found)
            return there, last
        last = record.key
        if may_read(site, user, record.ref) and _matches(record, search):
            found.append(record)
    return _still_there(ports, found), None


def _record(facts: ProductFacts, at: datetime, completed_by: str) -> InventoryRecord:
    try:
        name = parse_product(facts.name)
        start, stop = name.start, getattr(name, "stop", name.start)
    except ProductNameError:  # an image with RPC: its name says no time
        start = stop = at
    return InventoryRecord(
        cell=EVERYWHERE,
        key=f"{_key_of(start.timestamp())}-{hashlib.sha256(facts.source.ref.encode()).hexdigest()[:16]}",
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
    )


def _key_of(epoch_s: float) -> str:
    """What keys of products begin with: later ones come first. Years before 1970 and after 2286 are not told apart."""
    return f"{min(max(_LAST_SECOND - int(epoch_s), 0), _LAST_SECOND):010d}"


def _candidates(ports: Ports, search: Search) -> Iterator[InventoryRecord]:
    """All that the tables' keys tell apart, by key, each once."""
    cells = cells_in(search.bounds) if search.bounds else frozenset()
    partitions = sorted(cells) if 0 < len(cells) <= MOST_CELLS else [EVERYWHERE]
    newest = _key_of(search.stop.timestamp()) if search.stop else ""
    oldest = _key_of(search.start.timestamp() - LONGEST_PRODUCT_S - 1) if search.start else None
    begin = max(newest, f"{search.after}!" if search.after else "")
    streams = (
        ports.tables.query(InventoryRecord.TABLE, partition=cell, key_from=begin, key_below=oldest)
        for cell in partitions
    )
    last = ""
    for row in heapq.merge(*streams, key=lambda row: row.key):
        if row.key != last:
            last = row.key
            yield InventoryRecord.from_row(row)


def _matches(record: InventoryRecord, search: Search) -> bool:
    if search.mission is not None and record.mission != search.mission:
        return False
    if (search.stop and record.start > search.stop) or (search.start and record.stop < search.start):
        return False
    if search.bounds is None:
        return True
    return box_meets(search.bounds, unwrap(_dense(record)))


def _still_there(ports: Ports, records: list[InventoryRecord]) -> list[InventoryRecord]:
    with ThreadPoolExecutor(PARALLEL_LOOKS) as pool:
        seen = list(pool.map(lambda one: _is_there(ports, one), records))
    gone = [record for record, is_there in zip(records, seen, strict=True) if not is_there]
    delete_all(
        ports.tables,
        InventoryRecord.TABLE,
        [(cell, record.key) for record in gone for cell in (EVERYWHERE, *_cells(record))],
    )
    return [record for record, is_there in zip(records, seen, strict=True) if is_there]


def _is_there(ports: Ports, record: InventoryRecord) -> bool:
    """Of somebody else's archive nobody here knows."""
    return not record.arrived or ports.blobs.facts(names.CONTAINER_PRODUCTS, record.arrived) is not None


def _cells(record: InventoryRecord) -> frozenset[str]:
    return cells_of(unwrap(_dense(record)))


def _dense(record: InventoryRecord) -> list[tuple[float, float]]:
    return along_great_circles(record.ring)
