"""Which pending tasks to release now, and to which pool. Pure: the same code decides live, in tests and in replays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop

from orthofunctions.domain.decisions import Decision, FiguresSeen, sentence_of
from orthofunctions.domain.money import CENT_PART, Ledger
from orthofunctions.domain.offers import Market, Offer, PendingTask
from orthofunctions.domain.pool_state import Coming, PoolState
from orthofunctions.domain.rooms import Room
from orthofunctions.domain.runtimes import DEADLINE_CONFIDENCE


def plan_releases(
    pending: Iterable[PendingTask],
    pools: Sequence[PoolState],
    ledger: Ledger,
    now_s: float,
    confidence: float = DEADLINE_CONFIDENCE,
) -> list[Decision]:
    """Decide a round.

    1. *Due*: tasks whose latest start has come, the earliest first. Each goes to a free on-prem slot; else, where a
       worker of the centre is expected in time for its deadline, it waits for that; else it goes to the cheapest cloud
       pool that makes its deadline, else to the soonest.
    2. *Fill*: on-prem slots that are left take the others, the earliest latest start first. Where a task has no
       deadline, or cannot go to the cloud (no room, no money, a quota), its user's turn counts if that is later: fair
       shares hold among those whom no deadline drives to the cloud.

    What is released takes its ceiling from the money that is left: what it costs if it runs for as long as any may.
    Where that is more than is left, but its reservation is not, its ceiling is what is left.

    All others wait: the next round knows more. `orthofunctions.domain.waiting` says of each what it waits for.

    Parameters
    ----------
    pending : iterable of PendingTask
        Tasks that may run now. Their order does not matter.
    pools : sequence of PoolState
        In the order in which equal ones are preferred.
    ledger : Ledger
    now_s : float
        Seconds since the epoch.
    confidence : float
        Of making a deadline when a task goes to the cloud at its latest start.

    Returns
    -------
    list of Decision
        In the order of release; never more for a pool than its free slots, nor for a user than their limits.
    """
    market = Market(pools, ledger.egress_eur_per_gb, confidence)
    round_ = _Round(market, ledger, now_s)
    tasks = list(pending)
    due: list[_Waiting] = []
    rest: list[_Waiting] = []
    for task, latest_s in zip(tasks, market.latest_starts_s(tasks, now_s), strict=True):
        waiting = due if latest_s <= 0 else rest
        key_s = _in_turn(latest_s, task, now_s) if task.deadline_s is None and waiting is rest else latest_s
        waiting.append((key_s, task.created_s, task.task_id, task))
    for latest_s, created_s, task_id, task in sorted(due):
        if round_.is_full():
            break
        if not round_.place_due(task):
            rest.append((_in_turn(latest_s, task, now_s), created_s, task_id, task))
    heapify(rest)  # few of them will be asked for: no need to sort ten thousand
    while rest and round_.has_on_prem:
        round_.place_on_prem(heappop(rest)[-1])
    return round_.decisions


def filled(pools: Sequence[PoolState], decisions: Iterable[Decision], versions: Mapping[str, int]) -> list[PoolState]:
    """The pools once decisions are carried out: what is left waits for what they leave. ``versions`` is by task."""
    taken = Counter((one.pool, versions[one.task_id]) for one in decisions)

    def after(state: PoolState) -> PoolState:
        of_pool = {version: n for (pool, version), n in taken.items() if pool == state.spec.name}
        busy = {version: state.busy.get(version, 0) + of_pool.get(version, 0) for version in {*state.busy, *of_pool}}
        idle = {version: max(0, n - of_pool.get(version, 0)) for version, n in state.idle.items()}
        return replace(state, busy=busy, idle=idle)

    return [after(state) for state in pools]


def _in_turn(latest_s: float, task: PendingTask, now_s: float) -> float:
    turn_s = task.turn_s
    return latest_s if turn_s is None or turn_s - now_s <= latest_s else turn_s - now_s


_Waiting = tuple[float, float, str, PendingTask]
"""Key in seconds from now, then what tells equal ones apart, then the task."""


class _Round:
    """What is left of slots, money and quotas while a round decides, and what it has decided."""

    def __init__(self, market: Market, ledger: Ledger, now_s: float) -> None:
        self._market, self._ledger, self._now_s = market, ledger, now_s
        self.decisions: list[Decision] = []
        self._rooms = [Room(k, pool) for k, pool in enumerate(market.pools)]
        self._on_prem = [room for room in self._rooms if room.spec.kind == "onprem"]
        self._cloud = [room for room in self._rooms if room.spec.kind == "cloud"]
        self._coming = [_Expected(room, one, one.slots) for room in self._on_prem for one in room.pool.coming]
        self._money_eur = ledger.left_eur
        self._standings: dict[int, tuple[list[int], list[float]]] = {}
        self._taken: dict[str, int] = {}
        self._held_eur: dict[str, float] = {}

    @property
    def has_on_prem(self) -> bool:
        """Whether any on-prem slot is left, of whatever result version."""
        for room in self._on_prem:  # noqa: SIM110 (asked before every placement: a generator costs as much as all of it)
            if room.in_all > 0:
                return True
        return False

    def is_full(self) -> bool:
        """Whether nothing more can be placed anywhere."""
        return all(room.in_all <= 0 for room in self._rooms)

    def place_due(self, task: PendingTask) -> bool:
        """Rule 1. False: it cannot go to the cloud, so that the centre's slots are not for it before others.

        True also where it waits for a worker of the centre that is on its way.
        """
        if not self._within_quota(task):
            return False
        offers = self._market.offers(task)
        if self._awaits_worker(task, offers):
            return True
        _, start_s = self._standing(task.result_version)
        most_eur = self._most_eur(task)
        left_s = math.inf if task.deadline_s is None else task.deadline_s - self._now_s + CENT_PART
        cheapest: tuple[tuple[float, float], Room] | None = None
        soonest: tuple[float, Room] | None = None
        for room in self._able(self._cloud, task):
            (transfer_s, run_s, sure_s, reserve_eur), starts_s = offers[room.k], start_s[room.k]
            if reserve_eur > most_eur and reserve_eur > 0:
                continue
            if task.cut_short and self._ledger.whole_run_eur(task, self._market, room.k) > max(most_eur, 0.0):
                continue
            if sure_s - room.startup_s + starts_s <= left_s:
                if cheapest is None or (reserve_eur, starts_s) < cheapest[0]:
                    cheapest = (reserve_eur, starts_s), room
            elif soonest is None or starts_s + transfer_s + run_s < soonest[0]:
                soonest = starts_s + transfer_s + run_s, room
        chosen = cheapest or soonest
        if chosen is None:
            return False
        if not self.place_on_prem(task, in_time_elsewhere=cheapest is not None):
            self._take(task, chosen[1], offers[chosen[1].k].reserve_eur, late=cheapest is None)
        return True

    def place_on_prem(self, task: PendingTask, *, in_time_elsewhere: bool = False) -> bool:
        """Rule 2: the pool whose result would be there soonest; idle slots before places in a queue."""
        able = self._able(self._on_prem, task)
        if not able or not self._within_quota(task):
            return False
        left, _ = self._standing(task.result_version)
        best: tuple[tuple[bool, float, int], Room, Offer] | None = None
        for room, offer in zip(able, self._market.offers(task, [room.k for room in able]), strict=True):
            if in_time_elsewhere and self._in_time(task, room, offer) is False:
                continue
            if room.ends and not outlasts(room.pool, task, offer):
                continue
            if offer[3] > 0 and offer[3] > self._most_eur(task):  # its data must be carried, and that is paid for
                continue
            idle = left[room.k] - room.queue_ahead
            key = (idle <= 0, offer[0] + offer[1], -idle)  # transfer and run
            if best is None or key < best[0]:
                best = key, room, offer
        if best is None:
            return False
        self._take(task, best[1], best[2].reserve_eur)
        return True

    def _awaits_worker(self, task: PendingTask, offers: Sequence[Offer]) -> bool:
        """Whether a worker of the centre comes in time for its deadline: then a slot of it is kept, and it waits."""
        if task.deadline_s is None or not self._coming or self._able(self._on_prem, task):
            return False
        for expected in self._coming:
            k = expected.room.k
            if expected.slots > 0 and self._market.comes_in_time(k, expected.coming, task, offers[k]):
                expected.slots -= 1
                return True
        return False

    def _able(self, rooms: Sequence[Room], task: PendingTask) -> list[Room]:
        """Those that have a slot left and can read all that the task needs."""
        left, _ = self._standing(task.result_version)
        able = [room for room in rooms if left[room.k] > 0]
        return [room for room in able if self._market.reads(room.k, task)] if task.sites else able

    def _standing(self, version: int) -> tuple[list[int], list[float]]:
        """By pool: slots left for a result version, and until a run begins there. Kept up to date by `_take`."""
        found = self._standings.get(version)
        if found is None:
            found = [room.left(version) for room in self._rooms], [room.start_s(version) for room in self._rooms]
            self._standings[version] = found
        return found

    def _within_quota(self, task: PendingTask) -> bool:
        user = self._ledger.users.get(task.user)
        if user is None or user.max_running is None:
            return True
        return user.running + self._taken.get(task.user, 0) < user.max_running

    def _most_eur(self, task: PendingTask) -> float:
        """What it may cost: the month's budget, unless it is urgent and its user may overdraw, and the user's credits.

        What costs nothing may run in any case.
        """
        user = self._ledger.users.get(task.user)
        own_eur = math.inf
        if user is not None and user.credits_left_eur is not None:
            held_eur = user.contingency_eur + self._held_eur.get(task.user, 0.0)
            own_eur = user.credits_left_eur - held_eur + CENT_PART
        if self._money_eur is None or (task.urgent and user is not None and user.may_overdraw):
            return own_eur
        return min(own_eur, self._money_eur + CENT_PART)

    def _in_time(self, task: PendingTask, room: Room, offer: Offer) -> bool | None:
        if task.deadline_s is None:
            return None
        saved_s = room.spec.startup_s - room.start_s(task.result_version)
        return offer.sure_s - saved_s <= task.deadline_s - self._now_s + CENT_PART

    def _take(self, task: PendingTask, room: Room, reserve_eur: float, *, late: bool = False) -> None:
        name, (cost_eur, contingency_eur, ends_early) = room.name, self._price(task, room, reserve_eur)
        left, start_s = self._standing(task.result_version)
        free = [n if self._market.reads(k, task) else 0 for k, n in enumerate(left)] if task.sites else left.copy()
        seen = FiguresSeen(self._market, task, self._now_s, free, start_s.copy())
        sentence = sentence_of(task, room.pool, cost_eur, late)
        if self._money_eur is not None and cost_eur > max(self._money_eur, 0.0) + CENT_PART:
            sentence += ", beyond the month's budget: it is urgent"
        if ends_early:
            sentence += (
                f"; its run is ended at {max(cost_eur + contingency_eur, 0.01):.2f} EUR, which is all that is left"
            )
        self.decisions.append(Decision(task.task_id, name, cost_eur, sentence, seen, contingency_eur))
        room.take(task.result_version)
        for version, (all_left, all_start_s) in self._standings.items():
            all_left[room.k], all_start_s[room.k] = room.left(version), room.start_s(version)
        self._taken[task.user] = self._taken.get(task.user, 0) + 1
        if cost_eur > 0:
            ceiling_eur = cost_eur + contingency_eur
            self._held_eur[task.user] = self._held_eur.get(task.user, 0.0) + ceiling_eur
            if self._money_eur is not None:
                self._money_eur -= ceiling_eur

    def _price(self, task: PendingTask, room: Room, reserve_eur: float) -> tuple[float, float, bool]:
        """What is reserved, what it may cost beyond that, and whether that is less than the longest run."""
        if reserve_eur <= 0:
            return 0.0, 0.0, False
        most_eur = max(0.0, self._most_eur(task) - CENT_PART)  # not a part of a cent more: the ledger refuses all then
        cost_eur = min(round(reserve_eur, 6), most_eur)
        beyond_eur = self._market.most_eur(room.k, task, self._ledger.longest_run_s) - cost_eur
        if beyond_eur <= 0:
            return cost_eur, 0.0, False
        beyond_eur = math.ceil(beyond_eur * 1e6) / 1e6  # never less
        left_eur = most_eur - cost_eur
        return cost_eur, min(beyond_eur, left_eur), left_eur < beyond_eur


def outlasts(pool: PoolState, task: PendingTask, offer: Offer) -> bool:
    """Whether a worker of the pool is there for long enough: batch jobs end, and it would hand the task back."""
    lasts_s = pool.lasts_s.get(task.result_version)
    expected_s = offer.transfer_s + pool.expected_run_s(task.process, task.megapixels)
    return lasts_s is None or expected_s <= lasts_s


@dataclass(slots=True)
class _Expected:
    """Slots of a worker that is still to come, and that no task of this round waits for yet."""

    room: Room
    coming: Coming
    slots: int
