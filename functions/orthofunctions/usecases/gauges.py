"""What the store says of the site right now: queues, tasks that wait, workers, money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.pool_state import free_slots, is_fresh, is_live, is_silent, n_running
from orthofunctions.domain.records import AgentRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.telemetry import Reading
from orthofunctions.usecases.ledger import account, month_of
from orthofunctions.usecases.pending import backlog
from orthofunctions.usecases.site import Site

QUEUE: Final = "orthoburst.queue"
_STATES: Final = ("online", "draining", "starting", "lost")
_PARALLEL: Final = 8


def read_gauges(ports: Ports, rules: Rules) -> list[Reading]:
    """All of them. Two requests a queue, and what a round reads."""
    now = ports.clock.now()
    site = Site.read(ports)
    versions = site.versions(KERNEL_RESULT_VERSION, now, rules)
    of_pools = [names.pool_queue(spec.name, version) for spec in site.pools for version in versions]
    queues = [*names.QUEUES, *map(names.poison_queue, names.QUEUES), *of_pools]
    with ThreadPoolExecutor(_PARALLEL, "gauges") as threads:
        of_queues = list(threads.map(lambda queue: _queue(ports, queue, now), queues))
    return [
        *(reading for readings in of_queues for reading in readings),
        *_waiting(ports, versions, now),
        *(reading for spec in site.pools for reading in _pool(spec.name, site.agents_of(spec.name), now, rules)),
        *_money(ports, site.settings.budget_eur(rules.month_budget_eur), now),
    ]


def _queue(ports: Ports, queue: str, now: datetime) -> list[Reading]:
    n_messages = ports.queues.length(queue)
    oldest = ports.queues.oldest(queue) if n_messages else None
    age_s = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    labels = {"queue": queue}
    return [Reading(f"{QUEUE}.messages", n_messages, "", labels), Reading(f"{QUEUE}.age", age_s, "s", labels)]


def _waiting(ports: Ports, versions: list[int], now: datetime) -> Iterator[Reading]:
    waiting = backlog(ports, versions)
    n_of_campaigns = min(waiting.n, waiting.n_of_campaigns)
    for kind, n in (("user", waiting.n - n_of_campaigns), ("campaign", n_of_campaigns)):
        yield Reading("orthoburst.tasks.waiting", n, "", {"kind": kind})
    oldest_s = 0.0 if waiting.oldest is None else max(0.0, (now - waiting.oldest).total_seconds())
    yield Reading("orthoburst.task.oldest", oldest_s, "s")


def _pool(pool: str, agents: list[AgentRecord], now: datetime, rules: Rules) -> Iterator[Reading]:
    live = [agent for agent in agents if is_live(agent, now, rules)]
    states = Counter(agent.state for agent in live)
    states["starting"] += sum(agent.state == "starting" and is_fresh(agent, now, rules) for agent in agents)
    states["lost"] += sum(is_silent(agent, now, rules) for agent in agents)
    for state in _STATES:
        yield Reading("orthoburst.agents", states[state], "", {"pool": pool, "state": state})
    busy, free = sum(map(n_running, live)), sum(map(free_slots, live))
    yield Reading("orthoburst.slots", free, "", {"pool": pool, "state": "free"})
    yield Reading("orthoburst.slots", busy, "", {"pool": pool, "state": "busy"})


def _money(ports: Ports, budget_eur: float | None, now: datetime) -> Iterator[Reading]:
    month = account(ports, month_of(now))
    yield Reading("orthoburst.spend", month.committed_eur, "EUR")
    yield Reading("orthoburst.contingency", month.contingency_eur, "EUR")
    if budget_eur is not None:
        yield Reading("orthoburst.budget", budget_eur, "EUR")
