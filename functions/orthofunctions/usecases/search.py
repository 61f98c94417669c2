"""Finding Items: by place and time in the rows of table ``items``, by id in the catalogue itself.

A small area is asked partition by partition, whose rows lie newest first, and their streams are merged; any other
search reads the months. Each Item comes once, as its rows have the same key wherever they lie.
"""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from orthocontracts import names
from orthocontracts.tasks import COPY
from orthocontracts.tiles import TileError, parse_tile
from orthofunctions.domain.access import TRUST_SITE
from orthofunctions.domain.cql2 import Filter
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.item_places import key_range, month_of_key, month_range, places_to_search
from orthofunctions.domain.search_areas import Area, boxes_touch
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases.catalogue import read_entry
from orthofunctions.usecases.index import read_indexed
from orthofunctions.usecases.jobs import find_job

PARALLEL_READS: Final = 8
MOST_SORTED: Final = 10_000
"""Items that are put in another order than that of time."""
MOST_HELD: Final = 20_000
"""Rows of a month or a place that are turned round, oldest first."""
MOST_LOOKED_AT: Final = 100_000
"""Rows for one page: a filter that nothing passes would read the whole catalogue."""
NEWEST_FIRST: Final = ("-datetime",)
OLDEST_FIRST: Final = ("+datetime",)
_CHUNK: Final = 200
_MOST_ROWS: Final = 1000
_MOST_HOLDERS: Final = 20
_TILE_CODE: Final = "MGRS-"


class BadTokenError(ValueError):
    """A token that no page of this search gave."""


class TooManyError(ValueError):
    """More Items than can be sorted, or looked at before they are sorted."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is looked for, and by whom.

    ``order`` names properties, each after ``+`` or ``-``. By time alone is fast; for anything else all are read first.
    """

    user: str
    area: Area | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    ids: tuple[str, ...] | None = None
    collections: tuple[str, ...] | None = None
    filter: Filter | None = None
    order: tuple[str, ...] = NEWEST_FIRST
    limit: int = 10
    token: str | None = None

    def finds(self, one: Indexed) -> bool:
        if one.scope not in (TRUST_SITE, f"user:{self.user}"):
            return False
        if self.collections is not None and one.collection not in self.collections:
            return False
        if (self.latest and one.start > self.latest) or (self.earliest and one.end < self.earliest):
            return False
        if self.ids is not None and one.digest not in self.ids:
            return False
        if self.filter is not None and not self.filter.holds(one.value):
            return False
        if self.area is None:
            return True
        return one.footprint is not None and boxes_touch(self.area, one.footprint) and self.area.touches(one.footprint)


@dataclass(frozen=True)
class Page:
    items: Sequence[Indexed]
    token: str | None
    """Of the next page; None where this is the last. A page may hold fewer than were asked for and have a next, but
    never none: pystac-client goes no further then."""


def search(ports: Ports, asked: Search) -> Page:
    """A page of what is found, each with its Item.

    Raises
    ------
    BadTokenError, TooManyError
    """
    after = _read_token(asked.token)
    token = None
    if asked.order in (NEWEST_FIRST, OLDEST_FIRST):
        looks = _Looks(_candidates(ports, asked, after))
        found = list(islice((one for one in looks if asked.finds(one)), asked.limit + 1))
        if looks.stopped_at is not None and found:
            token = _token(asked, looks.stopped_at)
        elif looks.stopped_at is not None:
            way = "until" if asked.order == NEWEST_FIRST else "from"
            raise TooManyError(
                f"none of the first {MOST_LOOKED_AT} Items passes: narrow the search by place or time, or look {way} "
                f"{looks.stopped_at.start:%Y-%m-%dT%H:%M:%SZ}"
            )
    else:
        found = _sorted(ports, asked, after)
    if len(found) > asked.limit:
        found = found[: asked.limit]
        token = _token(asked, found[-1])
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        with_items = pool.map(lambda one: _with_item(ports, one), found)
        return Page([one for one in with_items if one is not None], token)


class _Looks:
    """The first `MOST_LOOKED_AT` candidates; ``stopped_at`` is the last of them where there were more."""

    def __init__(self, candidates: Iterator[Indexed]) -> None:
        self._candidates = candidates
        self.stopped_at: Indexed | None = None

    def __iter__(self) -> Iterator[Indexed]:
        last = None
        for number, one in enumerate(self._candidates):
            if number == MOST_LOOKED_AT:
                self.stopped_at = last
                return
            yield one
            last = one


def find_item(ports: Ports, user: str, digest: str) -> Indexed | None:
    """One Item by its id; None where there is none that the user may see."""
    entry = read_entry(ports, digest)
    if entry is None or entry.identity.process == COPY:
        return None
    indexed, _ = read_indexed(ports, entry)
    return indexed if Search(user=user).finds(indexed) else None


def jobs_that_have(ports: Ports, user: str, digest: str) -> list[str]:
    """The user's own jobs that hold an image, of the first few that do."""
    holders = ports.tables.query(names.TABLE_HOLDERS, partition=digest, limit=_MOST_HOLDERS)
    return [row.key for row in holders if find_job(ports, user, row.key) is not None]


def _candidates(ports: Ports, asked: Search, after: str | None) -> Iterator[Indexed]:
    """What may be found, in the order of time that is asked for, after a key; each once."""
    if asked.ids is not None:
        yield from _by_ids(ports, asked, after)
        return
    tile = _tile(asked.filter)
    places = (tile,) if tile is not None else places_to_search(asked.area) if asked.area is not None else None
    descending = asked.order == NEWEST_FIRST
    if places is not None:
        rows = _of_places(ports, asked, places, after if descending else None)
    else:
        rows = _of_months(ports, asked, after if descending else None)
    if not descending:
        rows = _reversed(ports, asked, rows, after, by_month=places is None)
    last = None
    for row in rows:
        if row.key != last:
            last = row.key
            yield Indexed.from_row(row)


def _tile(of: Filter | None) -> str | None:
    """The one tile that a filter leaves."""
    code = of.must_equal("grid:code") if of is not None else None
    if not isinstance(code, str) or not code.startswith(_TILE_CODE):
        return None
    try:
        return parse_tile(code.removeprefix(_TILE_CODE))
    except TileError:
        return None


def _of_places(ports: Ports, asked: Search, places: Sequence[str], after: str | None) -> Iterator[Row]:
    """Rows of partitions, newest first."""
    start, below = key_range(asked.earliest, asked.latest)
    first = f"{after}-" if after is not None else start
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        began = list(pool.map(lambda place: _chunk(ports, place, first, below), places))
    streams = [_stream(ports, place, chunk, below) for place, chunk in zip(places, began, strict=True)]
    return heapq.merge(*streams, key=lambda row: row.key)


def _stream(ports: Ports, place: str, chunk: list[Row], below: str | None) -> Iterator[Row]:
    while True:
        yield from chunk
        if len(chunk) < _CHUNK:
            return
        chunk = _chunk(ports, place, f"{chunk[-1].key}-", below)


def _chunk(ports: Ports, place: str, first: str | None, below: str | None) -> list[Row]:
    rows = ports.tables.query(names.TABLE_ITEMS, partition=place, key_from=first, key_below=below, limit=_CHUNK)
    return list(rows)


def _of_months(ports: Ports, asked: Search, after: str | None) -> Iterator[Row]:
    """Rows of all months that are asked for, newest first: few at first, for most searches end soon."""
    size = asked.limit + 1
    first, below = key_range(asked.earliest, asked.latest)
    after = after if after is not None else first
    while True:
        chunk = _chunk_of_months(ports, asked, after, size)
        yield from (row for row in chunk if below is None or row.key < below)
        if len(chunk) < size or (below is not None and chunk[-1].key >= below):
            return
        after, size = chunk[-1].key, min(_MOST_ROWS, 4 * size)


def _chunk_of_months(ports: Ports, asked: Search, after: str | None, size: int) -> list[Row]:
    start, below = month_range(asked.earliest, asked.latest)
    rows: list[Row] = []
    if after is not None:
        here = month_of_key(after)
        rest = ports.tables.query(
            names.TABLE_ITEMS, partition=here, key_from=f"{after}-", equal=_equal(asked), limit=size
        )
        rows, start = list(rest), f"{here}~"
    if len(rows) < size:
        others = ports.tables.query(
            names.TABLE_ITEMS, partition_from=start, partition_below=below, equal=_equal(asked), limit=size - len(rows)
        )
        rows += others
    return rows


def _equal(asked: Search) -> dict[str, str] | None:
    """What the storage itself can leave out."""
    return (
        {"collection": asked.collections[0]} if asked.collections is not None and len(asked.collections) == 1 else None
    )


def _reversed(ports: Ports, asked: Search, rows: Iterator[Row], after: str | None, *, by_month: bool) -> Iterator[Row]:
    """Rows oldest first, before a key: of a few places all at once, else month by month."""
    if not by_month:
        yield from (row for row in reversed(_few(rows)) if after is None or row.key < after)
        return
    first, below = key_range(asked.earliest, asked.latest)
    for here in reversed(_months(ports, asked)):
        if after is not None and here > month_of_key(after):
            continue
        of_month = ports.tables.query(
            names.TABLE_ITEMS, partition=here, key_from=first, key_below=below, equal=_equal(asked)
        )
        yield from (row for row in reversed(_few(of_month)) if after is None or row.key < after)


def _few(rows: Iterator[Row]) -> list[Row]:
    """All of them, which have to be held at once."""
    found = list(islice(rows, MOST_HELD + 1))
    if len(found) > MOST_HELD:
        raise TooManyError(f"more than {MOST_HELD} Items in one place or month cannot be given oldest first: "
                           "narrow the search by time")  # fmt: skip
    return found


def _months(ports: Ports, asked: Search) -> list[str]:
    """The months that have rows, newest first."""
    start, below = month_range(asked.earliest, asked.latest)
    found: list[str] = []
    while rows := list(ports.tables.query(names.TABLE_ITEMS, partition_from=start, partition_below=below, limit=1)):
        found.append(rows[0].partition)
        start = f"{rows[0].partition}~"
    return found


def _by_ids(ports: Ports, asked: Search, after: str | None) -> Iterator[Indexed]:
    """What the catalogue has under ids, whether or not it is in the index yet."""
    assert asked.ids is not None
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        found = [one for one in pool.map(lambda digest: find_item(ports, asked.user, digest), set(asked.ids)) if one]
    descending = asked.order != OLDEST_FIRST
    for one in sorted(found, key=lambda one: one.key, reverse=not descending):
        if after is None or (one.key > after if descending else one.key < after):
            yield one


def _sorted(ports: Ports, asked: Search, after: str | None) -> list[Indexed]:
    """All that is found, by properties, then newest first."""
    looks = _Looks(_candidates(ports, replace(asked, order=NEWEST_FIRST), None))
    found = list(islice((one for one in looks if asked.finds(one)), MOST_SORTED + 1))
    if looks.stopped_at is not None:
        raise TooManyError(f"more than {MOST_LOOKED_AT} Items to be looked at and sorted: narrow the search")
    if len(found) > MOST_SORTED:
        raise TooManyError(f"more than {MOST_SORTED} Items are found, too many to be sorted: narrow the search")
    for sign, name in reversed([(one[0], one[1:]) for one in asked.order]):
        found.sort(key=lambda one, name=name: _sort_key(one.value(name)), reverse=sign == "-")  # type: ignore[misc]
    if after is None:
        return found
    keys = [one.key for one in found]
    return found[keys.index(after) + 1 :] if after in keys else []


def _sort_key(value: Any) -> tuple[int, Any]:
    """Numbers before texts before times, and what is not there first."""
    if value is None:
        return 0, 0
    kinds = {bool: 1, int: 1, float: 1, str: 2, datetime: 3}
    return kinds[type(value)], value


def _with_item(ports: Ports, one: Indexed) -> Indexed | None:
    """None where the Item is gone since."""
    if one.item is not None:
        return one
    row = ports.tables.get(names.TABLE_ITEMS, one.place, one.key)
    found = Indexed.from_row(row) if row is not None else None
    if found is not None and found.item is not None:
        return found
    entry = read_entry(ports, one.digest)
    return read_indexed(ports, entry)[0] if entry is not None else None


def _token(asked: Search, last: Indexed) -> str:
    return base64.urlsafe_b64encode(json.dumps([*asked.order, last.key]).encode()).decode().rstrip("=")


def _read_token(token: str | None) -> str | None:
    if token is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))[-1]
        month_of_key(key)
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise BadTokenError("this is no token of a page: follow the links") from error
    return str(key)
