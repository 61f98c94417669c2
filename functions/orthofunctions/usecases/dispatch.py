"""Rounds: ask the policy which pending tasks to release now, and release them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.decisions import Decision
from orthofunctions.domain.money import Ledger
from orthofunctions.domain.offers import Market
from orthofunctions.domain.policy import filled, plan_releases
from orthofunctions.domain.pool_state import Basis, PoolState
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import BlobMissingError, LeaseHeldError, LeaseLostError, Ports
from orthofunctions.usecases.background import Background
from orthofunctions.usecases.inputs import Known
from orthofunctions.usecases.lease import RoundLease
from orthofunctions.usecases.ledger import Claim, month_of, read_ledger, reserve
from orthofunctions.usecases.pending import Candidate, candidates, current_tasks
from orthofunctions.usecases.release import bundles, chosen_for, release
from orthofunctions.usecases.signals import ring, tell_demand
from orthofunctions.usecases.site import Site
from orthofunctions.usecases.turns import advance_clock

logger = logging.getLogger(__name__)

MOST_ROUNDS = 10  # in one call: wakes that keep coming have messages of their own
MOST_IN_A_BUNDLE = 20  # releases that one thread carries out before it takes more
LOOK_AHEAD = 50  # candidates read beyond the free slots: some may be waiting for another pool or version


def dispatch(ports: Ports, rules: Rules) -> int:
    """Answer a wake: run rounds until none has come during the last. Returns how many tasks were released.

    The wake leaves its mark *before* it tries the lease, and the holder reads the mark again *after* letting go. So
    either this call gets the lease, or its holder sees that it was here: no wake is lost.
    """
    ports.blobs.write(names.CONTAINER_CONTROL, names.BLOB_DISPATCH_MARK, secrets.token_hex(16).encode())
    n_released = 0
    for _ in range(MOST_ROUNDS):
        try:
            lease = RoundLease(ports)
        except LeaseHeldError:
            break
        seen = _mark(ports)
        try:
            n_released += one_round(ports, rules, lease)
        except LeaseLostError as error:
            logger.warning("the round stops: %s", error, extra={"action": "lease_lost"})
            break
        finally:
            lease.release()
        if _mark(ports) == seen:
            break
    return n_released


def one_round(ports: Ports, rules: Rules, lease: RoundLease, current_version: int = KERNEL_RESULT_VERSION) -> int:
    """One look at everything, one set of decisions, carried out in order. Returns how many tasks were released."""
    now = ports.clock.now()
    site = Site.read(ports)
    states = site.states(current_version, now, rules)
    waiting: dict[str, Candidate] = {}
    for version in site.versions(current_version, now, rules):
        waiting |= candidates_of_version(ports, rules, states, version, now)
        lease.keep()
    users = {one.pending.user for one in waiting.values()}
    ledger = read_ledger(ports, rules, site.settings, site.active, users, now, under_lease=True)
    lease.keep()
    known: Known = {}
    with ThreadPoolExecutor(rules.parallel_releases, "release") as threads:
        decisions, tasks = _decide(ports, rules, waiting, states, ledger, now, threads)
        lease.keep()
        if not _reserve(ports, ledger, waiting, decisions, now):
            logger.info("the budget went elsewhere meanwhile", extra={"action": "budget"})
            decisions = [one for one in decisions if one.cost_eur <= 0]
        market, places = (
            Market(states, ledger.egress_eur_per_gb),
            {state.spec.name: k for k, state in enumerate(states)},
        )
        chosen = [
            chosen_for(one, waiting[one.task_id], tasks[one.task_id], market, places[one.pool], month_of(now))
            for one in decisions
        ]
        size = min(MOST_IN_A_BUNDLE, -(-len(chosen) // rules.parallel_releases))
        # A lease that is lost, or a process that dies, stops all threads: each asks before it writes.
        parts = threads.map(lambda bundle: release(ports, rules, lease, bundle, known), bundles(chosen, max(1, size)))
        released = [one for part in parts for one in part]
        lease.keep()
        versions = {task_id: one.pending.result_version for task_id, one in waiting.items()}
        behind = Background(ports, rules, lease, site, filled(states, decisions, versions), now)
        in_background = behind.release(site.versions(current_version, now, rules), ledger.egress_eur_per_gb, known)
    tags_s = [waiting[one.task_id].fair_tag_s for one in released]
    on_prem = [state for state in states if state.spec.kind == "onprem"]
    slots = sum(slots for state in on_prem for slots in state.slots.values())
    lease.keep()
    working = {one.user for one in site.active if not one.campaign}
    advance_clock(ports, site.settings, tags_s, slots, users | working)
    n_waiting = len(waiting) - len(released) + behind.n_waiting
    _signal(ports, rules, site, states, [*released, *in_background], n_waiting=n_waiting)
    n_released = len(released) + len(in_background)
    if n_released:  # one comes every five seconds: those that find nothing to do are not worth a span
        ports.tracer.past("round", "", now, ports.clock.now(), released=n_released, waiting=n_waiting)
    return n_released


def candidates_of_version(
    ports: Ports, rules: Rules, states: Sequence[PoolState], version: int, now: datetime
) -> dict[str, Candidate]:
    """What a round looks at of the tasks that wait for workers of a result version."""
    free = sum(state.free(version) for state in states)
    limit = min(rules.max_candidates, 2 * free + LOOK_AHEAD + _could_come(states))
    return candidates(ports, rules, version, now, limit)


def _could_come(states: Sequence[PoolState]) -> int:
    """Slots that pilots could still add to the centre: so many tasks are worth counting as demand."""
    centre = [state for state in states if state.spec.kind == "onprem" and state.basis is not Basis.PAUSED]
    return sum(max(0, state.spec.max_slots - sum(state.slots.values())) for state in centre)


def _signal(
    ports: Ports,
    rules: Rules,
    site: Site,
    states: list[PoolState],
    released: list[ActiveRecord],
    *,
    n_waiting: int,
) -> None:
    for state in states:
        pool = state.spec.name
        mine = [one for one in (*site.active, *released) if one.pool == pool]
        ring(ports, rules, site, pool, sum(1 for one in mine if one.started_at is None))
        takes_more = state.spec.kind == "onprem" and pool not in site.paused
        wanted = len(mine) + (n_waiting if takes_more else 0)
        tell_demand(ports, pool, min(wanted, state.spec.max_slots))


def _decide(
    ports: Ports,
    rules: Rules,
    waiting: dict[str, Candidate],
    states: Sequence[PoolState],
    ledger: Ledger,
    now: datetime,
    threads: ThreadPoolExecutor,
) -> tuple[list[Decision], dict[str, TaskRecord]]:
    """Decisions on tasks that are pending indeed: where an index row proves to mean nothing, it is decided again.

    What means nothing is taken out of ``waiting``: its slot is another's in this very round.
    """
    tasks: dict[str, TaskRecord] = {}
    while True:
        pending = [one.pending for one in waiting.values()]
        decisions = plan_releases(pending, states, ledger, now.timestamp(), rules.deadline_confidence)
        by_job: dict[str, list[Candidate]] = {}
        for candidate in (waiting[one.task_id] for one in decisions if one.task_id not in tasks):
            by_job.setdefault(candidate.job_id, []).append(candidate)
        for found in threads.map(lambda of_a_job: current_tasks(ports, of_a_job, now), by_job.values()):
            # one of a campaign that a user is about to join is the campaign's until its row says otherwise
            tasks |= {task_id: task for task_id, task in found.items() if not task.campaign}
        for candidate in (one for of_a_job in by_job.values() for one in of_a_job):
            if candidate.pending.task_id not in tasks:
                del waiting[candidate.pending.task_id]
        if all(one.task_id in waiting for one in decisions):
            return decisions, tasks


def _reserve(
    ports: Ports,
    ledger: Ledger,
    waiting: Mapping[str, Candidate],
    decisions: Sequence[Decision],
    now: datetime,
) -> bool:
    by_user: dict[str, Claim] = {}
    beyond_eur = 0.0
    for one in decisions:
        task = waiting[one.task_id].pending
        by_user[task.user] = by_user.get(task.user, Claim()) + Claim(one.cost_eur, one.contingency_eur)
        user = ledger.users.get(task.user)
        beyond_eur += one.ceiling_eur if task.urgent and user is not None and user.may_overdraw else 0.0
    return reserve(ports, ledger.budget_eur, by_user, now, beyond_budget_eur=beyond_eur)


def _mark(ports: Ports) -> bytes:
    try:
        return ports.blobs.read(names.CONTAINER_CONTROL, names.BLOB_DISPATCH_MARK)
    except BlobMissingError:
        return b""
