"""What the worker counts, for its health page."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

BUCKETS_S = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds of what a part of a delivery may take: a time limit is an hour by default."""


@dataclass
class Histogram:
    """How often it took how long; the last count is of all that is beyond the last bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0

    def add(self, took_s: float) -> None:
        self.counts[bisect_left(BUCKETS_S, took_s)] += 1
        self.sum_s += took_s


@dataclass
class Vitals:
    storage_answers: bool = False
    ready: bool = False
    taken: int = 0
    redelivered: int = 0
    """Of those, deliveries of a release that had been delivered before: its worker died, or lost the message."""
    ended: Counter[str] = field(default_factory=Counter)
    returned: Counter[str] = field(default_factory=Counter)
    """Work handed back, by why."""
    failed: Counter[str] = field(default_factory=Counter)
    """Images that were reported without files, by the kind of fault."""
    renewals_failed: Counter[str] = field(default_factory=Counter)
    """Renewals of a lease that storage did not answer, or answered that it is lost."""
    fetched_bytes: int = 0
    local_bytes: int = 0
    """Of inputs that lay in a store of the site, or were kept from a task before."""
    delivered_bytes: int = 0
    made_megapixels: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Of images that were delivered, by process."""
    took: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    """By phase and process."""
    compute_s: float = 0.0
    children_lost: Counter[str] = field(default_factory=Counter)
    """Compute children that died or were stopped, by the kind of fault."""
    spans_lost: int = 0
    """Spans that no collector took."""

    def time(self, phase: str, process: str, took_s: float) -> None:
        self.took.setdefault((phase, process), Histogram()).add(took_s)
