"""Images made with the orbit in their product are asked for again, once, when the precise orbit is there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Final

from orthocontracts.digests import job_id_of
from orthocontracts.orbits import OrbitName
from orthocontracts.orders import StandingOrder
from orthocontracts.states import JobState
from orthofunctions.domain.access import may_read
from orthofunctions.domain.faults import PlanError
from orthofunctions.domain.ordered import precise_request, precise_request_id
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.redo import DAYS, GIVEN_UP_AFTER, RedoDayRecord, RedoRecord, row_of
from orthofunctions.ports import Ports
from orthofunctions.usecases.auxiliaries import orbit_shelf
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.orders import find_order
from orthofunctions.usecases.places import Places
from orthofunctions.usecases.rows import delete_all, find, remove
from orthofunctions.usecases.site import load_site
from orthofunctions.usecases.submit import submit
from orthofunctions.usecases.upload import default_order

logger = logging.getLogger(__name__)

MOST_S: Final = 240.0
"""Of one look; the next goes on where it ended."""
PARALLEL: Final = 8
_AT_A_TIME: Final = 100


def await_precise_orbits(ports: Ports, plan: Plan) -> None:
    """Note what of a plan is to be made again. Before its job counts as planned, so that it is repeated till it is
    done; the row before its day, so that a day that somebody tidies away is there again."""
    if (found := _row_of(ports, plan)) is not None:
        row, day = found
        ports.tables.put(RedoRecord.TABLE, row.to_row())
        ports.tables.put(RedoDayRecord.TABLE, day.to_row())


def await_again(ports: Ports, plan: Plan) -> bool:
    """After a disaster: note what of a plan is missing, and still waits. Returns whether anything was."""
    found = _row_of(ports, plan)
    if found is None:
        return False
    row, day = found
    order = find_order(ports, row.user, row.order_id)
    is_over = order is None or order.created_at != row.order_created_at or not _was_made(ports, row)
    if is_over or find_job(ports, row.user, job_id_of(row.user, precise_request_id(row.request_id))) is not None:
        return False
    wanted = (row.to_row(), day.to_row())
    missing = [one for one in wanted if ports.tables.get(RedoRecord.TABLE, one.partition, one.key) is None]
    for one in missing:
        ports.tables.put(RedoRecord.TABLE, one)
    return bool(missing)


def _row_of(ports: Ports, plan: Plan) -> tuple[RedoRecord, RedoDayRecord] | None:
    ordered = plan.request.ordered
    if ordered is None or not ordered.redo_with_precise_orbit:
        return None
    folder = plan.request.orbits
    if folder is None and (site := default_order(ports)) is not None:
        folder = site.orbits
    if folder is None:
        logger.warning("no folder of orbit files is known: see orbits in settings/default_order.json",
                       extra={"action": "redo_nowhere", "job": plan.job_id})  # fmt: skip
        return None
    return row_of(plan, folder.rstrip("/"), ports.clock.now())


def _was_made(ports: Ports, row: RedoRecord) -> bool:
    """Not what its user has dismissed, nor what failed. Of a job that has expired nobody knows."""
    job = find_job(ports, row.user, row.job_id)
    return job is None or not (job.cancelled or job.final is JobState.FAILED)


def redo_with_precise_orbits(ports: Ports) -> int:
    """Look into the folders that something waits for, and ask for what has its precise orbit now.

    Who dies between asking and deleting the row asks again, for the same job. Of all that waits only days are read
    that an orbit file in the folder is of.

    Returns
    -------
    int
        How many jobs were asked for.
    """
    until = ports.clock.now() + timedelta(seconds=MOST_S)
    look = _Look(ports)
    days = sorted(find(ports.tables, RedoDayRecord, partition=DAYS), key=lambda one: (one.folder, one.date, one.day))
    n_asked = 0
    for folder, of_folder in groupby(days, key=lambda one: one.folder):
        try:
            precise = look.precise_orbits(folder)
        except PlanError as error:
            logger.warning("%s: %s", folder, error, extra={"action": "redo_orbits_unread", "folder": folder})
            continue
        for day in of_folder:
            if ports.clock.now() > until:
                return n_asked
            n_asked += look.go_through(day, [one for one in precise if day.may_be_served_by(one)], until=until)
    return n_asked


class _Look:
    """One look: an order is read once, however many of its images are due."""

    def __init__(self, ports: Ports) -> None:
        self._ports, self._site = ports, load_site(ports)
        self._places = Places.of_site(ports.blobs, ports.remote, self._site)
        self._orders: dict[tuple[str, str], StandingOrder | None] = {}

    def precise_orbits(self, folder: str) -> Sequence[OrbitName]:
        """By their references. Raises PlanError."""
        return [file.name for file in orbit_shelf(self._places, folder).values() if file.name.kind == "precise"]

    def go_through(self, day: RedoDayRecord, precise: Sequence[OrbitName], until: datetime) -> int:
        """Ask for what is due of a day; how many jobs that were. A day on which nothing waits any longer is dropped."""
        is_given_up = self._ports.clock.now() - day.noted_at > GIVEN_UP_AFTER
        if not precise and not is_given_up:
            return 0
        n_asked = 0
        start, below = (None, None) if is_given_up else day.keys_served_by(precise)
        found = self._ports.tables.query(RedoRecord.TABLE, partition=day.day, key_from=start, key_below=below)
        rows = map(RedoRecord.from_row, found)
        while some := list(islice(rows, _AT_A_TIME)):
            due = [(row, orbit) for row in some if (orbit := row.orbit_among(precise)) is not None]
            waiting = [row for row in some if row.orbit_among(precise) is None]
            seams = [row for row, _ in due if len(row.products) > 1 and self._is_wanted(row)]
            # what was made of fewer slices is not made again where the same tiles of more are
            fewer = {row.key for row, _ in due if any(row.is_part_of(seam) for seam in seams)}
            delete_all(self._ports.tables, RedoRecord.TABLE, [(day.day, key) for key in sorted(fewer)])
            with ThreadPoolExecutor(PARALLEL) as pool:
                n_asked += sum(pool.map(lambda one: self._redo(*one), [one for one in due if one[0].key not in fewer]))
            if self._ports.clock.now() > until:
                return n_asked
            if is_given_up and waiting:
                self._give_up(waiting)
        self._tidy_away(day)
        return n_asked

    def _redo(self, row: RedoRecord, orbit: OrbitName) -> bool:
        order, is_wanted = self._order(row), self._is_wanted(row)
        if order is not None and is_wanted:
            request = precise_request(order, row.request_id, row.products, row.tiles, orbit.path, row.job_id)
            job = submit(self._ports, request, "order")
            about = {"action": "redo_asked", "job": job.job_id}
            logger.info("%s is made again with %s", ", ".join(row.products), orbit.path, extra=about)
        self._ports.tables.delete(RedoRecord.TABLE, row.day, row.key)
        return is_wanted

    def _is_wanted(self, row: RedoRecord) -> bool:
        may_have = all(may_read(self._site, row.user, ref) for ref in row.products)
        return self._order(row) is not None and may_have and _was_made(self._ports, row)

    def _order(self, row: RedoRecord) -> StandingOrder | None:
        """None where it has been taken back, whatever has its id by now."""
        name = (row.user, row.order_id)
        if name not in self._orders:
            self._orders[name] = find_order(self._ports, *name)
        order = self._orders[name]
        return order if order is not None and order.created_at == row.order_created_at else None

    def _give_up(self, rows: Sequence[RedoRecord]) -> None:
        delete_all(self._ports.tables, RedoRecord.TABLE, [(row.day, row.key) for row in rows])
        logger.warning("%d images of %s never had a precise orbit", len(rows), rows[0].start.date(),
                       extra={"action": "redo_given_up"})  # fmt: skip

    def _tidy_away(self, day: RedoDayRecord) -> None:
        """As it was read: who has added to it since has written it anew."""
        if next(iter(self._ports.tables.query(RedoRecord.TABLE, partition=day.day, limit=1)), None) is None:
            remove(self._ports.tables, day)
