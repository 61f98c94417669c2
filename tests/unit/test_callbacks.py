"""Telling a job's subscriber: signed, again and again for most of a day, once for each thing that is told."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from fakes.asgi import AsgiClient
from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, memory_ports
from fakes.products import ROME, put_safe
from orthocontracts import names
from orthocontracts.messages import Fault
from orthofunctions.api.app import create_app
from orthofunctions.api.callbacks import callback_body
from orthofunctions.bootstrap import System
from orthofunctions.domain.callbacks import (
    MAX_ATTEMPTS,
    CallbackDue,
    CallbackKind,
    CallbackRecord,
    CallbackState,
    signature,
    wait_after,
)
from orthofunctions.domain.records import JobRecord, TaskRecord
from orthofunctions.ports import NotToldError
from orthofunctions.settings import Settings
from orthofunctions.usecases.deliver import deliver
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.poison import reconcile_poison
from orthofunctions.usecases.rows import find, remove
from orthofunctions.usecases.secrets import rotate_secret, secret_of
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.subscribers import resend_lost
from orthofunctions.usecases.tasks import give_up

SUBSCRIBER = {
    "successUri": "https://hooks.example.com/done",
    "failedUri": "https://hooks.example.com/failed?job=1",
    "inProgressUri": "https://hooks.example.com/begun",
}


@dataclass
class Hook:
    """A subscriber: what it was told, and how it answers, in turn; its last answer stays."""

    answers: list[int | str] = field(default_factory=lambda: [200])
    told: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self.told.append((url, dict(headers), json.loads(body)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise NotToldError(answer)
        return answer


@pytest.fixture
def system() -> System:
    chosen = Settings.model_validate({"ORTHOBURST_STORAGE": "unused", "callback_hosts": "hooks.example.com"})
    return System(chosen, memory_ports(), chosen.rules(), chosen.limits(), requests.Session())


@pytest.fixture
def client(system: System) -> AsgiClient:
    return AsgiClient(create_app(lambda: system), base_url="http://127.0.0.1:7071")


def failed_job(client: AsgiClient, system: System, **members: Any) -> str:
    """A job whose only task was given up: its subscriber is to be told."""
    put_safe(system.ports.blobs)
    inputs = {"products": [f"products/{ROME}.SAFE"], "grid": {"kind": "mgrs", "tiles": ["33TUG"]}}
    body = {"inputs": {**inputs, "terrain": {"height_m": 0}}, "subscriber": SUBSCRIBER, **members}
    answer = client.post("/processes/orthorectify/execution", json=body)
    assert answer.status_code == 201, answer.text
    (message,) = system.ports.queues.drain(names.QUEUE_REQUESTS, 10)
    plan_request(system.ports, read_request(system.ports, message), system.limits, system.rules)
    job_id = str(answer.json()["jobID"])
    (task,) = find(system.ports.tables, TaskRecord, partition=job_id)
    assert give_up(system.ports, task, Fault(kind="Broken", message="it broke", permanent=True))
    return job_id


def clock(system: System) -> ManualClock:
    assert isinstance(system.ports.clock, ManualClock)
    return system.ports.clock


def pump(system: System, hook: Hook) -> int:
    """Deliver every message that is visible, as the functions host does. Returns how many there were."""
    messages = system.ports.queues.drain(names.QUEUE_CALLBACKS, 100)
    for message in messages:
        deliver(system.ports, hook, message, lambda job, kind: callback_body(system, job, kind))
    return len(messages)


def only(system: System) -> CallbackRecord:
    (record,) = find(system.ports.tables, CallbackRecord)
    return record


def due(job_id: str) -> str:
    return CallbackDue(job_id=job_id, kind=CallbackKind.FAILED).to_json()


def test_a_failed_job_is_told_with_its_status_and_signed(client: AsgiClient, system: System) -> None:
    job_id = failed_job(client, system)
    hook = Hook()
    assert pump(system, hook) == 1
    ((url, headers, body),) = hook.told
    assert url == SUBSCRIBER["failedUri"]
    assert (body["jobID"], body["status"]) == (job_id, "failed")
    assert body["links"][0]["href"] == f"http://127.0.0.1:7071/jobs/{job_id}"
    stamp, mark = (part.split("=", 1)[1] for part in headers["Orthoburst-Signature"].split(","))
    secret = client.get("/callbacks/secret").json()["secret"]
    signed = f"{stamp}.{json.dumps(body)}".encode()
    assert hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() == mark
    assert int(stamp) == int(system.ports.clock.now().timestamp())
    (seen,) = client.get(f"/jobs/{job_id}/callbacks").json()["callbacks"]
    assert (seen["kind"], seen["state"], seen["status"], seen["attempts"]) == ("failed", "delivered", 200, 1)
    assert "next_try" not in seen
    assert pump(system, hook) == 0


def test_what_is_not_wanted_is_not_told(client: AsgiClient, system: System) -> None:
    failed_job(client, system, subscriber={"successUri": SUBSCRIBER["successUri"]})
    assert list(find(system.ports.tables, CallbackRecord)) == []
    assert {job.settled for job in find(system.ports.tables, JobRecord)} == {True}


def test_it_is_tried_again_later_and_later_and_then_given_up(client: AsgiClient, system: System) -> None:
    job_id = failed_job(client, system)
    hook = Hook([500, "hooks.example.com does not answer", 302])
    began = system.ports.clock.now()
    tries = []
    while only(system).state is CallbackState.WAITING:
        n_told = len(hook.told)
        pump(system, hook)
        if len(hook.told) > n_told:
            tries.append((system.ports.clock.now() - began).total_seconds())
        clock(system).advance(30)
        assert len(tries) <= MAX_ATTEMPTS
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert len(tries) == MAX_ATTEMPTS
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (30, 6 * 3600)
    assert 12 * 3600 < tries[-1] < 36 * 3600
    record = only(system)
    assert (record.state, record.error, record.status) == (CallbackState.FAILED, "it answered 302", 302)
    (dead,) = client.get("/callbacks/failed").json()["callbacks"]
    assert (dead["jobID"], dead["user"], dead["attempts"]) == (job_id, "local", MAX_ATTEMPTS)
    clock(system).advance(86_400)
    assert resend_lost(system.ports) == 0
    assert pump(system, hook) == 0


def test_a_second_message_does_not_try_as_well(client: AsgiClient, system: System) -> None:
    job_id = failed_job(client, system)
    system.ports.queues.send(names.QUEUE_CALLBACKS, due(job_id))
    hook = Hook([500])
    pump(system, hook)
    assert len(hook.told) == 1
    for _ in range(8):
        clock(system).advance(10)
        pump(system, hook)
    assert len(hook.told) == 2  # after 30 s, of which both messages know


def test_whoever_dies_while_telling_tells_it_again_and_no_oftener(client: AsgiClient, system: System) -> None:
    """At every write, and while the subscriber is being told."""
    for at in range(20):
        job_id = failed_job(client, system, inputs={
            "products": [f"products/{ROME}.SAFE"], "grid": {"kind": "mgrs", "tiles": ["33TUG"]},
            "terrain": {"height_m": at}, "request_id": f"crash-{at}",
        })  # fmt: skip
        hook, fuse = Hook(), Fuse(at)
        (message,) = system.ports.queues.drain(names.QUEUE_CALLBACKS, 10)
        died = False
        for _ in range(4):
            ports = system.ports if died else fused(system.ports, fuse)
            try:
                deliver(ports, hook, message, lambda job, kind: callback_body(system, job, kind))
            except Crash:
                died = True  # the host delivers the message again
            clock(system).advance(600)
        record = next(one for one in find(system.ports.tables, CallbackRecord, partition=job_id))
        system.ports.queues.drain(names.QUEUE_CALLBACKS, 10)
        assert record.state is CallbackState.DELIVERED
        assert 1 <= len(hook.told) <= 2
        if not died:
            assert at >= 2
            return
    raise AssertionError("it never ends without a crash")


def test_a_document_that_cannot_be_made_is_not_tried_for_ever(client: AsgiClient, system: System) -> None:
    job_id = failed_job(client, system)

    def broken(job: JobRecord, kind: CallbackKind) -> bytes:
        raise RuntimeError("no such blob")

    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(RuntimeError):
            deliver(system.ports, Hook(), due(job_id), broken)
        clock(system).advance(7 * 3600)
    deliver(system.ports, Hook(), due(job_id), broken)
    assert only(system).state is CallbackState.FAILED


def test_a_poisoned_message_is_kept_and_its_row_goes_on(client: AsgiClient, system: System) -> None:
    job_id = failed_job(client, system)
    system.ports.queues.drain(names.QUEUE_CALLBACKS, 10)
    system.ports.queues.send(names.poison_queue(names.QUEUE_CALLBACKS), due(job_id))
    reconcile_poison(system.ports, system.rules)
    assert client.get("/rejected").json()["messages"][0]["queue"] == names.QUEUE_CALLBACKS
    clock(system).advance(3600)
    assert resend_lost(system.ports) == 1
    hook = Hook()
    pump(system, hook)
    assert len(hook.told) == 1


@pytest.mark.parametrize("body", ["", "{", "[]", '{"v":1,"job_id":"j1","kind":"success"}', '{"v":9}'])
def test_messages_that_mean_nothing(client: AsgiClient, system: System, body: str) -> None:
    hook = Hook()
    deliver(system.ports, hook, body, lambda job, kind: b"{}")
    assert hook.told == []


def test_of_a_job_that_has_expired_nothing_is_told(client: AsgiClient, system: System) -> None:
    job_id = failed_job(client, system)
    (job,) = find(system.ports.tables, JobRecord)
    assert remove(system.ports.tables, job)
    hook = Hook()
    deliver(system.ports, hook, due(job_id), lambda job, kind: b"{}")
    assert (hook.told, only(system).error) == ([], "the job has expired")


def test_a_new_secret_counts_beside_the_old_one_for_a_day(client: AsgiClient, system: System) -> None:
    first = client.get("/callbacks/secret").json()["secret"]
    answer = client.post("/callbacks/secret")
    assert answer.status_code == 201
    second = answer.json()["secret"]
    assert len({first, second, secret_of(system.ports, "somebody").secret}) == 3
    now = system.ports.clock.now()
    assert secret_of(system.ports, "local").in_force(now) == (second, first)
    clock(system).advance(25 * 3600)
    assert secret_of(system.ports, "local").in_force(system.ports.clock.now()) == (second,)
    assert rotate_secret(system.ports, "local").previous == second


def test_the_signature_is_over_time_and_body() -> None:
    clock = ManualClock()
    one = signature(["s"], clock.now(), b"{}")
    assert one == signature(["s"], clock.now(), b"{}")
    clock.advance(1)
    others = {signature(["s"], clock.now(), b"{}"), signature(["t"], ManualClock().now(), b"{}")}
    others.add(signature(["s"], ManualClock().now(), b"{ }"))
    assert len(others - {one}) == 3
    assert signature(["s", "t"], clock.now(), b"").count("v1=") == 2


def test_waits_between_attempts_grow_to_six_hours() -> None:
    assert [wait_after(n).total_seconds() for n in (1, 2, 3, 9)] == [30, 90, 270, 21600]


@pytest.mark.parametrize(
    ("subscriber", "at", "says"),
    [
        ({"successUri": "http://hooks.example.com/"}, "subscriber.successUri", "only https"),
        ({"successUri": "https://evil.example/"}, "subscriber.successUri", "not among the hosts"),
        ({"failedUri": "https://169.254.169.254/"}, "subscriber.failedUri", "not among the hosts"),
        ({"successUri": 3}, "subscriber.successUri", "address"),
        ({"successUri": "https://hooks.example.com/" + "x" * 2000}, "subscriber.successUri", "address"),
        ({"doneUri": "https://hooks.example.com/"}, "subscriber.doneUri", "no member"),
        ({}, "subscriber", "no address"),
        ([], "subscriber", "object"),
        (
            {"successUri": "https://hooks.example.com/a", "successUrl": "https://hooks.example.com/b"},
            "subscriber.successUrl",
            "something else",
        ),
    ],
)
def test_subscribers_a_site_does_not_call_are_refused_at_once(
    client: AsgiClient, subscriber: Any, at: str, says: str
) -> None:
    inputs = {"products": [f"products/{ROME}.SAFE"], "terrain": {"height_m": 0}}
    answer = client.post("/processes/orthorectify/execution", json={"inputs": inputs, "subscriber": subscriber})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["at"] == at
    assert says in error["message"]


def test_success_url_of_the_standards_schema_is_success_uri(client: AsgiClient, system: System) -> None:
    inputs = {"products": [f"products/{ROME}.SAFE"], "terrain": {"height_m": 0}}
    body = {"inputs": inputs, "subscriber": {"successUrl": SUBSCRIBER["successUri"]}}
    assert client.post("/processes/orthorectify/execution", json=body).status_code == 201
    (job,) = find(system.ports.tables, JobRecord)
    assert json.loads(str(job.subscriber)) == {"success_uri": SUBSCRIBER["successUri"]}
