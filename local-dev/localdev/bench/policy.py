"""The policy on real or made arrivals, held against a clairvoyant bound and against what others do."""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from localdev.bench._arrivals import Arrivals, archive_year, from_swf
from localdev.bench._bound import least_cloud_s
from localdev.bench._replay import Outcome, Site, burst_when_full, cloud_only, replay
from localdev.bench.case import Case
from orthofunctions.domain.money import Ledger
from orthofunctions.domain.offers import PendingTask
from orthofunctions.domain.policy import plan_releases
from orthofunctions.domain.pool_state import Basis, PoolState
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.runtimes import RunTimes

WITHIN_BOUND = {1.5: 1.10, 3.0: 1.03, 10.0: 1.02}
CALM = 0.85
LEAST_HITS, LEAST_WAY, LEAST_JAIN = 0.995, 0.95, 0.9
TASKS_FOR_A_MEAN = 10
N_MILLION, MILLION_SLOTS, MILLION_PER_DAY, MILLION_WITHIN_S = 1_000_000, 8_000, 1_500_000, 120.0
N_PENDING, N_RELEASED, N_POOLS, ROUND_WITHIN_MS = 10_000, 200, 50, 20.0
N_MADE, MADE_PER_DAY = 22_000, 11_000
TIMES = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this bench alone may be asked."""
    parser.add_argument(
        "--trace", type=Path, metavar="FILE.swf", help="arrivals and users of a trace in the Standard Workload Format"
    )
    parser.add_argument(
        "--runtimes", choices=("kernel", "trace"), default="kernel", help="this kernel's run times, or the trace's own"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw cost and deadlines of all strategies")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All cases of this bench, each when it is measured."""
    yield one_round()  # before the replays leave millions of objects for the garbage collector to look through
    if options.trace is None:
        name, arrivals = "a made day of an archive", archive_year(N_MADE, products_per_day=MADE_PER_DAY)
    else:
        name, arrivals = options.trace.name, from_swf(options.trace, keep_runs=options.runtimes == "trace")
    replays = []
    for overload in (CALM, *WITHIN_BOUND):
        one = Replays.of(arrivals, overload)
        replays.append(one)
        yield from one.cases(name)
    if options.plot is not None:
        from localdev.bench._policy_plot import draw  # noqa: PLC0415 (takes a second to load)

        draw(replays, name, options.plot)
    yield million()


@dataclass(frozen=True)
class Replays:
    """The same arrivals under every strategy, and the bound."""

    overload: float
    site: Site
    bound_s: float
    policy: Outcome
    burst: Outcome
    cloud: Outcome
    on_prem: Outcome
    second_day: Outcome
    """Slowdowns on a site that is as busy as this from the beginning."""
    work_s: float

    @classmethod
    def of(cls, arrivals: Arrivals, overload: float) -> Replays:
        """Run them all."""
        site = Site(arrivals.slots_for(overload))
        return cls(
            overload,
            site,
            least_cloud_s(arrivals, site.slots),
            replay(arrivals, site),
            replay(arrivals, site, burst_when_full),
            replay(arrivals, site, cloud_only),
            replay(arrivals, replace(site, cloud_slots=0)),
            replay(arrivals.twice, site, judged_from_s=arrivals.at_s[0] + arrivals.repeat_s),
            arrivals.work_s,
        )

    def eur(self, slot_s: float) -> float:
        """What so many slot-seconds cost."""
        return self.site.price_per_slot_hour_eur * slot_s / 3600

    def cases(self, name: str) -> Iterator[Case]:
        """Cost, way closed, deadlines, fairness at one overload."""
        at = f"overload {self.overload:g}"
        ours, burst, eur = self.policy, self.burst, self.eur
        within = WITHIN_BOUND.get(self.overload)
        paid = (
            f"start-up and lingering included {eur(ours.billed_s):.2f} EUR, burst when full {eur(burst.billed_s):.2f}"
        )
        others = f"burst when full {eur(burst.cloud_s):.2f}, cloud only {eur(self.cloud.cloud_s):.2f} EUR"
        ratio = ours.cloud_s / self.bound_s if self.bound_s > 0 else None
        yield Case(
            case=f"bound, {at}",
            figure=eur(ours.cloud_s),
            unit="EUR",
            peer=f"{name}, {self.site.slots} slots; clairvoyant bound: {eur(self.bound_s):.2f} EUR; {others}; {paid}",
            ratio=ratio,
            at_least="printed" if within is None else f"within {within:g}x",
            holds=None if within is None or ratio is None else ratio <= within,
            reason="nothing promised" if within is None else None,
        )
        way = (burst.cloud_s - ours.cloud_s) / max(burst.cloud_s - self.bound_s, 1e-9)
        yield Case(
            case=f"naive, {at}",
            figure=100 * way,
            unit="% of the way",
            peer="from burst when full (0) to the bound (100)",
            ratio=way,
            at_least=f"{100 * LEAST_WAY:g} %",
            holds=way >= LEAST_WAY,
        )
        utilisation = ours.on_prem_s / (self.site.slots * ours.end_s)
        yield Case(
            case=f"hits, {at}",
            figure=100 * ours.hits,
            unit="% of deadlines",
            peer=(
                f"on-prem only {100 * self.on_prem.hits:.1f} %; waits p50 {ours.wait_s(0.5):.0f}, p95 "
                f"{ours.wait_s(0.95):.0f}, p99 {ours.wait_s(0.99):.0f} s; centre {100 * utilisation:.0f} % busy"
            ),
            ratio=ours.hits,
            at_least=f"{100 * LEAST_HITS:g} %",
            holds=ours.hits >= LEAST_HITS,
        )
        judged, least = self.second_day, TASKS_FOR_A_MEAN
        jain, is_calm = judged.jain(least), self.overload == CALM
        n_users = sum(len(one) >= least for one in judged.slowdowns.values())
        yield Case(
            case=f"fairness, {at}",
            figure=jain,
            unit="Jain",
            peer=(
                f"mean slowdowns of {n_users} users with {least} tasks or more, on the second of two such days; on the "
                f"first, which finds the site empty, {ours.jain(least):.2f}, burst when full {burst.jain(least):.2f}, "
                f"on-prem only {self.on_prem.jain(least):.2f}; {judged.jain(1):.2f} of all users"
            ),
            ratio=jain,
            at_least="printed" if is_calm else f"{LEAST_JAIN:g}",
            holds=None if is_calm else jain >= LEAST_JAIN,
            reason="nothing promised: who comes when the centre is empty does not wait" if is_calm else None,
        )


def million() -> Case:
    """A million tasks on eight thousand slots, from the first arrival to the last result."""
    arrivals = archive_year(N_MILLION, products_per_day=MILLION_PER_DAY)
    start = time.perf_counter()
    found = replay(arrivals, Site(MILLION_SLOTS, round_s=10.0))
    seconds = time.perf_counter() - start
    assert len(found.waits_s) == N_MILLION, "a task was lost"
    return Case(
        case="million",
        figure=seconds,
        unit="s",
        peer=f"limit {MILLION_WITHIN_S:g} s; {found.n_rounds} rounds on {MILLION_SLOTS} slots",
        ratio=MILLION_WITHIN_S / seconds,
        at_least=f"under {MILLION_WITHIN_S:g} s",
        holds=seconds < MILLION_WITHIN_S,
    )


def one_round() -> Case:
    """One round of the policy alone: much pending, many pools, their figures for every task that is released."""
    pools, tasks = round_input()
    now_s = 0.0
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        decisions = plan_releases(tasks, pools, Ledger(), now_s)
        seconds.append(time.perf_counter() - start)
        assert len(decisions) == N_RELEASED
        assert all(len(one.figures) == N_POOLS for one in decisions)
    milliseconds = 1000 * statistics.median(seconds)
    return Case(
        case="round",
        figure=milliseconds,
        unit="ms",
        peer=f"limit {ROUND_WITHIN_MS:g} ms; {N_PENDING} pending, {N_RELEASED} released, {N_POOLS} pools",
        ratio=ROUND_WITHIN_MS / milliseconds,
        at_least=f"under {ROUND_WITHIN_MS:g} ms",
        holds=milliseconds < ROUND_WITHIN_MS,
        runs=f"{1000 * min(seconds):.3g} to {1000 * max(seconds):.3g}",
    )


def round_input() -> tuple[list[PoolState], list[PendingTask]]:
    """Ten centres with twenty free slots each and forty clouds, run times of their own; every task its own size."""
    rng = random.Random(1)
    pools = []
    for k in range(N_POOLS):
        on_prem = k < N_POOLS // 5
        spec = PoolSpec(
            name=f"pool-{k}",
            kind="onprem" if on_prem else "cloud",
            max_slots=200,
            startup_s=0.0 if on_prem else 60.0 + k,
            price_per_slot_hour_eur=0.0 if on_prem else 0.1 + 0.01 * k,
            run_s_per_megapixel=0.3 + 0.01 * k,
        )
        times = RunTimes(0.01 * k, 0.8 + 0.004 * k, 0.3, 0.001 * (k % 9), 100)
        state = PoolState(spec, Basis.ADVERTISED, {1: 200}, {1: 180 if on_prem else 150}, run_times={"ortho": times})
        pools.append(state)
    tasks = [
        PendingTask(
            f"task-{k}", f"user-{k % 300}", -3600.0 * rng.random(), 20_000.0,
            43_200.0 * rng.random() if k % 3 else None, 4000.0 * rng.random(),
            "ortho", 1000.0 * rng.random(), (("blobs", 10**9),), frozenset(), 10**8, 1,
        )
        for k in range(N_PENDING)
    ]  # fmt: skip
    return pools, tasks
