"""What the functions measure, under OpenTelemetry's names and under those that Prometheus has them by.

What a worker has on its own page, ``orthoagent_…``, is in ``orthoagent.metrics``. Tests hold dashboard and alerts
against both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_UNITS = {"": "", "s": "_seconds", "EUR": "_EUR", "Mpx/s": "_Mpx_per_second"}


@dataclass(frozen=True)
class Measure:
    """A figure of the functions. ``labels`` are all that it may have, beside those of a scrape."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    unit: str = ""
    labels: tuple[str, ...] = ()

    @property
    def prometheus(self) -> str:
        """Its name once a collector's Prometheus exporter, or the API's ``/metrics``, has translated it."""
        plain = self.name.replace(".", "_") + _UNITS[self.unit]
        return plain + "_total" if self.kind == "counter" else plain

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series."""
        whole = self.prometheus
        return (f"{whole}_bucket", f"{whole}_sum", f"{whole}_count") if self.kind == "histogram" else (whole,)


FUNCTIONS = (
    Measure("orthoburst.queue.messages", "gauge", labels=("queue",)),
    Measure("orthoburst.queue.age", "gauge", "s", ("queue",)),
    Measure("orthoburst.tasks.waiting", "gauge", labels=("kind",)),
    Measure("orthoburst.task.oldest", "gauge", "s"),
    Measure("orthoburst.agents", "gauge", labels=("pool", "state")),
    Measure("orthoburst.slots", "gauge", labels=("pool", "state")),
    Measure("orthoburst.spend", "gauge", "EUR"),
    Measure("orthoburst.contingency", "gauge", "EUR"),
    Measure("orthoburst.budget", "gauge", "EUR"),
    Measure("orthoburst.task.wait", "histogram", "s", ("pool",)),
    Measure("orthoburst.task.run", "histogram", "s", ("pool", "process")),
    Measure("orthoburst.task.rate", "histogram", "Mpx/s", ("pool", "process", "machine")),
    Measure("orthoburst.task.bytes", "counter", labels=("pool", "kind")),
    Measure("orthoburst.task.ends", "counter", labels=("pool", "outcome")),
    Measure("orthoburst.task.retries", "counter", labels=("pool", "reason")),
    Measure("orthoburst.jobs.ended", "counter", labels=("state",)),
    Measure("orthoburst.images", "counter", labels=("pool",)),
    Measure("orthoburst.troubles", "counter", labels=("doing",)),
)
