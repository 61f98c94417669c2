"""Replays arrivals through the policy, or through what others do, on a simulated site."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from localdev.bench._arrivals import Arrivals
from orthofunctions.domain.decisions import Decision
from orthofunctions.domain.money import Ledger
from orthofunctions.domain.offers import Market, PendingTask
from orthofunctions.domain.policy import plan_releases
from orthofunctions.domain.pool_state import Basis, PoolState
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.runtimes import MOST_RUNS, Run, RunTimes, learn
from orthofunctions.domain.shares import FairClock, next_turn

Plan = Callable[[Sequence[PendingTask], Sequence[PoolState], Ledger, float], list[Decision]]

_PROCESS = "replay"
_VERSION = 1
_LEARN_EVERY = 64
_LOOK_AHEAD = 20
_DUE_AHEAD_S = 60.0
_BACKOFF_S = 10.0
_OVERDUE_S = 30.0


@dataclass(frozen=True)
class Site:
    """A centre and a cloud. Cloud workers stay ``linger_s`` after their last task and are paid for until they leave."""

    slots: int
    cloud_slots: int = 100_000
    startup_s: float = 120.0
    linger_s: float = 60.0
    price_per_slot_hour_eur: float = 0.2
    round_s: float = 1.0
    patience_s: float = 300.0
    most_candidates: int = 1000


@dataclass
class Outcome:
    """What became of a replay. Seconds are of slots where they are sums, of clocks elsewhere."""

    cloud_s: float = 0.0
    """What cloud slots worked, failed attempts included."""
    billed_s: float = 0.0
    """What they are paid for: start-up, work, lingering."""
    on_prem_s: float = 0.0
    n_cloud: int = 0
    n_hits: int = 0
    n_deadlines: int = 0
    waits_s: list[float] = field(default_factory=list)
    slowdowns: dict[str, list[float]] = field(default_factory=dict)
    end_s: float = 0.0
    n_rounds: int = 0
    n_left: int = 0

    @property
    def hits(self) -> float:
        """Share of deadlines that were made."""
        return self.n_hits / self.n_deadlines if self.n_deadlines else 1.0

    def wait_s(self, share: float) -> float:
        """Quantile of the time from arrival to the begin of the last attempt."""
        ordered = sorted(self.waits_s)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0

    def jain(self, least_tasks: int = 10) -> float:
        """Jain's index of the users' mean slowdowns, of those with so many tasks: a mean of fewer is chance."""
        means = [math.fsum(found) / len(found) for found in self.slowdowns.values() if len(found) >= least_tasks]
        squares = math.fsum(mean * mean for mean in means)
        return math.fsum(means) ** 2 / (len(means) * squares) if squares else 1.0


def replay(arrivals: Arrivals, site: Site, plan: Plan = plan_releases, *, judged_from_s: float = 0.0) -> Outcome:
    """Run all arrivals to their end. Slowdowns are of those that arrive from a moment on."""
    return _Replay(arrivals, site, plan, judged_from_s).run()


class _Replay:
    def __init__(self, arrivals: Arrivals, site: Site, plan: Plan, judged_from_s: float) -> None:
        self._arrivals, self._site, self._plan, self._judged_from_s = arrivals, site, plan, judged_from_s
        self._wasted_s = list(arrivals.wasted_s)
        self._hpc = PoolSpec(
            name="hpc", kind="onprem", max_slots=site.slots, run_overhead_s=0.0, run_s_per_megapixel=1.0
        )
        self._cloud = PoolSpec(
            name="cloud", kind="cloud", max_slots=site.cloud_slots, startup_s=site.startup_s, run_overhead_s=0.0,
            run_s_per_megapixel=1.0, price_per_slot_hour_eur=site.price_per_slot_hour_eur,
        )  # fmt: skip
        self._busy = {"hpc": 0, "cloud": 0}
        self._lessons = {"hpc": _Lessons(), "cloud": _Lessons()}
        self._pending: dict[int, PendingTask] = {}
        self._by_due: list[tuple[float, int]] = []
        self._by_turn: list[tuple[float, int]] = []
        self._running: list[tuple[float, int, str, bool, float]] = []  # end, task, pool, well, began
        self._idle: list[float] = []  # of cloud workers: since when, the latest last
        self._again: list[tuple[float, int]] = []
        self._clock = FairClock(slots=site.slots)
        self._finish: dict[str, float] = {}
        self._tags: dict[int, float] = {}
        self._unfinished: dict[str, int] = {}
        self.outcome = Outcome()

    def run(self) -> Outcome:
        at_s, n = self._arrivals.at_s, len(self._arrivals)
        k, now_s = 0, 0.0
        while k < n or self._running or self._pending or self._again:
            coming = [at_s[k]] if k < n else []
            coming += [heap[0][0] for heap in (self._running, self._again) if heap]
            if self._pending and (due_s := self._next_due()) is not None:
                coming.append(due_s)
            if not coming:
                break
            now_s = max(now_s + self._site.round_s, min(coming))
            while self._running and self._running[0][0] <= now_s:
                self._end(heapq.heappop(self._running))
            while k < n and at_s[k] <= now_s:
                self._arrive(k, at_s[k])
                k += 1
            while self._again and self._again[0][0] <= now_s:
                self._wait(heapq.heappop(self._again)[1], now_s)
            self._leave(now_s)
            if self._pending:
                self._round(now_s)
        self._leave(math.inf)
        self.outcome.end_s, self.outcome.n_left = now_s, len(self._pending)
        return self.outcome

    def _arrive(self, k: int, now_s: float) -> None:
        user, estimate_s = self._arrivals.user[k], self._arrivals.estimate_s[k]
        self._unfinished[user] = self._unfinished.get(user, 0) + 1
        self._clock = FairClock(self._clock.virtual_s, self._site.slots, max(len(self._unfinished), 1))
        turn = next_turn(self._clock, self._finish.get(user, 0.0), 1.0, estimate_s, now_s)
        self._finish[user], self._tags[k] = turn.finish_s, turn.tag_s
        self._wait(k, now_s, turn_s=turn.at_s)

    def _wait(self, k: int, now_s: float, turn_s: float | None = None) -> None:
        deadline_s = self._arrivals.deadline_s[k]
        task = PendingTask(
            str(k), self._arrivals.user[k], now_s, self._site.patience_s,
            None if math.isinf(deadline_s) else deadline_s, now_s if turn_s is None else turn_s, _PROCESS,
            self._arrivals.estimate_s[k], (), frozenset(), 0, _VERSION,
        )  # fmt: skip
        self._pending[k] = task
        heapq.heappush(self._by_due, (self._due_s(task), k))
        heapq.heappush(self._by_turn, (task.turn_s or 0.0, k))

    def _due_s(self, task: PendingTask) -> float:
        """As an index row would have it: reckoned once, when it is written."""
        if task.deadline_s is None:
            return task.due_s
        times = self._lessons["cloud"].times
        return task.deadline_s - self._site.startup_s - times.at(task.megapixels, 3.0)

    def _next_due(self) -> float | None:
        while self._by_due and self._by_due[0][1] not in self._pending:
            heapq.heappop(self._by_due)
        return self._by_due[0][0] if self._by_due else None

    def _round(self, now_s: float) -> None:
        self.outcome.n_rounds += 1
        free = self._site.slots - self._busy["hpc"]
        most = min(self._site.most_candidates, free + _LOOK_AHEAD) if free else 0
        # Of those that are due no more are looked at than could be released anywhere.
        cloud_free = self._site.cloud_slots - self._busy["cloud"]
        most_due = min(self._site.most_candidates, free + cloud_free + _LOOK_AHEAD) if free + cloud_free else 0
        urgent = self._first(self._by_due, most, now_s + _DUE_AHEAD_S, most_due)
        seen = urgent | self._first(self._by_turn, most)
        pools = self._pools()
        for decision in self._plan([self._pending[k] for k in seen], pools, Ledger(), now_s):
            self._release(int(decision.task_id), decision.pool, now_s)
        left = [self._pending[k] for k in urgent if k in self._pending]
        for task, latest_s in zip(left, Market(pools).latest_starts_s(left, now_s), strict=True):
            # The next round need not come before one of them is due, or something ends or arrives.
            heapq.heappush(self._by_due, (now_s + max(latest_s, _OVERDUE_S), int(task.task_id)))

    def _pools(self) -> list[PoolState]:
        busy, lessons = self._busy, self._lessons
        return [
            PoolState(
                self._hpc, Basis.ADVERTISED, {_VERSION: self._site.slots}, {_VERSION: busy["hpc"]},
                run_times={_PROCESS: lessons["hpc"].times},
            ),
            PoolState(
                self._cloud, Basis.CONFIGURED, {_VERSION: self._site.cloud_slots}, {_VERSION: busy["cloud"]},
                {_VERSION: len(self._idle)}, {_PROCESS: lessons["cloud"].times},
            ),
        ]  # fmt: skip

    def _first(
        self, heap: list[tuple[float, int]], most: int, until_s: float = -math.inf, most_until: int = 0
    ) -> set[int]:
        """The first waiting tasks of an order: so many, and more up to a moment. What is met of others is dropped."""
        taken: list[tuple[float, int]] = []
        found: set[int] = set()
        while heap and (len(found) < most or (heap[0][0] <= until_s and len(found) < most_until)):
            one = heapq.heappop(heap)
            if one[1] in self._pending and one[1] not in found:
                taken.append(one)
                found.add(one[1])
        if heap is self._by_turn:  # those of the other order get a new place after the round
            for one in taken:
                heapq.heappush(heap, one)
        return found

    def _release(self, k: int, pool: str, now_s: float) -> None:
        del self._pending[k]
        self._clock = FairClock(self._clock.served(self._tags[k]), self._clock.slots, self._clock.active_weight)
        self._busy[pool] += 1
        start_s = now_s
        if pool == "cloud":
            if self._idle:
                since_s = self._idle.pop()
                self.outcome.billed_s += now_s - since_s
            else:
                start_s += self._site.startup_s
                self.outcome.billed_s += self._site.startup_s
        well = not self._wasted_s[k]
        run_s = self._arrivals.run_s[k] if well else self._wasted_s[k]
        self._wasted_s[k] = 0.0
        heapq.heappush(self._running, (start_s + run_s, k, pool, well, start_s))

    def _end(self, one: tuple[float, int, str, bool, float]) -> None:
        end_s, k, pool, well, start_s = one
        self._busy[pool] -= 1
        out, arrivals = self.outcome, self._arrivals
        if pool == "cloud":
            out.cloud_s += end_s - start_s
            out.billed_s += end_s - start_s
            self._idle.append(end_s)
        else:
            out.on_prem_s += end_s - start_s
        self._lessons[pool].add(arrivals.estimate_s[k], end_s - start_s, well)
        if not well:
            heapq.heappush(self._again, (end_s + _BACKOFF_S, k))
            return
        user = arrivals.user[k]
        self._unfinished[user] -= 1
        if not self._unfinished[user]:
            del self._unfinished[user]
        out.n_cloud += pool == "cloud"
        out.waits_s.append(start_s - arrivals.at_s[k])
        if arrivals.at_s[k] >= self._judged_from_s:
            out.slowdowns.setdefault(user, []).append((end_s - arrivals.at_s[k]) / arrivals.run_s[k])
        if not math.isinf(arrivals.deadline_s[k]):
            out.n_deadlines += 1
            out.n_hits += end_s <= arrivals.deadline_s[k]

    def _leave(self, now_s: float) -> None:
        """Cloud workers that have lingered long enough."""
        stay = [since_s for since_s in self._idle if now_s - since_s < self._site.linger_s]
        self.outcome.billed_s += self._site.linger_s * (len(self._idle) - len(stay))
        self._idle = stay


class _Lessons:
    """The latest runs on one machine, and what they teach."""

    def __init__(self) -> None:
        self.times = RunTimes()
        self._runs: list[Run] = []
        self._failed: list[bool] = []
        self._new = 0

    def add(self, nominal_s: float, took_s: float, well: bool) -> None:
        if well:
            self._runs.append(Run(nominal_s, took_s))
        self._failed.append(not well)
        del self._runs[:-MOST_RUNS], self._failed[: -4 * MOST_RUNS]
        self._new += 1
        if self._new >= _LEARN_EVERY:
            self._new = 0
            self.times = learn(self._runs, round(sum(self._failed) * len(self._runs) / len(self._failed)))


def burst_when_full(
    pending: Iterable[PendingTask], pools: Sequence[PoolState], ledger: Ledger, now_s: float
) -> list[Decision]:
    """What autoscalers do: in the order of arrival, the centre while it has a free slot, else the cloud at once."""
    free = pools[0].free(_VERSION)
    ordered = sorted(pending, key=lambda task: (task.created_s, task.task_id))
    return [_plainly(task, "hpc" if k < free else "cloud") for k, task in enumerate(ordered)]


def cloud_only(
    pending: Iterable[PendingTask], pools: Sequence[PoolState], ledger: Ledger, now_s: float
) -> list[Decision]:
    """All to the cloud, at once."""
    return [_plainly(task, "cloud") for task in pending]


def _plainly(task: PendingTask, pool: str) -> Decision:
    return Decision(task.task_id, pool, 0.0, "", {})
