"""Images that wait for a precise orbit: rows by day and satellite, so that a look touches only what an orbit serves.

A row is written with the plan of its first job and deleted once the second is asked for. The rows of a day share a
partition; partition ``days`` says which days there are. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orthocontracts import names
from orthocontracts.orbits import OrbitName, best_orbit, orbit_of
from orthocontracts.products import ProductNameError, Sentinel1Name, parse_product
from orthocontracts.requests import TileGrid
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.records import Record

DAYS: Final = "days"
GIVEN_UP_AFTER: Final = timedelta(days=90)
"""Since the last image of that day was asked for. Precise orbits are published after twenty days."""

_NAME: Final = timedelta(seconds=2)
"""A product's name leaves out parts of seconds, and its manifest may be off by one."""


@dataclass(frozen=True, kw_only=True)
class RedoRecord(Record):
    """Products of which an order has images with an orbit that is not precise: those of one job."""

    TABLE = names.TABLE_REDOS
    PARTITION = "day"
    KEY = "key"

    day: str
    key: str  # when it begins, and whose
    user: str
    order_id: str
    order_created_at: datetime
    request_id: str
    job_id: str
    refs: str  # as a JSON list
    grid: str | None = None  # the tiles of a seam, as JSON; None: what the order says
    platform: str
    start: datetime
    stop: datetime  # of all of them

    @property
    def products(self) -> tuple[str, ...]:
        return tuple(json.loads(self.refs))

    @property
    def tiles(self) -> TileGrid | None:
        return None if self.grid is None else TileGrid.model_validate_json(self.grid)

    def is_part_of(self, other: RedoRecord) -> bool:
        """Whether the other is of all its tiles, and of more slices."""
        if (self.user, self.order_id, self.order_created_at) != (other.user, other.order_id, other.order_created_at):
            return False
        mine, others = self.tiles, other.tiles
        return (
            mine is not None
            and others is not None
            and set(mine.tiles or ()) <= set(others.tiles or ())
            and set(self.products) < set(other.products)
        )

    def orbit_among(self, precise: Iterable[OrbitName]) -> OrbitName | None:
        return best_orbit(precise, self.platform, self.start, self.stop)


@dataclass(frozen=True, kw_only=True)
class RedoDayRecord(Record):
    """A day of a satellite on which something waits for orbits of a folder. Written after every row of that day."""

    TABLE = names.TABLE_REDOS
    PARTITION = "place"
    KEY = "day"

    place: str = DAYS
    day: str
    folder: str
    platform: str
    date: datetime  # its midnight
    noted_at: datetime

    def may_be_served_by(self, orbit: OrbitName) -> bool:
        next_day = self.date + timedelta(days=1)
        return orbit.platform == self.platform and orbit.start < next_day and orbit.stop > self.date

    def keys_served_by(self, orbits: Sequence[OrbitName]) -> tuple[str | None, str | None]:
        """The first key that one of them may serve, and one behind the last; None where the day's end is."""
        first, last = min(one.start for one in orbits), max(one.stop for one in orbits)
        return (
            f"{first:%H%M%S}" if first > self.date else None,
            f"{last:%H%M%S}" if last < self.date + timedelta(days=1) else None,
        )


def row_of(plan: Plan, folder: str, now: datetime) -> tuple[RedoRecord, RedoDayRecord] | None:
    """What waits of a plan whose images are made with orbits that could be better; None where nothing does.

    Slices of a pass wait together, for a file that is of all of them.
    """
    ordered = plan.request.ordered
    if ordered is None or not ordered.redo_with_precise_orbit:
        return None
    named = [name for output in plan.outputs if _could_be_better(output) for name in _sentinel1(output)]
    if not named:
        return None
    start, stop = min(name.start for name in named) - _NAME, max(name.stop for name in named) + _NAME
    platform = named[0].platform
    folder_id = hashlib.sha256(folder.encode()).hexdigest()[:16]
    day = f"{folder_id}|{platform}|{start:%Y-%m-%d}"
    grid = plan.request.grid
    row = RedoRecord(
        day=day,
        key=f"{start:%H%M%S}-{hashlib.sha256(plan.job_id.encode()).hexdigest()[:20]}",
        user=plan.request.user,
        order_id=ordered.order_id,
        order_created_at=ordered.created_at,
        request_id=plan.request.request_id,
        job_id=plan.job_id,
        refs=json.dumps(plan.request.products),
        grid=grid.to_json() if isinstance(grid, TileGrid) and grid.tiles and grid.within is None else None,
        platform=platform,
        start=start,
        stop=stop,
    )
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return row, RedoDayRecord(day=day, folder=folder, platform=platform, date=midnight, noted_at=now)


def _could_be_better(output: PlannedOutput) -> bool:
    orbits = [orbit_of(source.ref) for source in output.identity.orbits or ()]
    return not orbits or any(orbit is None or orbit.kind != "precise" for orbit in orbits)


def _sentinel1(output: PlannedOutput) -> list[Sentinel1Name]:
    found = []
    for product in output.identity.products:
        try:
            name = parse_product(product.ref)
        except ProductNameError:
            continue
        if isinstance(name, Sentinel1Name):
            found.append(name)
    return found
