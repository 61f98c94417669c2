"""One thing that makes trouble holds up no other: sweep, repair, housekeeping."""

from __future__ import annotations

import logging

import pytest

from fakes.world import World
from localdev.crash import Crash
from orthocontracts import names
from orthocontracts.states import TaskState
from orthofunctions.telemetry import NoMeter
from orthofunctions.usecases import expire, housekeeping, repair, sweep
from orthofunctions.usecases.apart import MOST_TROUBLE, apart


def test_all_are_looked_at_and_the_first_error_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    def look() -> None:
        with apart("look", NoMeter()) as each:
            for number in range(6):
                with each(f"thing {number}"):
                    seen.append(number)
                    if number in (1, 3):
                        raise ValueError(f"broken {number}")

    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="broken 1"):
        look()
    assert seen == list(range(6))
    assert [record.__dict__["what"] for record in caplog.records] == ["thing 1", "thing 3"]


def test_what_fails_for_all_is_not_tried_for_all() -> None:
    seen = []

    def look() -> None:
        with apart("look", NoMeter()) as each:
            for number in range(1000):
                with each(str(number)):
                    seen.append(number)
                    raise ConnectionError("storage is down")

    with pytest.raises(ConnectionError):
        look()
    assert len(seen) == MOST_TROUBLE


def test_a_process_that_dies_does_not_go_on() -> None:
    seen = []

    def look() -> None:
        with apart("look", NoMeter()) as each:
            for number in range(3):
                with each(str(number)):
                    seen.append(number)
                    raise Crash

    with pytest.raises(Crash):
        look()
    assert seen == [0]


def test_the_sweep_recalls_others_beside_one_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.job("one", "A")
    world.job("two", "B")
    world.status("node-1", slots=2)
    world.round()
    for task in world.tasks():
        name = names.ticket_blob(task.task_id, task.release)
        world.ports.blobs.delete(names.ticket_container("hpc"), name)
    world.clock.advance(200)
    really, broken = sweep.recall, world.tasks()[0].task_id

    def recall(ports, rules, task, why):  # type: ignore[no-untyped-def]
        if task.task_id == broken:
            raise ValueError("its entry cannot be indexed")
        return really(ports, rules, task, why)

    monkeypatch.setattr(sweep, "recall", recall)
    with pytest.raises(ValueError, match="indexed"):
        sweep.sweep(world.ports, world.rules)
    states = {task.task_id: task.state for task in world.tasks()}
    assert states.pop(broken) is TaskState.RELEASED
    assert set(states.values()) == {TaskState.PENDING}


def test_repair_goes_on_to_the_next_share_and_ends_jobs_beside_an_output_it_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.job("one", "A")
    world.job("two", "B")
    asked = []

    def adopt(_ports, digest):  # type: ignore[no-untyped-def]
        asked.append(digest)
        raise ValueError("cannot be read")

    for task in world.tasks():
        world.ports.tables.delete(names.TABLE_TASKS, task.job_id, task.task_id)
    monkeypatch.setattr(repair, "adopt", adopt)
    settled = []
    monkeypatch.setattr(repair, "settle_left", lambda _ports, jobs: settled.append(jobs) or 0)
    with pytest.raises(ValueError, match="cannot be read"):
        repair.repair(world.ports, world.rules)
    assert len(asked) == 2
    assert settled


def test_housekeeping_does_the_rest_where_one_step_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    done = []
    monkeypatch.setattr(housekeeping, "age_out_loads", lambda _ports: done.append("loads"))
    monkeypatch.setattr(expire, "find", lambda *_args, **_more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        housekeeping.keep_house(world.ports, world.rules)
    assert done == ["loads"]
