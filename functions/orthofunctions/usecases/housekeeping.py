"""What is done once an hour: none of it waits for another."""

from __future__ import annotations

from collections.abc import Callable

from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.apart import apart
from orthofunctions.usecases.expire import expire_jobs
from orthofunctions.usecases.expire_batches import expire_batches
from orthofunctions.usecases.index import repair_index
from orthofunctions.usecases.loads import age_out_loads
from orthofunctions.usecases.repair import sweep_agents, sweep_results


def keep_house(ports: Ports, rules: Rules) -> None:
    """Forget what has expired and what nothing names any longer, and mend the index."""
    steps: dict[str, Callable[[], object]] = {
        "jobs": lambda: expire_jobs(ports, rules),
        "batches": lambda: expire_batches(ports),
        "index": lambda: repair_index(ports),
        "results": lambda: sweep_results(ports, rules),
        "agents": lambda: sweep_agents(ports),
        "loads": lambda: age_out_loads(ports),
    }
    with apart("housekeeping", ports.meter) as each:
        for name, step in steps.items():
            with each(name):
                step()
