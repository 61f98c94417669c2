"""The sweep: finds releases that will not end well, and completes what someone left half done."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orthocontracts import names
from orthocontracts.states import TaskState
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.overdue import Surroundings, is_unclaimed, why_recall, why_unpaid
from orthofunctions.domain.pool_state import is_live, pool_gone
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.learning import note_startup
from orthofunctions.usecases.ledger import return_reservation, settle_release
from orthofunctions.usecases.recall import recall
from orthofunctions.usecases.rows import remove
from orthofunctions.usecases.settle import tasks_by_id
from orthofunctions.usecases.signals import ring
from orthofunctions.usecases.site import Site
from orthofunctions.usecases.tasks import UNDER_RELEASE, load_task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lengths:
    """Queue lengths in the order that lets an empty pool queue prove something (see ``Surroundings``)."""

    of_pools: dict[str, int]
    results: int
    unread_s: float
    """How long the first report that nobody has taken has waited."""

    @classmethod
    def read(cls, ports: Ports, site: Site) -> Lengths:
        queues = {names.pool_queue(one.pool, one.result_version) for one in site.active}
        of_pools = {queue: ports.queues.length(queue) for queue in sorted(queues)}
        results = ports.queues.length(names.QUEUE_RESULTS)
        oldest = ports.queues.oldest(names.QUEUE_RESULTS) if results else None
        return cls(of_pools, results, 0.0 if oldest is None else (ports.clock.now() - oldest).total_seconds())

    def are_read(self, rules: Rules) -> bool:
        """Whether reports are read in time: else one of them may be what is missed. Under load some always wait."""
        return self.results == 0 or self.unread_s <= rules.report_grace_s


def sweep(ports: Ports, rules: Rules) -> int:
    """Look at every active release. Returns how many were recalled."""
    site = Site.read(ports)
    lengths = Lengths.read(ports, site)
    tasks = tasks_by_id(ports, (one.task_id for one in site.active))
    tickets = {blob.name for spec in site.pools for blob in ports.blobs.list(names.ticket_container(spec.name))}
    n_recalled = 0
    orphans: dict[str, int] = {}
    with apart("sweep", ports.meter) as each:
        for active in site.active:
            task = tasks.get(active.task_id)
            with each(active.release_key):
                if not _is_current(active, task):
                    _clear_away(ports, rules, active, task)
                    continue
                assert task is not None
                cut_short, unpaid = active.is_cut_short(rules), why_unpaid(active, ports.clock.now(), rules)
                why = _why_recall(ports, rules, site, lengths, task, tickets)
                if unpaid and lengths.are_read(rules) and (cut_short or not why):
                    n_recalled += recall(ports, rules, task, unpaid, blameless=True, cut_short=cut_short)
                elif why and lengths.are_read(rules):
                    n_recalled += recall(ports, rules, task, why)
                    _learn_from_waiting(ports, site, active, task)
                elif _worker_gone(site, task, ports.clock.now(), rules):
                    orphans[active.pool] = orphans.get(active.pool, 0) + 1
        for pool, waiting in orphans.items():
            ring(ports, rules, site, pool, waiting)  # its message comes back within a minute; someone should be awake
        sweep_tickets(ports, site, tasks)
    return n_recalled


def sweep_tickets(ports: Ports, site: Site, seen: Mapping[str, TaskRecord]) -> None:
    """Delete tickets whose release is not the one under way. What was ``seen`` of a task before says enough only where
    it is: a release may have begun since."""
    for spec in site.pools:
        for blob in list(ports.blobs.list(names.ticket_container(spec.name))):
            task_id, _, number = blob.name.removesuffix(".json").rpartition("-")
            if _holds(seen.get(task_id), number):
                continue
            if not _holds(load_task(ports, job_of_task(task_id), task_id), number):
                logger.info("deleted the ticket of an ended release", extra={"action": "swept", "ticket": blob.name})
                ports.blobs.delete(blob.container, blob.name)


def _holds(task: TaskRecord | None, release: str) -> bool:
    return task is not None and task.state in UNDER_RELEASE and release == str(task.release)


def _is_current(active: ActiveRecord, task: TaskRecord | None) -> bool:
    return task is not None and task.state in UNDER_RELEASE and task.release == active.release


def _clear_away(ports: Ports, rules: Rules, active: ActiveRecord, task: TaskRecord | None) -> None:
    """Delete the active row of a release that has ended, or never was.

    A row of a release that is still to come is left until no round can be about to make it true.
    """
    ahead = task is None or active.release > task.release
    if ahead and ports.clock.now() - active.released_at <= timedelta(seconds=rules.write_grace_s):
        return
    ports.blobs.delete(names.ticket_container(active.pool), names.ticket_blob(active.task_id, active.release))
    if ahead and active.started_at is None:
        return_reservation(ports, active)
    else:
        mine = task if task is not None and task.release == active.release else None
        begun = active.changed(started_at=active.started_at or (mine.started_at if mine else None))
        settle_release(ports, begun, (mine.ended_at if mine else None) or ports.clock.now())
    remove(ports.tables, active)


def _learn_from_waiting(ports: Ports, site: Site, active: ActiveRecord, task: TaskRecord) -> None:
    """A worker that did not come in time took at least as long: else the limit would never grow."""
    spec, now = site.spec(task.pool), ports.clock.now()
    if spec is not None and active.starts_worker and is_unclaimed(task, site.start_limit_s(spec), now):
        note_startup(ports, spec, (now - active.released_at).total_seconds())


def _why_recall(
    ports: Ports, rules: Rules, site: Site, lengths: Lengths, task: TaskRecord, tickets: Collection[str]
) -> str | None:
    assert task.pool is not None
    spec = site.spec(task.pool)
    queue = names.pool_queue(task.pool, task.result_version)
    around = Surroundings(
        pool=spec,
        pool_gone=spec is not None and pool_gone(spec, site.agents_of(spec.name), ports.clock.now(), rules),
        # A queue we did not measure counts as full: the active row named another pool.
        messages=lengths.of_pools.get(queue, 1),
        ticket_there=names.ticket_blob(task.task_id, task.release) in tickets,
        start_limit_s=site.start_limit_s(spec) if spec is not None else 0.0,
        n_reports=lengths.results,
    )
    return why_recall(task, around, ports.clock.now(), rules)


def _worker_gone(site: Site, task: TaskRecord, now: datetime, rules: Rules) -> bool:
    if task.state is not TaskState.RUNNING or task.pool is None:
        return False
    mine = [agent for agent in site.agents_of(task.pool) if agent.agent == task.agent]
    return bool(mine) and not is_live(mine[0], now, rules)
