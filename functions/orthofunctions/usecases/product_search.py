"""Finding products that images can be made of, and those that were here."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from orthocontracts import names
from orthocontracts.polygons import unwrap
from orthocontracts.products import Mission
from orthofunctions.domain.access import may_read
from orthofunctions.domain.cells import box_meets, cells_in
from orthofunctions.domain.footprints import Bounds
from orthofunctions.domain.pools import BLOB_STORE
from orthofunctions.domain.raw_rules import RawRules
from orthofunctions.domain.records import InventoryRecord, RawState
from orthofunctions.ports import Ports
from orthofunctions.usecases.inventory import EVERYWHERE, GONE, drop_rows, key_of_start, listed_of_name, outline_of
from orthofunctions.usecases.presence import note_missing
from orthofunctions.usecases.raw_state import state_of
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.tallies import PRODUCTS_BELOW

MOST_CELLS: Final = 40
"""A search over more goes through all products instead."""
MOST_LOOKED_AT: Final = 5_000
"""Rows that a search goes through before it answers with what it has, and where to go on: about a second."""
LONGEST_PRODUCT_S: Final = 7200.0
"""From its first line to its last: an orbit."""
PARALLEL_LOOKS: Final = 8


class ProductState(StrEnum):
    HERE = "here"
    ELSEWHERE = "elsewhere"  # in a site's store, or on a server
    GONE = "gone"  # it was here


def state_of_row(record: InventoryRecord) -> ProductState:
    if record.cell == GONE:
        return ProductState.GONE
    return ProductState.HERE if record.where == BLOB_STORE else ProductState.ELSEWHERE


@dataclass(frozen=True)
class Search:
    """What is looked for; None: no matter.

    Attributes
    ----------
    bounds : tuple, optional
        ``left, bottom, right, top`` in degrees; ``left`` above ``right`` across the antimeridian.
    start, stop : datetime, optional
        Products with any part between them.
    product_type : str, optional
        ``GRD``, ``L1C``, ``OL_1_EFR``, ...
    state : ProductState, optional
        By default what can be had.
    where : str, optional
        ``blobs``, a store of the site, ``s3://BUCKET``, ``https://HOST``.
    waiting : RawRules, optional
        Only what is so old that it may go by these rules.
    after : str
        The key of the last product that was seen.
    """

    bounds: Bounds | None = None
    start: datetime | None = None
    stop: datetime | None = None
    mission: Mission | None = None
    product_type: str | None = None
    state: ProductState | None = None
    where: str | None = None
    waiting: RawRules | None = None
    after: str = ""


def find_products(ports: Ports, user: str, search: Search, limit: int) -> tuple[list[InventoryRecord], str | None]:
    """Products that the user may have images of, newest first.

    Returns
    -------
    list of InventoryRecord
        ``limit`` at most; fewer, or none, where it takes a long look to find more.
    str or None
        Where to go on (`Search.after`); None where there are no more.
    """
    site = load_site(ports)
    found: list[InventoryRecord] = []
    last, now = None, ports.clock.now()
    for number, record in enumerate(_candidates(ports, search)):
        if len(found) == limit or number == MOST_LOOKED_AT:
            return _as_they_are(ports, found), last
        last = record.key
        if may_read(site, user, record.ref) and _matches(record, search, now):
            found.append(record)
    return _as_they_are(ports, found), None


def listed_by_name(ports: Ports, name: str) -> list[InventoryRecord]:
    """Products of an official name, wherever they lie; those that were uploaded are there still."""
    return _as_they_are(ports, listed_of_name(ports, name))


def _candidates(ports: Ports, search: Search) -> Iterator[InventoryRecord]:
    """All that the tables' keys tell apart, by key, each once."""
    cells = cells_in(search.bounds) if search.bounds else frozenset()
    partitions = sorted(cells) if 0 < len(cells) <= MOST_CELLS else [EVERYWHERE]
    if search.state is ProductState.GONE:
        partitions = [GONE]
    newest = key_of_start(search.stop) if search.stop else ""
    oldest = _key_before(search.start) if search.start else PRODUCTS_BELOW
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


def _key_before(start: datetime) -> str:
    """Where keys end of products that may have a part after a time."""
    return key_of_start(start, -LONGEST_PRODUCT_S - 1)


def _matches(record: InventoryRecord, search: Search, now: datetime) -> bool:
    if search.mission is not None and record.mission != search.mission:
        return False
    if search.product_type is not None and record.product_type != search.product_type:
        return False
    if search.where is not None and record.where != search.where:
        return False
    if search.state is not None and state_of_row(record) is not search.state:
        return False
    if search.waiting is not None:
        due = search.waiting.expires_at(record)
        if due is None or due > now:
            return False
    if (search.stop and record.start > search.stop) or (search.start and record.stop < search.start):
        return False
    return search.bounds is None or box_meets(search.bounds, unwrap(outline_of(record)))


def _as_they_are(ports: Ports, records: list[InventoryRecord]) -> list[InventoryRecord]:
    """Without those of which the inventory is wrong, which is mended."""
    with ThreadPoolExecutor(PARALLEL_LOOKS) as pool:
        right = list(pool.map(lambda one: _is_right(ports, one), records))
    return [record for record, is_right in zip(records, right, strict=True) if is_right]


def _is_right(ports: Ports, record: InventoryRecord) -> bool:
    """Of somebody else's archive nobody here knows."""
    if record.cell == GONE:
        state = state_of(ports, record.ref)
        if state is not None and state.state is RawState.GONE:
            return True
        drop_rows(ports, [record])
        return False
    if not record.arrived:
        return True
    if ports.blobs.facts(names.CONTAINER_PRODUCTS, record.arrived) is None:
        note_missing(ports, record)
        return False
    return True
