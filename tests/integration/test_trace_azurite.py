"""The timeline of a large job over the real storage emulator: how long it takes to ask, and what its rows weigh."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from figures import tell
from integration.storage import azure_ports
from localdev.servers import Azurite
from orthocontracts.states import OutputState, TaskState
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.history import Ending, History, PastDelivery, PastRelease
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord
from orthofunctions.ports import Change, Ports
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.rows import MOST_CHANGES, parts

N_TASKS = 500
OWN, JOINED = "jown", "jjoined"


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        provision(server.connection_string)
        with azure_ports(server.connection_string) as found:
            yield found


@pytest.fixture(scope="module")
def client(ports: Ports) -> AsgiClient:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    system = System(chosen, ports, chosen.rules(), chosen.limits(), requests.Session())
    make_jobs(ports)
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def make_jobs(ports: Ports) -> None:
    """A job of five hundred tasks, each of which was lost once and handed back once, and another that joined them."""
    now = ports.clock.now()
    rows = []
    for number in range(N_TASKS):
        task_id = f"{OWN}-{number:04d}"
        released_at = now + timedelta(seconds=number)
        rows.append(
            TaskRecord(
                job_id=OWN,
                task_id=task_id,
                user="local",
                created_at=now,
                state=TaskState.SUCCEEDED,
                release=2,
                pool="hpc",
                released_at=released_at + timedelta(seconds=200),
                started_at=released_at + timedelta(seconds=210),
                delivery=1,
                agent="node-1",
                ended_at=released_at + timedelta(seconds=300),
                decision=json.dumps({"sentence": "hpc: an on-prem slot was free", "figures": "x" * 900}),
                history=history(released_at),
            )
        )
    outputs = [
        OutputRecord(
            job_id=job,
            digest=f"{number:064x}",
            state=OutputState.COMMITTED,
            title=f"S1A_IW_GRDH_1SSV_20240310T051122 33T{number:03d}",
            task_id=f"{OWN}-{number:04d}",
            ended_at=now + timedelta(seconds=number + 300),
        )
        for job in (OWN, JOINED)
        for number in range(N_TASKS)
    ]
    for records in (rows, outputs[:N_TASKS], outputs[N_TASKS:]):
        for part in parts(records, MOST_CHANGES):
            ports.tables.transact(part[0].TABLE, [Change("insert", one.to_row()) for one in part])
    for job_id in (OWN, JOINED):
        job = JobRecord(
            user="local", job_id=job_id, request_id=job_id, process="orthorectify", created_at=now, source="http",
            planned=True, planned_at=now + timedelta(seconds=1), n_outputs=N_TASKS, final_state="successful",
            started_at=now, ended_at=now + timedelta(seconds=N_TASKS + 300), settled=True,
        )  # fmt: skip
        ports.tables.insert(JobRecord.TABLE, job.to_row())


def history(released_at: Any) -> str:
    def after(seconds: float) -> Any:
        return released_at + timedelta(seconds=seconds)

    lost = PastDelivery(number=1, agent="node-1", started_at=after(1.234567), ended_at=after(61.5), how=Ending.SILENT)
    returned = PastDelivery(
        number=2, agent="node-2", started_at=after(61.5), ended_at=after(90.25), how=Ending.RETURNED,
        phases_s=(12.345, 5.678, None),
    )  # fmt: skip
    made = PastDelivery(
        number=1, agent="node-1", started_at=after(210), ended_at=after(300), how=Ending.DELIVERED,
        phases_s=(12.345, 56.789, 3.21),
    )  # fmt: skip
    kept = History()
    for release in (
        PastRelease(
            number=1, pool="hpc", released_at=released_at, ended_at=after(90.25), how=Ending.RETURNED,
            why_there="hpc: an on-prem slot was free", why_ended="node-2 handed the task back: draining",
            deliveries=(lost, returned),
        ),
        PastRelease(
            number=2, pool="hpc", released_at=after(200), ended_at=after(300), how=Ending.DELIVERED,
            why_there="hpc: an on-prem slot was free", deliveries=(made,),
        ),
    ):  # fmt: skip
        kept = kept.with_release(release)
    return kept.to_text()


def is_busy() -> bool:
    return os.getloadavg()[0] > (os.cpu_count() or 1)


@pytest.mark.parametrize("job", [OWN, JOINED])
def test_five_hundred_tasks_in_under_a_second(client: AsgiClient, job: str) -> None:
    # beside others the clock says how busy the machine is: then what this process itself used is held against it
    clock = time.process_time if is_busy() else time.perf_counter
    took_s = []
    for _ in range(5):
        began_s = clock()
        answer = client.get(f"/jobs/{job}/trace")
        took_s.append(clock() - began_s)
        assert answer.status_code == 200
    found = answer.json()
    assert len(found["tasks"]) == N_TASKS
    assert {len(one["segments"]) for one in found["tasks"]} >= {11}
    assert sum(one["seconds"] for one in found["path"]) == pytest.approx(found["total_s"])
    tell(f"GET /jobs/{{id}}/trace, 500 tasks of job {job}, s{' of CPU' if is_busy() else ''}", min(took_s), "under 1")
    tell(f"its answer, KB, of job {job}", len(answer.content) / 1e3, "")
    assert min(took_s) < 1.0, took_s
