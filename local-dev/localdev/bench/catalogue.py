"""Searches of a catalogue of 100,000 images in the emulator's tables: a tile and a month, an area and a month, ids."""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import psutil
from azure.core.exceptions import ServiceResponseError

from localdev.bench._items import FIRST, Delivered, delivered
from localdev.bench.case import Case
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.tiles import tiles_intersecting
from orthofunctions.bootstrap import System, build
from orthofunctions.domain.cql2 import parse_filter
from orthofunctions.domain.indexed import Indexed
from orthofunctions.domain.search_areas import box_area
from orthofunctions.ports import Ports, Row
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.rows import parts, put_all
from orthofunctions.usecases.search import Search, search

N_ITEMS, TIMES, DAYS = 100_000, 40, 730
LIMIT_MS = 100.0
LAST_MONTH = 24
REGION = (0.0, 42.0, 18.0, 50.0)
"""Where the images are: west, south, east, north."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=N_ITEMS, help=f"images in the catalogue (default: {N_ITEMS})")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Each search many times, for other tiles and months each time."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-catalogue-") as scratch,
        Azurite(Path(scratch) / "azurite", in_memory=True) as azurite,
    ):
        provision(azurite.connection_string)
        system = build(Settings.model_validate({"AzureWebJobsStorage": azurite.connection_string}))
        try:
            digests = fill(system.ports, options.items)
            yield from _searches(system, options.items, digests)
        finally:
            system.close()


def fill(ports: Ports, n_items: int) -> list[str]:
    """Rows of so many images over tiles and two years, made as a commit makes them. Returns some digests, whose entries
    and Items are in the catalogue too."""
    rows: dict[str, list[Row]] = {}
    digests = []
    for number, tile in zip(range(n_items), itertools.cycle(_tiles()), strict=False):
        made = delivered(tile, FIRST + timedelta(days=DAYS * number / n_items), number)
        indexed, places = Indexed.of(made.entry, made.item)
        for row in indexed.rows(places):
            rows.setdefault(row.partition, []).append(row)
            if len(rows[row.partition]) == 100:
                _put(ports, rows.pop(row.partition))
        if number % max(1, n_items // 100) == 0:
            _put_in_catalogue(ports, made)
            digests.append(made.entry.digest)
    for of_partition in rows.values():
        for part in parts(of_partition, 100):
            _put(ports, part)
    return digests


def _put(ports: Ports, rows: Sequence[Row]) -> None:
    for tries_left in (2, 1, 0):
        try:
            put_all(ports.tables, names.TABLE_ITEMS, rows)
        except ServiceResponseError:  # the emulator closes a connection that was idle for 5 s, maybe as we use it
            if not tries_left:
                raise
        else:
            return


@cache
def _tiles() -> list[str]:
    west, south, east, north = REGION
    return tiles_intersecting([(west, south), (east, south), (east, north), (west, north)])


def _put_in_catalogue(ports: Ports, made: Delivered) -> None:
    digest = made.entry.digest
    container, _, name = made.entry.files["item"].blob.partition("/")
    ports.blobs.write(container, name, made.item)
    ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest), made.entry.to_json().encode())


def _searches(system: System, n_items: int, digests: list[str]) -> Iterator[Case]:
    chance = random.Random(7)
    whole = range(LAST_MONTH)

    def tile_and_month() -> Search:
        tile = chance.choice(_tiles())
        filter_ = parse_filter(f"grid:code = 'MGRS-{tile}'", {"grid:code"})
        earliest, latest = _month(chance.choice(whole))
        return Search(user="local", filter=filter_, earliest=earliest, latest=latest, limit=100)

    def point_and_month() -> Search:
        earliest, latest = _month(chance.choice(whole))
        area = box_area(_box(chance, 0.01))
        return Search(user="local", area=area, earliest=earliest, latest=latest, limit=100)

    def area_and_month() -> Search:
        earliest, latest = _month(chance.choice(whole))
        area = box_area(_box(chance, 2.0))
        return Search(user="local", area=area, earliest=earliest, latest=latest, limit=100)

    def newest() -> Search:
        return Search(user="local", limit=100)

    def by_ids() -> Search:
        return Search(user="local", ids=tuple(chance.sample(digests, 10)))

    promised: list[tuple[str, Callable[[], Search], float | None]] = [
        ("tile and month", tile_and_month, LIMIT_MS),
        ("point and month", point_and_month, None),
        ("two degrees and month", area_and_month, None),
        ("newest 100", newest, None),
        ("ten ids", by_ids, None),
    ]
    for name, make, limit_ms in promised:
        yield _measured(system, name, make, limit_ms, n_items)


def _measured(system: System, name: str, make: Callable[[], Search], limit_ms: float | None, n_items: int) -> Case:
    search(system.ports, make())
    taken_ms, found = [], []
    for _ in range(TIMES):
        wanted = make()
        start = time.perf_counter()
        page = search(system.ports, wanted)
        taken_ms.append(1000 * (time.perf_counter() - start))
        found.append(len(page.items))
    median_ms, p95_ms = statistics.median(taken_ms), statistics.quantiles(taken_ms, n=20)[-1]
    ratio = median_ms / limit_ms if limit_ms else None
    return Case(
        case=name,
        figure=median_ms,
        unit="ms",
        peer=f"{n_items} images; a page of {statistics.mean(found):.0f} Items; 95 of 100 take {p95_ms:.0f} ms",
        ratio=ratio,
        at_least=f"under {limit_ms:g} ms" if limit_ms else "",
        holds=median_ms < limit_ms if limit_ms else None,
        reason=None if limit_ms else "nothing was promised",
        peak_mb=psutil.Process().memory_info().rss / 2**20,
        runs=f"{min(taken_ms):.0f} to {max(taken_ms):.0f}",
    )


def _box(chance: random.Random, side_deg: float) -> list[float]:
    """A square somewhere in the region."""
    west, south, east, north = REGION
    lon, lat = chance.uniform(west, east - side_deg), chance.uniform(south, north - side_deg)
    return [lon, lat, lon + side_deg, lat + side_deg]


def _month(number: int) -> tuple[datetime, datetime]:
    """A month of two years."""
    start = FIRST.replace(year=FIRST.year + number // 12, month=1 + number % 12, day=1, hour=0)
    return start, (start + timedelta(days=32)).replace(day=1) - timedelta(seconds=1)
