"""What each pool would make of a task: when it could start, how long it would take, what it would cost.

Moments are seconds since the epoch here and in the policy: a round looks at ten thousand tasks in milliseconds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from orthofunctions.domain.pool_state import Coming, PoolState
from orthofunctions.domain.runtimes import DEADLINE_CONFIDENCE, RunTimes

_BYTES_PER_GB = 1e9
_P90 = 0.9
RETRY_S = 30.0
"""From a failure to the next attempt: the report, the back-off, a round."""
_TWO_ATTEMPTS = 1.55  # of a run: one that fails on its way, and a whole one
_PLAIN = RunTimes()
_SIZES_MPX = (0.0, 120.0, 1200.0, 12_000.0)
_FAR_BYTES = 2 * 10**9
_offer: Final = tuple.__new__


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
    sites : frozenset of str
        The stores of a site among them: only pools that have all of these at hand can run it.
    output_bytes : int
        What it will make, roughly.
    urgent : bool
        May go beyond the month's budget where its user may.
    cut_short : bool
        A run of it was ended for want of money: it is released again only where the longest run can be paid for.
    campaign : str
        Works for it, in slots that no user's task wants; "": a user's task.
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
    sites: frozenset[str] = frozenset()
    output_bytes: int = 0
    result_version: int = 0
    urgent: bool = False
    cut_short: bool = False
    campaign: str = ""

    @property
    def due_s(self) -> float:
        """Its deadline, or the end of its patience."""
        return self.created_s + self.patience_s if self.deadline_s is None else self.deadline_s


class Offer(NamedTuple):
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
        self._rows: dict[str, list[_Row]] = {}
        self._quickest: dict[tuple[str, int, frozenset[str]], list[_Lead]] = {}
        self._far: dict[str, bool] = {}
        self._results_travel = any(pool.spec.results_in not in pool.spec.local for pool in pools)

    def offers(self, task: PendingTask, only: Sequence[int] | None = None) -> list[Offer]:
        """Every pool's, or of some; one of the cloud is taken to have no idle worker, so that it first starts one."""
        megapixels = task.megapixels
        found: list[Offer] = []
        rows, terms = self._rows_of(task.process), self._terms_of(task.process)
        if only is not None:
            rows, terms = [rows[k] for k in only], [terms[k] for k in only]
        for startup_s, overhead_s, s_per_mpx, power, median, p90, sure, again_s, again, eur in rows:
            power_s = (overhead_s + s_per_mpx * megapixels) ** power
            sure_s, second_s = startup_s + sure * power_s, again_s + again * power_s
            if second_s > sure_s:  # noqa: PLR1730 (a call of max costs as much as all of this line)
                sure_s = second_s
            found.append(_offer(Offer, (0.0, median * power_s, sure_s, eur * (startup_s + p90 * power_s))))
        if self._results_travel or self._must_travel(task):
            return [self._carried(task, *one) for one in zip(terms, found, strict=True)]
        return found

    def _must_travel(self, task: PendingTask) -> bool:
        """Whether any pool has not all of its data at hand."""
        for store, _ in task.inputs:  # noqa: SIM110 (a generator costs as much as all of it)
            if self._is_far(store):
                return True
        return False

    def _carried(self, task: PendingTask, terms: _Terms, offer: Offer) -> Offer:
        """The offer of a pool that does not have all data at hand."""
        transfer_s = sum(n_bytes for store, n_bytes in task.inputs if store not in terms.local) * terms.s_per_byte
        cost_eur = self._egress_eur(task, terms) + terms.eur_per_s * transfer_s
        return Offer(transfer_s, offer.run_s, offer.sure_s + transfer_s, offer.reserve_eur + cost_eur)

    def egress_eur(self, k: int, task: PendingTask) -> float:
        """What carrying the task's data to and from a pool costs; part of its offer."""
        return self._egress_eur(task, self._terms_of(task.process)[k])

    def most_eur(self, k: int, task: PendingTask, longest_run_s: float) -> float:
        """What a release to a pool costs where its run takes as long as any may."""
        spec = self.pools[k].spec
        return spec.run_cost_eur(spec.startup_s + longest_run_s) + self.egress_eur(k, task)

    def _egress_eur(self, task: PendingTask, terms: _Terms) -> float:
        cost_eur = 0.0
        for store, n_bytes in task.inputs:
            if store not in terms.local:
                cost_eur += self._egress.get(store, 0.0) * n_bytes / _BYTES_PER_GB
        if terms.results_in not in terms.local:
            cost_eur += terms.egress_eur_per_byte * task.output_bytes
        return cost_eur

    def reads(self, k: int, task: PendingTask) -> bool:
        """Whether a pool's workers can read all that the task needs."""
        return not task.sites or task.sites.issubset(self.pools[k].spec.local)

    def comes_in_time(self, k: int, coming: Coming, task: PendingTask, offer: Offer) -> bool:
        """Whether a worker that a pool expects would make the task's deadline; ``offer`` is the pool's."""
        return (
            task.deadline_s is not None
            and coming.result_version == task.result_version
            and coming.at_s + offer.sure_s <= task.deadline_s
            and self.reads(k, task)
        )

    def _is_far(self, store: str) -> bool:
        """Whether any pool has not the data of a store at hand."""
        far = self._far.get(store)
        if far is None:
            far = self._far[store] = any(store not in pool.spec.local for pool in self.pools)
        return far

    def latest_starts_s(self, tasks: Sequence[PendingTask], now_s: float) -> list[float]:
        """Seconds until each task without a free on-prem slot must go to the cloud; negative when it should have.

        With a deadline: while the quickest cloud pool still makes it (without a cloud, the quickest pool). Without: the
        end of its patience.
        """
        found: list[float] = []
        add, far, quickest = found.append, self._far, self._quickest
        for task in tasks:
            deadline_s = task.deadline_s
            if deadline_s is None:
                add(task.created_s + task.patience_s - now_s)
                continue
            megapixels, inputs, least_s = task.megapixels, task.inputs, math.inf
            for store, _ in inputs:  # calls in this loop, over ten thousand tasks, would cost as much as all of it
                if far.get(store, True) and self._is_far(store):
                    break
            else:
                inputs = ()
            leads = quickest.get((task.process, task.result_version, task.sites))
            if leads is None:
                leads = self._find_quickest(task)
            for startup_s, overhead_s, s_per_mpx, power, sure, again_s, again, local, s_per_byte in leads:
                power_s = (overhead_s + s_per_mpx * megapixels) ** power
                sure_s, second_s = startup_s + sure * power_s, again_s + again * power_s
                if second_s > sure_s:  # noqa: PLR1730 (a call of max costs as much as all of this line)
                    sure_s = second_s
                for store, n_bytes in inputs:
                    if store not in local:
                        sure_s += n_bytes * s_per_byte
                if sure_s < least_s:  # noqa: PLR1730
                    least_s = sure_s
            add(deadline_s - now_s - (least_s if least_s < math.inf else 0.0))
        return found

    def _terms_of(self, process: str) -> list[_Terms]:
        terms = self._terms.get(process)
        if terms is None:
            terms = [_Terms.of(pool, pool.run_times.get(process, _PLAIN), self._confidence) for pool in self.pools]
            self._terms[process] = terms
        return terms

    def _rows_of(self, process: str) -> list[_Row]:
        """The terms as plain numbers: a round reads ten thousand of them."""
        rows = self._rows.get(process)
        if rows is None:
            rows = self._rows[process] = [
                (
                    one.startup_s, one.overhead_s, one.s_per_megapixel, one.power, one.median, one.p90, one.sure,
                    one.again_lead_s, one.again, one.eur_per_s,
                )
                for one in self._terms_of(process)
            ]  # fmt: skip
        return rows

    def _find_quickest(self, task: PendingTask) -> list[_Lead]:
        """The cloud pools (all, where there is none) that are quickest for a small, a usual, a large or a huge task.

        With its data at hand, or far away. For a size in between another may be a little quicker still: the task then
        counts as due a little too early.
        """
        terms = self._terms_of(task.process)
        able = [
            one
            for k, (one, pool) in enumerate(zip(terms, self.pools, strict=True))
            if pool.takes(task.result_version) and self.reads(k, task)
        ]
        cloud = [one for one in able if one.is_cloud]
        found: list[_Terms] = []
        for megapixels in _SIZES_MPX if able else ():
            for far_bytes in (0, _FAR_BYTES):
                best = min(cloud or able, key=lambda one: one.sure_s(megapixels, far_bytes))
                if best not in found:
                    found.append(best)
        leads: list[_Lead] = [
            (
                one.startup_s, one.overhead_s, one.s_per_megapixel, one.power, one.sure, one.again_lead_s, one.again,
                one.local, one.s_per_byte,
            )
            for one in found
        ]  # fmt: skip
        self._quickest[task.process, task.result_version, task.sites] = leads
        return leads


@dataclass(slots=True)
class _Terms:
    """What a pool's offers for a process are reckoned from."""

    is_cloud: bool
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
    results_in: str
    s_per_byte: float
    eur_per_s: float
    egress_eur_per_byte: float

    def sure_s(self, megapixels: float, far_bytes: int) -> float:
        """As `Offer.sure_s`."""
        power_s: float = (self.overhead_s + self.s_per_megapixel * megapixels) ** self.power
        sure_s = max(self.startup_s + self.sure * power_s, self.again_lead_s + self.again * power_s)
        return sure_s + (0.0 if self.local else far_bytes * self.s_per_byte)

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
            is_cloud=spec.kind == "cloud",
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
            results_in=spec.results_in,
            s_per_byte=1e-6 / spec.bandwidth_mb_per_s,
            eur_per_s=spec.run_cost_eur(1.0),
            egress_eur_per_byte=spec.egress_eur_per_gb / _BYTES_PER_GB,
        )


_Row = tuple[float, float, float, float, float, float, float, float, float, float]
_Lead = tuple[float, float, float, float, float, float, float, frozenset[str], float]
"""What a latest start is reckoned from, of one pool, as plain numbers."""


@lru_cache
def _normal_quantile(share: float) -> float:
    return statistics.NormalDist().inv_cdf(share)
