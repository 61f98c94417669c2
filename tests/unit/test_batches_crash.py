"""The process that takes a batch dies at its n-th write, for every n: all of its jobs come, or none was promised."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, memory_ports
from orthocontracts import names
from orthocontracts.batches import MAX_EXECUTIONS, BatchOrder
from orthocontracts.digests import job_id_of
from orthocontracts.messages import Fault
from orthocontracts.requests import Request
from orthocontracts.states import JobState
from orthofunctions.domain.records import BatchRecord, JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.batch_changes import cancel_batch, carry_out, retry_failed
from orthofunctions.usecases.batch_views import view_batch
from orthofunctions.usecases.batches import BatchTakenError, batch_in, find_batch, send_batch, submit_batch
from orthofunctions.usecases.expire_batches import expire_batches
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.poison import reconcile_poison
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.settle import fail_job
from orthofunctions.usecases.submit import read_request

N_REQUESTS = 130  # two transactions of rows


def order(n_requests: int = N_REQUESTS, products: str = "products/image.tif") -> BatchOrder:
    requests = tuple(
        Request(request_id=f"spring-{number}", products=(products,), batch="spring") for number in range(n_requests)
    )
    return BatchOrder(batch="spring", user="local", requests=requests)


def dies(ports: Ports, at: int, call: Callable[[Ports], object]) -> bool:
    """Whether the call died at that write."""
    try:
        call(fused(ports, Fuse(at)))
    except Crash:
        return True
    return False


def deliver(ports: Ports) -> list[str]:
    """Hand the messages of queue ``requests`` to the trigger's use cases: the request ids that came, each as often."""
    came = []
    while bodies := ports.queues.drain(names.QUEUE_REQUESTS, 1000):
        for body in bodies:
            batch = batch_in(body)
            if batch is not None:
                carry_out(ports, batch)
            else:
                came.append(read_request(ports, body).request_id)
    return came


def check_whole(ports: Ports, n_requests: int = N_REQUESTS) -> None:
    record = find_batch(ports, "local", "spring")
    assert record is not None
    assert record.opened
    jobs = list(find(ports.tables, JobRecord))
    assert {job.job_id for job in jobs} == {job_id_of("local", f"spring-{n}") for n in range(n_requests)}
    assert {(job.batch, job.source) for job in jobs} == {("spring", "http")}
    view = view_batch(ports, record, {})
    assert view.states == {"accepted": n_requests}


@pytest.mark.parametrize("asks_again", [True, False])
def test_whoever_takes_a_batch_may_die_at_any_write(asks_again: bool) -> None:
    for at in range(1000):
        ports = memory_ports()
        died = dies(ports, at, lambda dying: submit_batch(dying, order()))
        if asks_again:
            submit_batch(ports, order())
        came = deliver(ports)
        if not came:
            # it died before it promised anything: nothing came of it
            assert (asks_again, at) in ((False, 0), (False, 1))
            assert list(find(ports.tables, JobRecord)) == []
            assert find_batch(ports, "local", "spring") is None
            continue
        assert {*came} == {f"spring-{number}" for number in range(N_REQUESTS)}
        check_whole(ports)
        if not died:
            assert 5 <= at <= 12, "a dozen writes, whatever the batch's size"
            return
    raise AssertionError("it never ends without a crash")


def test_whoever_sends_a_batch_on_may_die_at_any_write() -> None:
    """The message stays on its queue until its function has come to its end."""
    for at in range(1000):
        ports = memory_ports()
        dies(ports, 2, lambda dying: submit_batch(dying, order(20)))  # the blob and the message are there
        (body,) = ports.queues.drain(names.QUEUE_REQUESTS, 10)
        envelope = batch_in(body)
        assert envelope is not None
        died = dies(ports, at, lambda dying, envelope=envelope: send_batch(dying, envelope))  # type: ignore[misc]
        send_batch(ports, envelope)
        came = deliver(ports)
        assert {*came} == {f"spring-{number}" for number in range(20)}
        check_whole(ports, 20)
        if not died:
            assert at > 20
            return
    raise AssertionError("it never ends without a crash")


def test_other_requests_under_the_same_id_are_refused_even_where_the_first_call_died_at_once() -> None:
    ports = memory_ports()
    assert dies(ports, 1, lambda dying: submit_batch(dying, order()))
    with pytest.raises(BatchTakenError, match="take another id"):
        submit_batch(ports, order(products="products/other.tif"))


def test_a_batch_that_is_cancelled_while_it_is_sent_on_stays_cancelled() -> None:
    for at in range(1000):
        ports = memory_ports()
        dies(ports, 2, lambda dying: submit_batch(dying, order(20)))
        (body,) = ports.queues.drain(names.QUEUE_REQUESTS, 10)
        envelope = batch_in(body)
        assert envelope is not None
        cancelled = []

        def cancel(ports: Ports = ports, cancelled: list[BatchRecord] = cancelled) -> None:
            record = find_batch(ports, "local", "spring")
            if record is not None:
                cancel_batch(ports, record)
                cancelled.append(record)

        fuse = Fuse(at, meanwhile=cancel)
        send_batch(fused(ports, fuse), envelope)
        if cancelled:
            assert {job.cancelled for job in find(ports.tables, JobRecord)} == {True}
        if not fuse.blown:
            return
    raise AssertionError("it never ends")


def test_whoever_cancels_a_batch_may_die_at_any_write() -> None:
    """Once its message is sent, the batch is cancelled; before that, whoever asked sees the error and asks again."""
    for at in range(1000):
        ports = memory_ports()
        record = submit_batch(ports, order())
        died = dies(ports, at, lambda dying, record=record: cancel_batch(dying, record))  # type: ignore[misc]
        deliver(ports)
        cancelled = {job.cancelled for job in find(ports.tables, JobRecord)}
        assert cancelled == {at > 0}
        if not died:
            assert 3 <= at <= 5
            return
    raise AssertionError("it never ends without a crash")


def test_whoever_carries_out_a_cancel_may_die_at_any_write() -> None:
    for at in range(1000):
        ports = memory_ports()
        record = submit_batch(ports, order(20))
        ports.queues.drain(names.QUEUE_REQUESTS, 10)
        dies(ports, 1, lambda dying, record=record: cancel_batch(dying, record))  # type: ignore[misc]
        (body,) = ports.queues.drain(names.QUEUE_REQUESTS, 10)
        envelope = batch_in(body)
        assert envelope is not None
        died = dies(ports, at, lambda dying, envelope=envelope: carry_out(dying, envelope))  # type: ignore[misc]
        carry_out(ports, envelope)
        assert {job.cancelled for job in find(ports.tables, JobRecord)} == {True}
        if not died:
            return
    raise AssertionError("it never ends without a crash")


def test_whoever_tries_again_what_failed_may_die_at_any_write() -> None:
    for at in range(1000):
        ports = memory_ports()
        record = submit_batch(ports, order(12))
        deliver(ports)
        for number in (2, 5, 7):
            job = find_job(ports, "local", job_id_of("local", f"spring-{number}"))
            assert job is not None
            fail_job(ports, job, Fault(kind="Broken", message="it broke", permanent=True))
        view = view_batch(ports, record, {})
        assert view.states == {"accepted": 9, "failed": 3}
        died = dies(ports, at, lambda dying, view=view: retry_failed(dying, view))  # type: ignore[misc]
        now = find_batch(ports, "local", "spring")
        assert now is not None
        again = retry_failed(ports, view_batch(ports, now, {}))
        assert view_batch(ports, again, {}).states == {"accepted": 12}
        assert len(list(find(ports.tables, JobRecord))) == 15, "each was tried again once"
        if not died:
            return
    raise AssertionError("it never ends without a crash")


def test_a_batch_that_cannot_be_sent_on_ends_its_jobs_with_the_reason() -> None:
    ports = memory_ports()
    submit_batch(ports, order(3))
    for _ in range(4):  # three chances, then operators
        (body,) = ports.queues.drain(names.QUEUE_REQUESTS, 10)
        ports.queues.send(names.poison_queue(names.QUEUE_REQUESTS), body)
        reconcile_poison(ports, Rules())
    record = find_batch(ports, "local", "spring")
    assert record is not None
    view = view_batch(ports, record, {})
    assert [job.state for job in view.jobs] == [JobState.FAILED] * 3
    assert "operators have been told" in view.jobs[0].message


def test_a_batch_is_forgotten_with_the_last_of_its_jobs() -> None:
    for at in range(10):
        clock = ManualClock()
        ports = memory_ports(clock)
        submit_batch(ports, order(3))
        clock.advance(2 * 86_400)
        jobs = list(find(ports.tables, JobRecord))
        for job in jobs:
            assert expire_batches(ports) == 0
            ports.tables.delete(JobRecord.TABLE, job.user, job.job_id)
        died = dies(ports, at, expire_batches)
        expire_batches(ports)
        assert find_batch(ports, "local", "spring") is None
        assert list(ports.blobs.list(names.CONTAINER_REQUESTS)) == []
        if not died:
            return
    raise AssertionError("it never ends without a crash")


def test_the_largest_batch_fits_into_its_row() -> None:
    ports = memory_ports()
    record = submit_batch(ports, order(MAX_EXECUTIONS))
    row = record.to_row()
    assert all(len(value) <= 32_768 for value in row.values.values() if isinstance(value, str))
    assert len(view_batch(ports, record, {}).jobs) == MAX_EXECUTIONS
