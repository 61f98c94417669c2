"""`GET /jobs/{id}/trace`: who may see it, what it tells of other people's tasks, and what it answers with."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import ManualClock
from fakes.products import put_safe
from orthocontracts import names
from orthocontracts.messages import Fault
from orthocontracts.states import TaskState
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.principals import Scope
from orthofunctions.domain.records import JobRecord, LearnedRecord, TaskRecord
from orthofunctions.settings import Settings
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.tasks import give_up, requeue
from unit import test_callbacks as callbacks
from unit.test_access import key_of, make_system, plan_all, submitted

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def system() -> System:
    made = make_system()
    put_safe(made.ports.blobs)
    return made


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def task_of(system: System, job: str) -> TaskRecord:
    (task,) = find(system.ports.tables, TaskRecord, partition=job)
    return task


def advance(system: System, seconds: float) -> None:
    assert isinstance(system.ports.clock, ManualClock)
    system.ports.clock.advance(seconds)


def run(system: System, task: TaskRecord, *, seconds: float = 10) -> TaskRecord:
    """Released to hpc and begun, as dispatcher and collector would have it, and so many seconds gone since."""
    now = system.ports.clock.now()
    sentence = json.dumps({"sentence": f"hpc has a free slot for {task.user}"})
    running = task.changed(
        state=TaskState.RUNNING, release=task.release + 1, pool="hpc", agent="secret-node", released_at=now,
        started_at=now, delivery=1, decision=sentence,
    )  # fmt: skip
    running = swap(system.ports.tables, running)
    advance(system, seconds)
    return running


def trace(client: AsgiClient, job: str, who: dict[str, str]) -> dict[str, Any]:
    answer = client.get(f"/jobs/{job}/trace", headers=who)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert sum(one["seconds"] for one in found["path"]) == pytest.approx(found["total_s"])
    return found


def test_only_who_may_see_the_job_sees_its_timeline(system: System, client: AsgiClient) -> None:
    ana = key_of(system, "ana")
    job = submitted(client, ana, shared_with=["hydrology"])
    plan_all(system)
    for who in (ana, key_of(system, "ben", Scope.READ), key_of(system, "root", Scope.ADMIN)):
        assert trace(client, job, who)["jobID"] == job
    for path, who, status in ((job, key_of(system, "cleo"), 404), ("0" * 20, ana, 404), ("../x", ana, 404)):
        answer = client.get(f"/jobs/{path}/trace", headers=who)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert client.get(f"/jobs/{job}/trace").status_code == 401


def test_a_task_of_a_job_one_may_not_see_tells_its_times_and_no_more(system: System, client: AsgiClient) -> None:
    cleo, ana = key_of(system, "cleo"), key_of(system, "ana")
    theirs = submitted(client, cleo)
    plan_all(system)
    task = run(system, task_of(system, theirs))
    mine = submitted(client, ana)
    plan_all(system)
    advance(system, 5)
    fault = Fault(kind="Broken", message="cleo's disk is full")
    assert requeue(system.ports, system.rules, task, fault=fault, failures=1)
    advance(system, 3)
    found = trace(client, mine, ana)
    (lane,) = found["tasks"]
    assert lane["joined"]
    assert [(one["phase"], one["seconds"], one.get("pool")) for one in lane["segments"]] == [
        ("run", 5.0, "hpc"),
        ("back_off", 3.0, None),
    ]
    text = json.dumps(found)
    for secret in (theirs, "cleo", "secret-node", task.task_id):
        assert secret not in text
    assert any(one.get("joined") and one["what"] == "release_ended" for one in found["events"])
    explained = client.get(f"/jobs/{mine}/explain", headers=ana).json()
    (joined,) = explained["joined_tasks"]
    assert (joined["state"], joined["failures"], "task_id" in joined) == ("pending", 1, False)
    text = json.dumps(explained)
    for secret in (theirs, "cleo", "secret-node", task.task_id):
        assert secret not in text
    assert explained["outputs"][0]["task_id"] is None
    seen = trace(client, mine, key_of(system, "root", Scope.ADMIN))
    assert seen["tasks"][0]["task_id"] == task.task_id
    assert "secret-node" in json.dumps(seen)


def test_it_names_the_trace_where_there_is_one(system: System, client: AsgiClient) -> None:
    ana = key_of(system, "ana")
    job = submitted(client, ana)
    assert "trace_id" not in trace(client, job, ana)
    (row,) = find(system.ports.tables, JobRecord)
    row = swap(system.ports.tables, row.changed(traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-01"))
    assert trace(client, job, ana)["trace_id"] == TRACE_ID
    swap(system.ports.tables, row.changed(traceparent="nonsense"))
    assert "trace_id" not in trace(client, job, ana)


def test_a_slow_run_is_called_so(system: System, client: AsgiClient) -> None:
    """Held against what forty such runs took: a hundred seconds, give or take."""
    ana = key_of(system, "ana")
    job = submitted(client, ana)
    plan_all(system)
    task = run(system, task_of(system, job), seconds=1000)
    pools = b"pools: [{name: hpc, kind: onprem, max_slots: 2, run_overhead_s: 50, run_s_per_megapixel: 0}]"
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, pools)
    runs = [[50.0, 95.0 + at % 10, task.megapixels] for at in range(40)]
    taught = LearnedRecord(process=task.process, machine="hpc", runs=json.dumps(runs))
    system.ports.tables.insert(LearnedRecord.TABLE, taught.to_row())
    succeeded = task.changed(state=TaskState.SUCCEEDED, ended_at=system.ports.clock.now())
    swap(system.ports.tables, succeeded)
    found = trace(client, job, ana)
    (lane,) = found["tasks"]
    assert lane["run"]["slow"]
    assert lane["run"]["median_s"] == pytest.approx(100, rel=0.05)
    assert (
        "its run took 1000 s on hpc, slower than 9 in 10: half of such runs take up to" in found["longest"]["says"][-1]
    )


def test_a_job_that_cannot_be_planned(system: System, client: AsgiClient) -> None:
    ana = key_of(system, "ana")
    job = submitted(client, ana, products=["products/S1A_IW_GRDH_1SDV_20260101T000000_20260101T000025_1_1_1.SAFE"])
    advance(system, 4)
    plan_all(system)
    found = trace(client, job, ana)
    assert (found["status"], found["tasks"], found["path"][0]["phase"]) == ("failed", [], "planning")
    assert found["events"][-1]["what"] == "ended"


def test_a_job_that_is_tried_again_has_a_timeline_of_its_own(system: System, client: AsgiClient) -> None:
    ana = key_of(system, "ana")
    job = submitted(client, ana)
    plan_all(system)
    assert give_up(system.ports, task_of(system, job), Fault(kind="Broken", message="it broke", permanent=True))
    ended = trace(client, job, ana)
    assert ended["status"] == "failed"
    advance(system, 100)
    assert trace(client, job, ana)["total_s"] == ended["total_s"], "what is over does not go on"
    again = client.post(f"/jobs/{job}/retry", headers=ana).json()["jobID"]
    plan_all(system)
    advance(system, 7)
    found = trace(client, again, ana)
    assert [(one["phase"], one["seconds"]) for one in found["path"]] == [("slot", 7.0)]
    assert found["tasks"][0]["segments"][0]["says"], "why it waits now"


def test_a_callback_is_told_of_without_its_address(system: System, client: AsgiClient) -> None:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", "callback_hosts": "hooks.example.com"})
    site = System(chosen, system.ports, chosen.rules(), chosen.limits(), requests.Session())
    local = AsgiClient(create_app(lambda: site), base_url="http://127.0.0.1:7071")
    job = callbacks.failed_job(local, site)
    advance(site, 3)
    callbacks.pump(site, callbacks.Hook())
    found = trace(local, job, {})
    (told,) = found["callbacks"]
    assert (told["kind"], told["state"], told["attempts"], told["seconds"]) == ("failed", "delivered", 1, 3.0)
    assert "hooks.example.com" not in json.dumps(found)
