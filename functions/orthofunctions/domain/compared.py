"""Was a run slow? Held against what runs of its process took on its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orthofunctions.domain.runtimes import RunTimes

RUNS_TO_COMPARE: Final = 5
"""Fewer say nothing: the run itself is among them."""


@dataclass(frozen=True)
class Compared:
    """``median_s`` and ``p90_s`` are for a run of the same size: half, and nine in ten, take no longer."""

    took_s: float
    median_s: float
    p90_s: float
    n_runs: int
    process: str
    machine: str

    @property
    def is_slow(self) -> bool:
        return self.took_s > self.p90_s

    @property
    def says(self) -> str:
        usual = (
            f"half of such runs take up to {_seconds(self.median_s)} there, 9 in 10 up to {_seconds(self.p90_s)} "
            f"({self.process}, {self.n_runs} runs)"
        )
        verdict = "slower than 9 in 10" if self.is_slow else "as usual" if self.took_s >= self.median_s / 2 else "fast"
        return f"its run took {_seconds(self.took_s)} on {self.machine}, {verdict}: {usual}"


def compared(took_s: float, nominal_s: float, times: RunTimes, process: str, machine: str) -> Compared | None:
    """None where too little is known of such runs."""
    if times.n_runs < RUNS_TO_COMPARE or nominal_s <= 0:
        return None
    return Compared(took_s, times.median_s(nominal_s), times.p90_s(nominal_s), times.n_runs, process, machine)


def _seconds(value_s: float) -> str:
    return f"{value_s:.1f} s" if value_s < 10 else f"{value_s:.0f} s"
