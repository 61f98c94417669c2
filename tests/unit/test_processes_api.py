"""OGC API - Processes 1.0 by the letter: what it describes, how it executes, and that its own schemas agree."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from openapi_spec_validator import OpenAPIV30SpecValidator

from fakes.asgi import AsgiClient
from fakes.memory_ports import ManualClock, memory_ports
from fakes.ogc_schemas import faults
from fakes.products import ROME, affine_rpc, put_safe, rpc_tiff
from orthocontracts import names
from orthocontracts.outputs import FILE_SUFFIX, CatalogueEntry, FileFacts, file_kinds
from orthocontracts.requests import NRB_EXTRAS
from orthocontracts.states import OutputState, TaskState
from orthofunctions.api.app import create_app
from orthofunctions.api.callbacks import callback_body
from orthofunctions.bootstrap import System
from orthofunctions.domain.callbacks import CallbackKind, CallbackRecord
from orthofunctions.domain.records import JobRecord, OutputRecord, TaskRecord
from orthofunctions.settings import Settings
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.settle import settle_job
from orthofunctions.usecases.submit import read_request

EXECUTE = "/processes/orthorectify/execution"
RADAR = "/processes/radar-backscatter/execution"
OPTICAL = "products/S2B_MSIL1C_20260501T100029_N0511_R122_T33TUG_20260501T120000.SAFE"


@pytest.fixture
def system() -> System:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", "callback_hosts": "hooks.example.com"})
    return System(chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session())


@pytest.fixture
def client(system: System) -> AsgiClient:
    put_safe(system.ports.blobs)
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def body(request_id: str = "r1", *, beside: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    tiles = {"kind": "mgrs", "tiles": ["33TUG", "33TUH"]}
    basic = {"request_id": request_id, "products": [f"products/{ROME}.SAFE"], "terrain": {"height_m": 0}}
    return {"inputs": {**basic, "grid": tiles, **inputs}, **(beside or {})}


def planned(client: AsgiClient, system: System, path: str = EXECUTE, **members: Any) -> str:
    answer = client.post(path, json=body(**members))
    assert answer.status_code == 201, answer.text
    for message in system.ports.queues.drain(names.QUEUE_REQUESTS, 10):
        plan_request(system.ports, read_request(system.ports, message), system.limits, system.rules)
    return str(answer.json()["jobID"])


def made(system: System, job_id: str, n_images: int | None = None) -> None:
    """Have so many of a job's images made, or all; with all the job is settled."""
    plan = read_plan(system.ports, job_id)
    assert plan is not None
    outputs = sorted(find(system.ports.tables, OutputRecord, partition=job_id), key=lambda one: one.title)
    for output in outputs[:n_images]:
        identity = next(one.identity for one in plan.outputs if one.digest == output.digest)
        files = {}
        assets = {kind: {"href": f"./{output.digest}{FILE_SUFFIX[kind]}"} for kind in ("image", "browse")}
        item = {"type": "Feature", "stac_version": "1.1.0", "id": output.digest, "assets": assets}
        for kind in file_kinds(identity.options):
            blob = f"{output.digest}{FILE_SUFFIX[kind]}"
            system.ports.blobs.write(names.CONTAINER_RESULTS, blob, json.dumps(item).encode())
            files[kind] = FileFacts(blob=f"results/{blob}", size_bytes=7, md5="0" * 32)
        entry = CatalogueEntry(
            digest=output.digest, identity=identity, files=files, task_id=output.task_id, release=1, delivery=1,
            pool="hpc", agent="a1", committed_at=datetime(2026, 5, 1, tzinfo=UTC).isoformat(),
        )  # fmt: skip
        system.ports.blobs.write(
            names.CONTAINER_CATALOGUE, names.catalogue_blob(output.digest), entry.to_json().encode()
        )
        swap(system.ports.tables, output.changed(state=OutputState.COMMITTED))
    if n_images is None:
        now = system.ports.clock.now()
        for task in find(system.ports.tables, TaskRecord, partition=job_id):
            started = now - timedelta(seconds=60)
            swap(system.ports.tables, task.changed(state=TaskState.SUCCEEDED, started_at=started, ended_at=now))
        job = find_job(system.ports, "local", job_id)
        assert job is not None
        settle_job(system.ports, job)


def advance(system: System, seconds: float) -> None:
    assert isinstance(system.ports.clock, ManualClock)
    system.ports.clock.advance(seconds)


class TestDescription:
    def test_openapi_is_3_0_and_valid(self, client: AsgiClient) -> None:
        answer = client.get("/openapi.json")
        assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
        document = answer.json()
        assert document["openapi"] == "3.0.3"
        assert list(OpenAPIV30SpecValidator(document).iter_errors()) == []
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                responses = operation["responses"]
                problem = responses["default"]["content"]["application/problem+json"]["schema"]
                assert problem == {"$ref": "#/components/schemas/Problem"}, (path, method)
                assert "422" not in responses

    def test_every_answer_of_the_main_flow_is_what_the_standard_says(self, client: AsgiClient, system: System) -> None:
        landing = client.get("/").json()
        assert faults(landing, "landingPage") == []
        relations = {link["rel"].rsplit("/", 1)[-1] for link in landing["links"]}
        assert relations >= {"self", "service-desc", "conformance", "processes", "job-list"}
        classes = client.get("/conformance").json()
        assert faults(classes, "confClasses") == []
        assert {one.rsplit("/", 1)[-1] for one in classes["conformsTo"]} >= {
            "core", "ogc-process-description", "json", "oas30", "job-list", "callback", "dismiss",
        }  # fmt: skip
        assert faults(client.get("/processes").json(), "processList") == []
        for process in ("orthorectify", "radar-backscatter"):
            assert faults(client.get(f"/processes/{process}").json(), "process") == []
        assert faults(client.get("/processes/none").json(), "exception") == []
        job = planned(client, system)
        assert faults(client.get(f"/jobs/{job}").json(), "statusInfo") == []
        assert faults(client.get(f"/jobs/{job}/results").json(), "exception") == []
        by_value = planned(client, system, request_id="r2", beside=wanted("value"), terrain={"height_m": 1})
        for one in (job, by_value):
            made(system, one)
            assert faults(client.get(f"/jobs/{one}").json(), "statusInfo") == []
            assert faults(client.get(f"/jobs/{one}/results").json(), "results") == []
        assert faults(client.get("/jobs?limit=1").json(), "jobList") == []
        other = planned(client, system, request_id="r3", terrain={"height_m": 2})
        assert faults(client.delete(f"/jobs/{other}").json(), "statusInfo") == []
        assert faults(client.get("/jobs/none").json(), "exception") == []

    def test_the_standards_schemas_can_find_fault(self) -> None:
        assert faults({"jobID": "j", "type": "process", "status": "done"}, "statusInfo")
        assert faults({"processes": []}, "processList")

    def test_processes_come_in_pages(self, client: AsgiClient) -> None:
        first = client.get("/processes?limit=1").json()
        following = next(link["href"] for link in first["links"] if link["rel"] == "next")
        second = client.get(following).json()
        assert [one["id"] for page in (first, second) for one in page["processes"]] == [
            "orthorectify", "radar-backscatter",
        ]  # fmt: skip
        assert [link["rel"] for link in second["links"]] == ["self"]
        assert client.get("/processes?token=nonsense").status_code == 400


def wanted(mode: str | None = None, response: str | None = None, **output: Any) -> dict[str, Any]:
    """Members of an execute request that say how the results are wanted."""
    mode_said = {"transmissionMode": mode} if mode else {}
    return {"outputs": {"outputs": {**mode_said, **output}}, **({"response": response} if response else {})}


class TestExecution:
    @pytest.mark.parametrize(
        ("prefer", "applied"),
        [
            ("respond-async", "respond-async"),
            ("wait=10, Respond-Async", "respond-async"),
            ("respond-async;wait=5", "respond-async"),
            ("respond-sync", None),
            ("wait=10", None),
            (None, None),
        ],
    )
    def test_it_is_asynchronous_whatever_is_preferred(
        self, client: AsgiClient, prefer: str | None, applied: str | None
    ) -> None:
        answer = client.post(EXECUTE, json=body(), headers={"Prefer": prefer} if prefer else {})
        assert answer.status_code == 201
        assert answer.headers["location"].endswith(answer.json()["jobID"])
        assert answer.headers.get("preference-applied") == applied

    @pytest.mark.parametrize("mode", ["async", "sync", "auto"])
    def test_modes_are_taken(self, client: AsgiClient, mode: str) -> None:
        assert client.post(EXECUTE, json=body(beside={"mode": mode})).status_code == 201

    def test_inputs_may_be_qualified_values(self, client: AsgiClient, system: System) -> None:
        grid = {"value": {"kind": "mgrs", "tiles": ["33TUG"]}, "mediaType": "application/json"}
        job = planned(client, system, grid=grid, terrain={"value": {"height_m": 0}})
        (output,) = find(system.ports.tables, OutputRecord, partition=job)
        assert output.title.endswith("33TUG")

    @pytest.mark.parametrize(
        ("beside", "at", "found", "expected"),
        [
            ({"mode": "later"}, "mode", "later", "async or sync or auto"),
            ({"response": "xml"}, "response", "xml", "raw or document"),
            ({"outputs": {"image": {}}}, "outputs.image", "image", "outputs"),
            ({"outputs": []}, "outputs", "[]", "an object"),
            ({"outputs": {"outputs": 1}}, "outputs.outputs", 1, "an object"),
            (wanted("mail"), "outputs.outputs.transmissionMode", "mail", "value or reference"),
            (wanted(format={"mediaType": "text/html"}), "outputs.outputs.format", None, None),
            ({"surprise": 1}, "surprise", None, None),
        ],
    )
    def test_wishes_that_cannot_be_had_are_named(
        self, client: AsgiClient, beside: dict[str, Any], at: str, found: Any, expected: str | None
    ) -> None:
        answer = client.post(EXECUTE, json=body(beside=beside))
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["at"] == at
        if expected is not None:
            assert (error["found"], error["expected"]) == (found, expected)

    def test_all_that_is_wrong_is_said_at_once(self, client: AsgiClient) -> None:
        answer = client.post(EXECUTE, json={"inputs": {"products": [], "urgent": "maybe"}})
        assert {error["at"] for error in answer.json()["errors"]} == {"inputs.products", "inputs.urgent"}
        first = answer.json()["errors"][0]
        assert (first["found"], first["expected"]) == ("[]", "at least 1 items")

    @pytest.mark.parametrize(
        ("content", "status", "says"),
        [
            (b'{"inputs": {"grid": {"kind": "bounds", "left": NaN}}}', 400, "inputs.grid.left"),
            (b'{"inputs": {"grid": {"kind": "bounds", "left": [1, -Infinity]}}}', 400, "inputs.grid.left.1"),
            (b'{"inputs": {"keep_days": 1e999}}', 400, "inputs.keep_days"),
            (b'{"inputs": {}, "inputs": {}}', 400, "'inputs' is there twice"),
            (b'{"inputs": {"urgent": true, "urgent": false}}', 400, "'urgent' is there twice"),
            (b'{"inputs": {"urgent": "\xff"}}', 400, "not JSON"),
            (b'{"inputs": {"urgent": "\\ud800"}}', 400, "inputs"),
            (b'{"\\ud800": 1, "inputs": {}}', 400, ""),
            (b'{"inputs": {"grid": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}}", 400, ""),
            (b'{"inputs": {"grid": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400, "not JSON"),
            (b'{"inputs": {"patience_s": ' + b"9" * 5000 + b"}}", 400, "not JSON"),
            (b'{"inputs": {"patience_s": ' + b"9" * 4000 + b"}}", 400, "inputs"),
            (b"", 400, "not JSON"),
            (b"null", 400, "object"),
            (b"\xef\xbb\xbf{}", 400, ""),
            (b" " * (10 * 1024 * 1024), 413, "at most"),
        ],
    )
    def test_bodies_that_are_no_request(self, client: AsgiClient, content: bytes, status: int, says: str) -> None:
        answer = client.post(EXECUTE, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert says in answer.json()["detail"]

    @pytest.mark.parametrize("kind", ["text/xml", "application/x-www-form-urlencoded", "text/plain; charset=utf-8", ""])
    def test_what_is_not_said_to_be_json_is_415(self, client: AsgiClient, kind: str) -> None:
        answer = client.post(EXECUTE, content=json.dumps(body()).encode(), headers={"Content-Type": kind})
        assert answer.status_code == 415

    def test_json_may_say_its_charset(self, client: AsgiClient) -> None:
        content, kind = json.dumps(body()).encode(), "application/json; charset=utf-8"
        assert client.post(EXECUTE, content=content, headers={"Content-Type": kind}).status_code == 201

    def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(self, client: AsgiClient) -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b" " * 65536

        answer = client.post(EXECUTE, content=endless())
        assert answer.status_code == 413


class TestResults:
    def test_by_reference_every_file_has_a_link(self, client: AsgiClient, system: System) -> None:
        job = planned(client, system, beside=wanted("reference"))
        made(system, job)
        first, second = client.get(f"/jobs/{job}/results").json()["outputs"]
        assert first["image"]["href"].startswith("memory://results/")
        assert first["title"] != second["title"]

    @pytest.mark.parametrize("mode", ["value", None])
    def test_by_value_items_have_links_in_place_of_file_names(
        self, client: AsgiClient, system: System, mode: str | None
    ) -> None:
        """Which the standard takes for what is wanted of an output that is named without a mode."""
        job = planned(client, system, beside=wanted(mode))
        made(system, job)
        outputs = client.get(f"/jobs/{job}/results").json()["outputs"]
        assert [one["mediaType"] for one in outputs] == ["application/geo+json"] * 2
        item = outputs[0]["value"]
        assert item["type"] == "Feature"
        assert item["assets"]["image"]["href"].startswith(f"memory://results/{item['id']}.tif")

    def test_raw_by_value_is_the_items_alone(self, client: AsgiClient, system: System) -> None:
        job = planned(client, system, beside=wanted("value", "raw"))
        made(system, job)
        assert [one["type"] for one in client.get(f"/jobs/{job}/results").json()] == ["Feature", "Feature"]

    def test_raw_by_reference_is_links_in_the_header(self, client: AsgiClient, system: System) -> None:
        job = planned(client, system, beside=wanted("reference", "raw"))
        made(system, job)
        answer = client.get(f"/jobs/{job}/results")
        assert (answer.status_code, answer.content) == (204, b"")
        assert len(answer.headers.get_list("link")) == 2
        assert 'rel="item"' in answer.headers["link"]

    def test_results_of_a_job_that_runs_are_not_ready_but_may_be_asked_for(
        self, client: AsgiClient, system: System
    ) -> None:
        job = planned(client, system)
        made(system, job, 1)
        early = client.get(f"/jobs/{job}/results")
        assert early.status_code == 404
        assert early.json()["type"].endswith("/ogcapi-processes-1/1.0/result-not-ready")
        assert len(client.get(f"/jobs/{job}/results?partial=true").json()["outputs"]) == 1

    def test_a_retry_is_asked_for_in_the_same_way(self, client: AsgiClient, system: System) -> None:
        job = planned(client, system, RADAR, beside=wanted("value"))
        client.delete(f"/jobs/{job}")
        again = client.post(f"/jobs/{job}/retry").json()
        assert again["processID"] == "radar-backscatter"
        records = {one.transmission for one in find(system.ports.tables, JobRecord)}
        assert records == {"value"}


class TestRadar:
    def test_its_images_are_analysis_ready_unless_told_otherwise(self, client: AsgiClient, system: System) -> None:
        job = planned(client, system, RADAR)
        assert client.get(f"/jobs/{job}").json()["processID"] == "radar-backscatter"
        plan = read_plan(system.ports, job)
        assert plan is not None
        options = plan.outputs[0].identity.options
        assert options.radiometry == "gamma0_rtc"
        assert set(options.extras) == NRB_EXTRAS
        assert plan.outputs[0].identity.process == "orthorectify"

    def test_the_same_image_asked_of_either_process_is_one(self, client: AsgiClient, system: System) -> None:
        made(system, planned(client, system, RADAR, request_id="a"))
        job = planned(client, system, request_id="b", options={"radiometry": "gamma0_rtc"})
        assert client.get(f"/jobs/{job}").json()["status"] == "successful"

    def test_options_are_those_of_radar(self, client: AsgiClient) -> None:
        inputs = client.get("/processes/radar-backscatter").json()["inputs"]
        assert "gipp" not in inputs
        options = inputs["options"]["schema"]["properties"]
        assert options["radiometry"]["enum"] == ["gamma0_rtc", "gamma0", "sigma0", "beta0"]
        assert options["radiometry"]["default"] == "gamma0_rtc"
        assert options["bands"]["items"]["enum"] == ["vv", "vh", "hh", "hv"]

    @pytest.mark.parametrize(
        ("inputs", "at"),
        [
            ({"options": {"radiometry": "reflectance"}}, "inputs.options.radiometry"),
            ({"options": {"extras": ["detector"]}}, "inputs.options.extras.0"),
            ({"options": {"bands": ["B02"]}}, "inputs.options.bands.0"),
            ({"gipp": "aux/gipp"}, "inputs.gipp"),
            ({"products": [OPTICAL]}, "inputs.products.0"),
            ({"products": ["products/image.tif"]}, "inputs.products.0"),
        ],
    )
    def test_what_is_not_of_radar_is_refused_at_once(self, client: AsgiClient, inputs: dict[str, Any], at: str) -> None:
        answer = client.post(RADAR, json=body(**inputs))
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["at"] == at

    def test_a_product_whose_name_does_not_tell_fails_with_the_reason(
        self, client: AsgiClient, system: System, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As one would that came through another door."""
        monkeypatch.setattr("orthofunctions.api.execution.mission_of", lambda ref: None)
        system.ports.blobs.write("products", "image.tif", rpc_tiff(affine_rpc()))
        job = planned(client, system, RADAR, products=["products/image.tif"], grid=None)
        status = client.get(f"/jobs/{job}").json()
        assert status["status"] == "failed"
        assert "UnfitProduct: image is an image with RPC" in status["message"]
        assert "radar-backscatter takes products of sentinel-1 only" in status["message"]


class TestJobList:
    @pytest.fixture
    def jobs(self, client: AsgiClient, system: System) -> dict[str, str]:
        """A job of each kind, a minute apart: successful, dismissed, accepted, and of another process."""
        made_jobs = {}
        for number, name in enumerate(("successful", "dismissed", "accepted", "radar")):
            path = RADAR if name == "radar" else EXECUTE
            made_jobs[name] = planned(client, system, path, request_id=name, terrain={"height_m": number})
            advance(system, 60)
        made(system, made_jobs["successful"])
        client.delete(f"/jobs/{made_jobs['dismissed']}")
        return made_jobs

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", "radar accepted dismissed successful"),
            ("type=process", "radar accepted dismissed successful"),
            ("processID=radar-backscatter", "radar"),
            ("processID=radar-backscatter,orthorectify", "radar accepted dismissed successful"),
            ("processID=none", ""),
            ("status=accepted", "radar accepted"),
            ("status=successful&status=dismissed", "dismissed successful"),
            ("status=successful,dismissed", "dismissed successful"),
            ("datetime=2026-05-01T12:01:00Z", "dismissed"),
            ("datetime=2026-05-01T12:01:00Z/2026-05-01T14:02:00%2B02:00", "accepted dismissed"),
            ("datetime=../2026-05-01T12:00:30Z", "successful"),
            ("datetime=2026-05-01T12:02:30Z/..", "radar"),
            ("minDuration=60", "successful"),
            ("minDuration=61", ""),
            ("maxDuration=60", "successful"),
            ("batch=none", ""),
        ],
    )
    def test_filters(self, client: AsgiClient, jobs: dict[str, str], query: str, found: str) -> None:
        by_id = {job: name for name, job in jobs.items()}
        listed = client.get(f"/jobs?{query}").json()["jobs"]
        assert " ".join(by_id[one["jobID"]] for one in listed) == found

    @pytest.mark.parametrize(
        ("query", "at"),
        [
            ("type=service", "query.type"),
            ("status=done", "query.status"),
            ("datetime=yesterday", "query.datetime"),
            ("datetime=2026-05-02T00:00:00Z/2026-05-01T00:00:00Z", "query.datetime"),
            ("datetime=../..", "query.datetime"),
            ("minDuration=-1", "query.minDuration"),
            ("maxDuration=NaN", "query.maxDuration"),
            ("limit=0", "query.limit"),
            ("limit=1001", "query.limit"),
            ("token=x", "query.token"),
            ("token=WyJhIiwiYiJd", "query.token"),
            ("token=WzEsMl0", "query.token"),
        ],
    )
    def test_filters_that_mean_nothing(self, client: AsgiClient, query: str, at: str) -> None:
        answer = client.get(f"/jobs?{query}")
        assert answer.status_code == 400
        assert [error["at"] for error in answer.json()["errors"]] == [at]

    def test_pages_follow_one_another_while_jobs_are_added(
        self, client: AsgiClient, system: System, jobs: dict[str, str]
    ) -> None:
        listed: list[str] = []
        url: str | None = "/jobs?limit=1&processID=orthorectify"
        while url is not None:
            page = client.get(url).json()
            listed += [one["jobID"] for one in page["jobs"]]
            url = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
            planned(client, system, request_id=f"new-{len(listed)}", terrain={"height_m": 50})
        assert listed == [jobs[name] for name in ("accepted", "dismissed", "successful")]

    def test_jobs_that_are_over_cost_a_row_each(
        self, client: AsgiClient, system: System, jobs: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        query = system.ports.tables.query

        def counted(table: str, **arguments: Any) -> Any:
            asked.append(table)
            return query(table, **arguments)

        monkeypatch.setattr(system.ports.tables, "query", counted)
        client.get("/jobs?status=successful,dismissed")
        assert asked.count(OutputRecord.TABLE) == 2  # of the two that are not over
        client.get(f"/jobs/{jobs['successful']}")
        assert asked.count(OutputRecord.TABLE) == 2


def test_a_job_that_is_over_cannot_be_dismissed(client: AsgiClient, system: System) -> None:
    job = planned(client, system)
    made(system, job)
    assert client.delete(f"/jobs/{job}").json()["status"] == "successful"
    assert client.delete("/jobs").json() == {"dismissed": []}


def test_who_subscribed_to_success_is_told_the_results(client: AsgiClient, system: System) -> None:
    subscriber = {"subscriber": {"successUri": "https://hooks.example.com/done"}}
    job_id = planned(client, system, beside=subscriber)
    made(system, job_id)
    (record,) = find(system.ports.tables, CallbackRecord)
    job = find_job(system.ports, "local", job_id)
    assert job is not None
    assert (record.kind, record.uri) == ("success", "https://hooks.example.com/done")
    document = json.loads(callback_body(system, job, CallbackKind.SUCCESS))
    assert document == client.get(f"/jobs/{job_id}/results").json()
    assert faults(document, "results") == []
    begun = json.loads(callback_body(system, job, CallbackKind.IN_PROGRESS))
    assert faults(begun, "statusInfo") == []
    assert system.ports.queues.length(names.QUEUE_CALLBACKS) == 1


def test_how_long_a_job_is_kept_is_said(client: AsgiClient, system: System) -> None:
    job = planned(client, system, keep_days=2)
    status = client.get(f"/jobs/{job}").json()
    assert (status["pinned"], status["expires"]) == (False, "2026-05-03T12:00:00Z")
    (record,) = find(system.ports.tables, JobRecord)
    swap(system.ports.tables, record.changed(pinned=True))
    status = client.get(f"/jobs/{job}").json()
    assert status["pinned"] is True
    assert "expires" not in status
