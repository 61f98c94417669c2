"""Batches over HTTP: all or nothing, once, seen in one call, cancelled, tried again."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import memory_ports
from fakes.products import ROME, put_safe
from orthocontracts import names
from orthocontracts.digests import job_id_of
from orthocontracts.messages import Fault
from orthocontracts.states import OutputState
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord
from orthofunctions.settings import Settings
from orthofunctions.usecases.batch_changes import carry_out
from orthofunctions.usecases.batches import batch_in
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.tasks import give_up


@pytest.fixture
def system() -> System:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
    return System(chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session())


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def execution(tile: str = "33TUG", **changes: Any) -> dict[str, Any]:
    inputs = {
        "products": [f"products/{ROME}.SAFE"],
        "grid": {"kind": "mgrs", "tiles": [tile], "spacing_m": 60},
        "terrain": {"height_m": 0},
    }
    return {"inputs": {**inputs, **changes}}


def work_off(system: System) -> int:
    """Handle every message on queue ``requests`` as the trigger does. How many requests were planned."""
    n_planned = 0
    while bodies := system.ports.queues.drain(names.QUEUE_REQUESTS, 100):
        for body in bodies:
            batch = batch_in(body)
            if batch is not None:
                carry_out(system.ports, batch)
                continue
            plan_request(system.ports, read_request(system.ports, body), system.limits, system.rules)
            n_planned += 1
    return n_planned


def ends(system: System, job_id: str, state: OutputState) -> None:
    for output in find(system.ports.tables, OutputRecord, partition=job_id):
        swap(system.ports.tables, output.changed(state=state))


def test_a_batch_is_accepted_at_once_and_its_jobs_are_there(client: AsgiClient, system: System) -> None:
    body = {"batch": "spring", "name": "Spring over Rome", "executions": [execution(), execution("33TUH")]}
    answer = client.post("/batches", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "http://127.0.0.1:7071/batches/spring"
    batch = answer.json()
    assert (batch["batchID"], batch["name"], batch["total"]) == ("spring", "Spring over Rome", 2)
    assert (batch["states"], batch["progress"]) == ({"accepted": 2}, 0)
    assert [job["request_id"] for job in batch["jobs"]] == ["spring-0", "spring-1"]
    assert [job["jobID"] for job in batch["jobs"]] == [job_id_of("local", f"spring-{n}") for n in range(2)]
    assert {(job["status"], job["processID"], job["title"]) for job in batch["jobs"]} == {
        ("accepted", "orthorectify", f"{ROME}.SAFE")
    }
    for job in batch["jobs"]:
        assert client.get(f"/jobs/{job['jobID']}").json()["status"] == "accepted"
    assert system.ports.queues.length(names.QUEUE_REQUESTS) == 1, "one message, however many executions"
    assert {job.batch for job in find(system.ports.tables, JobRecord)} == {"spring"}


def test_the_same_batch_sent_again_is_the_same_batch(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    body = {"batch": "spring", "executions": [execution(), execution("33TUH")]}
    first = client.post("/batches", json=body).json()
    again = client.post("/batches", json=body)
    assert again.status_code == 201
    assert again.json() == first
    assert work_off(system) == 2
    other = client.post("/batches", json={"batch": "spring", "executions": [execution()]})
    assert (other.status_code, other.json()["title"]) == (409, "Another batch has this id")
    assert "take another id" in other.json()["detail"]
    assert len(list(find(system.ports.tables, JobRecord))) == 2


def test_a_batch_without_an_id_gets_one_of_its_own(client: AsgiClient) -> None:
    one, other = (client.post("/batches", json={"executions": [execution()]}).json() for _ in range(2))
    assert one["batchID"] != other["batchID"]
    assert one["jobs"][0]["request_id"] == f"{one['batchID']}-0"


def test_an_id_as_long_as_ids_may_be_still_gives_every_execution_its_own(client: AsgiClient) -> None:
    body = {"batch": "b" * 63, "executions": [execution() for _ in range(12)]}
    answer = client.post("/batches", json=body)
    assert answer.status_code == 201, answer.text
    ids = [job["request_id"] for job in answer.json()["jobs"]]
    assert len(set(ids)) == 12
    assert max(map(len, ids)) <= 63


def test_one_bad_execution_and_nothing_is_submitted(client: AsgiClient, system: System) -> None:
    bad = [
        execution(),
        execution(products=["products/../x.tif"]),
        {"inputs": 3},
        execution(user="root"),
        {**execution(), "process": "none"},
        {**execution(), "subscriber": {"successUri": "ftp://x"}},
        {**execution(), "callback": "x"},
        execution(request_id="r1"),
        execution(request_id="r1"),
        execution(grid={"kind": "mgrs", "tiles": ["99XXX"]}),
        7,
    ]
    answer = client.post("/batches", json={"executions": bad})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["detail"].startswith("nothing was submitted; execution 1: inputs.products")
    at = {fault["index"]: fault["at"] for fault in problem["errors"]}
    assert sorted(at) == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert (at[2], at[3], at[4]) == ("inputs", "inputs.user", "process")
    assert (at[5], at[6], at[8]) == ("subscriber.successUri", "callback", "inputs.request_id")
    assert at[9].startswith("inputs.grid")
    assert list(find(system.ports.tables, JobRecord)) == []
    assert system.ports.queues.length(names.QUEUE_REQUESTS) == 0
    assert list(system.ports.blobs.list(names.CONTAINER_REQUESTS)) == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 50_000, 400, "not JSON"),
        (b"[]", 400, "body"),
        (b"{}", 400, "executions"),
        (b'{"executions": []}', 400, "executions"),
        (b'{"executions": 5}', 400, "executions"),
        (b'{"batch": "Spring Over", "executions": [1]}', 400, "batch"),
        (b'{"surprise": 1, "executions": [1]}', 400, "surprise"),
        (json.dumps({"executions": [execution()] * 1001}).encode(), 400, "1000"),
        (b" " * (8 * 1024 * 1024 + 1), 413, "at most"),
    ],
)
def test_bad_bodies_are_problems_that_name_the_field(client: AsgiClient, body: bytes, status: int, says: str) -> None:
    answer = client.post("/batches", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_a_batch_is_seen_in_one_call_and_by_state(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    tiles = ["33TUG", "33TUH", "33TVG", "33TVH"]
    body = {"batch": "spring", "executions": [execution(tile) for tile in tiles]}
    jobs = [job["jobID"] for job in client.post("/batches", json=body).json()["jobs"]]
    work_off(system)
    assert client.get("/batches/spring").json()["states"] == {"accepted": 4}
    ends(system, jobs[0], OutputState.COMMITTED)
    ends(system, jobs[2], OutputState.FAILED)
    seen = client.get("/batches/spring").json()
    assert (seen["states"], seen["progress"]) == ({"successful": 1, "accepted": 2, "failed": 1}, 50)
    assert [job["status"] for job in seen["jobs"]] == ["successful", "accepted", "failed", "accepted"]
    failed = client.get("/batches/spring?status=failed").json()
    assert [job["jobID"] for job in failed["jobs"]] == [jobs[2]]
    assert failed["total"] == 4, "states and total are the whole batch's"
    two = client.get("/batches/spring?status=successful,accepted&limit=2").json()
    assert [job["jobID"] for job in two["jobs"]] == jobs[:2]
    (more,) = [link["href"] for link in two["links"] if link["rel"] == "next"]
    rest = client.get(more).json()
    assert [job["jobID"] for job in rest["jobs"]] == [jobs[3]]
    assert [link["rel"] for link in rest["links"]] == ["self"]
    wrong = client.get("/batches/spring?status=done")
    assert (wrong.status_code, "successful" in wrong.json()["errors"][0]["expected"]) == (400, True)


def test_what_is_settled_is_not_looked_at_again(
    client: AsgiClient, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_safe(system.ports.blobs)
    body = {"batch": "spring", "executions": [execution(tile) for tile in ("33TUG", "33TUH", "33TVG")]}
    jobs = [job["jobID"] for job in client.post("/batches", json=body).json()["jobs"]]
    work_off(system)
    for job in jobs[:2]:
        ends(system, job, OutputState.COMMITTED)
    client.get("/batches/spring")
    asked: list[str] = []
    get = system.ports.tables.get

    def counted(table: str, partition: str, key: str) -> Any:
        if table == names.TABLE_JOBS:
            asked.append(key)
        return get(table, partition, key)

    monkeypatch.setattr(system.ports.tables, "get", counted)
    assert client.get("/batches/spring").json()["states"] == {"successful": 2, "accepted": 1}
    assert asked == [jobs[2]]


def test_a_failed_output_that_was_made_after_all_is_seen(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    (job,) = client.post("/batches", json={"batch": "spring", "executions": [execution()]}).json()["jobs"]
    work_off(system)
    ends(system, job["jobID"], OutputState.FAILED)
    assert client.get("/batches/spring").json()["states"] == {"failed": 1}
    ends(system, job["jobID"], OutputState.COMMITTED)
    assert client.get("/batches/spring").json()["states"] == {"successful": 1}


def test_jobs_that_have_expired_are_gone_and_do_not_hold_up_the_batch(client: AsgiClient, system: System) -> None:
    body = {"batch": "spring", "executions": [execution(), execution("33TUH")]}
    jobs = [job["jobID"] for job in client.post("/batches", json=body).json()["jobs"]]
    system.ports.tables.delete(names.TABLE_JOBS, "local", jobs[0])
    seen = client.get("/batches/spring").json()
    assert seen["states"] == {"gone": 1, "accepted": 1}
    assert [job["jobID"] for job in seen["jobs"]] == [jobs[1]]


def test_batches_are_listed_newest_first_page_by_page(client: AsgiClient, system: System) -> None:
    for name in ("a", "b", "c"):
        client.post("/batches", json={"batch": name, "executions": [execution()]})
        system.ports.clock.advance(1)  # type: ignore[attr-defined]
    page = client.get("/batches?limit=2").json()
    assert [one["batchID"] for one in page["batches"]] == ["c", "b"]
    assert (page["batches"][0]["states"], "jobs" in page["batches"][0]) == ({"accepted": 1}, False)
    (more,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    assert [one["batchID"] for one in client.get(more).json()["batches"]] == ["a"]
    assert client.get("/batches?limit=0").status_code == 400


def test_a_batch_is_cancelled_whole_and_what_is_done_stays(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    body = {"batch": "spring", "executions": [execution(tile) for tile in ("33TUG", "33TUH", "33TVG")]}
    jobs = [job["jobID"] for job in client.post("/batches", json=body).json()["jobs"]]
    work_off(system)
    ends(system, jobs[0], OutputState.COMMITTED)
    for _ in range(2):
        assert client.delete("/batches/spring").json()["states"] == {"successful": 1, "dismissed": 2}
    assert client.get(f"/jobs/{jobs[0]}").json()["status"] == "successful"
    work_off(system)
    assert {one.state for one in find(system.ports.tables, TaskRecord) if one.job_id != jobs[0]} == {"cancelled"}
    assert client.get("/batches/spring").json()["states"] == {"successful": 1, "dismissed": 2}


def test_what_is_tried_again_after_a_cancel_is_not_cancelled(client: AsgiClient, system: System) -> None:
    client.post("/batches", json={"batch": "spring", "executions": [execution(), execution("33TUH")]})
    work_off(system)  # there is no such product: both fail
    client.delete("/batches/spring")
    system.ports.clock.advance(1)  # type: ignore[attr-defined]
    assert client.post("/batches/spring/retry").json()["states"] == {"accepted": 2}
    put_safe(system.ports.blobs)
    work_off(system)
    assert client.get("/batches/spring").json()["states"] == {"accepted": 2}


def test_a_batch_cancelled_before_it_is_planned_is_not_planned(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    client.post("/batches", json={"batch": "spring", "executions": [execution(), execution("33TUH")]})
    assert client.delete("/batches/spring").json()["states"] == {"dismissed": 2}
    work_off(system)
    assert list(find(system.ports.tables, TaskRecord)) == []


def test_what_failed_is_tried_again_in_its_place(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    body = {
        "batch": "spring",
        "executions": [execution(), execution("33TUH"), execution(products=["products/missing.tif"])],
    }
    jobs = [job["jobID"] for job in client.post("/batches", json=body).json()["jobs"]]
    work_off(system)
    ends(system, jobs[0], OutputState.COMMITTED)
    (task,) = find(system.ports.tables, TaskRecord, partition=jobs[1])
    assert give_up(system.ports, task, Fault(kind="Broken", message="it broke", permanent=True))
    seen = client.get("/batches/spring").json()
    assert seen["states"] == {"successful": 1, "failed": 2}
    assert "ProductMissing" in seen["jobs"][2]["message"]
    again = client.post("/batches/spring/retry")
    assert again.status_code == 201
    tried = again.json()
    assert tried["states"] == {"successful": 1, "accepted": 2}
    assert tried["jobs"][0]["jobID"] == jobs[0]
    assert {job["jobID"] for job in tried["jobs"]}.isdisjoint(jobs[1:])
    assert {job.batch for job in find(system.ports.tables, JobRecord)} == {"spring"}
    work_off(system)
    assert Counter(job["status"] for job in client.get("/batches/spring").json()["jobs"]) == {
        "successful": 1,
        "accepted": 1,
        "failed": 1,
    }
    assert client.post("/batches/spring/retry").json()["states"] == {"successful": 1, "accepted": 2}


@pytest.mark.parametrize("method", ["get", "delete", "post"])
@pytest.mark.parametrize("batch", ["none", "x" * 300, "b'%20or%201"])
def test_a_batch_that_is_not_there_is_a_problem(client: AsgiClient, method: str, batch: str) -> None:
    path = f"/batches/{batch}/retry" if method == "post" else f"/batches/{batch}"
    answer = getattr(client, method)(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
