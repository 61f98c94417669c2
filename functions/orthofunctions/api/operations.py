"""For operators: pools and their workers, and messages nobody could use."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from orthocontracts import names
from orthocontracts.states import TaskState
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.api.context import Caller, Operator, Reader
from orthofunctions.api.problems import ProblemError
from orthofunctions.domain.pool_state import is_live
from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.principals import Scope
from orthofunctions.domain.records import AgentRecord, TaskRecord
from orthofunctions.domain.runtimes import RunTimes
from orthofunctions.usecases.costs import month_costs
from orthofunctions.usecases.keep import KEPT
from orthofunctions.usecases.learning import learned, machine_of
from orthofunctions.usecases.ledger import OF_USER, Account, account, month_of
from orthofunctions.usecases.loads import load_of
from orthofunctions.usecases.pause import pause, resume
from orthofunctions.usecases.pending import backlog
from orthofunctions.usecases.site import Site, load_site

router = APIRouter()

MOST_KEPT = 100
TILE_MPX = 120.56  # a Sentinel-2 tile at 10 m


@router.get("/pools")
def pools(asked: Reader) -> dict[str, Any]:
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
                "paused": spec.name in site.paused,
                "max_slots": spec.max_slots,
                "agents": len(agents),
                **vars(load_of(ports, spec, agents)),
                "released": sum(active.pool == spec.name for active in site.active),
                "run_times": [_run_times(spec, *one) for one in sorted(learned(site.learned, spec).items())],
                "workers": [_worker(agent, now) for agent in sorted(agents, key=lambda agent: agent.agent)],
            }
        )
    pending = backlog(ports, site.versions(KERNEL_RESULT_VERSION, now, system.rules)).n
    return {"pools": found, "pending": pending}


@router.post("/pools/{pool}/pause")
def pause_pool(pool: str, asked: Operator) -> dict[str, Any]:
    """Release nothing more to a pool; what runs there goes on."""
    _known(pool, asked)
    pause(asked.system.ports, pool, asked.user)
    return {"pool": pool, "paused": True}


@router.post("/pools/{pool}/resume")
def resume_pool(pool: str, asked: Operator) -> dict[str, Any]:
    _known(pool, asked)
    resume(asked.system.ports, pool)
    return {"pool": pool, "paused": False}


@router.get("/costs")
def costs(asked: Reader, month: Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}$")] = None) -> dict[str, Any]:
    """What a month has cost: all, and by user; spend against budget, and the forecast to its end.

    Who is no operator sees what is their own, against what they may spend.
    """
    if not asked.principal.may(Scope.OPERATE):
        return _own_costs(asked, month)
    found = month_costs(asked.system.ports, asked.system.rules, month)
    return {
        "month": found.month,
        "budget_eur": found.budget_eur,
        "forecast_eur": None if found.forecast_eur is None else round(found.forecast_eur, 2),
        **_account(found.total),
        "users": [{"user": user, **_account(one)} for user, one in sorted(found.by_user.items())],
    }


@router.get("/failed")
def failed(asked: Operator, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """Tasks that have been given up, of all users, with the reason: what an operator looks through."""
    rows = asked.system.ports.tables.query(names.TABLE_TASKS, equal={"state": TaskState.FAILED.value}, limit=limit)
    tasks = sorted((TaskRecord.from_row(row) for row in rows), key=lambda task: str(task.ended_at), reverse=True)
    return {
        "tasks": [
            {
                "task_id": task.task_id,
                "jobID": task.job_id,
                "user": task.user,
                "pool": task.pool,
                "failures": task.failures,
                "silences": task.silences,
                "ended": task.ended_at.isoformat().replace("+00:00", "Z") if task.ended_at else None,
                "fault": {"kind": task.fault_kind, "message": task.fault_message},
            }
            for task in tasks
        ]
    }


@router.get("/rejected")
def rejected(asked: Operator) -> dict[str, Any]:
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


def _own_costs(asked: Caller, month: str | None) -> dict[str, Any]:
    system = asked.system
    of = month or month_of(system.ports.clock.now())
    site = system.callers.site(system.ports)
    own = _account(account(system.ports, of, OF_USER + asked.user))
    return {
        "month": of,
        "budget_eur": site.share_of(asked.user).credits_eur if site is not None else None,
        "forecast_eur": None,
        **own,
        "users": [{"user": asked.user, **own}],
    }


def _known(pool: str, asked: Caller) -> None:
    pools = [spec.name for spec in load_site(asked.system.ports).pools]
    if pool not in pools:
        raise ProblemError(404, "No such pool", f"there is no pool {pool!r}; there are {', '.join(pools)}")


def _account(account: Account) -> dict[str, float]:
    return {
        "spent_eur": round(account.spent_eur, 6),
        "reserved_eur": round(account.reserved_eur, 6),
        "contingency_eur": round(account.contingency_eur, 6),
        "on_prem_slot_s": round(account.on_prem_slot_s, 3),
        "cloud_slot_s": round(account.cloud_slot_s, 3),
    }


def _run_times(spec: PoolSpec, process: str, times: RunTimes) -> dict[str, Any]:
    """For operators: which machine pays."""
    run_s = times.median_s(spec.nominal_s(TILE_MPX))
    return {
        "process": process,
        "machine": machine_of(spec),
        "runs": times.n_runs,
        "mpx_per_s": round(TILE_MPX / run_s, 3),
        "eur_per_tile": round(spec.run_cost_eur(run_s), 5),
        "p90_over_median": round(times.p90_s(1.0) / times.median_s(1.0), 3),
        "failed": round(times.failure_share, 4),
    }


def _worker(agent: AgentRecord, now: datetime) -> dict[str, Any]:
    return {
        "agent": agent.agent,
        "state": agent.state,
        "slots": agent.slots,
        "running": json.loads(agent.running),
        "machine": agent.machine,
        "version": agent.version,
        "walltime_left_s": _left_s(agent, now),
        "heard": agent.received_at.isoformat().replace("+00:00", "Z"),
    }


def _left_s(agent: AgentRecord, now: datetime) -> float | None:
    """Until its batch job ends; None: it stays for as long as it likes."""
    if agent.walltime_left_s is None:
        return None
    return max(0.0, round(agent.walltime_left_s - (now - agent.received_at).total_seconds(), 1))


def _kept(data: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data)
    document["body"] = str(document.get("body", ""))[:2000]
    return document
