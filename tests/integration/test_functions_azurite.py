"""The lease protocol on the real storage emulator: rounds, reports and sweeps, with the process dying in between."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import requests
from azure.core.pipeline.transport import RequestsTransport

from fakes.crash import Fuse
from fakes.memory_ports import ManualClock
from fakes.world import Delivery, run_to_the_end
from integration.azurite_world import AzuriteWorld
from integration.storage import azure_ports
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.states import JobState, OutputState, TaskState
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.domain.callbacks import CallbackKind, CallbackRecord, CallbackState
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.usecases.dispatch import dispatch
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.rows import find, swap
from orthofunctions.usecases.settle import settle_left
from orthofunctions.usecases.sweep import sweep


@pytest.fixture(scope="module")
def own_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One of its own: the use cases look at whole tables."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        provision(server.connection_string)
        yield server


@pytest.fixture(scope="module")
def real(own_azurite: Azurite) -> Iterator[Ports]:
    with azure_ports(own_azurite.connection_string) as ports:
        yield ports


@pytest.fixture(scope="module")
def transport() -> Iterator[RequestsTransport]:
    with requests.Session() as session:
        yield RequestsTransport(session=session, session_owner=False)


@pytest.fixture
def world(own_azurite: Azurite, real: Ports, transport: RequestsTransport) -> AzuriteWorld:
    return AzuriteWorld(
        real=real,
        connection_string=own_azurite.connection_string,
        transport=transport,
        clock=ManualClock(SystemClock().now()),
    )


def fail_first(delivery: Delivery) -> None:
    delivery.report("started")
    if delivery.ticket.release == 1:
        delivery.fail()
    else:
        delivery.succeed()


@pytest.mark.parametrize("at", [4, 9, 15, 24, 1000])
def test_the_process_dies_and_the_task_ends_once(world: AzuriteWorld, at: int) -> None:
    world.fuse = Fuse(at)
    task_id = world.job(f"dies-at-{at}", chr(0x400 + at) + chr(0x1400 + at))
    run_to_the_end(world, fail_first)
    assert world.crashed == (at < 1000)
    task = world.task(task_id)
    assert task.state is TaskState.SUCCEEDED
    assert {output.state for output in world.outputs() if output.job_id == task.job_id} == {OutputState.COMMITTED}
    assert len([entry for entry in world.catalogue() if entry.task_id == task_id]) == 2
    world.check_promises()


def test_rounds_in_parallel_release_each_task_once(world: AzuriteWorld) -> None:
    """Twelve wakes at once, as the functions host delivers them."""
    ids = [world.job(f"parallel-{number}", chr(0x2400 + number)) for number in range(4)]
    world.status("node-4", slots=4)
    threads = [threading.Thread(target=dispatch, args=(world.ports, world.rules)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.releases) == 4
    assert [world.task(task_id).release for task_id in ids] == [1] * 4
    run_to_the_end(world, lambda delivery: delivery.succeed())


def test_a_ticket_s_links_do_what_they_should(world: AzuriteWorld, real: Ports) -> None:
    world.job("links", chr(0x2600))
    world.status("node-1", slots=2)
    world.round()
    deadline = time.monotonic() + 5
    while (delivery := world.take()) is None and time.monotonic() < deadline:
        pass
    assert delivery is not None
    image = next(one for one in delivery.ticket.inputs if one.path.endswith(".tif"))
    with urllib.request.urlopen(image.url) as answer:
        assert answer.read() == b"pixels"
    target = delivery.ticket.deliveries[0].files[delivery.ticket.wanted[0]]["image"]

    def put() -> int:
        request = urllib.request.Request(target.url, data=b"x", method="PUT", headers={"x-ms-blob-type": "BlockBlob"})
        try:
            with urllib.request.urlopen(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert put() == 201
    assert put() in (403, 409), "create-only: nothing is ever overwritten"
    container, _, name = target.blob.partition("/")
    assert real.blobs.read(container, name) == b"x"

    # A message in a worker's hands is hidden, not gone: nothing is recalled long after the round's grace.
    delivery.report("started")
    world.deliver_results()
    world.clock.advance(world.rules.write_grace_s + 10)
    world.status("node-1", slots=2)
    assert sweep(world.ports, world.rules) == 0
    delivery.delete_message()
    assert sweep(world.ports, world.rules) == 1, "now it is gone, and nobody will report"


def test_a_job_s_end_is_written_by_its_collector_or_by_the_tour(world: AzuriteWorld, real: Ports) -> None:
    task_id = world.job("settled", chr(0x2800))
    (job,) = [one for one in world.jobs() if one.request_id == "settled"]
    tell = '{"success_uri": "https://hooks.example.com/done"}'
    swap(real.tables, job.changed(planned=True, subscriber=tell))
    run_to_the_end(world, lambda delivery: delivery.succeed())
    by_collector = find_job(real, job.user, job.job_id)
    assert by_collector is not None
    assert (by_collector.final, by_collector.settled, by_collector.n_images) == (JobState.SUCCESSFUL, True, 1)
    ended = world.task(task_id).ended_at
    swap(real.tables, by_collector.changed(final_state="", settled=False))
    other = ("jff", None) if job.job_id < "jff" else (None, "j01")
    assert settle_left(real, other) == 0
    assert settle_left(real, (job.job_id[:3], None)) == 1
    by_tour = find_job(real, job.user, job.job_id)
    assert by_tour is not None
    assert (by_tour.final, by_tour.settled, by_tour.ended_at) == (JobState.SUCCESSFUL, True, ended)
    (told,) = find(real.tables, CallbackRecord, partition=job.job_id)
    assert (told.kind, told.state) == (CallbackKind.SUCCESS, CallbackState.WAITING)
    assert real.queues.length(names.QUEUE_CALLBACKS) == 1
