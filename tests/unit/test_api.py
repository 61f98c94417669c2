"""The API's answers, over the ports in memory."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.memory_ports import ManualClock, memory_ports
from fakes.products import ROME, put_safe
from orthocontracts import names
from orthocontracts.messages import AgentStatus, Fault, RunningTask
from orthocontracts.outputs import CatalogueEntry, FileFacts, file_kinds
from orthocontracts.states import OutputState, TaskState
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.records import ActiveRecord, LearnedRecord, OutputRecord, TaskRecord
from orthofunctions.settings import Settings
from orthofunctions.usecases.capacity import note_status
from orthofunctions.usecases.ledger import Claim, reserve, settle_release
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.roster import find_agent
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.tasks import give_up


def make_system(**settings: Any) -> System:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", **settings})
    return System(chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session())


@pytest.fixture
def system() -> System:
    return make_system()


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def order(**changes: Any) -> dict[str, Any]:
    inputs = {
        "request_id": "r1",
        "products": [f"products/{ROME}.SAFE"],
        "grid": {"kind": "mgrs", "tiles": ["33TUG", "33TUH"]},
        "terrain": {"height_m": 0},
    }
    return {"inputs": {**inputs, **changes}}


def submitted(client: AsgiClient, system: System, *, plan: bool = True, **changes: Any) -> str:
    """Post a request and let the planner have it, as the queue trigger would."""
    answer = client.post("/processes/orthorectify/execution", json=order(**changes))
    assert answer.status_code == 201, answer.text
    if plan:
        for body in system.ports.queues.drain(names.QUEUE_REQUESTS, 10):
            plan_request(system.ports, read_request(system.ports, body), system.limits, system.rules)
    return str(answer.json()["jobID"])


def commit(system: System, output: OutputRecord) -> None:
    plan = read_plan(system.ports, output.job_id)
    assert plan is not None
    identity = next(one.identity for one in plan.outputs if one.digest == output.digest)
    files = {
        kind: FileFacts(
            blob=f"results/{output.digest}.{kind}", size_bytes=7, md5=hashlib.md5(kind.encode()).hexdigest()
        )
        for kind in file_kinds(identity.options)
    }
    entry = CatalogueEntry(
        digest=output.digest,
        identity=identity,
        files=files,
        task_id=output.task_id,
        release=1,
        delivery=1,
        pool="hpc",
        agent="a1",
        committed_at=datetime(2026, 5, 1, tzinfo=UTC).isoformat(),
    )
    system.ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(output.digest), entry.to_json().encode())
    swap(system.ports.tables, output.changed(state=OutputState.COMMITTED))


def test_execution_is_accepted_at_once_and_can_be_asked_about(client: AsgiClient, system: System) -> None:
    answer = client.post("/processes/orthorectify/execution", json=order())
    assert answer.status_code == 201
    status = answer.json()
    assert answer.headers["location"] == f"http://127.0.0.1:7071/jobs/{status['jobID']}"
    assert (status["status"], status["type"], status["processID"]) == ("accepted", "process", "orthorectify")
    assert client.get(answer.headers["location"]).json()["status"] == "accepted"
    assert system.ports.queues.length(names.QUEUE_REQUESTS) == 1
    again = client.post("/processes/orthorectify/execution", json=order())
    assert again.json()["jobID"] == status["jobID"]


def test_a_request_without_an_id_is_a_job_of_its_own(client: AsgiClient) -> None:
    body = order()
    del body["inputs"]["request_id"]
    jobs = {client.post("/processes/orthorectify/execution", json=body).json()["jobID"] for _ in range(2)}
    assert len(jobs) == 2


def test_a_job_from_acceptance_to_results(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    job = submitted(client, system)
    assert client.get(f"/jobs/{job}").json()["message"] == "0 of 2 images are there"
    early = client.get(f"/jobs/{job}/results")
    assert (early.status_code, early.json()["type"].rsplit("/", 1)[-1]) == (404, "result-not-ready")
    assert client.get(f"/jobs/{job}/results?partial=true").json() == {"outputs": []}

    (task,) = find(system.ports.tables, TaskRecord, partition=job)
    now = system.ports.clock.now()
    task = swap(
        system.ports.tables,
        task.changed(state=TaskState.RUNNING, release=1, pool="hpc", agent="a1", started_at=now, delivery=1),
    )
    running = RunningTask(task_id=task.task_id, release=1, progress=0.5, phase="compute")
    status = AgentStatus(
        agent="a1", pool="hpc", session="s", sequence=1, state="online", at=now, slots=1, running=(running,)
    )
    note_status(system.ports, status.to_json())
    seen = client.get(f"/jobs/{job}").json()
    assert (seen["status"], seen["progress"]) == ("running", 50)
    assert seen["started"] == "2026-05-01T12:00:00Z"
    (explained,) = client.get(f"/jobs/{job}/explain").json()["tasks"]
    assert (explained["state"], explained["pool"], explained["progress"]) == ("running", "hpc", 0.5)
    assert explained["title"] == f"{ROME} 33TUG, 33TUH"

    first, second = sorted(find(system.ports.tables, OutputRecord, partition=job), key=lambda one: one.title)
    commit(system, first)
    half = client.get(f"/jobs/{job}").json()
    assert (half["status"], half["progress"]) == ("running", 75)
    (result,) = client.get(f"/jobs/{job}/results?partial=true").json()["outputs"]
    assert result["digest"] == first.digest
    assert result["image"]["href"].startswith(f"memory://results/{first.digest}.image")
    assert "2026-05-01T13:00:00" in result["item"]["href"]  # valid for an hour

    commit(system, second)
    there = client.get(f"/jobs/{job}").json()  # its task ends a moment later
    assert (there["status"], there["finished"]) == ("successful", "2026-05-01T12:00:00Z")
    swap(system.ports.tables, task.changed(state=TaskState.SUCCEEDED, ended_at=now))
    done = client.get(f"/jobs/{job}").json()
    assert (done["status"], done["progress"], done["finished"]) == ("successful", 100, "2026-05-01T12:00:00Z")
    assert len(client.get(f"/jobs/{job}/results").json()["outputs"]) == 2


def test_results_of_flattened_gamma0_link_to_all_of_its_files(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    job = submitted(client, system, options={"radiometry": "gamma0_rtc"})
    for output in find(system.ports.tables, OutputRecord, partition=job):
        commit(system, output)
    for result in client.get(f"/jobs/{job}/results").json()["outputs"]:
        for extra in ("layover_shadow", "local_incidence", "acquisition"):
            assert result[extra]["href"].startswith(f"memory://results/{result['digest']}.{extra}")
            assert result[extra]["type"] == result["image"]["type"]
        assert "scattering_area" not in result


def test_progress_of_an_older_release_does_not_count(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    job = submitted(client, system)
    (task,) = find(system.ports.tables, TaskRecord, partition=job)
    now = system.ports.clock.now()
    swap(system.ports.tables, task.changed(state=TaskState.RUNNING, release=2, started_at=now))
    running = RunningTask(task_id=task.task_id, release=1, progress=0.9)
    status = AgentStatus(
        agent="a1", pool="hpc", session="s", sequence=1, state="online", at=now, slots=1, running=(running,)
    )
    note_status(system.ports, status.to_json())
    assert client.get(f"/jobs/{job}").json()["progress"] == 0


def test_a_request_that_cannot_be_planned_fails_with_the_reason(client: AsgiClient, system: System) -> None:
    job = submitted(client, system)
    status = client.get(f"/jobs/{job}").json()
    assert status["status"] == "failed"
    assert "ProductMissing: products/S1B" in status["message"]
    results = client.get(f"/jobs/{job}/results")
    assert results.status_code == 422
    assert results.headers["content-type"] == "application/problem+json"
    assert results.json()["kind"] == "ProductMissing"


def test_dismissing_a_job(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    job = submitted(client, system)
    assert client.delete(f"/jobs/{job}").json()["status"] == "dismissed"
    assert client.delete(f"/jobs/{job}").json()["status"] == "dismissed"
    assert {one.state for one in find(system.ports.tables, OutputRecord, partition=job)} == {OutputState.CANCELLED}


def test_jobs_come_newest_first_and_limited(client: AsgiClient, system: System) -> None:
    made = []
    for number in range(3):
        made.append(submitted(client, system, plan=False, request_id=f"r{number}"))
        assert isinstance(system.ports.clock, ManualClock)
        system.ports.clock.advance(1)
    assert [job["jobID"] for job in client.get("/jobs").json()["jobs"]] == made[::-1]
    assert [job["jobID"] for job in client.get("/jobs?limit=1").json()["jobs"]] == made[2:]
    refused = client.get("/jobs?limit=0")
    assert (refused.status_code, refused.json()["title"]) == (400, "Invalid request")


def test_a_waiting_task_says_what_it_waits_for_and_a_job_what_it_cost(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    job = submitted(client, system, deadline="2026-05-01T18:00:00Z")
    explained = client.get(f"/jobs/{job}/explain").json()
    waits = explained["tasks"][0]["waits"]
    assert waits.startswith("no on-prem pool has workers; it goes to the cloud at 2026-05-01 17:")
    assert explained["cost"] == {"eur": 0, "on_prem_slot_s": 0, "cloud_slot_s": 0}
    assert client.post("/pools/cloud/pause").json() == {"pool": "cloud", "paused": True}
    waits = client.get(f"/jobs/{job}/explain").json()["tasks"][0]["waits"]
    assert waits == "no pool has workers for it; cloud is paused"
    (task,) = find(system.ports.tables, TaskRecord, partition=job)
    now = system.ports.clock.now()
    active = ActiveRecord(
        job_id=job, release_key=f"{task.task_id}-1", task_id=task.task_id, release=1, pool="cloud", result_version=1,
        released_at=now, start_by=now, started_at=now, user="local", is_cloud=True,
        eur_per_slot_s=0.001, startup_s=10.0,
    )  # fmt: skip
    settle_release(system.ports, active, now + timedelta(seconds=90))
    assert client.get(f"/jobs/{job}/explain").json()["cost"] == {"eur": 0.1, "on_prem_slot_s": 0, "cloud_slot_s": 90}


def test_a_failed_job_is_tried_again_as_a_new_one_and_listed_for_operators(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    job = submitted(client, system)
    refused = client.post(f"/jobs/{job}/retry")
    assert (refused.status_code, refused.json()["title"]) == (409, "Nothing to retry")
    (task,) = find(system.ports.tables, TaskRecord, partition=job)
    assert give_up(system.ports, task, Fault(kind="Broken", message="it broke", permanent=True))
    assert client.get(f"/jobs/{job}").json()["status"] == "failed"
    (failed,) = client.get("/failed").json()["tasks"]
    assert (failed["task_id"], failed["fault"]) == (task.task_id, {"kind": "Broken", "message": "it broke"})
    again = client.post(f"/jobs/{job}/retry")
    assert again.status_code == 201
    assert client.post(f"/jobs/{job}/retry").json()["jobID"] == again.json()["jobID"] != job
    for body in system.ports.queues.drain(names.QUEUE_REQUESTS, 10):
        plan_request(system.ports, read_request(system.ports, body), system.limits, system.rules)
    (new,) = find(system.ports.tables, TaskRecord, partition=again.json()["jobID"])
    assert (new.state, new.megapixels) == (TaskState.PENDING, task.megapixels)


def test_all_of_a_users_jobs_are_dismissed_at_once(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    jobs = {submitted(client, system, request_id=f"r{number}") for number in range(3)}
    assert set(client.delete("/jobs").json()["dismissed"]) == jobs
    assert {one["status"] for one in client.get("/jobs").json()["jobs"]} == {"dismissed"}
    assert client.delete("/jobs").json() == {"dismissed": []}


def test_pools_are_paused_and_resumed_and_say_what_their_machines_take(client: AsgiClient, system: System) -> None:
    for _ in range(2):
        assert client.post("/pools/hpc/pause").status_code == 200
    record = LearnedRecord(process="sigma0", machine="cloud", runs="[[51.17, 102.34, 120.56], null]")
    system.ports.tables.insert(LearnedRecord.TABLE, record.to_row())
    hpc, cloud = client.get("/pools").json()["pools"]
    assert (hpc["paused"], cloud["paused"], hpc["run_times"]) == (True, False, [])
    (times,) = cloud["run_times"]
    assert (times["process"], times["machine"], times["runs"], times["failed"]) == ("sigma0", "cloud", 1, 0.5)
    assert times["mpx_per_s"] == pytest.approx(120.56 / 102.34, rel=1e-3)
    assert times["eur_per_tile"] == pytest.approx(0.2 * 102.34 / 3600, rel=1e-2)
    assert client.post("/pools/hpc/resume").json() == {"pool": "hpc", "paused": False}
    assert client.get("/pools").json()["pools"][0]["paused"] is False
    assert system.ports.queues.length(names.QUEUE_DISPATCH) == 1
    unknown = client.post("/pools/hpcc/pause")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "there is no pool 'hpcc'; there are hpc, cloud")


def test_costs_of_a_month_by_user_and_their_forecast(client: AsgiClient, system: System) -> None:
    now = system.ports.clock.now()
    month = now.strftime("%Y-%m")
    assert reserve(system.ports, None, {"ana": Claim(2.0, 0.5), "ben": Claim(1.0)}, now)
    found = client.get("/costs").json()
    assert (found["month"], found["budget_eur"], found["reserved_eur"], found["spent_eur"]) == (month, None, 3, 0)
    assert found["contingency_eur"] == 0.5
    assert [(one["user"], one["reserved_eur"]) for one in found["users"]] == [("ana", 2), ("ben", 1)]
    assert client.get("/costs", params={"month": "2020-01"}).json()["users"] == []
    assert client.get("/costs", params={"month": "May"}).status_code == 400


def test_pools_show_live_workers_and_what_waits(client: AsgiClient, system: System) -> None:
    put_safe(system.ports.blobs)
    submitted(client, system)
    now = system.ports.clock.now()
    status = AgentStatus(agent="a1", pool="hpc", session="s", sequence=1, state="online", at=now, slots=2)
    note_status(system.ports, status.to_json())
    system.ports.queues.send_release(names.pool_queue("cloud", KERNEL_RESULT_VERSION), "{}")
    answer = client.get("/pools").json()
    hpc, cloud = answer["pools"]
    assert (hpc["pool"], hpc["kind"], hpc["agents"], hpc["slots"], hpc["running"]) == ("hpc", "onprem", 1, 2, 0)
    assert (cloud["pool"], cloud["queued"], cloud["agents"]) == ("cloud", 1, 0)
    assert answer["pending"] == 1
    assert isinstance(system.ports.clock, ManualClock)
    system.ports.clock.advance(3600)
    assert client.get("/pools").json()["pools"][0]["agents"] == 0
    assert find_agent(system.ports, "hpc", "a1") is not None


def test_messages_nobody_could_use_are_shown(client: AsgiClient, system: System) -> None:
    note_status(system.ports, "{not a status")
    answer = client.get("/rejected").json()
    assert answer["total"] == 1
    assert answer["messages"][0]["queue"] == "capacity"
    assert answer["messages"][0]["body"] == "{not a status"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 50_000, 400, "not JSON"),
        (b"[]", 400, "inputs"),
        (b"{}", 400, "inputs"),
        (json.dumps(order(products=["products/../x.tif"])).encode(), 400, "inputs.products"),
        (json.dumps(order(products=["https://example.com/x.tif"])).encode(), 400, "inputs.products"),
        (json.dumps(order(products=["s3://any/x.tif"])).encode(), 400, "ORTHOBURST_PRODUCT_BUCKETS"),
        (json.dumps(order(products=["https://u:p@example.com/x.tif"])).encode(), 400, "inputs.products"),
        (json.dumps(order(terrain={"dem": "https://example.com/x"})).encode(), 400, "inputs.terrain.dem"),
        (json.dumps(order(grid={"kind": "mgrs", "tiles": ["99XXX"]})).encode(), 400, "inputs.grid"),
        (json.dumps(order(user="root")).encode(), 400, "not inputs"),
        (json.dumps(order(surprise=1)).encode(), 400, "inputs.surprise"),
        (json.dumps(order(options={"radiometry": "gamma0_rtc", "scale": "db"})).encode(), 400, "inputs.options: "),
        (json.dumps(order(options={"scale": "db"})).encode(), 400, "ask for radiometry beta0, sigma0 or gamma0"),
        (json.dumps(order(options={"extras": ["shade"]})).encode(), 400, "inputs.options.extras.0"),
        (json.dumps(order(options={"extras": ["acquisition"] * 2})).encode(), 400, "inputs.options.extras: "),
        (json.dumps(order(options={"noise_removal": 3})).encode(), 400, "inputs.options.noise_removal"),
        (b'{"inputs": {"deadline": NaN}}', 400, "inputs"),
        (b" " * (1024 * 1024 + 1), 413, "at most"),
    ],
)
def test_bad_bodies_are_problems_that_name_the_field(client: AsgiClient, body: bytes, status: int, says: str) -> None:
    answer = client.post("/processes/orthorectify/execution", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert says in problem["detail"]


@pytest.mark.parametrize("path", ["/jobs/none", "/jobs/..%2f..", "/jobs/j'%20or%201", "/processes/none", "/nowhere"])
def test_what_is_not_there_is_a_problem(client: AsgiClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unexpected_error_tells_its_class_and_no_more(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("AccountKey=secret")

    monkeypatch.setattr(system.ports.tables, "get", broken)
    client = AsgiClient(create_app(lambda: system), base_url="http://localhost")
    answer = client.get("/jobs/j1")
    assert answer.status_code == 500
    assert "RuntimeError" in answer.json()["detail"]
    assert "secret" not in answer.text


def test_settings_hide_their_secrets() -> None:
    settings = Settings.model_validate(
        {"AzureWebJobsStorage": "AccountKey=hidden", "broker": "mqtt://u:hidden@h", "broker_password": "hidden"}
    )
    assert "hidden" not in repr(settings)
    assert settings.storage is not None
    assert settings.storage.get_secret_value() == "AccountKey=hidden"


def test_the_process_describes_its_inputs_in_the_words_of_openapi_3_0(client: AsgiClient) -> None:
    description = client.get("/processes/orthorectify").json()
    inputs = description["inputs"]
    how = {"grid", "terrain", "gipp", "iers", "orbits", "options"}
    assert {
        "products",
        "deadline",
        "patience_s",
        "urgent",
        "request_id",
        "shared_with",
        "keep_days",
        *how,
    } == inputs.keys()
    assert {name for name, one in inputs.items() if one["minOccurs"] == 1} == {"products"}
    text = json.dumps(inputs)
    for word in ("$ref", "$defs", '"const"', '"null"', "discriminator"):
        assert word not in text
    kinds = [one["properties"]["kind"]["enum"] for one in inputs["grid"]["schema"]["oneOf"]]
    assert sorted(kinds) == [["area"], ["bounds"], ["footprint"], ["mgrs"]]
    spacing = next(one for one in inputs["grid"]["schema"]["oneOf"] if one["properties"]["kind"]["enum"] == ["bounds"])
    assert spacing["properties"]["spacing"]["exclusiveMinimum"] is True
    options = inputs["options"]["schema"]["properties"]
    radar = ["beta0", "sigma0", "gamma0", "gamma0_rtc"]
    assert options["radiometry"]["enum"] == ["dn", *radar, "reflectance", "physical"]
    assert (options["scale"]["enum"], options["scale"]["default"]) == (["linear", "db"], "linear")
    assert options["noise_removal"]["type"] == "boolean"
    extras = options["extras"]
    assert (extras["type"], extras["uniqueItems"], extras["default"]) == ("array", True, [])
    of_sight, of_classes = ["layover_shadow", "local_incidence", "scattering_area"], ["detector", "quality"]
    assert extras["items"]["enum"] == [*of_sight, "scene_classification", *of_classes, "acquisition"]
    assert client.get("/processes").json()["processes"][0]["id"] == "orthorectify"
    assert any(one.endswith("/conf/core") for one in client.get("/conformance").json()["conformsTo"])
    assert {link["rel"] for link in client.get("/").json()["links"]} >= {"self", "service-desc"}
