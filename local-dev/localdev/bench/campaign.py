"""The plan of a campaign over an inventory of 100,000 products in the emulator: counted, a sample reckoned."""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from localdev.bench.case import Case
from localdev.day.packing import LAST, blobs_of
from localdev.day.scenes import Scene, scenes_of_day
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.areas import Polygon
from orthocontracts.campaigns import CampaignOrder
from orthocontracts.orders import ProductFilter
from orthocontracts.requests import TerrainRequest
from orthofunctions.bootstrap import System, build
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.ports import Ports, Row
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.campaign_price import LONGEST_COUNT_S, Count, Price, count
from orthofunctions.usecases.campaign_products import Matcher
from orthofunctions.usecases.campaign_requests import Wishes
from orthofunctions.usecases.campaigns import plan_campaign
from orthofunctions.usecases.inventory import EVERYWHERE, cells_of_product, inventory_key
from orthofunctions.usecases.passes import AROUND
from orthofunctions.usecases.rows import parts, put_all
from orthofunctions.usecases.site import load_site

N_PRODUCTS, HOURS = 100_000, 240.0
EUROPE = Polygon(type="Polygon", coordinates=[[(-10, 36), (30, 36), (30, 60), (-10, 60), (-10, 36)]])
LIMIT_S = 60.0
"""A call is answered after 230 s at most; a person has left long before."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--products", type=int, default=N_PRODUCTS, help=f"in the inventory (default: {N_PRODUCTS})")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Campaigns for everything, for Sentinel-1, for an area, for a zone and band."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-campaign-") as scratch,
        Azurite(Path(scratch) / "azurite", in_memory=True) as azurite,
    ):
        provision(azurite.connection_string)
        system = build(Settings.model_validate({"AzureWebJobsStorage": azurite.connection_string}))
        try:
            scenes = scenes_of_day(options.products, random.Random(3), hours=HOURS, broken_share=0.0)
            orders = _orders(system.ports.clock.now())
            read = {cell for order in orders.values() for cell in Matcher(order, load_site(system.ports), None).cells()}
            fill(system.ports, scenes, read)
            yield from _plans(system, scenes, orders)
        finally:
            system.close()


def fill(ports: Ports, scenes: Sequence[Scene], cells: Set[str]) -> None:
    """Rows as arrivals make them, in the partitions that will be read; without tallies, which a count does not read."""
    waiting: dict[str, list[Row]] = {}
    for scene in scenes:
        record = _record(scene)
        for cell in cells & {EVERYWHERE, *cells_of_product(record)}:
            rows = waiting.setdefault(cell, [])
            rows.append(record.changed(cell=cell).to_row())
            if len(rows) == 100:
                put_all(ports.tables, InventoryRecord.TABLE, waiting.pop(cell))
    for rows in waiting.values():
        for part in parts(rows, 100):
            put_all(ports.tables, InventoryRecord.TABLE, part)


def _record(scene: Scene) -> InventoryRecord:
    completed_by = f"{scene.name}.zip" if scene.is_zip else f"{scene.folder}/{LAST[scene.mission]}"
    return InventoryRecord(
        cell=EVERYWHERE,
        key=inventory_key(scene.ref, scene.name, scene.start),
        ref=scene.ref,
        name=scene.name,
        mission=scene.mission,
        product_type=scene.kind,
        start=scene.start,
        stop=scene.stop,
        size_bytes=10**9,
        footprint=json.dumps([[round(lon, 6), round(lat, 6)] for lon, lat in scene.ring_lonlat]),
        arrived=completed_by,
        arrived_at=scene.stop + timedelta(hours=1),
        counted=True,
    )


def _orders(now: datetime) -> dict[str, CampaignOrder]:
    wanted: dict[str, dict[str, Any]] = {
        "everything": {},
        "sentinel-1": {"products": ProductFilter(missions=("sentinel-1",))},
        "an area": {"products": ProductFilter(area=EUROPE)},
        "zone and band": {"tiles": ("31T", "32T")},
    }
    return {
        name: CampaignOrder(
            campaign_id=f"c{number}",
            user="local",
            terrain=TerrainRequest(height_m=0),
            created_at=now + timedelta(days=1),
            **filters,
        )
        for number, (name, filters) in enumerate(wanted.items())
    }


def _plans(system: System, scenes: Sequence[Scene], orders: Mapping[str, CampaignOrder]) -> Iterator[Case]:
    there: set[str] = set()
    for name, order in orders.items():
        counted_s, counted = _count(system.ports, order)
        _upload(system.ports, scenes, {one.ref for one in counted.sample}, there)
        start = time.perf_counter()
        record = plan_campaign(system.ports, system.rules, system.limits, order)
        taken_s = time.perf_counter() - start
        price = Price.model_validate_json(record.price)
        yield Case(
            case=name,
            figure=taken_s,
            unit="s",
            peer=f"{price.products} of {len(scenes)} products, "
            + ("all counted" if price.counted_all else "not all counted")
            + f" (counting alone takes {counted_s:.1f} s); {price.sampled} looked at, {price.images} images",
            ratio=taken_s / LIMIT_S,
            at_least=f"all counted, within {LIMIT_S:g} s",
            holds=price.counted_all and taken_s < LIMIT_S,
            peak_mb=psutil.Process().memory_info().rss / 2**20,
        )


def _count(ports: Ports, order: CampaignOrder) -> tuple[float, Count]:
    start = time.perf_counter()
    wishes = Wishes(ports, order, load_site(ports), order.created_at)
    counted = count(ports, order, wishes, Count(), time.monotonic() + 20 * LONGEST_COUNT_S)
    return time.perf_counter() - start, counted


def _upload(ports: Ports, scenes: Sequence[Scene], refs: set[str], there: set[str]) -> None:
    """The products of the sample, and what lies around them in their passes: they are looked at."""
    sampled = [scene for scene in scenes if scene.ref in refs]
    for scene in scenes:
        near = (one for one in sampled if one.mission == scene.mission and abs(one.start - scene.start) <= AROUND)
        if scene.ref in there or not any(one.ref == scene.ref or one.name[:3] == scene.name[:3] for one in near):
            continue
        there.add(scene.ref)
        for path, data in blobs_of(scene).items():
            ports.blobs.write(names.CONTAINER_PRODUCTS, path, data)
