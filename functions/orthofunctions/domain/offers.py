"""What each pool would make of a task: when it could start, how long it would take, what it would cost.

Moments are seconds since the epoch here and in the policy: a round looks at ten thousand tasks in milliseconds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from orthofunctions.domain.pool_state import PoolState
from orthofunctions.domain.pools import BLOB_STORE
from orthofunctions.domain.runtimes import RunTimes

DEADLINE_CONFIDENCE = 0.99
"""How sure a task is to make its deadline in the cloud, if it goes there at its latest start.

In replays 99.8 % do: a worker that lingers saves many the start-up. A second attempt is reckoned with.
"""
_BYTES_PER_GB = 1e9
_P90 = 0.9
RETRY_S = 30.0
"""From a failure to the next attempt: the report, the back-off, a round."""
_TWO_ATTEMPTS = 1.55  # of a run: one that fails on its way, and a whole one
_PLAIN = RunTimes()
_SIZES_MPX = (0.0, 120.0, 1200.0, 12_000.0)
_FAR_BYTES = 2 * 10**9


@dataclass(frozen=True, slots=True)
class PendingTask:
    """What the policy knows of a waiting task. ``patience_s`` has the site's default filled in.

    Attributes
    ----------
    created_s, deadline_s : float
        Seconds since the epoch.
    turn_s : float or None
        When its user's fair share of the centre comes to it, see `shares`; None: when it was created.
    inputs : tuple of (str, int)
        Bytes to be read, by the store they lie in.
    output_bytes, output_store : int, str
        What it will make, roughly, and where that is to live.
    urgent : bool
        May go beyond the month's budget where its user may.
    """

    task_id: str
    user: str
    created_s: float
    patience_s: float
    deadline_s: float | None = None
    turn_s: float | None = None
    process: str = ""
    megapixels: float = 0.0
    inputs: tuple[tuple[str, int], ...] = ()
    output_bytes: int = 0
    output_store: str = BLOB_STORE
    result_version: int = 0
    urgent: bool = False


@dataclass(slots=True)
class Offer:
    """One pool's, for one task, in seconds and euros.

    ``sure_s`` is how long it may take from release to result, start-up and transfer included, with the confidence
    that a deadline wants; ``reserve_eur`` what may have to be paid: start-up and the run at its 90th percentile.
    """

    transfer_s: float
    run_s: float
    sure_s: float
    reserve_eur: float


class Market:
    """All pools' offers to the tasks of a round.

    Parameters
    ----------
    pools : sequence of PoolState
    egress_eur_per_gb : mapping
        By store, what it costs to carry a gigabyte out of it.
    confidence : float
        Of making a deadline.
    """

    def __init__(
        self,
        pools: Sequence[PoolState],
        egress_eur_per_gb: Mapping[str, float] | None = None,
        confidence: float = DEADLINE_CONFIDENCE,
    ) -> None:
        self.pools = pools
        self._egress = egress_eur_per_gb or {}
        self._confidence = confidence
        self._terms: dict[str, list[_Terms]] = {}
        self._quickest: dict[tuple[str, int], list[_Terms]] = {}

    def offers(self, task: PendingTask) -> list[Offer]:
        """Every pool's; one of the cloud is taken to have no idle worker, so that it first starts one."""
        megapixels, inputs, output_bytes = task.megapixels, task.inputs, task.output_bytes
        found = []
        for terms in self._terms_of(task.process):
            power_s = (terms.overhead_s + terms.s_per_megapixel * megapixels) ** terms.power
            transfer_s = carrying_eur = 0.0
            for store, n_bytes in inputs:
                if store not in terms.local:
                    transfer_s += n_bytes * terms.s_per_byte
                    carrying_eur += self._egress.get(store, 0.0) * n_bytes / _BYTES_PER_GB
            if output_bytes and task.output_store not in terms.local:
                carrying_eur += terms.egress_eur_per_byte * output_bytes
            run_s = terms.median * power_s
            sure_s = transfer_s + max(
                terms.startup_s + terms.sure * power_s, terms.again_lead_s + terms.again * power_s
            )
            slot_s = terms.startup_s + transfer_s + terms.p90 * power_s
            found.append(Offer(transfer_s, run_s, sure_s, terms.eur_per_s * slot_s + carrying_eur))
        return found

    def latest_starts_s(self, tasks: Sequence[PendingTask], now_s: float) -> list[float]:
        """Seconds until each task without a free on-prem slot must go to the cloud; negative when it should have.

        With a deadline: while the quickest cloud pool still makes it (without a cloud, the quickest pool). Without: the
        end of its patience, which begins when its user's turn has come.
        """
        found = []
        quickest = self._quickest
        for task in tasks:
            deadline_s = task.deadline_s
            if deadline_s is None:
                turn_s, created_s = task.turn_s, task.created_s
                found.append((created_s if turn_s is None or turn_s < created_s else turn_s) + task.patience_s - now_s)
                continue
            terms = quickest.get((task.process, task.result_version))
            if terms is None:
                terms = self._find_quickest(task)
            megapixels, inputs, least_s = task.megapixels, task.inputs, math.inf
            for one in terms:
                power_s = (one.overhead_s + one.s_per_megapixel * megapixels) ** one.power
                sure_s, again_s = one.startup_s + one.sure * power_s, one.again_lead_s + one.again * power_s
                sure_s = max(sure_s, again_s)
                for store, n_bytes in inputs:
                    if store not in one.local:
                        sure_s += n_bytes * one.s_per_byte
                least_s = min(least_s, sure_s)
            found.append(deadline_s - now_s - (least_s if terms else 0.0))
        return found

    def _terms_of(self, process: str) -> list[_Terms]:
        terms = self._terms.get(process)
        if terms is None:
            terms = [_Terms.of(pool, pool.run_times.get(process, _PLAIN), self._confidence) for pool in self.pools]
            self._terms[process] = terms
        return terms

    def _find_quickest(self, task: PendingTask) -> list[_Terms]:
        """Cloud pools (all, where there is none) that are the quickest for a small, a usual, a large or a huge task.

        With its data at hand, or far away. For a size in between another may be a little quicker still: the task then
        counts as due a little too early.
        """
        able = [k for k, pool in enumerate(self.pools) if pool.takes(task.result_version)]
        able = [k for k in able if self.pools[k].spec.kind == "cloud"] or able
        far = tuple((store, _FAR_BYTES) for store, _ in task.inputs)
        like = [replace(task, megapixels=size, inputs=inputs) for size in _SIZES_MPX for inputs in ((), far)]
        best = set()
        for one in like if able else ():
            offers = self.offers(one)
            best.add(min(able, key=lambda k: offers[k].sure_s))
        terms = [self._terms_of(task.process)[k] for k in sorted(best)]
        self._quickest[task.process, task.result_version] = terms
        return terms


@dataclass(slots=True)
class _Terms:
    """What a pool's offers for a process are reckoned from."""

    startup_s: float
    overhead_s: float
    s_per_megapixel: float
    power: float
    median: float
    p90: float
    sure: float
    again_lead_s: float
    again: float
    local: frozenset[str]
    s_per_byte: float
    eur_per_s: float
    egress_eur_per_byte: float

    @classmethod
    def of(cls, pool: PoolState, times: RunTimes, confidence: float) -> _Terms:
        spec = pool.spec
        level, miss = math.exp(times.level), 1 - confidence
        fails = times.failure_share > miss / 2
        # Where failures are frequent, half of the misses that are allowed are runs that take too long, the other half
        # failures that leave no time for a second attempt. A run that fails does so half-way, on average.
        sure = _normal_quantile(1 - miss / 2 if fails else confidence)
        again = _normal_quantile(1 - miss / (2 * times.failure_share)) if fails else 0.0
        return cls(
            startup_s=spec.startup_s,
            overhead_s=spec.run_overhead_s,
            s_per_megapixel=spec.run_s_per_megapixel,
            power=times.power,
            median=level,
            p90=level * math.exp(_normal_quantile(_P90) * times.sigma),
            sure=level * math.exp(sure * times.sigma),
            again_lead_s=2 * spec.startup_s + RETRY_S if fails else 0.0,
            again=_TWO_ATTEMPTS * level * math.exp(again * times.sigma) if fails else 0.0,
            local=frozenset(spec.local),
            s_per_byte=1e-6 / spec.bandwidth_mb_per_s,
            eur_per_s=spec.run_cost_eur(1.0),
            egress_eur_per_byte=spec.egress_eur_per_gb / _BYTES_PER_GB,
        )


@lru_cache
def _normal_quantile(share: float) -> float:
    return statistics.NormalDist().inv_cdf(share)
