"""What executions would come to, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from orthocontracts.requests import Request
from orthofunctions.api.problems import Error
from orthofunctions.bootstrap import System
from orthofunctions.usecases.estimate import Estimate, Standing, TaskEstimate, estimate

_SUMMED = ("images", "there", "under_way", "megapixels", "run_s", "eur")


def estimate_document(system: System, executions: Sequence[Request | list[Error]]) -> dict[str, Any]:
    """For each execution whether it is valid, its size, its costs, its pool; and the sums."""
    valid = [one for one in executions if isinstance(one, Request)]
    estimates = iter(estimate(system.ports, system.rules, system.limits, valid))
    documents: list[dict[str, Any]] = []
    for index, one in enumerate(executions):
        if isinstance(one, Request):
            documents.append({"index": index, **_estimate(next(estimates))})
        else:
            documents.append({"index": index, "valid": False, "errors": one})
    sums = {name: sum(one.get(name, 0) for one in documents) for name in _SUMMED}
    total = {
        "executions": len(documents),
        "valid": sum(one["valid"] for one in documents),
        **{name: round(value, 6) for name, value in sums.items()},
    }
    return {"executions": documents, "total": total}


def _estimate(found: Estimate) -> dict[str, Any]:
    if found.fault is not None:
        error = {"at": "inputs", "kind": found.fault.kind, "message": found.fault.message}
        return {"valid": False, "errors": [error]}
    tasks = [_task(task) for task in found.tasks]
    pools = {task.pool for task in found.tasks}
    reasons = list(dict.fromkeys(task.why for task in found.tasks))
    return {
        "valid": True,
        "images": sum(found.standings.values()),
        "there": found.standings[Standing.THERE],
        "under_way": found.standings[Standing.UNDER_WAY],
        "megapixels": round(sum(task.megapixels for task in found.tasks), 3),
        "run_s": round(sum(task["run_s"] for task in tasks), 3),
        "eur": round(sum(task.eur for task in found.tasks), 6),
        "pool": pools.pop() if len(pools) == 1 else None,
        "why": "; ".join(reasons) or _nothing_to_make(found),
        "tasks": tasks,
    }


def _nothing_to_make(found: Estimate) -> str:
    if not found.standings[Standing.UNDER_WAY]:
        return "all images are there already"
    return "all images are there already, or on their way for another job"


def _task(task: TaskEstimate) -> dict[str, Any]:
    """``run_s`` is in its pool, or in the quickest where it would wait; ``pools`` what each makes of it."""
    pools = {
        name: {
            "transfer_s": round(offer.transfer_s, 3),
            "run_s": round(offer.run_s, 3),
            "eur": round(offer.reserve_eur, 6),
        }
        for name, offer in task.offers.items()
    }
    run_s = pools[task.pool]["run_s"] if task.pool else min((one["run_s"] for one in pools.values()), default=0.0)
    document: dict[str, Any] = {
        "megapixels": round(task.megapixels, 3),
        "pool": task.pool,
        "why": task.why,
        "run_s": run_s,
        "eur": round(task.eur, 6),
        "pools": pools,
    }
    if task.decision is not None:
        document["figures"] = {name: asdict(figures) for name, figures in task.decision.figures.items()}
    return document
