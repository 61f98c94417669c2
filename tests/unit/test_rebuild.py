"""Tables and queues are lost, one by one and all; plans and catalogue are not."""

from __future__ import annotations

import pytest

from fakes.crash import Crash, Fuse, fused
from fakes.world import World, run_to_the_end
from orthocontracts import names
from orthocontracts.requests import Request
from orthocontracts.states import JobState, OutputState, TaskState
from orthofunctions.domain.keytext import id_of
from orthofunctions.domain.principals import Scope
from orthofunctions.usecases.backup import back_up
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.index import index_digest
from orthofunctions.usecases.jobs import change_job, find_job, open_job
from orthofunctions.usecases.keys import KeyOrder, find_key, make_key
from orthofunctions.usecases.rebuild import give_up_unplanned, rebuild
from orthofunctions.usecases.settle import settle_job
from orthofunctions.usecases.submit import submit

REQUIRED = (
    names.TABLE_JOBS,
    names.TABLE_OUTPUTS,
    names.TABLE_TASKS,
    names.TABLE_ACTIVE,
    names.TABLE_DIGESTS,
    names.TABLE_HOLDERS,
    names.TABLE_AGENTS,
    names.TABLE_PENDING,
    names.TABLE_LEDGER,
    names.TABLE_LEARNED,
    names.TABLE_SHARES,
    names.TABLE_OWNERS,
    names.TABLE_ITEMS,
)
LOSSES = [*((table,) for table in REQUIRED), REQUIRED, (names.TABLE_TASKS, names.TABLE_DIGESTS)]


@pytest.fixture
def world() -> World:
    """A job that is done, one half done, one that runs, one that waits."""
    world = World()
    for name, tiles in (("done", "AB"), ("half", "CD"), ("runs", "EF"), ("waits", "GH")):
        task_id = world.job(name, tiles)
        job = find_job(world.ports, "local", task_id.rpartition("-")[0])
        assert job is not None
        change_job(world.ports, job, lambda now: now.changed(planned=True, n_outputs=2))
        if name == "waits":
            break
        world.status("node-1", slots=4)
        world.round()
        delivery = world.take()
        assert delivery is not None
        delivery.report("started")
        if name == "done":
            delivery.succeed()
        if name == "half":
            first, second = delivery.ticket.wanted
            delivery.report("finished", (delivery.upload(first), delivery.fault(second, permanent=False)))
            delivery.delete_message()
        world.deliver_results()
    for blob in world.blobs.list(names.CONTAINER_CATALOGUE):
        index_digest(world.ports, blob.name.removesuffix(".json"))
    assert len(world.catalogue()) == 3
    return world


def lose(world: World, tables: tuple[str, ...], *, queues: bool = False) -> None:
    for table in tables:
        for row in list(world.ports.tables.query(table)):
            world.ports.tables.delete(table, row.partition, row.key)
    if queues:
        world.queues.lose_everything()
    world.clock.advance(world.rules.write_grace_s + 1)  # what was released just now is left to the next repair


def ends_well(world: World) -> None:
    before = {blob.name: blob.etag for blob in world.blobs.list(names.CONTAINER_CATALOGUE)}
    run_to_the_end(world, lambda delivery: delivery.succeed())
    assert len(world.jobs()) == 4
    assert len(world.outputs()) == 8
    assert {output.state for output in world.outputs()} == {OutputState.COMMITTED}
    assert {settle_job(world.ports, job).final for job in world.jobs()} == {JobState.SUCCESSFUL}
    now = {blob.name: blob.etag for blob in world.blobs.list(names.CONTAINER_CATALOGUE)}
    assert len(now) == 8
    assert before.items() <= now.items(), "what was there is not made again"
    rebuild(world.ports, world.rules)
    assert world.indexed() == {name.removesuffix(".json") for name in now}


@pytest.mark.parametrize("tables", LOSSES, ids=lambda tables: "+".join(tables) if len(tables) < 5 else "all")
@pytest.mark.parametrize("queues", [False, True], ids=["queues-there", "queues-lost"])
def test_every_job_ends_as_if_nothing_had_been(world: World, tables: tuple[str, ...], queues: bool) -> None:
    lose(world, tables, queues=queues)
    done = rebuild(world.ports, world.rules)
    assert (done.n_plans, done.unreadable, done.unplanned) == (4, [], [])
    assert done.n_jobs == (4 if names.TABLE_JOBS in tables else 0)
    ends_well(world)


@pytest.mark.parametrize("at", [0, 2, 5, 9, 14, 22, 33, 47])
def test_the_command_dies_and_is_typed_again(world: World, at: int) -> None:
    lose(world, REQUIRED, queues=True)
    with pytest.raises(Crash):
        rebuild(fused(world.ports, Fuse(at)), world.rules)
    rebuild(world.ports, world.rules)
    ends_well(world)


def goes_on(world: World) -> None:
    """What a site does beside whoever rebuilds it: rounds, workers that take, start, deliver and report, sweeps."""
    world.status("node-1", slots=2)
    world.round()
    while (delivery := world.take()) is not None:
        delivery.report("started")
        delivery.succeed()
    world.deliver_results()
    world.sweep()


@pytest.mark.parametrize("tables", [REQUIRED, (names.TABLE_TASKS, names.TABLE_OUTPUTS), (names.TABLE_DIGESTS,)],
                         ids=["all", "tasks-outputs", "digests"])  # fmt: skip
@pytest.mark.parametrize("at", [0, 1, 3, 6, 10, 15, 21, 28, 36, 45, 55])
def test_the_site_works_on_while_it_is_rebuilt(world: World, at: int, tables: tuple[str, ...]) -> None:
    """Held up at a write until workers have taken, made and reported whatever they could get."""
    lose(world, tables)
    rebuild(fused(world.ports, Fuse(at, meanwhile=lambda: goes_on(world))), world.rules)
    world.check_promises()
    ends_well(world)


def test_who_computed_through_the_loss_is_not_computed_again(world: World) -> None:
    """A worker had its ticket before the tables were lost, and reports after the rebuild."""
    world.status("node-1", slots=4)
    world.round()
    deliveries = []
    while (delivery := world.take()) is not None:
        deliveries.append(delivery)
    assert deliveries
    lose(world, REQUIRED)
    rebuild(world.ports, world.rules)
    for delivery in deliveries:
        delivery.succeed()
    made = {digest for delivery in deliveries for digest in delivery.ticket.wanted}
    world.deliver_results()
    assert made <= {entry.digest for entry in world.catalogue()}
    ends_well(world)


def test_two_operators_type_it_at_once(world: World) -> None:
    lose(world, REQUIRED, queues=True)
    rebuild(fused(world.ports, Fuse(7, meanwhile=lambda: rebuild(world.ports, world.rules))), world.rules)  # type: ignore[arg-type, return-value]
    ends_well(world)


def test_where_nothing_is_lost_nothing_changes(world: World) -> None:
    def rows() -> dict[str, list[object]]:
        return {table: list(world.ports.tables.query(table)) for table in names.TABLES}

    rebuild(world.ports, world.rules)
    before = rows()
    done = rebuild(world.ports, world.rules)
    assert (done.n_jobs, done.n_tasks, done.n_rows, done.n_items, done.n_requests) == (0, 0, 0, 0, 0)
    after = rows()
    for table in names.TABLES:
        if table not in (
            names.TABLE_DIGESTS,
            names.TABLE_HOLDERS,
            names.TABLE_OWNERS,
            names.TABLE_ARCHIVE,
        ):  # written as they were
            assert after[table] == before[table], table
    ends_well(world)


def test_a_cancelled_job_stays_so_and_an_unreadable_plan_is_told(world: World) -> None:
    waits = next(job for job in world.jobs() if job.request_id == "waits")
    cancel_job(world.ports, "local", waits.job_id)
    runs = next(job for job in world.jobs() if job.request_id == "runs")
    world.blobs.write(names.CONTAINER_PLANS, names.plan_blob(runs.job_id), b"{")
    lose(world, (names.TABLE_TASKS, names.TABLE_PENDING))
    done = rebuild(world.ports, world.rules)
    assert done.unreadable == [runs.job_id]
    assert {task.job_id for task in world.tasks() if task.state is TaskState.PENDING}.isdisjoint({waits.job_id})


def test_requests_that_were_not_planned_yet(world: World) -> None:
    small = Request(request_id="small", products=("products/image.tif",))
    large = Request(request_id="large", products=("products/image.tif",))
    lost = submit(world.ports, small, "http")
    kept = submit(world.ports, large, "http", inline_bytes=1)
    world.queues.lose_everything()
    done = rebuild(world.ports, world.rules)
    assert done.n_requests == 1
    assert done.unplanned == [lost.job_id], "the other one's request lies in storage"
    message = world.queues.receive(names.QUEUE_REQUESTS, 60)
    assert message is not None
    assert kept.job_id in message.body
    give_up_unplanned(world.ports, done.unplanned)
    ended = find_job(world.ports, "local", lost.job_id)
    assert ended is not None
    assert (ended.final, ended.fault_kind) == (JobState.FAILED, "Lost")
    assert open_job(world.ports, large, "http").final is None


def test_keys_orders_and_spend_come_from_the_copy_of_the_day(world: World) -> None:
    _, record = make_key(world.ports, KeyOrder("laptop", "ana", frozenset({Scope.READ}), created_by="operator"))
    ledger = list(world.ports.tables.query(names.TABLE_LEDGER))
    assert ledger, "runs on the centre are in it too"
    assert back_up(world.ports) > 0
    assert back_up(world.ports) == 0, "once a day"
    _, later = make_key(world.ports, KeyOrder("phone", "ana", frozenset({Scope.READ}), created_by="operator"))
    lose(world, names.TABLES, queues=True)
    done = rebuild(world.ports, world.rules)
    assert done.n_restored > 0
    found = find_key(world.ports, id_of(record.digest))
    assert found is not None
    assert found.changed(etag="") == record.changed(etag="")
    assert find_key(world.ports, id_of(later.digest)) is None, "made since: it is to be made again"
    now = list(world.ports.tables.query(names.TABLE_LEDGER))
    assert [(row.partition, row.key, row.values) for row in now] == [
        (row.partition, row.key, row.values) for row in ledger
    ]
    world.clock.advance(15 * 86_400)
    assert back_up(world.ports) > 0
    assert {blob.name.split("/")[1] for blob in world.blobs.list(names.CONTAINER_CONTROL, "backup/")} == {"2026-05-16"}
