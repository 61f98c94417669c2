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
        Ours, in ``unit``.
    unit : str
    peer : str
        What it is held against, with its own figure.
    ratio : float or None
        How many times better than the peer we are, or how many times worse than a limit: ``at_least`` says which.
    at_least : str
        What was promised, in words (``"20x faster"``, ``"within 14x"``).
    holds : bool or None
        None where it could not be measured; ``reason`` says why.
    """

    case: str
    figure: float | None
    unit: str
    peer: str
    ratio: float | None
    at_least: str
    holds: bool | None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON types; ``reason`` only where there is one."""
        values = asdict(self)
        if self.reason is None:
            del values["reason"]
        return values


def median_s(run: Callable[[], object], times: int = 5) -> float:
    """Median wall time of a call, in seconds, after one that does not count."""
    run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
