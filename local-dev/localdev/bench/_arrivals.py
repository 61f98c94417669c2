"""Work for replays: real arrivals with this kernel's run times, and a made year of a national archive."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MEDIAN_RUN_S, RUN_SIGMA = 180.0, 0.7
ESTIMATE_SIGMA = 0.4
SLACKS_H, SLACK_SHARES = (1.0, 4.0, 12.0), (0.3, 0.4, 0.3)
FAILURE_SHARE = 0.01
DAY_S = 86_400.0
_SWF_SUBMIT, _SWF_RUN, _SWF_USER = 1, 3, 11


@dataclass(frozen=True)
class Arrivals:
    """Tasks in the order of their arrival, moments in seconds from the beginning.

    ``run_s`` is what a task takes, ``estimate_s`` what its size lets expect; ``deadline_s`` is infinite where it has
    none. ``wasted_s`` is what its first attempt takes before it fails, 0 for most: nobody could spare it that.
    """

    at_s: list[float]
    run_s: list[float]
    estimate_s: list[float]
    deadline_s: list[float]
    user: list[str]
    wasted_s: list[float]

    def __len__(self) -> int:
        return len(self.at_s)

    @property
    def work_s(self) -> float:
        """Slot-seconds of all, failed attempts included."""
        return math.fsum(self.run_s) + math.fsum(self.wasted_s)

    @property
    def span_s(self) -> float:
        """From the first arrival to the last, in whole days: what capacity is held against."""
        return DAY_S * math.ceil((self.at_s[-1] - self.at_s[0]) / DAY_S)

    @property
    def repeat_s(self) -> float:
        """After which the same may come again: whole days, nearly as long as it lasts."""
        return DAY_S * max(1, round((self.at_s[-1] - self.at_s[0]) / DAY_S))

    @property
    def twice(self) -> Arrivals:
        """All of it, and the same once more on the days after."""
        n, later_s = len(self), self.repeat_s
        tasks = sorted((self.at_s[k] + again * later_s, k, again * later_s) for again in (0, 1) for k in range(n))
        return Arrivals(
            at_s=[at_s for at_s, _, _ in tasks],
            run_s=[self.run_s[k] for _, k, _ in tasks],
            estimate_s=[self.estimate_s[k] for _, k, _ in tasks],
            deadline_s=[self.deadline_s[k] + moved_s for _, k, moved_s in tasks],
            user=[self.user[k] for _, k, _ in tasks],
            wasted_s=[self.wasted_s[k] for _, k, _ in tasks],
        )

    def slots_for(self, overload: float) -> int:
        """Slots of which the work is so many times what they can do meanwhile."""
        return max(1, round(self.work_s / self.span_s / overload))


def with_runs(at_s: list[float], user: list[str], seed: int, run_s: list[float] | None = None) -> Arrivals:
    """Arrivals with run times, estimates and deadlines drawn as the design's replay has them."""
    rng = np.random.default_rng(seed)
    n = len(at_s)
    drawn = MEDIAN_RUN_S * np.exp(RUN_SIGMA * rng.standard_normal(n))
    run = drawn if run_s is None else np.maximum(np.array(run_s), 1.0)
    estimate = run * np.exp(ESTIMATE_SIGMA * rng.standard_normal(n))
    slack = 3600.0 * rng.choice(SLACKS_H, n, p=SLACK_SHARES)
    deadline = np.array(at_s) + slack + run
    wasted = np.where(rng.random(n) < FAILURE_SHARE, run * rng.random(n), 0.0)
    return Arrivals(at_s, run.tolist(), estimate.tolist(), deadline.tolist(), user, wasted.tolist())


def from_swf(path: Path, seed: int = 1, keep_runs: bool = False) -> Arrivals:
    """Arrivals and users of a trace in the Standard Workload Format; its run times only where they are to be kept.

    Raises
    ------
    ValueError
        A line is not of that format; the message names it.
    """
    at_s, user, run_s = [], [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        fields = line.split()
        try:
            at_s.append(float(fields[_SWF_SUBMIT]))
            run_s.append(float(fields[_SWF_RUN]))
            user.append(fields[_SWF_USER])
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path.name} line {number}: {line[:60]!r}, expected 18 numbers of an SWF job") from error
    order = sorted(range(len(at_s)), key=lambda k: at_s[k])
    return with_runs(
        [at_s[k] for k in order], [user[k] for k in order], seed, [run_s[k] for k in order] if keep_runs else None
    )


def archive_year(n_tasks: int, seed: int = 1, products_per_day: int = 10_000, n_users: int = 2_800) -> Arrivals:
    """A national archive: products in passes day and night, users by day, and a flood now and then.

    Half of the tasks are standing orders on the products of 10 TB a day, which come in passes of some minutes; the
    others are users' requests, few of whom ask for most (Zipf), more by day and on weekdays. After a flood, once a
    month, one user alone orders as much as hundreds.
    """
    rng = random.Random(seed)
    days = max(1.0, n_tasks / (2.0 * products_per_day))
    made: list[tuple[float, str]] = []
    made += ((at_s, "orders") for at_s in _passes(rng, n_tasks // 2, days))
    weights = [1.0 / (1 + k) for k in range(n_users)]
    users = rng.choices([f"u{k}" for k in range(n_users)], weights, k=n_tasks - n_tasks // 2)
    flood_days = [rng.random() * days for _ in range(max(1, round(days / 30)))]
    for user in users:
        if rng.random() < 0.1:  # a tenth of all requests follow a flood
            flood = rng.choice(range(len(flood_days)))
            after = min(rng.expovariate(3.0), days - flood_days[flood])
            made.append(((flood_days[flood] + after) * DAY_S, f"flood{flood}"))
        else:
            made.append((_office_hours(rng, days), user))
    made.sort()
    return with_runs([at_s for at_s, _ in made], [user for _, user in made], seed)


def _passes(rng: random.Random, n: int, days: float) -> Iterator[float]:
    """Moments of products: in each pass, of some 14 a day and satellite, a dozen minutes' worth arrives at once."""
    starts = [rng.random() * days * DAY_S for _ in range(max(1, round(days * 14 * 3)))]
    for _ in range(n):
        yield rng.choice(starts) + rng.random() * 720.0


def _office_hours(rng: random.Random, days: float) -> float:
    while True:
        day = rng.random() * days
        hour = 24 * (day % 1)
        busy = 0.25 + 0.75 * math.exp(-(((hour - 14) / 4) ** 2))
        if int(day) % 7 >= 5:
            busy *= 0.4
        if rng.random() < busy:
            return day * DAY_S
