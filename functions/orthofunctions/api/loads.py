"""How busy the pools have been."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from orthofunctions.api.context import Reader
from orthofunctions.usecases.loads import load_history

router = APIRouter()

MOST_HOURS = 48


@router.get("/pools/history")
def history(asked: Reader, hours: Annotated[float, Query(gt=0, le=MOST_HOURS)] = 6) -> dict[str, Any]:
    """Slots, running and queued tasks of each pool, and what waited for a decision, minute by minute."""
    ports = asked.system.ports
    found = load_history(ports, ports.clock.now() - timedelta(hours=hours))
    return {
        "pools": {pool: [{"at": _time(at), **vars(load)} for at, load in loads] for pool, loads in found.pools.items()},
        "pending": [{"at": _time(at), "n": n} for at, n in found.pending],
    }


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
