"""An estimate is the decision that will be taken: same plan, same figures, same words; and nothing is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.crash import Fuse, fused
from fakes.memory_ports import ManualClock, memory_ports
from fakes.products import NEXT_RING, NEXT_SLICE, ROME, put_safe
from orthocontracts import names
from orthocontracts.messages import AgentStatus
from orthocontracts.requests import Request, TerrainRequest, TileGrid
from orthocontracts.states import OutputState
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.api.app import create_app
from orthofunctions.bootstrap import System
from orthofunctions.domain.pools import PoolSpec, SiteSpec
from orthofunctions.domain.records import DigestRecord, DigestState, JobRecord, LearnedRecord, OutputRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.capacity import note_status
from orthofunctions.usecases.digests import STATE_KEY
from orthofunctions.usecases.dispatch import dispatch
from orthofunctions.usecases.estimate import Standing, estimate
from orthofunctions.usecases.explain import reasons_to_wait
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.rows import find, load, swap

SITE = SiteSpec(
    pools=(
        PoolSpec(name="hpc", kind="onprem", max_slots=4, local=("blobs",)),
        PoolSpec(name="cloud", kind="cloud", max_slots=2, startup_s=60, price_per_slot_hour_eur=0.3, machine="big"),
        PoolSpec(
            name="far", kind="cloud", max_slots=9, startup_s=200, price_per_slot_hour_eur=0.1, local=(),
            egress_eur_per_gb=0.05,
        ),
    )
)  # fmt: skip


def make_system(ports: Ports | None = None) -> System:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", "patience_s": 600, "month_budget_eur": 5.0})
    system = System(chosen, ports or memory_ports(), chosen.rules(), chosen.limits(), requests.Session())
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, SITE.to_json().encode())
    record = LearnedRecord(process="default", machine="big", runs=str([[51.0, 40.0 + n, 120.0] for n in range(20)]))
    system.ports.tables.insert(LearnedRecord.TABLE, record.to_row())
    put_safe(system.ports.blobs)
    put_safe(system.ports.blobs, NEXT_SLICE, NEXT_RING)
    clock(system).advance(5)
    return system


@pytest.fixture
def system() -> System:
    return make_system()


def clock(system: System) -> ManualClock:
    assert isinstance(system.ports.clock, ManualClock)
    return system.ports.clock


def request(request_id: str = "r1", tiles: tuple[str, ...] = ("33TUG",), **changes: Any) -> Request:
    values: dict[str, Any] = {
        "products": (f"products/{ROME}.SAFE",),
        "grid": TileGrid(tiles=tiles, spacing_m=10),
        "terrain": TerrainRequest(height_m=0),
    }
    return Request(request_id=request_id, **{**values, **changes})


def workers(system: System, slots: int) -> None:
    status = AgentStatus(
        agent="a1", pool="hpc", session="s", sequence=1, state="online", at=system.ports.clock.now(), slots=slots,
        result_version=KERNEL_RESULT_VERSION,
    )  # fmt: skip
    note_status(system.ports, status.to_json())


def soon(system: System, minutes: float) -> datetime:
    return system.ports.clock.now() + timedelta(minutes=minutes)


@pytest.mark.parametrize("slots", [0, 1, 3])
@pytest.mark.parametrize("minutes", [None, 1, 5, 600])
@pytest.mark.parametrize("patience_s", [0, None])
def test_an_estimate_is_the_decision_that_is_stored_in_the_same_situation(
    system: System, slots: int, minutes: float | None, patience_s: float | None
) -> None:
    if slots:
        workers(system, slots)
    deadline = None if minutes is None else soon(system, minutes)
    tiles = ("33TUG", "33TUH", "33TVG", "33TVH", "33TTG")
    asked = [
        request(f"r{n}", tiles[n : n + 1], deadline=deadline, patience_s=patience_s) for n in range(len(tiles) - 1)
    ]
    asked.append(request("r9", tiles, deadline=deadline, patience_s=patience_s))
    found = estimate(system.ports, system.rules, system.limits, asked)
    jobs = [plan_request(system.ports, one, system.limits, system.rules) for one in asked]
    dispatch(system.ports, system.rules)
    n_decided = 0
    for guess, job in zip(found, jobs, strict=True):
        tasks = list(find(system.ports.tables, TaskRecord, partition=job.job_id))
        assert len(tasks) == len(guess.tasks)
        waits = reasons_to_wait(system.ports, system.rules, tasks)
        for task, one in zip(tasks, guess.tasks, strict=True):
            assert task.megapixels == one.megapixels
            assert task.pool == one.pool
            if task.decision is None:
                assert one.decision is None
                assert one.why == waits[task.task_id]
            else:
                n_decided += 1
                assert one.decision is not None
                assert one.decision.to_json() == task.decision
                assert (one.eur, one.why) == (one.decision.cost_eur, one.decision.sentence)
    assert n_decided >= min(slots, 5)


def test_figures_agree_beside_work_that_waits_already(system: System) -> None:
    """What others wait for comes first here as it does in the round."""
    workers(system, 1)
    urgent = request("before", ("33TUH",), deadline=soon(system, 1))
    plan_request(system.ports, urgent, system.limits, system.rules)
    (found,) = estimate(system.ports, system.rules, system.limits, [request("mine")])
    assert found.tasks[0].pool is None
    job = plan_request(system.ports, request("mine"), system.limits, system.rules)
    dispatch(system.ports, system.rules)
    (task,) = find(system.ports.tables, TaskRecord, partition=job.job_id)
    assert task.pool is None
    assert found.tasks[0].why == reasons_to_wait(system.ports, system.rules, [task])[task.task_id]


def test_nothing_is_written(system: System) -> None:
    workers(system, 1)
    dispatch(system.ports, system.rules)  # the first look at a new pools.yaml notes it
    client = AsgiClient(create_app(lambda: watched), base_url="http://127.0.0.1:7071")
    fuse = Fuse(0)  # any write is the end
    watched = replace(system, ports=fused(system.ports, fuse))
    inputs = request().model_dump(mode="json", exclude={"user", "version", "process", "subscriber", "batch"})
    bad = {**inputs, "request_id": "r2", "products": ["products/none.tif"]}
    body = {"validate_only": True, "executions": [{"inputs": inputs}, {"inputs": bad}, {"inputs": {}}]}
    answer = client.post("/batches", json=body)
    assert answer.status_code == 200, answer.text
    assert fuse.writes == 0
    assert list(find(system.ports.tables, JobRecord)) == []


def test_faults_of_the_request_and_of_its_plan_are_told_for_each(system: System) -> None:
    client = AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")

    def execution(**changes: Any) -> dict[str, Any]:
        inputs = request().model_dump(mode="json", include={"products", "grid", "terrain"})
        return {"inputs": {**inputs, **changes}}

    bad = [
        execution(),
        execution(products=["products/none.tif"]),
        execution(grid={"kind": "mgrs", "tiles": ["11SKA"]}),
        execution(terrain={"dem": "aux/none.tif"}),
        execution(options={"radiometry": "reflectance"}),
        execution(options={"scale": "db"}),
        execution(terrain=None),
    ]
    answer = client.post("/batches", json={"validate_only": True, "executions": bad})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert [one["valid"] for one in document["executions"]] == [True] + [False] * 6
    kinds = [one["errors"][0].get("kind") for one in document["executions"][1:]]
    assert kinds == ["ProductMissing", "OffProduct", "AuxiliaryMissing", "UnfitOption", None, "AuxiliaryMissing"]
    assert document["executions"][5]["errors"][0]["at"].startswith("inputs.options")
    for one, told in zip(bad[1:5], document["executions"][1:5], strict=True):
        words = Request.model_validate({"request_id": f"x{told['index']}", **one["inputs"]})
        job = plan_request(system.ports, words, system.limits, system.rules)
        assert (job.fault_kind, job.fault_message) == (told["errors"][0]["kind"], told["errors"][0]["message"])
    total = document["total"]
    assert (total["executions"], total["valid"], total["images"]) == (7, 1, 1)
    (task,) = document["executions"][0]["tasks"]
    assert total["eur"] == document["executions"][0]["eur"] == task["eur"]
    assert task["pools"].keys() == {"hpc", "cloud", "far"}


def test_what_is_there_or_on_its_way_costs_nothing(system: System) -> None:
    first = plan_request(system.ports, request("first", ("33TUG", "33TUH")), system.limits, system.rules)
    there, _ = sorted(find(system.ports.tables, OutputRecord, partition=first.job_id), key=lambda one: one.title)
    digest = load(system.ports.tables, DigestRecord, there.digest, STATE_KEY)
    assert digest is not None
    swap(system.ports.tables, digest.changed(state=DigestState.COMMITTED))
    system.ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(there.digest), b"{}")
    asked = [request("a", ("33TUG", "33TUH", "33TVG")), request("b", ("33TVG",))]
    one, other = estimate(system.ports, system.rules, system.limits, asked)
    assert one.standings == {Standing.THERE: 1, Standing.UNDER_WAY: 1, Standing.NEW: 1}
    assert [task.megapixels for task in one.tasks] == [pytest.approx(120.56, rel=1e-3)]
    assert other.standings == {Standing.UNDER_WAY: 1}, "the first of the batch makes it"
    assert other.tasks == []
    # and so it comes when it is asked for
    jobs = [plan_request(system.ports, wanted, system.limits, system.rules) for wanted in asked]
    tasks = [list(find(system.ports.tables, TaskRecord, partition=job.job_id)) for job in jobs]
    assert [[task.megapixels for task in some] for some in tasks] == [[one.tasks[0].megapixels], []]
    states = {one.state for one in find(system.ports.tables, OutputRecord, partition=jobs[0].job_id)}
    assert states == {OutputState.COMMITTED, OutputState.WANTED}


def test_a_digest_whose_entry_is_being_deleted_is_made_anew(system: System) -> None:
    first = plan_request(system.ports, request("first"), system.limits, system.rules)
    (output,) = find(system.ports.tables, OutputRecord, partition=first.job_id)
    digest = load(system.ports.tables, DigestRecord, output.digest, STATE_KEY)
    assert digest is not None
    system.ports.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(output.digest), b"{}")
    for state, expected in (
        (DigestState.EXPIRED, Standing.THERE),
        (DigestState.GONE, Standing.NEW),
        (DigestState.FAILED, Standing.THERE),
    ):
        digest = swap(system.ports.tables, digest.changed(state=state))
        (found,) = estimate(system.ports, system.rules, system.limits, [request("again")])
        assert found.standings == {expected: 1}, state


def test_a_thousand_requests_are_looked_at_once_for_what_they_share(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = system.ports.blobs.read

    def counted(container: str, name: str, **part: Any) -> bytes:
        reads.append(f"{container}/{name}")
        return read(container, name, **part)

    monkeypatch.setattr(system.ports.blobs, "read", counted)
    asked = [request(f"r{number}") for number in range(1000)]
    found = estimate(system.ports, system.rules, system.limits, asked)
    assert [len(one.tasks) for one in found] == [1] + [0] * 999
    assert len(reads) < 20
