"""What pools have to do, and have had, minute by minute.

A day is a partition of table ``loads``, a minute a row for each pool and one for what waits: a history of hours is one
request or two, and what is too old goes day by day.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.pool_state import is_live, is_silent, n_running
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.records import AgentRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases.pending import backlog
from orthofunctions.usecases.rows import MOST_CHANGES, delete_all, parts, put_all
from orthofunctions.usecases.site import Site

logger = logging.getLogger(__name__)

KEPT: Final = timedelta(days=14)
_DAY, _MINUTE = "%Y-%m-%d", "%H%M"


@dataclass(frozen=True)
class Load:
    """A pool at a moment: slots of its live workers, tasks these say they run, messages on its queue."""

    slots: int
    running: int
    queued: int


@dataclass(frozen=True)
class History:
    """Loads by pool and counts of waiting tasks, each with its minute, oldest first. Minutes may be absent."""

    pools: dict[str, list[tuple[datetime, Load]]] = field(default_factory=dict)
    pending: list[tuple[datetime, int]] = field(default_factory=list)


def load_of(ports: Ports, spec: PoolSpec, live: Sequence[AgentRecord]) -> Load:
    """A pool now; ``live`` are its live workers."""
    return Load(
        slots=sum(agent.slots for agent in live),
        running=sum(n_running(agent) for agent in live),
        queued=ports.queues.length(names.pool_queue(spec.name, KERNEL_RESULT_VERSION)),
    )


def note_loads(ports: Ports, rules: Rules) -> None:
    """Note this minute. Any number of times: the last one counts."""
    now = ports.clock.now()
    site = Site.read(ports)
    day, minute = now.strftime(_DAY), now.strftime(_MINUTE)
    waiting = backlog(ports, site.versions(KERNEL_RESULT_VERSION, now, rules))
    oldest_s = 0 if waiting.oldest is None else max(0, round((now - waiting.oldest).total_seconds()))
    # An alert reads these fields (infra/azure/modules/alerts.bicep).
    about = {"action": "waiting", "waiting": waiting.n, "oldest_s": oldest_s}
    logger.info("waiting: %d tasks, the oldest for %d s", waiting.n, oldest_s, extra=about)
    rows = [Row(day, minute, {"n": waiting.n})]
    for spec in site.pools:
        agents = site.agents_of(spec.name)
        live = [agent for agent in agents if is_live(agent, now, rules)]
        if n_silent := sum(is_silent(agent, now, rules) for agent in agents):
            about = {"action": "agent_lost", "pool": spec.name, "silent": n_silent}
            logger.warning("lost workers: %d of pool %s have fallen silent", n_silent, spec.name, extra=about)
        rows.append(Row(day, f"{minute}-{spec.name}", dict(vars(load_of(ports, spec, live)))))
    for part in parts(rows, MOST_CHANGES):
        put_all(ports.tables, names.TABLE_LOADS, part)


def load_history(ports: Ports, since: datetime) -> History:
    """What was noted from a moment on."""
    found, now = History(), ports.clock.now()
    first_day = since.replace(hour=0, minute=0, second=0, microsecond=0)
    for n in range((now - first_day).days + 1):
        day = first_day + timedelta(days=n)
        start = since.strftime(_MINUTE) if n == 0 else None
        rows = ports.tables.query(names.TABLE_LOADS, partition=day.strftime(_DAY), key_from=start)
        for row in rows:
            minute, _, pool = row.key.partition("-")
            at = day + timedelta(hours=int(minute[:2]), minutes=int(minute[2:]))
            figures = {name: int(str(value)) for name, value in row.values.items()}
            if pool:
                found.pools.setdefault(pool, []).append((at, Load(**figures)))
            else:
                found.pending.append((at, figures["n"]))
    return found


def age_out_loads(ports: Ports) -> None:
    """Delete the days that are over for longer than a history is kept."""
    last = (ports.clock.now() - KEPT).strftime(_DAY)
    rows = ports.tables.query(names.TABLE_LOADS, partition_below=last)
    delete_all(ports.tables, names.TABLE_LOADS, [(row.partition, row.key) for row in rows])
