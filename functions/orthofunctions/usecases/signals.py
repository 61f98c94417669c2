"""Doorbells and demand: hints over MQTT. Work goes on without them."""

from __future__ import annotations

from datetime import timedelta

from orthocontracts import names
from orthocontracts.messages import Demand, Doorbell
from orthofunctions.domain.pool_state import free_slots
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.site import Site

DEMAND_HOLDS_S = 120.0


def ring(ports: Ports, rules: Rules, site: Site, pool: str, waiting: int) -> None:
    """Ring just as many workers as it takes to pick up what waits on a pool's queue."""
    if waiting <= 0:
        return
    for agent in site.idle_agents(pool, ports.clock.now(), rules):
        if waiting <= 0:
            return
        ports.bell.publish(names.topic_doorbell(agent.agent), Doorbell(pool=pool).to_json())
        waiting -= free_slots(agent)


def tell_demand(ports: Ports, pool: str, slots: int) -> None:
    """Publish, retained, how many slots the pool could use."""
    until = ports.clock.now() + timedelta(seconds=DEMAND_HOLDS_S)
    ports.bell.publish(names.topic_demand(pool), Demand(pool=pool, slots=slots, until=until).to_json(), retain=True)
