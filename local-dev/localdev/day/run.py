"""A day through the functions: products are uploaded, events come as they come, workers sleep, subscribers are told."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import requests

from localdev.day.agenda import Agenda
from localdev.day.host import Calls, Host, WatchedQueues
from localdev.day.packing import LAST, blobs_of
from localdev.day.scenes import MIDNIGHT, Scene, scenes_of_day
from localdev.day.wishes import HOOK, orders_of_day
from localdev.day.workers import Books, Workers
from localdev.memory_ports import ManualClock, MemoryBlobs, MemoryLinks, MemoryTables
from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthocontracts.requests import OrderTemplate, StandingDefault, TerrainRequest
from orthofunctions.bootstrap import System, running_as
from orthofunctions.domain.pools import PoolSpec, SiteSpec
from orthofunctions.domain.records import JobRecord, TaskRecord
from orthofunctions.ports import NotToldError, Ports, Poster
from orthofunctions.settings import Settings
from orthofunctions.usecases.orders import add_order

ARCHIVE = "archive"
"""Whose the default order is."""
COVERED = frozenset({"sentinel-1", "sentinel-3"})
"""Missions that it has a template for; of Sentinel-2 only what is ordered is made."""
LAST_MOMENT = MIDNIGHT + timedelta(days=3)
LOOK_EVERY_S = 300.0
EVENTS_OF_A_BLOB = (1, 1, 1, 2, 3)
LATE_SHARE, LATEST = 0.01, 0.25
"""Of all events, and by how much of the day."""
HELD_S = (4500.0, 9000.0)
"""Longer than a seam waits."""
STRAGGLER_SHARE, STRAGGLES_S = 0.05, (20.0, 240.0)
"""Of folders: one member comes after the manifest, as long after as functions wait for it."""
RETRY_EVENT_S = 10.0


@dataclass(frozen=True)
class DaySpec:
    """How large a day. Slots suit ten thousand products, so that the centre is full in bursts and idle between."""

    n_scenes: int = 10_000
    n_orders: int = 500
    seed: int = 1
    slots: int = 16
    cloud_slots: int = 40
    broken_share: float = 0.01
    hours: float = 24.0
    held_share: float = 0.005
    """Of products: none of their events comes before a neighbour on a seam has been waited for."""
    killed_share: float = 0.001
    """Of the functions' calls: their process dies before one of its first writes."""


@dataclass
class Hook:
    """Subscribers: what each was told, and an answer that is not always one."""

    rng: random.Random
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By job and address, where it answered that it had understood."""
    n_refused: int = 0

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert url.startswith(HOOK)
        assert json.loads(body)
        if self.rng.random() < 0.03:
            self.n_refused += 1
            if self.rng.random() < 0.5:
                raise NotToldError("nobody answered")
            return 503
        self.told[headers["Orthoburst-Job"], url] += 1
        return 200


@dataclass(frozen=True)
class SimulatedSystem(System):
    """The functions' program, whose subscribers are simulated too."""

    hook: Poster | None = None

    @property
    def poster(self) -> Poster:
        assert self.hook is not None
        return self.hook


class QuietBell:
    """Nobody listens: what workers must know they find out without a broker."""

    def publish(self, topic: str, body: str, *, retain: bool = False) -> None:
        pass


@dataclass
class Day:
    """A day that is over: what came, what was wanted, and the world as it was left.

    Attributes
    ----------
    came_at : dict
        When a product's upload began, by its reference.
    told_at : dict
        When the functions could first know that a product is whole, by its reference.
    lag_s : float
        After that moment, until all of them do.
    backlog : list
        Tasks that wait for a slot, each five minutes.
    """

    spec: DaySpec
    scenes: Sequence[Scene]
    orders: Sequence[StandingOrder]
    ports: Ports
    system: System
    books: Books
    hook: Hook
    calls: Calls
    came_at: dict[str, datetime] = field(default_factory=dict)
    told_at: dict[str, datetime] = field(default_factory=dict)
    lag_s: float = 120.0
    backlog: list[int] = field(default_factory=list)
    ended_at: datetime = MIDNIGHT


def site_of(spec: DaySpec) -> SiteSpec:
    return SiteSpec(
        pools=(
            PoolSpec(name="hpc", kind="onprem", max_slots=spec.slots, queue_ahead=1),
            PoolSpec(
                name="cloud", kind="cloud", max_slots=spec.cloud_slots, startup_s=90.0, price_per_slot_hour_eur=0.3
            ),
        )
    )


def live_through(spec: DaySpec, *, lost: Set[str] = frozenset(), on_hour: Callable[[Day], None] | None = None) -> Day:
    """Let a day pass. Of products in ``lost`` no event ever comes; ``on_hour`` is told of every hour that is over."""
    rng = random.Random(spec.seed)
    scenes = scenes_of_day(spec.n_scenes, rng, hours=spec.hours, broken_share=spec.broken_share)
    orders = orders_of_day(spec.n_orders, scenes, rng)
    clock = ManualClock(MIDNIGHT - timedelta(minutes=1))
    agenda, queues, blobs = Agenda(clock), WatchedQueues(clock), MemoryBlobs(clock)
    ports = Ports(blobs=blobs, queues=queues, tables=MemoryTables(), links=MemoryLinks(), bell=QuietBell(), clock=clock)
    settings = Settings.model_validate(
        {"ORTHOBURST_STORAGE": "unused", "ORTHOBURST_CALLBACK_HOSTS": HOOK.removeprefix("https://")}
    )
    with requests.Session() as session:
        hook = Hook(rng)
        system = SimulatedSystem(settings, ports, settings.rules(), settings.limits(), session, hook=hook)
        with running_as(system):
            host, books, site = Host(agenda, queues, system, rng, spec.killed_share), Books(), site_of(spec)
            day = Day(spec, scenes, orders, ports, system, books, hook, host.calls)
            open_site(ports, site, orders)
            corrupt = {scene.ref for scene in scenes if scene.defect == "cut image"}
            for pool in site.pools:
                Workers(pool, agenda, queues, blobs, books, rng, corrupt=corrupt)
            arrivals = _Arrivals(day, agenda, host, rng, lost)
            agenda.after(0.0, partial(_look, day, agenda))
            if on_hour is not None:
                agenda.after(0.0, partial(_tell_hour, day, agenda, on_hour))
            agenda.run(LAST_MOMENT, lambda: arrivals.are_over and is_over(day))
            day.ended_at = clock.moment
    return day


def open_site(ports: Ports, site: SiteSpec, orders: Sequence[StandingOrder]) -> None:
    """The site as it is before its day begins."""
    standing = StandingDefault(
        user=ARCHIVE, sentinel1=OrderTemplate(), sentinel3=OrderTemplate(), terrain=TerrainRequest(height_m=0.0)
    )
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, site.to_json().encode())
    ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, standing.to_json().encode())
    for order in orders:
        add_order(ports, order)


def _look(day: Day, agenda: Agenda) -> None:
    rows = day.ports.tables.query(names.TABLE_TASKS, equal={"state": "pending"}, fields=())
    day.backlog.append(sum(1 for _ in rows))
    agenda.after(LOOK_EVERY_S, partial(_look, day, agenda))


def _tell_hour(day: Day, agenda: Agenda, on_hour: Callable[[Day], None]) -> None:
    day.ended_at = agenda.clock.moment
    on_hour(day)
    agenda.after(3600.0, partial(_tell_hour, day, agenda, on_hour))


def is_over(day: Day) -> bool:
    """Whether every message has been dealt with, and every job told of. What is still to be uploaded it cannot know."""
    tables, queues = day.ports.tables, day.ports.queues
    busy = (names.QUEUE_REQUESTS, names.QUEUE_RESULTS, names.QUEUE_CALLBACKS, names.QUEUE_UPLOADS)
    if any(queues.length(queue) or queues.length(names.poison_queue(queue)) for queue in busy):
        return False
    jobs = tables.query(JobRecord.TABLE, equal={"settled": False}, limit=1)
    tasks = (
        tables.query(TaskRecord.TABLE, equal={"state": state}, limit=1) for state in ("pending", "released", "running")
    )
    return not any(jobs) and not any(any(found) for found in tasks)


class _Arrivals:
    """Uploads, and the events that tell of them: more than once, in any order, some by hours too late."""

    def __init__(self, day: Day, agenda: Agenda, host: Host, rng: random.Random, lost: Set[str]) -> None:
        self._day, self._agenda, self._host, self._rng, self._lost = day, agenda, host, rng, lost
        self._n_open = len(day.scenes)
        # by dice of their own: which products they are does not depend on what was killed
        dice, n_held = random.Random(day.spec.seed), round(day.spec.held_share * len(day.scenes))
        self._held_s = {scene.ref: dice.uniform(*HELD_S) for scene in dice.sample(list(day.scenes), n_held)}
        for scene in day.scenes:
            agenda.at(MIDNIGHT + timedelta(seconds=scene.arrives_s), partial(self._arrive, scene))

    @property
    def are_over(self) -> bool:
        return self._n_open == 0

    def _arrive(self, scene: Scene) -> None:
        self._n_open -= 1
        self._day.came_at[scene.ref] = self._agenda.clock.moment
        blobs = blobs_of(scene)
        *members, last = blobs
        straggler = None
        if members and self._rng.random() < STRAGGLER_SHARE:
            straggler = self._rng.choice(members)
        for n, path in enumerate(blobs):
            after_s = n * 0.5
            if path == straggler:
                after_s = len(blobs) * 0.5 + self._rng.uniform(*STRAGGLES_S)
            self._n_open += 1
            self._agenda.after(after_s, partial(self._write, scene, path, blobs[path], is_last=path == last))

    def _write(self, scene: Scene, path: str, data: bytes, *, is_last: bool) -> None:
        self._n_open -= 1
        self._day.ports.blobs.write(names.CONTAINER_PRODUCTS, path, data)
        self._know(scene)
        if scene.ref in self._lost:
            return
        for _ in range(self._rng.choice(EVENTS_OF_A_BLOB)):
            after_s = self._held_s.get(scene.ref, 0.0) + self._rng.expovariate(1 / 3.0)
            if self._rng.random() < LATE_SHARE:
                after_s += self._rng.uniform(0.0, LATEST * 3600.0 * self._day.spec.hours)
            self._n_open += 1
            self._agenda.after(after_s, partial(self._tell, scene, path, is_last=is_last))

    def _tell(self, scene: Scene, path: str, *, is_last: bool) -> None:
        self._n_open -= 1
        if is_last:
            self._know(scene, event=True)
        if not self._host.blob_event(path):
            self._n_open += 1
            self._agenda.after(RETRY_EVENT_S, partial(self._tell, scene, path, is_last=is_last))

    def _know(self, scene: Scene, *, event: bool = False) -> None:
        """The functions can know of a product from its last member, or the first event of what completes it, on."""
        known = self._day.told_at
        if event:
            known.setdefault(scene.ref, self._agenda.clock.moment)
        elif scene.ref in known:
            known[scene.ref] = self._agenda.clock.moment


def completed_by(scene: Scene) -> str:
    """The blob whose event completes a product."""
    return f"{scene.name}.zip" if scene.is_zip else f"{scene.folder}/{LAST[scene.mission]}"
