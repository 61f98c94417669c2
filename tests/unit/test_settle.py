"""A job's end is written down once, by whoever comes first, and never turns out wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.crash import Fuse
from fakes.world import Delivery, World, run_to_the_end
from orthocontracts import names
from orthocontracts.messages import Report
from orthocontracts.states import JobState, OutputState, job_state
from orthofunctions.domain.callbacks import LOST_AFTER_S, CallbackKind, CallbackRecord, CallbackState
from orthofunctions.domain.records import JobRecord, OutputRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.collect import collect
from orthofunctions.usecases.expire import expire_job
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.settle import settle_job, settle_left
from orthofunctions.usecases.subscribers import resend_lost
from orthofunctions.usecases.views import status_of, view_job

TELL = (
    '{"success_uri":"https://a.example/s","failed_uri":"https://a.example/f","in_progress_uri":"https://a.example/p"}'
)


def job_in(world: World, request_id: str = "one", tiles: str = "AB", subscriber: str | None = TELL) -> str:
    """A planned job that somebody wants to hear of. Returns its task's id."""
    task_id = world.job(request_id, tiles)
    (job,) = [one for one in world.jobs() if one.request_id == request_id]
    swap(world.ports.tables, job.changed(planned=True, subscriber=subscriber))
    return task_id


def tour(ports: Ports) -> None:
    settle_left(ports, (None, None))
    resend_lost(ports)


def succeed(delivery: Delivery) -> None:
    delivery.report("started")
    delivery.succeed()


def fail(delivery: Delivery) -> None:
    delivery.report("started")
    delivery.fail(permanent=True)


def half(delivery: Delivery) -> None:
    delivery.report("started")
    first, second = delivery.ticket.wanted
    delivery.report("finished", (delivery.upload(first), delivery.fault(second)))
    delivery.delete_message()


def taken(world: World, tiles: str = "AB") -> Delivery:
    """The delivery of a job that has just been released."""
    job_in(world, tiles=tiles)
    world.status("node-1", slots=1)
    world.round()
    delivery = world.take()
    assert delivery is not None
    return delivery


def told(world: World) -> dict[CallbackKind, CallbackRecord]:
    return {CallbackKind(one.kind): one for one in find(world.ports.tables, CallbackRecord)}


def check_settled(world: World, state: JobState, n_images: int) -> None:
    (job,) = world.jobs()
    assert (job.final, job.settled, job.n_images) == (state, True, n_images)
    assert job.ended_at is not None
    end = CallbackKind.SUCCESS if state is JobState.SUCCESSFUL else CallbackKind.FAILED
    assert told(world).keys() - {CallbackKind.IN_PROGRESS} == {end}
    sent = world.ports.queues.drain(names.QUEUE_CALLBACKS, 100)
    assert any(f'"{end}"' in body for body in sent), "written down, and nobody sent for it"


@pytest.mark.parametrize(
    ("work", "state", "n_images"),
    [(succeed, JobState.SUCCESSFUL, 2), (fail, JobState.FAILED, 0), (half, JobState.FAILED, 1)],
)
def test_every_job_is_settled_wherever_its_process_dies(
    work: Callable[[Delivery], None], state: JobState, n_images: int
) -> None:
    at = 0
    while True:
        world = World(fuse=Fuse(at))
        job_in(world)
        run_to_the_end(world, work)
        world.call(tour)
        world.clock.advance(LOST_AFTER_S)
        world.call(tour)
        check_settled(world, state, n_images)
        if not world.crashed:
            break
        at += 1
    assert at > 20


def test_a_job_is_settled_without_a_tour_where_nobody_dies() -> None:
    world = World()
    job_in(world)
    run_to_the_end(world, succeed)
    check_settled(world, JobState.SUCCESSFUL, 2)
    assert told(world).keys() == {CallbackKind.IN_PROGRESS, CallbackKind.SUCCESS}


def test_nothing_is_settled_before_the_last_output_has_ended() -> None:
    world = World()
    delivery = taken(world)
    delivery.report("started")
    delivery.report("finished", (delivery.upload(delivery.ticket.wanted[0]),), reason="out of memory")
    world.deliver_results()
    tour(world.ports)
    (job,) = world.jobs()
    assert (job.final, job.settled) == (None, False)


@pytest.mark.parametrize("tiles", ["A", "AB"])
def test_a_failed_output_that_a_late_delivery_commits_while_it_is_being_closed(tiles: str) -> None:
    """One report fails the outputs for good, another has made them: held up at every write, the end that is written
    down is the one that the outputs come to."""
    seen = set()
    for at in range(1000):
        fuse = Fuse(at)
        world = World()
        delivery = taken(world, tiles)
        world.fuse = fuse
        late = Report(
            kind="finished", task_id=delivery.ticket.spec.task_id, release=1, delivery=1, agent="node-1", pool="hpc",
            token=delivery.ticket.token, at=world.clock.now(),
            verdicts=tuple(delivery.upload(digest) for digest in delivery.ticket.wanted),
        )  # fmt: skip

        def meanwhile(world: World = world, late: Report = late) -> None:
            world.crashed = True  # from here on nobody else is held up
            tour(world.ports)
            collect(world.ports, world.rules, late.to_json())
            tour(world.ports)

        fuse.meanwhile = meanwhile
        delivery.fail(permanent=True)
        world.deliver_results()
        world.sweep()
        tour(world.ports)
        (job,) = world.jobs()
        states = [output.state for output in world.outputs()]
        assert job.final is job_state(states, any_started=True), (at, states)
        assert job.n_images == states.count(OutputState.COMMITTED)
        seen.add(job.final)
        if not fuse.blown:
            break
    assert seen == {JobState.SUCCESSFUL, JobState.FAILED}


def test_a_cancel_and_an_end_that_meet_agree() -> None:
    """Held up at every write of a cancel, while the job's worker delivers."""
    ends = set()
    for at in range(1000):
        fuse = Fuse(at)
        world = World()
        delivery = taken(world)
        world.fuse = fuse
        (job,) = world.jobs()

        def meanwhile(world: World = world, delivery: Delivery = delivery) -> None:
            world.crashed = True
            delivery.succeed()
            world.deliver_results()

        fuse.meanwhile = meanwhile
        world.call(cancel_job, job.user, job.job_id)
        tour(world.ports)
        (job,) = world.jobs()
        assert job.settled
        assert (job.final is JobState.DISMISSED) == job.cancelled
        ends.add(job.final)
        if not fuse.blown:
            break
    assert ends == {JobState.DISMISSED, JobState.SUCCESSFUL}


def test_a_job_that_is_over_cannot_be_cancelled_and_its_parts_are_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    job_in(world, subscriber=None)
    run_to_the_end(world, succeed)
    (job,) = world.jobs()
    after = cancel_job(world.ports, job.user, job.job_id)
    assert after is not None
    assert (after.final, after.cancelled) == (JobState.SUCCESSFUL, False)
    derived = view_job(world.ports, job, {}).status
    monkeypatch.setattr(world.ports.tables, "query", None)
    monkeypatch.setattr(world.ports.tables, "get", None)
    assert status_of(world.ports, job, {}) == derived


def test_expiry_settles_a_job_before_it_takes_its_outputs() -> None:
    world = World()
    job_in(world)
    run_to_the_end(world, succeed)
    (job,) = world.jobs()
    forgotten = job.changed(final_state="", settled=False, final_message="", ended_at=None, started_at=None, n_images=0)
    forgotten = swap(world.ports.tables, forgotten)
    ends: list[tuple[str, set[OutputState]]] = []
    replace = world.ports.tables.replace

    def watched(table: str, row: object) -> object:
        ends.append((table, {output.state for output in world.outputs()}))
        return replace(table, row)

    world.ports.tables.replace = watched
    assert expire_job(world.ports, forgotten)
    table, outputs = ends[0]
    assert (table, outputs) == (JobRecord.TABLE, {OutputState.COMMITTED})
    assert not list(find(world.ports.tables, OutputRecord))
    assert told(world) == {}


def test_a_job_that_joins_another_is_settled_with_it() -> None:
    world = World()
    job_in(world, "one")
    job_in(world, "two")
    run_to_the_end(world, succeed)
    assert {(job.final, job.settled) for job in world.jobs()} == {(JobState.SUCCESSFUL, True)}


def test_a_message_that_was_lost_is_sent_again_but_not_too_soon() -> None:
    world = World()
    job_in(world)
    run_to_the_end(world, succeed)
    world.ports.queues.drain(names.QUEUE_CALLBACKS, 100)
    assert resend_lost(world.ports) == 0
    world.clock.advance(LOST_AFTER_S + 1)
    assert resend_lost(world.ports) == 2
    assert resend_lost(world.ports) == 0
    assert {one.state for one in told(world).values()} == {CallbackState.WAITING}


def test_settling_again_changes_nothing() -> None:
    world = World()
    job_in(world)
    run_to_the_end(world, succeed)
    before = world.jobs()
    for job in before:
        settle_job(world.ports, job)
    assert world.jobs() == before
