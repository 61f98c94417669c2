"""Rounds: ask the policy which pending tasks to release now, and release them."""

from __future__ import annotations

import logging
import secrets

from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.offers import PendingTask
from orthofunctions.domain.policy import plan_releases
from orthofunctions.domain.pool_state import PoolState
from orthofunctions.domain.pools import BLOB_STORE
from orthofunctions.domain.records import ActiveRecord, TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import BlobMissingError, LeaseHeldError, LeaseLostError, Ports
from orthofunctions.usecases.lease import RoundLease
from orthofunctions.usecases.ledger import read_ledger, reserve
from orthofunctions.usecases.pending import Candidate, candidates
from orthofunctions.usecases.release import release
from orthofunctions.usecases.signals import ring, tell_demand
from orthofunctions.usecases.site import Site

logger = logging.getLogger(__name__)

MOST_ROUNDS = 20  # in one call: wakes that keep coming have messages of their own
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
    versions = site.versions(current_version, now, rules)
    waiting: dict[str, Candidate] = {}
    for version in versions:
        free = sum(state.free(version) for state in states)
        limit = min(rules.max_candidates, 2 * free + LOOK_AHEAD)
        waiting |= {one.task.task_id: one for one in candidates(ports, version, now, limit)}
    decisions = plan_releases(
        [_pending(one.task, rules) for one in waiting.values()], states, read_ledger(ports, rules, now), now.timestamp()
    )
    lease.keep()
    if not reserve(ports, rules, sum(one.cost_eur for one in decisions), now):
        logger.info("the budget went elsewhere meanwhile", extra={"action": "budget"})
        decisions = [one for one in decisions if one.cost_eur <= 0]
    specs = {spec.name: spec for spec in site.pools}
    released = []
    for decision in decisions:
        active = release(
            ports, rules, lease, candidate=waiting[decision.task_id], decision=decision, pool=specs[decision.pool]
        )
        if active is not None:
            released.append(active)
    _signal(ports, rules, site, states, released, n_waiting=len(waiting) - len(released))
    return len(released)


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
        wanted = len(mine) + (n_waiting if state.spec.kind == "onprem" else 0)
        tell_demand(ports, pool, min(wanted, state.spec.max_slots))


def _pending(task: TaskRecord, rules: Rules) -> PendingTask:
    return PendingTask(
        task_id=task.task_id,
        user=task.user,
        created_s=task.created_at.timestamp(),
        patience_s=rules.patience_s if task.patience_s is None else task.patience_s,
        deadline_s=None if task.deadline is None else task.deadline.timestamp(),
        megapixels=task.megapixels,
        inputs=((BLOB_STORE, task.input_bytes),),
        result_version=task.result_version,
    )


def _mark(ports: Ports) -> bytes:
    try:
        return ports.blobs.read(names.CONTAINER_CONTROL, names.BLOB_DISPATCH_MARK)
    except BlobMissingError:
        return b""
