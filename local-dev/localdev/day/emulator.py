"""A slice of a day through what is real: functions host, emulator, broker, agents; the kernel alone sleeps."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from localdev.day.host import Calls
from localdev.day.packing import blobs_of
from localdev.day.run import Day, DaySpec, Hook, is_over, open_site
from localdev.day.scenes import Scene, scenes_of_day
from localdev.day.wishes import orders_of_day
from localdev.day.workers import Books
from localdev.stack import Stack, StackSpec
from localdev.stack.sleepers import Sleepers
from orthocontracts import names
from orthocontracts.outputs import FILE_SUFFIX
from orthofunctions.bootstrap import build
from orthofunctions.domain.pools import PoolSpec, SiteSpec
from orthofunctions.settings import Settings

AGENTS = 12
SLEEP_S = 1.0
AGAIN_SHARE = 0.3
"""Of products: uploaded once more, byte for byte, which is another event of each blob."""
STRAGGLER_SHARE = 0.1
"""Of folders: their manifest comes first."""
LOOK_EVERY_S = 10.0
LOOKS_AT_REST = 3
"""Between two of them a trigger finds what was uploaded last."""
LONGEST_S = 3600.0
LAG_S = 1800.0
"""The host looks at what has come when it can."""
NEIGHBOUR_WAIT = {"ORTHOBURST_NEIGHBOUR_WAIT_S": "60"}
"""Slices follow each other as fast as they can be uploaded: who waits for one that never comes waits a minute."""


@contextlib.contextmanager
def live_through_for_real(spec: DaySpec, scratch: Path) -> Iterator[Day]:
    """Products one after the other, as fast as they can be uploaded; subscribers are left out.

    What is seen of a product only when its pixels are read is left out too: this kernel reads none.
    """
    rng = random.Random(spec.seed)
    scenes = [
        replace(scene, defect="no footprint") if scene.defect == "cut image" else scene
        for scene in scenes_of_day(spec.n_scenes, rng, hours=spec.hours, broken_share=spec.broken_share)
    ]
    orders = [one.model_copy(update={"subscriber": None}) for one in orders_of_day(spec.n_orders, scenes, rng)]
    with Stack(StackSpec(scratch, agents=0, cloud_limit=0, functions=NEIGHBOUR_WAIT)) as stack:
        system = build(
            Settings.model_validate({"AzureWebJobsStorage": stack.azurite.connection_string, **NEIGHBOUR_WAIT})
        )
        agents = Sleepers(
            AGENTS, pool="hpc", storage=stack.azurite.connection_string, broker=stack.broker.url,
            scratch=scratch / "agents", sleep_s=SLEEP_S,
        )  # fmt: skip
        with contextlib.closing(system), agents:
            pool = PoolSpec(name="hpc", kind="onprem", max_slots=AGENTS, queue_ahead=1)
            open_site(system.ports, SiteSpec(pools=(pool,)), orders)
            day = Day(spec, scenes, orders, system.ports, system, Books(), Hook(rng), Calls(), lag_s=LAG_S)
            for scene in scenes:
                _upload(day, scene, rng)
            _wait(day)
            for blob in system.ports.blobs.list(names.CONTAINER_RESULTS):
                digest = names.digest_of_result_blob(blob.name)
                if digest and blob.name.endswith(f"{digest}{FILE_SUFFIX['image']}"):
                    day.books.made[digest] += 1
            yield day


def _upload(day: Day, scene: Scene, rng: random.Random) -> None:
    day.came_at[scene.ref] = datetime.now(UTC)
    blobs = list(blobs_of(scene).items())
    if rng.random() < STRAGGLER_SHARE:
        blobs.reverse()
    for _ in range(1 + (rng.random() < AGAIN_SHARE)):
        for path, data in blobs:
            day.ports.blobs.write(names.CONTAINER_PRODUCTS, path, data)
    day.told_at[scene.ref] = datetime.now(UTC)


def _wait(day: Day) -> None:
    """Until nothing is under way, several times."""
    ends_s, n_at_rest = time.monotonic() + LONGEST_S, 0
    while n_at_rest < LOOKS_AT_REST and time.monotonic() < ends_s:
        time.sleep(LOOK_EVERY_S)
        n_at_rest = n_at_rest + 1 if is_over(day) and not _may_still_be_broken(day) else 0
        made = sum(1 for _ in day.ports.blobs.list(names.CONTAINER_CATALOGUE))
        print(f"{made} images", file=sys.stderr, flush=True)


def _may_still_be_broken(day: Day) -> bool:
    """While a folder may be waited for, nobody is told that it is broken."""
    return any(day.ports.queues.length(queue) for queue in (names.QUEUE_UPLOADS, names.QUEUE_DISPATCH))
