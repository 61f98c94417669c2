"""Which pending tasks to release now, and to which pool. Pure: the same code decides live, in tests and in replays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orthocontracts.model import Document
from orthofunctions.domain.pool_state import Basis, PoolState


@dataclass(frozen=True)
class PendingTask:
    """What the policy knows of a waiting task. ``patience_s`` has the site's default filled in."""

    task_id: str
    user: str
    created_at: datetime
    patience_s: float
    deadline: datetime | None = None
    megapixels: float = 0.0
    input_bytes: int = 0
    result_version: int = 0


@dataclass(frozen=True)
class Ledger:
    """The month's cloud money. ``budget_eur`` None is no limit."""

    budget_eur: float | None = None
    committed_eur: float = 0.0


class PoolFigures(Document):
    """What a round knew of one pool when it decided on a task."""

    kind: str
    basis: Basis
    free_slots: int
    start_in_s: float
    run_s: float
    cost_eur: float
    in_time: bool | None = None  # None: the task has no deadline


class Decision(Document):
    """Stored with the task and shown to its user: why here, and what stood elsewhere."""

    task_id: str
    pool: str
    cost_eur: float
    sentence: str
    figures: dict[str, PoolFigures]


@dataclass
class _Room:
    """Slots and money that are left while a round decides."""

    free: dict[tuple[str, int], int]
    in_pool: dict[str, int]
    money_eur: float | None

    def has_slot(self, pool: PoolState, version: int) -> bool:
        return self._left(pool, version) > 0

    def _left(self, pool: PoolState, version: int) -> int:
        key = (pool.spec.name, version)
        return min(self.free.setdefault(key, pool.free(version)), self.in_pool[pool.spec.name])

    def left(self, pool: PoolState, version: int) -> int:
        return self._left(pool, version)

    def take(self, pool: PoolState, version: int, cost_eur: float) -> None:
        self.free[pool.spec.name, version] -= 1
        self.in_pool[pool.spec.name] -= 1
        if self.money_eur is not None:
            self.money_eur -= cost_eur

    def affords(self, cost_eur: float) -> bool:
        return cost_eur <= 0 or self.money_eur is None or cost_eur <= self.money_eur + 1e-9


def latest_start(task: PendingTask, pools: Iterable[PoolState]) -> datetime:
    """When a task without a free on-prem slot must go to the cloud.

    With a deadline: the last moment at which the quickest cloud pool still makes it. Without: the end of its patience.
    """
    if task.deadline is None:
        return task.created_at + timedelta(seconds=task.patience_s)
    needed_s = [
        pool.spec.startup_s + pool.spec.run_s(task.megapixels) for pool in pools if pool.spec.kind == "cloud"
    ] or [0.0]
    return task.deadline - timedelta(seconds=min(needed_s))


def plan_releases(
    pending: Iterable[PendingTask], pools: Sequence[PoolState], ledger: Ledger, now: datetime
) -> list[Decision]:
    """Decide a round.

    Tasks are taken by latest start, then by age. Each gets a free on-prem slot where there is one. A task whose latest
    start has come and finds none goes to the cheapest cloud pool that has a slot, is within the budget and makes its
    deadline, or to the soonest where none makes it. All others wait: the next round knows more.

    Parameters
    ----------
    pending : iterable of PendingTask
        Tasks that may run now. Their order does not matter.
    pools : sequence of PoolState
        In the order in which equal ones are preferred.
    ledger : Ledger
        Money reserved this month, and the limit.
    now : datetime
        With zone.

    Returns
    -------
    list of Decision
        In the order of release; never more for a pool than its free slots.
    """
    room = _Room(
        free={},
        in_pool={pool.spec.name: max(0, _in_all(pool)) for pool in pools},
        money_eur=None if ledger.budget_eur is None else ledger.budget_eur - ledger.committed_eur,
    )
    ordered = sorted(
        ((latest_start(task, pools), task) for task in pending),
        key=lambda pair: (pair[0], pair[1].created_at, pair[1].task_id),
    )
    decisions = []
    for latest, task in ordered:
        chosen = _on_prem(task, pools, room) or (_cloud(task, pools, room, now) if latest <= now else None)
        if chosen is None:
            continue
        figures = {pool.spec.name: _figures(task, pool, room, now) for pool in pools}
        cost_eur = chosen.spec.cost_eur(task.megapixels)
        room.take(chosen, task.result_version, cost_eur)
        decisions.append(
            Decision(
                task_id=task.task_id,
                pool=chosen.spec.name,
                cost_eur=round(cost_eur, 6),
                sentence=_sentence(task, chosen),
                figures=figures,
            )
        )
    return decisions


def _in_all(pool: PoolState) -> int:
    return pool.spec.max_slots + pool.spec.queue_ahead - sum(pool.busy.values())


def _on_prem(task: PendingTask, pools: Sequence[PoolState], room: _Room) -> PoolState | None:
    """The on-prem pool with the most room; idle slots before places in a queue."""
    able = [pool for pool in pools if pool.spec.kind == "onprem" and room.has_slot(pool, task.result_version)]
    return max(able, key=lambda pool: room.left(pool, task.result_version) - pool.spec.queue_ahead, default=None)


def _cloud(task: PendingTask, pools: Sequence[PoolState], room: _Room, now: datetime) -> PoolState | None:
    able = [
        pool
        for pool in pools
        if pool.spec.kind == "cloud"
        and room.has_slot(pool, task.result_version)
        and room.affords(pool.spec.cost_eur(task.megapixels))
    ]
    in_time = [pool for pool in able if _makes_it(task, pool, now) is not False]
    if in_time:
        return min(in_time, key=lambda pool: (pool.spec.cost_eur(task.megapixels), pool.spec.startup_s))
    return min(able, key=lambda pool: pool.spec.startup_s + pool.spec.run_s(task.megapixels), default=None)


def _makes_it(task: PendingTask, pool: PoolState, now: datetime) -> bool | None:
    if task.deadline is None:
        return None
    return now + timedelta(seconds=pool.spec.startup_s + pool.spec.run_s(task.megapixels)) <= task.deadline


def _figures(task: PendingTask, pool: PoolState, room: _Room, now: datetime) -> PoolFigures:
    return PoolFigures(
        kind=pool.spec.kind,
        basis=pool.basis,
        free_slots=room.left(pool, task.result_version),
        start_in_s=pool.spec.startup_s,
        run_s=round(pool.spec.run_s(task.megapixels), 3),
        cost_eur=round(pool.spec.cost_eur(task.megapixels), 6),
        in_time=_makes_it(task, pool, now),
    )


def _sentence(task: PendingTask, chosen: PoolState) -> str:
    name = chosen.spec.name
    if chosen.spec.kind == "onprem":
        known = "" if chosen.basis is Basis.ADVERTISED else f" (its capacity is {chosen.basis})"
        return f"{name}: an on-prem slot was free{known}"
    if task.deadline is None:
        return f"{name}: no on-prem slot came free within its patience of {task.patience_s:g} s"
    return f"{name}: no on-prem slot was free when its deadline {task.deadline:%Y-%m-%d %H:%M:%S} UTC left no more time"
