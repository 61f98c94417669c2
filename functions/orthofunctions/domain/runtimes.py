"""How long a process runs on a machine: learned from what its runs took, against what their size let expect.

The logarithm of a run's time is a straight line in the logarithm of its nominal time (overhead and so much a megapixel,
see `PoolSpec`), with a normal spread around it. A slope under one is what makes an estimate that is itself uncertain
the best one: extreme estimates are drawn to the middle.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

DEADLINE_CONFIDENCE = 0.99
"""How sure a task is to make its deadline in the cloud, if it goes there at its latest start.

In replays 99.8 % do: a worker that lingers saves many the start-up. A second attempt is reckoned with.
"""
PRIOR_SIGMA = 0.4
MOST_RUNS = 128
"""The latest runs of a process on a machine count, so many of them."""
_PRIOR_RUNS = 8  # what the prior spread weighs
_RUNS_FOR_A_SLOPE = 16
_LEAST_SIGMA = 0.05
_OUTLIER_MADS = 5.0
_MAD_TO_SIGMA = 1.4826
_P90 = statistics.NormalDist().inv_cdf(0.9)
_P99 = statistics.NormalDist().inv_cdf(0.99)


@dataclass(frozen=True, slots=True)
class Run:
    """One run that ended well: nominal and real time, and what it made."""

    nominal_s: float
    took_s: float
    megapixels: float = 0.0


@dataclass(frozen=True, slots=True)
class RunTimes:
    """``log(took) = level + power * log(nominal)``, give or take ``sigma``; ``failure_share`` of runs are in vain."""

    level: float = 0.0
    power: float = 1.0
    sigma: float = PRIOR_SIGMA
    failure_share: float = 0.0
    n_runs: int = 0

    def median_s(self, nominal_s: float) -> float:
        """Half of the runs take longer."""
        return self.at(nominal_s, 0.0)

    def p90_s(self, nominal_s: float) -> float:
        """One in ten takes longer."""
        return self.at(nominal_s, _P90)

    def at(self, nominal_s: float, z: float) -> float:
        """The quantile that lies ``z`` spreads above the middle."""
        return math.exp(self.level + z * self.sigma) * nominal_s**self.power if nominal_s > 0 else 0.0


RUNS_TO_BELIEVE = 8
"""So many start-ups of a pool's workers count for more than what its file says."""
LEAST_START_LIMIT_S = 60.0


def expected_startup_s(configured_s: float, taught: RunTimes) -> float:
    """How long a worker of a cloud pool takes to come, at the 90th percentile; what is configured until enough came."""
    return taught.p90_s(configured_s) if taught.n_runs >= RUNS_TO_BELIEVE else configured_s


def start_limit_s(configured_s: float, taught: RunTimes, at_most_s: float) -> float:
    """How long a release waits for a worker that has to be started: the 99th percentile, and at most so long."""
    if configured_s <= 0:
        return at_most_s
    return min(at_most_s, max(LEAST_START_LIMIT_S, taught.at(configured_s, _P99)))


def learn(runs: Sequence[Run], n_failed: int = 0) -> RunTimes:
    """What the latest runs teach; the prior where there are few.

    Runs whose ratio of real to nominal time lies far from that of the others (a node that was swapping, a disk that was
    full) are left out of both the line and the spread.

    Parameters
    ----------
    runs : sequence of Run
        Those that ended well, times above zero.
    n_failed : int
        How many failed over the same time.
    """
    pairs = [(math.log(run.nominal_s), math.log(run.took_s)) for run in runs if run.nominal_s > 0 and run.took_s > 0]
    share = n_failed / (len(pairs) + n_failed) if len(pairs) + n_failed else 0.0
    if not pairs:
        return RunTimes(failure_share=share)
    middle = statistics.median(y - x for x, y in pairs)
    mad = statistics.median(abs(y - x - middle) for x, y in pairs)
    reach = max(_OUTLIER_MADS * _MAD_TO_SIGMA * mad, _LEAST_SIGMA)
    kept = [(x, y) for x, y in pairs if abs(y - x - middle) <= reach]
    n = len(kept)
    mean_x, mean_y = math.fsum(x for x, _ in kept) / n, math.fsum(y for _, y in kept) / n
    power = 1.0
    spread_x = math.fsum((x - mean_x) ** 2 for x, _ in kept)
    if n >= _RUNS_FOR_A_SLOPE and spread_x > n * _LEAST_SIGMA**2:
        slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in kept) / spread_x
        power = min(max(slope, 0.0), 1.5)
    level = mean_y - power * mean_x
    squares = math.fsum((y - level - power * x) ** 2 for x, y in kept)
    sigma = math.sqrt((squares + _PRIOR_RUNS * PRIOR_SIGMA**2) / (n + _PRIOR_RUNS))
    return RunTimes(level, power, max(sigma, _LEAST_SIGMA), share, n)
