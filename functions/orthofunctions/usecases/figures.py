"""What a delivery tells of itself, as figures: for dashboards. What rounds decide by is in `learning`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from orthocontracts.messages import Report
from orthofunctions.domain.records import TaskRecord
from orthofunctions.ports import Ports

_MOST_BYTES: Final = 1e15
_BYTES: Final = {"fetched": "fetched_bytes", "local": "local_bytes"}


def measure_run(
    ports: Ports,
    report: Report,
    task: TaskRecord,
    machine: str,
    ended_at: datetime,
    *,
    well: bool,
    refused: Collection[str] = (),
) -> None:
    """Of a delivery that has ended. How long it took and how fast it was, only where it made what it should.

    ``refused`` are digests of what it delivered and the catalogue did not take.
    """
    pool = report.pool
    delivered = [one for one in report.verdicts if one.files and one.digest not in refused]
    for kind, figure in _BYTES.items():
        _count_bytes(ports, pool, kind, _whole(report.figures, figure))
    n_bytes = sum(file.size_bytes for verdict in delivered for file in (verdict.files or {}).values())
    _count_bytes(ports, pool, "delivered", n_bytes)
    if delivered:
        ports.meter.count("orthoburst.images", len(delivered), pool=pool)
    if task.started_at is None or not well:
        return
    took_s = (ended_at - task.started_at).total_seconds()
    ports.meter.record("orthoburst.task.run", max(0.0, took_s), "s", pool=pool, process=task.process)
    if took_s > 0 and task.megapixels:
        labels = {"pool": pool, "process": task.process, "machine": machine}
        ports.meter.record("orthoburst.task.rate", task.megapixels / took_s, "Mpx/s", **labels)


def _count_bytes(ports: Ports, pool: str, kind: str, n: int) -> None:
    if n > 0:
        ports.meter.count("orthoburst.task.bytes", n, pool=pool, kind=kind)


def _whole(figures: Mapping[str, float], name: str) -> int:
    """A worker may say anything. What no counter holds would spoil all that are sent with it."""
    return int(min(max(0.0, figures.get(name, 0.0)), _MOST_BYTES))
