"""What a part of another release does not understand is not lost: it waits for a part that does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakes.crash import Crash, Fuse, fused
from fakes.world import Delivery, World
from orthocontracts import names
from orthocontracts.procurement import Procured
from orthocontracts.requests import Request, RequestEnvelope
from orthocontracts.states import OutputState, TaskState
from orthocontracts.tasks import job_of_task
from orthocontracts.tickets import NOT_UNDERSTOOD
from orthocontracts.wire import NotUnderstoodError, read_message
from orthofunctions.usecases.collect import collect
from orthofunctions.usecases.keep import KEPT, keep_for_operators
from orthofunctions.usecases.kept import NOT_UNDERSTOOD as WHY
from orthofunctions.usecases.kept import read_kept_again
from orthofunctions.usecases.plans import PlanNotUnderstoodError
from orthofunctions.usecases.submit import RequestUnreadableError, read_request

REQUEST = Request(request_id="r1", products=("products/image.tif",))
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def world() -> World:
    return World()


def kept(world: World) -> list[str]:
    return [blob.name for blob in world.blobs.list(names.CONTAINER_CONTROL, KEPT)]


class TestKeptMessages:
    @pytest.mark.parametrize(
        ("queue", "body", "why"),
        [
            # what functions of 2aa8b34 say of an envelope with a trace, word for word
            (
                names.QUEUE_REQUESTS,
                RequestEnvelope(request=REQUEST, traceparent=TRACE).to_json(),
                "NotARequest: traceparent: Extra inputs are not permitted",
            ),
            (
                names.QUEUE_PROCURED,
                '{"v":1,"kind":"started","name":"S1A_IW_GRDH_1SDV","ask":"' + 32 * "a" + '","agent":"p",'
                '"at":"2026-05-01T00:00:00Z"}',
                "no Procured: kind: Input should be 'fetched' or 'failed'",
            ),
        ],
    )
    def test_what_another_release_could_not_read_is_put_back_once(
        self, world: World, queue: str, body: str, why: str
    ) -> None:
        keep_for_operators(world.ports, queue, body, why)
        assert read_kept_again(world.ports) == 1
        assert world.queues.bodies(queue) == [body]
        assert kept(world) == []
        assert read_kept_again(world.ports) == 0

    def test_it_comes_round_as_often_as_the_other_release_keeps_it(self, world: World) -> None:
        body = RequestEnvelope(request=REQUEST, traceparent=TRACE).to_json()
        for _ in range(3):
            keep_for_operators(world.ports, names.QUEUE_REQUESTS, body, "NotARequest: traceparent: Extra inputs")
            assert read_kept_again(world.ports) == 1
            assert world.queues.drain(names.QUEUE_REQUESTS, 9) == [body]

    def test_the_other_release_may_keep_it_again_before_its_putting_back_is_done(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def taken_at_once(queue: str, body: str) -> None:
            keep_for_operators(world.ports, queue, body, "NotARequest: traceparent: Extra inputs")

        body = RequestEnvelope(request=REQUEST, traceparent=TRACE).to_json()
        taken_at_once(names.QUEUE_REQUESTS, body)
        with monkeypatch.context() as patched:
            patched.setattr(world.queues, "send", taken_at_once)
            assert read_kept_again(world.ports) == 1
        assert len(kept(world)) == 1
        assert read_kept_again(world.ports) == 1
        assert world.queues.bodies(names.QUEUE_REQUESTS) == [body]

    def test_killed_at_any_write_it_is_put_back_by_the_next(self, world: World) -> None:
        body = RequestEnvelope(request=REQUEST, traceparent=TRACE).to_json()
        for at in range(4):  # copied, deleted, sent, and its copy deleted
            keep_for_operators(world.ports, names.QUEUE_REQUESTS, body, "NotARequest: traceparent: Extra inputs")
            with pytest.raises(Crash):
                read_kept_again(fused(world.ports, Fuse(at)))
            read_kept_again(world.ports)
            assert set(world.queues.drain(names.QUEUE_REQUESTS, 9)) == {body}, f"killed at write {at}"
            assert list(world.blobs.list(names.CONTAINER_CONTROL)) == []
        keep_for_operators(world.ports, names.QUEUE_REQUESTS, body, "NotARequest: traceparent: Extra inputs")
        assert read_kept_again(fused(world.ports, Fuse(4))) == 1

    @pytest.mark.parametrize(
        ("queue", "body", "why"),
        [
            (names.QUEUE_REQUESTS, '{"v":1,"request":{"request_id":"r","products":[],"new":1}}', "NotARequest: new"),
            (names.QUEUE_REQUESTS, RequestEnvelope(request=REQUEST).to_json(), "failed too often"),
            (names.QUEUE_RESULTS, '{"v":2}', "no Report: its version is not one that is known here"),
            (names.QUEUE_UPLOADS, '{"v":1,"blob":"products/x.tif"}', "NoRpc: products/x.tif has no RPC"),
            (names.QUEUE_CAPACITY, "{}", "not a status: no AgentStatus: agent: Field required"),
        ],
    )
    def test_what_nobody_can_use_stays_with_the_operators(self, world: World, queue: str, body: str, why: str) -> None:
        keep_for_operators(world.ports, queue, body, why)
        before = kept(world)
        assert [read_kept_again(world.ports) for _ in range(2)] == [0, 0]
        assert kept(world) == before

    def test_a_hundred_of_those_do_not_stand_in_the_way_of_one_that_can_be_read(self, world: World) -> None:
        for number in range(250):
            keep_for_operators(world.ports, names.QUEUE_REQUESTS, f"no request {number}", "NotARequest: no")
        keep_for_operators(
            world.ports, names.QUEUE_REQUESTS, RequestEnvelope(request=REQUEST).to_json(), "NotARequest: v"
        )
        assert sum(read_kept_again(world.ports) for _ in range(3)) == 1


def released(world: World) -> Delivery:
    world.job("one", "A")
    world.status("node-1")
    world.round()
    delivery = world.take()
    assert delivery is not None
    return delivery


class TestTicketsOfAnotherRelease:
    def test_a_worker_of_the_release_before_ends_no_attempt(self, world: World) -> None:
        """It says that it has finished, without a verdict and with its reason."""
        for _ in range(5):  # more often than a task may fail
            world.status("node-1")
            world.round()
            delivery = world.take() if world.tasks() else released(world)
            assert delivery is not None
            delivery.report("finished", reason=f"{NOT_UNDERSTOOD}: no Ticket: spec.new: Extra inputs are not permitted")
            delivery.delete_message()
            world.deliver_results()
            (task,) = world.tasks()
            assert (task.state, task.failures, task.silences) == (TaskState.PENDING, 0, 0)
            assert "spec.new" in str(task.fault_message), "who looks sees what it waits for"
            assert world.take() is None, "not at once: the same worker would refuse it again"
            world.clock.advance(6)
        world.status("node-1")
        world.round()
        delivery = world.take()
        assert delivery is not None
        delivery.succeed()
        world.deliver_results()
        assert [task.state for task in world.tasks()] == [TaskState.SUCCEEDED]

    def test_without_that_reason_nothing_delivered_is_a_failure(self, world: World) -> None:
        released(world).report("finished", reason="the ticket speaks of j2-0001 release 1")
        world.deliver_results()
        assert [task.failures for task in world.tasks()] == [1]


def spoil_plan(world: World, task_id: str) -> tuple[str, bytes]:
    """Give the plan of a task a word that nobody here knows; where it lies, and what it was."""
    name = names.plan_blob(job_of_task(task_id))
    plan = world.blobs.read(names.CONTAINER_PLANS, name)
    document: dict[str, Any] = json.loads(plan)
    document["tasks"][0]["sharpness"] = 2
    world.blobs.write(names.CONTAINER_PLANS, name, json.dumps(document).encode())
    return name, plan


class TestPlansOfAnotherRelease:
    def test_its_task_is_left_to_functions_that_know_it(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        task_id = world.job("one", "A", spec=None)
        other = world.job("two", "B")
        name, plan = spoil_plan(world, task_id)
        world.status("node-1", slots=2)
        world.round()
        assert (world.task(task_id).state, world.task(other).state) == (TaskState.PENDING, TaskState.RELEASED)
        assert "sharpness" in caplog.text
        world.blobs.write(names.CONTAINER_PLANS, name, plan)
        world.round()
        assert world.task(task_id).state is TaskState.RELEASED

    def test_a_report_on_it_comes_again(self, world: World) -> None:
        delivery = released(world)
        delivery.succeed()
        name, plan = spoil_plan(world, delivery.ticket.spec.task_id)
        (body,) = world.queues.bodies(names.QUEUE_RESULTS)
        with pytest.raises(PlanNotUnderstoodError, match="sharpness"):
            collect(world.ports, world.rules, body)
        world.blobs.write(names.CONTAINER_PLANS, name, plan)
        collect(world.ports, world.rules, body)
        assert [output.state for output in world.outputs()] == [OutputState.COMMITTED]


def test_reasons_are_those_that_the_readers_give() -> None:
    """The pattern that tells what was not understood follows from them."""
    with pytest.raises(NotUnderstoodError) as caught:
        read_message(Procured, "{}")
    assert WHY.match(str(caught.value))
    with pytest.raises(RequestUnreadableError) as refused:
        read_request(World().ports, '{"v":1,"request":{"new":1}}')
    assert WHY.match(f"{refused.value.kind}: {refused.value}")
