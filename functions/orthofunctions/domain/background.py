"""What campaigns may run in a round: only what the users' own decisions have left over. Pure.

It is asked after `policy.plan_releases`, with the pools as those decisions leave them, and never before: what users
get in a round does not depend on it. What it decides takes slots that no user's task of that round could use, and of
these only idle ones: never a place in a queue behind a run, where a user's next task would stand behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orthofunctions.domain.decisions import Decision, PoolFigures
from orthofunctions.domain.offers import Market, PendingTask
from orthofunctions.domain.policy import outlasts
from orthofunctions.domain.pool_state import PoolState

_CENT_PART: Final = 1e-9
_A_CENT: Final = 0.005


@dataclass(frozen=True, slots=True)
class Standing:
    """How a campaign stands at the beginning of a round.

    Attributes
    ----------
    running : int
        Its releases under way.
    eur_left : float
        What it may still spend: nothing keeps it to what is paid for.
    patience_s : float
        How long its tasks wait for the centre before its money is for the cloud.
    """

    running: int = 0
    eur_left: float = 0.0
    patience_s: float = 0.0


def plan_background(
    waiting: Iterable[PendingTask],
    pools: Sequence[PoolState],
    campaigns: Mapping[str, Standing],
    now_s: float,
    longest_run_s: float,
    egress_eur_per_gb: Mapping[str, float] | None = None,
) -> list[Decision]:
    """Decide what campaigns run in the slots that are left.

    The campaign with the fewest runs under way comes first, then the one whose task has waited longest: so slots are
    shared evenly among those that have work. Each task goes to the on-prem pool that has it done soonest; only where
    none has room, its patience is over and its campaign has money, to the cheapest cloud pool.

    Parameters
    ----------
    waiting : iterable of PendingTask
        Of campaigns. Those of campaigns that are not among ``campaigns`` stay where they are.
    pools : sequence of PoolState
        As the round's decisions on users' tasks leave them.
    campaigns : mapping
        Those that run, by id.
    now_s : float
        Seconds since the epoch.
    longest_run_s : float
        After which a run is ended. A campaign has so much money and no more: what is reserved for a release is what it
        costs if it takes as long as that, and what it did not take comes back at its end.

    Returns
    -------
    list of Decision
        In the order of release.
    """
    market = Market(pools, egress_eur_per_gb)
    spare = [_Spare(k, pool) for k, pool in enumerate(pools)]
    queues: dict[str, list[PendingTask]] = {}
    for task in sorted(waiting, key=lambda one: (one.created_s, one.task_id), reverse=True):
        if task.campaign in campaigns:
            queues.setdefault(task.campaign, []).append(task)
    running = {name: campaigns[name].running for name in queues}
    left_eur = {name: campaigns[name].eur_left for name in queues}
    decisions: list[Decision] = []
    while queues and any(one.room > 0 for one in spare):
        name = min(queues, key=lambda one: (running[one], queues[one][-1].created_s, one))
        task = queues[name].pop()
        if not queues[name]:
            del queues[name]
        may_burst = now_s - task.created_s >= campaigns[name].patience_s
        found = _place(task, market, spare, left_eur[name], longest_run_s, may_burst=may_burst)
        if found is None:
            continue
        place, most_eur = found
        decisions.append(_decision(task, market, spare, place, most_eur))
        place.take(task.result_version)
        running[name] += 1
        left_eur[name] -= decisions[-1].cost_eur
    return decisions


class _Spare:
    """Idle slots of one pool that a campaign may have, in all and by result version."""

    def __init__(self, k: int, pool: PoolState) -> None:
        self.k, self.pool, self.spec = k, pool, pool.spec
        self.room = max(0, sum(self._idle_of(version) for version in pool.slots))
        self.room = max(0, min(self.room, pool.spec.max_slots - sum(pool.busy.values())) - pool.spec.keep_free)
        self._taken: dict[int, int] = {}

    def left(self, version: int) -> int:
        return min(self.room, self._idle_of(version) - self._taken.get(version, 0))

    def take(self, version: int) -> None:
        self.room -= 1
        self._taken[version] = self._taken.get(version, 0) + 1

    def _idle_of(self, version: int) -> int:
        slots = min(self.pool.slots.get(version, 0), self.spec.max_slots)
        return max(0, slots - self.pool.busy.get(version, 0))


def _place(
    task: PendingTask,
    market: Market,
    spare: Sequence[_Spare],
    left_eur: float,
    longest_run_s: float,
    *,
    may_burst: bool,
) -> tuple[_Spare, float] | None:
    """The pool, and what a release there costs at most."""
    offers = market.offers(task)
    able = [
        (one, offers[one.k], most_eur)
        for one in spare
        if one.left(task.result_version) > 0
        and market.reads(one.k, task)
        and (most_eur := market.most_eur(one.k, task, longest_run_s)) <= left_eur + _CENT_PART
        and (not one.pool.lasts_s or outlasts(one.pool, task, offers[one.k]))
    ]
    on_prem = [found for found in able if found[0].spec.kind == "onprem"]
    if on_prem:
        place, _, most_eur = min(on_prem, key=lambda found: (found[1].transfer_s + found[1].run_s, -found[0].room))
        return place, most_eur
    # a cloud slot that costs nothing is still somebody's bill: only a campaign with money goes there
    cloud = [found for found in able if found[0].spec.kind == "cloud" and left_eur > 0]
    if not cloud or not may_burst:
        return None
    place, _, most_eur = min(cloud, key=lambda found: (found[1].reserve_eur, found[1].transfer_s + found[1].run_s))
    return place, most_eur


def _decision(task: PendingTask, market: Market, spare: Sequence[_Spare], place: _Spare, most_eur: float) -> Decision:
    figures = {
        one.spec.name: PoolFigures(
            one.spec.kind, one.pool.basis, max(0, one.left(task.result_version)),
            one.spec.startup_s if one.left(task.result_version) > 0 else None, seen.transfer_s, seen.run_s,
            seen.reserve_eur,
        )
        for one, seen in zip(spare, market.offers(task), strict=True)
    }  # fmt: skip
    cost_eur = math.ceil(most_eur * 1e6) / 1e6  # never less
    money = f"; {cost_eur:.2f} EUR at most, of the campaign's own" if cost_eur >= _A_CENT else ""
    why = "an idle slot that no user's task wants"
    if place.spec.kind == "cloud":
        why = "the centre has no idle slot that no user's task wants"
    sentence = f"{place.spec.name}: {why}, for campaign {task.campaign}{money}"
    return Decision(task.task_id, place.spec.name, cost_eur, sentence, figures)
