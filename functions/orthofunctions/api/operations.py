"""For operators: pools and their workers, and messages nobody could use."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter

from orthocontracts import names
from orthocontracts.states import TaskState
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.api.context import Asked
from orthofunctions.domain.pool_state import is_live
from orthofunctions.domain.records import AgentRecord
from orthofunctions.usecases.site import Site

router = APIRouter()

KEPT = "poison/"
MOST_KEPT = 100


@router.get("/pools")
def pools(asked: Asked) -> dict[str, Any]:
    """Each pool with its live workers, what they run, and what waits on its queue; and what waits for a decision."""
    system, ports = asked.system, asked.system.ports
    now = ports.clock.now()
    site = Site.read(ports)
    found = []
    for spec in site.pools:
        agents = [agent for agent in site.agents_of(spec.name) if is_live(agent, now, system.rules)]
        found.append(
            {
                "pool": spec.name,
                "kind": spec.kind,
                "max_slots": spec.max_slots,
                "agents": len(agents),
                "slots": sum(agent.slots for agent in agents),
                "running": sum(len(json.loads(agent.running)) for agent in agents),
                "released": sum(active.pool == spec.name for active in site.active),
                "queued": ports.queues.length(names.pool_queue(spec.name, KERNEL_RESULT_VERSION)),
                "workers": [_worker(agent) for agent in sorted(agents, key=lambda agent: agent.agent)],
            }
        )
    waiting = ports.tables.query(names.TABLE_TASKS, equal={"state": TaskState.PENDING.value}, limit=1000)
    return {"pools": found, "pending": sum(1 for _ in waiting)}


@router.get("/rejected")
def rejected(asked: Asked) -> dict[str, Any]:
    """Messages that could not be used, newest first, with the reason."""
    ports = asked.system.ports
    kept = sorted(ports.blobs.list(names.CONTAINER_CONTROL, KEPT), key=lambda facts: facts.last_modified, reverse=True)
    return {
        "total": len(kept),
        "messages": [
            {
                "id": facts.name.rsplit("/", 1)[-1].removesuffix(".json"),
                **_kept(ports.blobs.read(facts.container, facts.name)),
            }
            for facts in kept[:MOST_KEPT]
        ],
    }


def _worker(agent: AgentRecord) -> dict[str, Any]:
    return {
        "agent": agent.agent,
        "state": agent.state,
        "slots": agent.slots,
        "running": json.loads(agent.running),
        "machine": agent.machine,
        "version": agent.version,
        "heard": agent.received_at.isoformat().replace("+00:00", "Z"),
    }


def _kept(data: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data)
    document["body"] = str(document.get("body", ""))[:2000]
    return document
