"""Whatever is asked of the API, its answer is one that its description names, and never an error of its own."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import CHECKS, load_all_checks

from fakes.memory_ports import memory_ports
from fakes.products import ROME, put_safe
from orthocontracts.messages import Fault
from orthocontracts.requests import Request
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.processes import PROCESSES
from orthofunctions.settings import Settings
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.settle import fail_job
from orthofunctions.usecases.submit import submit

load_all_checks()
EXAMPLES = 12
KEPT: list[Any] = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]


def _site() -> tuple[System, list[str]]:
    """A system with a job that waits for its plan, one that waits for a worker, and one that failed."""
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", "callback_hosts": "*.example.com"})
    system = System(chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session())
    put_safe(system.ports.blobs)
    order = {"products": [f"products/{ROME}.SAFE"], "terrain": {"height_m": 0}}
    asked = [Request.model_validate({"request_id": f"r{number}", **order}) for number in range(3)]
    jobs = [submit(system.ports, one, "http") for one in asked]
    plan_request(system.ports, asked[1], system.limits, system.rules)
    fail_job(system.ports, jobs[2], Fault(kind="Broken", message="it broke"))
    return system, [job.job_id for job in jobs]


SYSTEM, JOBS = _site()
APP = create_app(lambda: SYSTEM)
DESCRIPTION = schemathesis.openapi.from_asgi("/openapi.json", APP)
KNOWN = {"job_id": JOBS, "process": list(PROCESSES), "pool": ["hpc", "cloud"]}
"""What is there: among names that are made up hardly one would be."""
_turn = itertools.count()


@DESCRIPTION.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_the_description_names(case: schemathesis.Case[Any]) -> None:
    turn = next(_turn)
    for name, there in KNOWN.items():
        if name in (case.path_parameters or {}) and turn % 4:
            case.path_parameters[name] = there[turn % len(there)]
    case.call_and_validate(base_url="http://127.0.0.1", checks=KEPT)
