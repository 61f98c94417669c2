"""One line of a bench: a figure, a peer's, their ratio, and what was promised."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A measured case.

    Attributes
    ----------
    case : str
    figure : float or None
        Ours, in ``unit``: the median of the runs.
    unit : str
    peer : str
        What it is held against, with its own figure and its peak memory.
    ratio : float or None
        How many times better than the peer we are, or how many times worse than a limit: ``at_least`` says which.
    at_least : str
        What was promised, in words (``"20x faster"``, ``"within 14x"``).
    holds : bool or None
        None where it could not be measured, or nothing was promised; ``reason`` says which.
    reason : str, optional
    peak_mb : float, optional
        Peak memory of our side, where it ran in a process of its own.
    runs : str, optional
        Lowest and highest of our runs, processor time; for people, not in the JSON.
    """

    case: str
    figure: float | None
    unit: str
    peer: str
    ratio: float | None
    at_least: str
    holds: bool | None
    reason: str | None = None
    peak_mb: float | None = None
    runs: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON types; ``reason`` and ``peak_mb`` only where there are any."""
        values = asdict(self)
        del values["runs"]
        return {key: value for key, value in values.items() if value is not None or key not in ("reason", "peak_mb")}


def not_measured(case: str, unit: str, peer: str, at_least: str, reason: str) -> Case:
    """A case that could not be measured here, and why: for a peer that is not installed, the command that gets it."""
    return Case(case, None, unit, peer, None, at_least, None, reason)


@dataclass(frozen=True)
class Runs:
    """Wall times of the same work, in seconds.

    ``peak_mb`` of the process that did it (None: it did other work too), ``cpu_s`` its processor time a run: on a
    machine that others use too, that is what can be compared with another day's. ``system_s`` is the system's part of
    it: where that grows and the rest does not, memory was slow to come.
    """

    seconds: tuple[float, ...]
    peak_mb: float | None = None
    cpu_s: float | None = None
    system_s: float | None = None

    @property
    def median_s(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        """Fastest and slowest, and processor time."""
        processor = "" if self.cpu_s is None else f", processor {self.cpu_s:.3g}{self._of_that}"
        return f"{min(self.seconds):.3g} to {max(self.seconds):.3g}{processor}"

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        spread = f" ({low:.3g} to {high:.3g})" if len(self.seconds) > 1 else ""
        processor = "" if self.cpu_s is None else f", {self.cpu_s:.3g} s of processor{self._of_that}"
        memory = "" if self.peak_mb is None else f", {self.peak_mb:.0f} MB"
        return f"{self.median_s:.3g} s{spread}{processor}{memory}"

    @property
    def _of_that(self) -> str:
        return "" if self.system_s is None else f" ({self.system_s:.2g} of that the system's)"


def timed_runs(run: Callable[[], object], times: int = 5) -> Runs:
    """Wall times of a call, after one that does not count."""
    run()
    return Runs(tuple(_seconds(run) for _ in range(times)))


def timed_in_turn(run: Callable[[], object], other: Callable[[], object], times: int = 5) -> tuple[Runs, Runs]:
    """Wall times of two calls that take turns, after one of each that does not count."""
    run()
    other()
    pairs = [(_seconds(run), _seconds(other)) for _ in range(times)]
    return Runs(tuple(first for first, _ in pairs)), Runs(tuple(second for _, second in pairs))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
