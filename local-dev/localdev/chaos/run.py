"""One run: the work without faults, then the same work in the storm, then what is left of it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import AzureError

from localdev.chaos.faults import KINDS
from localdev.chaos.outcome import Outcome, Verdict, committed_twice, is_over, quantiles, wrong_pixels
from localdev.chaos.proxy import StorageProxy
from localdev.chaos.site import Site, clock_environment, small_disk
from localdev.chaos.storm import Storm
from localdev.chaos.watch import Watch
from localdev.chaos.work import Feeder, Scenes, requests_for
from localdev.demo.work import Store
from localdev.servers import Azurite
from localdev.stack import Stack, StackSpec
from orthoburst import Client

LEASE_S = 8
SETTLE_LIMIT_S, SETTLE_PER_TASK_S = 180.0, 4.0
NO_DISK = "fill_disk: no small disk could be mounted (that takes root)"


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes
    ----------
    minutes : float
        After which the storm ends; what is left of the work is done in calm.
    every_s : float
        From one fault to the next, on average, where they overlap.
    one_by_one : bool
        Whether every other deck comes one by one: what recovery is measured by.
    """

    seed: int
    tasks: int
    minutes: float = 10.0
    agents: int = 3
    cloud: int = 1
    every_s: float = 3.0
    kinds: tuple[str, ...] = tuple(KINDS)
    one_by_one: bool = True


@dataclass(frozen=True)
class _Seen:
    outcome: Outcome
    commits: list[tuple[float, str]]
    seconds: float
    struck: dict[str, int]
    alone: dict[str, list[float]]
    mixed: dict[str, list[float]]
    broke: list[str]


@dataclass(frozen=True)
class Calm:
    """The work done without faults: what a storm is held against. Good for any that has as many tasks or fewer."""

    scenes: Scenes
    pixels: dict[str, str]
    seconds: float

    @classmethod
    def run(cls, order: Order, folder: Path) -> Calm:
        """In an empty folder.

        Raises
        ------
        RuntimeError
            Where it is not whole: then there is nothing to compare with.
        """
        scenes = Scenes.make(folder / "scenes")
        seen = _once(order, scenes, folder / "calm", None, kinds=())
        if seen.outcome.missing:
            raise RuntimeError(f"the run without faults is not whole: {seen.outcome.missing}")
        return cls(scenes, seen.outcome.pixels, seen.seconds)


def run(order: Order, folder: Path, calm: Calm) -> Verdict:
    """The storm, in a folder without one."""
    with small_disk(folder / "disk") as disk:
        kinds = tuple(kind for kind in order.kinds if disk is not None or kind != "fill_disk")
        storm = _once(order, calm.scenes, folder / "storm", disk, kinds)
    of = storm.outcome
    return Verdict(
        tasks=of.tasks,
        succeeded=of.succeeded,
        lost=len(of.missing),
        committed_twice=committed_twice(storm.commits),
        wrong_pixels=wrong_pixels(of.pixels, calm.pixels),
        attempts_per_task=round(1 + of.counted / max(1, of.tasks), 3),
        counted_attempts=of.counted,
        seed=order.seed,
        seconds=round(storm.seconds, 1),
        seconds_in_calm=round(calm.seconds, 1),
        faults={kind: storm.struck.get(kind, 0) for kind in order.kinds},
        recovery_s={kind: quantiles(seconds) for kind, seconds in sorted(storm.alone.items())},
        recovery_among_others_s={kind: quantiles(seconds) for kind, seconds in sorted(storm.mixed.items())},
        lease_s=LEASE_S,
        notes=[*of.missing, *storm.broke, *([] if disk or "fill_disk" not in order.kinds else [NO_DISK])],
    )


def _once(order: Order, scenes: Scenes, folder: Path, disk: Path | None, kinds: tuple[str, ...]) -> _Seen:
    """All the work once, with faults of these kinds."""
    proxies: list[StorageProxy] = []

    @contextlib.contextmanager
    def between(azurite: Azurite) -> Iterator[str]:
        with StorageProxy(azurite, order.seed) as proxy:
            proxies.append(proxy)
            yield proxy.connection_string

    spec = _spec(folder, order, disk)
    with Stack(spec, between) as stack, Client(stack.api_url, timeout_s=10) as client:
        connection = stack.azurite.connection_string
        store = Store(connection)
        wanted = requests_for(scenes.upload(store), order.tasks)
        ids = [request.request_id for request in wanted]
        with Watch(connection, proxies[0]) as watch:
            site = Site(stack, proxies[0], watch, random.Random(order.seed), folder, spec.lease_s, disk)
            storm = Storm(site, kinds, order.every_s, one_by_one=order.one_by_one)
            feeder = Feeder(wanted, store, client, lambda: watch.open_tasks)
            began_s = time.monotonic()
            until_s = began_s + 60 * order.minutes
            feeder.start()
            try:
                if kinds:
                    storm.rage(lambda: time.monotonic() > until_s or (feeder.is_done and _is_over(watch, ids)))
                limit_s = time.monotonic() + SETTLE_LIMIT_S + SETTLE_PER_TASK_S * order.tasks
                while time.monotonic() < limit_s and not (feeder.is_done and _is_over(watch, ids)):
                    time.sleep(0.5)
            finally:
                feeder.stop()
            seconds = time.monotonic() - began_s
            outcome = Outcome.read(watch.ports, connection, ids)
            return _Seen(
                outcome, watch.proxy.commits, seconds, dict(storm.struck), storm.alone, storm.mixed, storm.broke
            )


def _is_over(watch: Watch, request_ids: list[str]) -> bool:
    try:
        return is_over(watch.ports, request_ids)
    except AzureError:
        return False  # storage is under a fault


def _spec(folder: Path, order: Order, disk: Path | None) -> StackSpec:
    """A stack with the waits of hours and minutes brought to seconds, as the lease is."""
    folder.mkdir(parents=True, exist_ok=True)
    agents = [f"node-{number}" for number in range(1, order.agents + 1)]
    worker_of = {agent: clock_environment(folder, agent) for agent in agents}
    if disk is not None:
        worker_of[agents[0]]["ORTHOAGENT_SCRATCH"] = str(disk)
    return StackSpec(
        folder=folder,
        agents=order.agents,
        cloud_limit=order.cloud,
        cloud_startup_s=0.5,
        patience_s=2.0,
        lease_s=LEASE_S,
        host_lease_s=LEASE_S,
        worker={"ORTHOAGENT_POLL_UP_S": "5", "ORTHOAGENT_POLL_DOWN_S": "1"},
        functions={
            "ORTHOBURST_BACKOFF_S": "1",
            "ORTHOBURST_MAX_BACKOFF_S": "4",
            "ORTHOBURST_WRITE_GRACE_S": "20",
            # a day's faults befall a task within a minute
            "ORTHOBURST_MAX_ATTEMPTS": "12",
        },
        worker_of=worker_of,
    )
