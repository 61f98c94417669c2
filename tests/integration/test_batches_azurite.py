"""Batches on the real storage emulator: a thousand in one call, and how long the calls take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes.asgi import AsgiClient
from figures import tell
from localdev.servers import Azurite
from orthocontracts import names
from orthofunctions import bootstrap
from orthofunctions.api.app import create_app
from orthofunctions.domain.records import JobRecord
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.batch_changes import carry_out
from orthofunctions.usecases.batches import batch_in, send_batch
from orthofunctions.usecases.rows import find

N_EXECUTIONS = 1000
BODY = {
    "batch": "thousand",
    "executions": [{"inputs": {"products": [f"products/image-{number}.tif"]}} for number in range(N_EXECUTIONS)],
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bootstrap.System]:
    with Azurite(tmp_path_factory.mktemp("azurite-batches")) as azurite:
        provision(azurite.connection_string)
        built = bootstrap.build(Settings.model_validate({"AzureWebJobsStorage": azurite.connection_string}))
        yield built
        built.close()


def drained(system: bootstrap.System) -> list[str]:
    """All messages of queue ``requests``."""
    found: list[str] = []
    while bodies := system.ports.queues.drain(names.QUEUE_REQUESTS, 1000):
        found += bodies
    return found


def test_a_thousand_are_accepted_sent_on_seen_and_cancelled(system: bootstrap.System) -> None:
    client = AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")
    times_s: dict[str, float] = {}

    began = time.monotonic()
    answer = client.post("/batches", json=BODY)
    times_s["accepted"] = time.monotonic() - began
    assert answer.status_code == 201, answer.text
    assert answer.json()["states"] == {"accepted": N_EXECUTIONS}
    assert len(list(find(system.ports.tables, JobRecord, partition="local"))) == N_EXECUTIONS

    began = time.monotonic()
    (body,) = system.ports.queues.drain(names.QUEUE_REQUESTS, 32)
    batch = batch_in(body)
    assert batch is not None
    assert send_batch(system.ports, batch) == N_EXECUTIONS
    times_s["sent on"] = time.monotonic() - began
    assert system.ports.queues.length(names.QUEUE_REQUESTS) == N_EXECUTIONS

    began = time.monotonic()
    seen = client.get("/batches/thousand").json()
    times_s["seen while none is settled"] = time.monotonic() - began
    assert len(seen["jobs"]) == N_EXECUTIONS

    again = client.post("/batches", json=BODY).json()
    assert [job["jobID"] for job in again["jobs"]] == [job["jobID"] for job in seen["jobs"]]
    assert system.ports.queues.length(names.QUEUE_REQUESTS) == N_EXECUTIONS, "sent again, nothing is"

    began = time.monotonic()
    assert client.delete("/batches/thousand").json()["states"] == {"dismissed": N_EXECUTIONS}
    times_s["cancelled"] = time.monotonic() - began

    bodies = [body for body in drained(system) if batch_in(body)]
    began = time.monotonic()
    for body in bodies:
        envelope = batch_in(body)
        assert envelope is not None
        carry_out(system.ports, envelope)
    times_s["left"] = time.monotonic() - began

    began = time.monotonic()
    assert client.get("/batches/thousand").json()["states"] == {"dismissed": N_EXECUTIONS}
    times_s["seen once all are settled"] = time.monotonic() - began

    for what, took_s in times_s.items():
        tell(f"a batch of 1000, {what} (s)", took_s, "")
    assert times_s["accepted"] < 10
    assert times_s["seen once all are settled"] < 2


def test_two_who_send_the_same_batch_at_once_make_one(system: bootstrap.System) -> None:
    client = AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")
    body = {"batch": "twice", "executions": BODY["executions"][:250]}  # type: ignore[index]

    def post(_: int) -> dict[str, object]:
        answer = client.post("/batches", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, object] = answer.json()
        return found

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(post, range(4)))
    assert all(one == answers[0] for one in answers)
    jobs = [job for job in find(system.ports.tables, JobRecord, partition="local") if job.batch == "twice"]
    assert len(jobs) == 250
