"""The functions' process dies at its n-th write, for every n: every task still ends, with exactly one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from fakes.crash import Fuse
from fakes.world import Delivery, World, run_to_the_end
from orthocontracts import names
from orthocontracts.states import OutputState, TaskState
from orthofunctions.domain.pending_index import standing
from orthofunctions.usecases.cancel import cancel_job

Work = Callable[[Delivery], None]


def succeed(delivery: Delivery) -> None:
    delivery.report("started")
    delivery.succeed()


def fail_first_release(delivery: Delivery) -> None:
    delivery.report("started")
    if delivery.ticket.release == 1:
        delivery.fail()
    else:
        delivery.succeed()


def die_silently_once(delivery: Delivery) -> None:
    delivery.report("started")
    if delivery.number == 1 and delivery.ticket.release == 1:
        return  # its message comes back after the visibility timeout
    delivery.succeed()


def hand_back_once(delivery: Delivery) -> None:
    delivery.report("started")
    if delivery.ticket.release == 1:
        delivery.give_back()
    else:
        delivery.succeed()


def lose_the_message(delivery: Delivery) -> None:
    delivery.report("started")
    if delivery.ticket.release == 1:
        delivery.delete_message()  # as a storage does that loses its last seconds
    else:
        delivery.succeed()


def half_and_half(delivery: Delivery) -> None:
    """The first delivery makes one output only, the next is asked for the other."""
    delivery.report("started")
    if delivery.ticket.release == 1:
        delivery.report("finished", (delivery.upload(delivery.ticket.wanted[0]),), reason="out of memory")
        delivery.delete_message()
    else:
        delivery.succeed()


def report_everything_twice(delivery: Delivery) -> None:
    delivery.report("started")
    delivery.report("started")
    verdicts = tuple(delivery.upload(digest) for digest in delivery.ticket.wanted)
    delivery.report("finished", verdicts)
    delivery.report("finished", verdicts)
    delivery.report("started")
    delivery.delete_message()


def crash_everywhere(scenario: Callable[[World], None], check: Callable[[World], None]) -> int:
    """Run a scenario with a crash at each of its writes in turn. Returns how many there are."""
    for at in range(1000):
        world = World(fuse=Fuse(at))
        scenario(world)
        check(world)
        if not world.crashed:
            assert at > 10, "the scenario hardly wrote anything"
            return at
    raise AssertionError("the scenario never ends without a crash")


def check_all_succeeded(world: World) -> None:
    assert [task.state for task in world.tasks()] == [TaskState.SUCCEEDED] * len(world.tasks())
    assert {output.state for output in world.outputs()} == {OutputState.COMMITTED}
    world.check_promises()
    check_nothing_left(world)
    assert world.indexed() == {entry.digest for entry in world.catalogue()}, "what is committed is found"
    # exactly one result: every output has one entry, and every file it names is there
    assert {entry.digest for entry in world.catalogue()} == {output.digest for output in world.outputs()}
    for entry in world.catalogue():
        for facts in entry.files.values():
            container, _, name = facts.blob.partition("/")
            assert world.ports.blobs.facts(container, name) is not None


def check_nothing_left(world: World) -> None:
    assert world.active() == []
    assert world.tickets() == []
    for row in world.ports.tables.query(names.TABLE_PENDING):
        task = world.task(str(row.values["task_id"]))
        assert standing(int(str(row.values["release"])), task) == "leftover"
    for row in world.ports.tables.query(names.TABLE_DIGESTS, key_from="sub-"):
        pytest.fail(f"{row.key} still waits")


@pytest.mark.parametrize(
    "work",
    [
        succeed,
        fail_first_release,
        die_silently_once,
        hand_back_once,
        lose_the_message,
        half_and_half,
        report_everything_twice,
    ],
)
def test_every_task_succeeds_once(work: Work) -> None:
    def scenario(world: World) -> None:
        world.job("one", "AB")
        run_to_the_end(world, work)

    crash_everywhere(scenario, check_all_succeeded)


def held_up_everywhere(
    scenario: Callable[[World], None], meanwhile: Callable[[World], None], check: Callable[[World], None]
) -> None:
    """Run a scenario with its process held up before each of its writes in turn, while others go on."""
    for at in range(1000):
        fuse = Fuse(at)
        world = World(fuse=fuse)

        def others(world: World = world) -> None:
            world.crashed = True  # from here on nobody else is held up
            meanwhile(world)
            world.check_promises()

        fuse.meanwhile = others
        scenario(world)
        check(world)
        if not fuse.blown:
            return
    raise AssertionError("the scenario never ends")


def others_take_over(world: World) -> None:
    """Held up for so long that its lease is lost and its release recalled: sweep, round and worker come by."""
    world.clock.advance(150)
    world.status("node-1", slots=2)
    world.sweep()
    world.round()
    world.deliver_results()
    delivery = world.take()
    if delivery is not None:
        succeed(delivery)
        world.deliver_results()


def others_look_around(world: World) -> None:
    """Held up for a moment only."""
    world.sweep()
    world.round()


def others_fail_it(world: World) -> None:
    world.clock.advance(70)
    world.round()
    delivery = world.take()
    if delivery is not None:
        delivery.report("started")
        delivery.fail()
        world.deliver_results()


@pytest.mark.parametrize("work", [succeed, fail_first_release, hand_back_once, half_and_half, lose_the_message])
@pytest.mark.parametrize("meanwhile", [others_take_over, others_look_around, others_fail_it])
def test_a_process_held_up_does_no_harm_when_it_goes_on(work: Work, meanwhile: Callable[[World], None]) -> None:
    def scenario(world: World) -> None:
        world.job("one", "AB")
        run_to_the_end(world, work)

    held_up_everywhere(scenario, meanwhile, check_all_succeeded)


@pytest.mark.parametrize("work", [succeed, fail_first_release])
def test_a_join_may_come_at_any_moment(work: Work) -> None:
    def scenario(world: World) -> None:
        world.job("one", "AB")
        run_to_the_end(world, work)
        run_to_the_end(world, succeed)

    def check(world: World) -> None:
        check_all_succeeded(world)
        assert len(world.catalogue()) == 2

    held_up_everywhere(scenario, lambda world: void(world.job("two", "AB")), check)


def test_a_join_beside_a_failure_is_told_or_tries_anew() -> None:
    def hopeless(delivery: Delivery) -> None:
        delivery.report("started")
        delivery.fail(permanent=True)

    def scenario(world: World) -> None:
        world.job("one", "AB")
        run_to_the_end(world, hopeless)
        run_to_the_end(world, hopeless)

    def check(world: World) -> None:
        assert {output.state for output in world.outputs()} == {OutputState.FAILED}
        check_nothing_left(world)

    held_up_everywhere(scenario, lambda world: void(world.job("two", "AB")), check)


def test_a_cancel_beside_a_join_leaves_the_other_job_its_outputs() -> None:
    def scenario(world: World) -> None:
        task_id = world.job("one", "AB")
        world.status("node-1", slots=2)
        world.round()
        world.call(cancel_job, "local", world.task(task_id).job_id)
        run_to_the_end(world, succeed)
        run_to_the_end(world, succeed)

    def check(world: World) -> None:
        one = min(world.jobs(), key=lambda job: job.request_id)
        states = {output.state for output in world.outputs() if output.job_id != one.job_id}
        assert states <= {OutputState.COMMITTED}
        assert OutputState.WANTED not in {output.state for output in world.outputs()}
        check_nothing_left(world)

    held_up_everywhere(scenario, lambda world: void(world.job("two", "AB")), check)


def void(_: object) -> None:
    """For a lambda that answers nothing."""


def test_a_cancel_may_come_at_any_moment() -> None:
    def scenario(world: World) -> None:
        world.job("one", "AB")
        run_to_the_end(world, succeed)

    def cancel(world: World) -> None:
        (job,) = world.jobs()
        cancel_job(world.ports, job.user, job.job_id)

    def check(world: World) -> None:
        assert all(task.state in (TaskState.CANCELLED, TaskState.SUCCEEDED) for task in world.tasks())
        assert OutputState.WANTED not in {output.state for output in world.outputs()}
        assert OutputState.FAILED not in {output.state for output in world.outputs()}
        check_nothing_left(world)

    held_up_everywhere(scenario, cancel, check)


def test_a_joined_output_reaches_both_jobs() -> None:
    def scenario(world: World) -> None:
        world.job("one", "AB")
        world.job("two", "BC")
        run_to_the_end(world, succeed)

    def check(world: World) -> None:
        check_all_succeeded(world)
        assert len(world.outputs()) == 4
        assert len(world.catalogue()) == 3

    crash_everywhere(scenario, check)


@pytest.mark.parametrize("permanent", [True, False])
def test_a_hopeless_task_fails_its_outputs(permanent: bool) -> None:
    attempts: Counter[int] = Counter()

    def hopeless(delivery: Delivery) -> None:
        attempts[delivery.ticket.release] += 1
        delivery.report("started")
        delivery.fail(permanent=permanent)

    def scenario(world: World) -> None:
        attempts.clear()
        world.job("one", "AB")
        run_to_the_end(world, hopeless)

    def check(world: World) -> None:
        (task,) = world.tasks()
        assert task.state is TaskState.FAILED
        assert task.fault_kind == "Broken"
        assert {output.state for output in world.outputs()} == {OutputState.FAILED}
        assert {output.fault_kind for output in world.outputs()} == {"Broken"}
        assert sum(attempts.values()) == (1 if permanent else 3)
        check_nothing_left(world)

    crash_everywhere(scenario, check)


def test_a_task_that_kills_its_workers_ends() -> None:
    def kill(delivery: Delivery) -> None:
        delivery.report("started")

    def scenario(world: World) -> None:
        world.job("one", "A")
        run_to_the_end(world, kill)

    def check(world: World) -> None:
        (task,) = world.tasks()
        assert task.state is TaskState.FAILED
        assert task.silences == 3
        check_nothing_left(world)

    crash_everywhere(scenario, check)


def test_cancel_stops_what_nobody_else_waits_for() -> None:
    def scenario(world: World) -> None:
        first = world.job("one", "AB")
        world.job("two", "BC")
        world.status("node-1", slots=2)
        world.round()
        job_id = world.task(first).job_id
        while not world.call(cancel_job, "local", job_id):
            pass  # whoever asked sees the error and asks again
        run_to_the_end(world, succeed)

    def check(world: World) -> None:
        one, two = sorted(world.jobs(), key=lambda job: job.request_id)
        assert one.cancelled
        assert {output.state for output in world.outputs() if output.job_id == two.job_id} == {OutputState.COMMITTED}
        mine = {output.title: output.state for output in world.outputs() if output.job_id == one.job_id}
        assert mine == {"A": OutputState.CANCELLED, "B": OutputState.CANCELLED}
        assert all(task.state is TaskState.SUCCEEDED for task in world.tasks())  # job two waits for B from task one
        check_nothing_left(world)

    crash_everywhere(scenario, check)


def test_cancel_alone() -> None:
    def scenario(world: World) -> None:
        task_id = world.job("one", "AB")
        world.status("node-1", slots=2)
        world.round()
        while not world.call(cancel_job, "local", world.task(task_id).job_id):
            pass
        run_to_the_end(world, succeed)

    def check(world: World) -> None:
        assert [task.state for task in world.tasks()] == [TaskState.CANCELLED]
        assert {output.state for output in world.outputs()} == {OutputState.CANCELLED}
        check_nothing_left(world)

    crash_everywhere(scenario, check)
