"""Rounds: wakes are never lost, the lease is kept or given up, index rows mean what the task's row says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from fakes.world import World, run_to_the_end
from orthocontracts import names
from orthocontracts.messages import Demand, Release
from orthocontracts.states import TaskState
from orthocontracts.tasks import task_id_of
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.decisions import Decision
from orthofunctions.domain.pending_index import index_rows, pending_task, runnable
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.pools import PoolsFileError
from orthofunctions.domain.records import TaskRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.runtimes import RunTimes
from orthofunctions.ports import LeaseHeldError, LeaseLostError, Ports
from orthofunctions.usecases import dispatch as dispatching
from orthofunctions.usecases import release as releasing
from orthofunctions.usecases import rounds as rounds_module
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.dispatch import dispatch, one_round
from orthofunctions.usecases.lease import LEASE_S, STOP_AFTER_S, RoundLease
from orthofunctions.usecases.ledger import Claim, account, month_of, reserve
from orthofunctions.usecases.pending import candidates, current_tasks, enqueue
from orthofunctions.usecases.recall import recall
from orthofunctions.usecases.rounds import Rounds


@pytest.fixture
def world() -> World:
    return World()


class TestWakes:
    def test_a_wake_during_a_round_is_answered_by_its_holder(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rounds: list[int] = []

        def while_another_wakes(ports: Ports, rules: Rules, lease: RoundLease) -> int:
            rounds.append(len(rounds))
            if len(rounds) == 1:
                assert dispatch(ports, rules) == 0  # the wake: it finds the lease held and leaves
            return 0

        monkeypatch.setattr(dispatching, "one_round", while_another_wakes)
        dispatch(world.ports, world.rules)
        assert len(rounds) == 2

    def test_no_wake_no_second_round(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        rounds: list[int] = []
        monkeypatch.setattr(dispatching, "one_round", lambda *_: rounds.append(1) or 0)
        dispatch(world.ports, world.rules)
        assert len(rounds) == 1

    def test_wakes_of_one_process_during_a_round_make_one_more_and_cost_storage_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        began, go_on, rounds = threading.Event(), threading.Event(), []

        def slow(*_: object) -> int:
            rounds.append(1)
            began.set()
            assert go_on.wait(10)
            return 0

        monkeypatch.setattr(rounds_module, "dispatch", slow)
        here = Rounds()
        first = threading.Thread(target=here.answer, args=(world.ports, world.rules))
        first.start()
        assert began.wait(10)
        for _ in range(50):
            here.answer(world.ports, world.rules)  # returns at once
        go_on.set()
        first.join(10)
        assert len(rounds) == 2
        here.answer(world.ports, world.rules)
        assert len(rounds) == 3

    def test_a_round_that_fails_does_not_keep_the_next_from_coming(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tries: list[int] = []

        def fails_first(*_: object) -> int:
            tries.append(1)
            if len(tries) == 1:
                raise PoolsFileError("broken")
            return 0

        monkeypatch.setattr(rounds_module, "dispatch", fails_first)
        here = Rounds()
        with pytest.raises(PoolsFileError):
            here.answer(world.ports, world.rules)
        here.answer(world.ports, world.rules)
        assert len(tries) == 2

    def test_the_lease_is_given_back_when_a_round_fails(self, world: World) -> None:
        world.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, b"{}")
        for _ in range(2):
            with pytest.raises(PoolsFileError):
                dispatch(world.ports, world.rules)


class TestLease:
    def test_one_at_a_time(self, world: World) -> None:
        lease = RoundLease(world.ports)
        with pytest.raises(LeaseHeldError):
            RoundLease(world.ports)
        lease.release()
        RoundLease(world.ports)

    def test_a_round_that_died_holds_up_the_next_for_seconds(self, world: World) -> None:
        world.job("one", "A")
        world.status("node-1")
        RoundLease(world.ports)
        world.clock.advance(LEASE_S + 1)
        world.round()
        assert [task.state for task in world.tasks()] == ["released"]
        assert LEASE_S <= 20

    def test_it_is_renewed_as_the_round_goes_on(self, world: World) -> None:
        lease = RoundLease(world.ports)
        for _ in range(10):
            world.clock.advance(STOP_AFTER_S - 1)
            lease.keep()
        with pytest.raises(LeaseHeldError):
            RoundLease(world.ports)

    def test_a_round_stops_writing_some_time_after_its_last_renewal(self, world: World) -> None:
        lease = RoundLease(world.ports)
        world.clock.advance(STOP_AFTER_S)
        with pytest.raises(LeaseLostError):
            lease.keep()

    def test_a_round_that_lost_its_lease_releases_nothing_more(self, world: World) -> None:
        for number in range(3):
            world.job(f"job-{number}", "ABC"[number])
        world.status("node-1", slots=3)
        lease = RoundLease(world.ports)
        send = world.queues.send_release

        def slowly(queue: str, body: str) -> None:
            send(queue, body)
            world.clock.advance(50)

        world.queues.send_release = slowly  # type: ignore[method-assign]
        with pytest.raises(LeaseLostError):
            one_round(world.ports, world.rules, lease)
        assert sorted(task.state for task in world.tasks()) == ["pending", "pending", "released"]


class TestRound:
    def test_fills_the_slots_oldest_first_and_says_why(self, world: World) -> None:
        ids = []
        for number in range(3):
            ids.append(world.job(f"job-{number}", "ABC"[number]))
            world.clock.advance(1)
        world.status("node-1", slots=2)
        world.round()
        assert [world.task(one).state for one in ids] == ["released", "released", "pending"]
        decision = Decision.from_json(str(world.task(ids[0]).decision))
        assert decision.sentence == "hpc: an on-prem slot was free"
        queue = world.queues.bodies(names.pool_queue("hpc", KERNEL_RESULT_VERSION))
        assert [Release.model_validate_json(body).task_id for body in queue] == ids[:2]

    def test_bursts_when_patience_is_over_and_within_the_slots_of_the_cloud(self, world: World) -> None:
        for number in range(5):
            world.job(f"job-{number}", "ABCDE"[number])
        world.status("node-1", slots=1)
        world.round()
        world.clock.advance(19)
        world.round()
        assert world.queues.length(names.pool_queue("cloud", KERNEL_RESULT_VERSION)) == 0
        world.clock.advance(1)
        world.status("node-1", slots=1)
        world.round()
        assert world.queues.length(names.pool_queue("cloud", KERNEL_RESULT_VERSION)) == 2
        assert sum(task.state is TaskState.PENDING for task in world.tasks()) == 2

    def test_rings_just_as_many_as_are_needed_and_publishes_demand(self, world: World) -> None:
        for name in ("node-1", "node-2", "node-3"):
            world.status(name, slots=1)
        world.job("one", "A")
        world.job("two", "B")
        world.round()
        topics = [topic for topic, _ in world.ports.bell.published]  # type: ignore[attr-defined]
        rung = [topic for topic in topics if topic.endswith("/doorbell")]
        assert rung == [names.topic_doorbell("node-1"), names.topic_doorbell("node-2")]
        demand = Demand.model_validate_json(world.ports.bell.retained[names.topic_demand("hpc")])  # type: ignore[attr-defined]
        assert demand.slots == 2
        assert demand.until > world.clock.now()

    def test_a_task_of_a_version_nobody_makes_waits(self, world: World) -> None:
        task_id = world.job("one", "A")
        (row,) = world.ports.tables.query(names.TABLE_TASKS)
        task = TaskRecord.from_row(row).changed(result_version=7)
        world.ports.tables.put(names.TABLE_TASKS, task.to_row())
        enqueue(world.ports, task)
        world.status("node-1")
        world.clock.advance(1000)
        world.round()
        assert world.task(task_id).state is TaskState.PENDING

    def test_an_output_that_a_recalled_run_committed_needs_no_second(self, world: World) -> None:
        task_id = world.job("one", "A")
        world.status("node-1")
        world.round()
        task = world.task(task_id)
        recall(world.ports, world.rules, task, "its pool is gone")
        commit_behind_its_back(world)
        world.round()
        assert world.task(task_id).state is TaskState.SUCCEEDED
        assert len(world.releases) == 1

    def test_an_output_that_another_task_had_claimed_before_is_looked_up(self, world: World) -> None:
        first = world.job("one", "A")
        cancel_job(world.ports, "local", world.task(first).job_id)
        second = world.job("two", "A")
        commit_behind_its_back(world)
        world.status("node-1")
        world.round()
        assert world.task(second).state is TaskState.SUCCEEDED
        assert world.releases == []

    def test_an_output_that_everyone_has_left_is_not_made(self, world: World) -> None:
        first = world.job("one", "AB")
        world.job("two", "B")
        cancel_job(world.ports, "local", world.task(first).job_id)
        world.status("node-1")
        world.round()
        delivery = world.take()
        assert delivery is not None
        left = next(one.digest for one in world.outputs() if one.title == "B")
        assert delivery.ticket.wanted == (left,)
        assert delivery.ticket.spec.task_id == first

    def test_a_jobs_tasks_are_released_together_but_for_one_that_changed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One transaction for their rows. Where it fails, each row is asked by itself."""
        tasks = split_job(world, 4)
        world.status("node-1", slots=4)
        prepared = releasing._turned_released  # type: ignore[attr-defined]

        def beside_a_change(ports: Ports, lease: RoundLease, of_a_job: Sequence[object]) -> Iterator[object]:
            ports.tables.put(names.TABLE_TASKS, world.task(tasks[1]).to_row())  # the same values, another ETag
            return iter(prepared(ports, lease, of_a_job))

        monkeypatch.setattr(releasing, "_turned_released", beside_a_change)
        world.round()
        assert [world.task(one).state for one in tasks] == ["released", "pending", "released", "released"]
        monkeypatch.undo()
        world.clock.advance(150)  # until then the active row of what was not released counts against the slots
        world.status("node-1", slots=4)
        world.sweep()
        world.round()
        assert {task.state for task in world.tasks()} == {TaskState.RELEASED}
        assert index_keys(world) == set()

    def test_money_is_reserved_once_and_never_beyond_the_budget(self) -> None:
        cost = 0.3 * (10 + RunTimes().p90_s(15)) / 3600
        world = World(rules=Rules(patience_s=0, month_budget_eur=1.5 * cost))
        for number in range(2):
            world.job(f"job-{number}", "AB"[number])
        world.round()
        world.round()
        assert sorted(task.state for task in world.tasks()) == ["pending", "released"]
        found = account(world.ports, month_of(world.clock.now()))
        assert found.committed_eur == pytest.approx(cost, rel=1e-3)
        assert not reserve(world.ports, 1.5 * cost, {"local": Claim(cost)}, world.clock.now())


def commit_behind_its_back(world: World) -> None:
    """An entry of the one output by a collector that died before it told anybody."""
    other = World()
    other.job("one", "A")
    run_to_the_end(other, lambda delivery: delivery.succeed())
    (output,) = other.outputs()
    blob = names.catalogue_blob(output.digest)
    world.blobs.write(names.CONTAINER_CATALOGUE, blob, other.blobs.read(names.CONTAINER_CATALOGUE, blob))


def split_job(world: World, n_tasks: int) -> list[str]:
    """A job of so many tasks with one output each, all pending. Returns their ids."""
    first = world.job("one", "ABCDEFGH"[:n_tasks])
    task, text = world.task(first), world.blobs.read(names.CONTAINER_PLANS, names.plan_blob(world.jobs()[0].job_id))
    plan = Plan.model_validate_json(text)
    (spec,) = plan.tasks
    ids = [task_id_of(task.job_id, number + 1) for number in range(n_tasks)]
    specs = tuple(
        spec.model_copy(update={"task_id": one, "outputs": (output,)})
        for one, output in zip(ids, spec.outputs, strict=True)
    )
    stored = plan.model_copy(update={"tasks": specs}).to_json().encode()
    world.blobs.write(names.CONTAINER_PLANS, names.plan_blob(task.job_id), stored)
    for one in ids:
        part = task.changed(task_id=one, spec=None)
        enqueue(world.ports, part)
        world.ports.tables.put(names.TABLE_TASKS, part.to_row())
    return ids


def waiting(world: World, limit: int = 10) -> list[str]:
    now = world.clock.now()
    found = candidates(world.ports, world.rules, KERNEL_RESULT_VERSION, now, limit)
    return [task_id for task_id, one in found.items() if current_tasks(world.ports, [one], now)]


def index_keys(world: World) -> set[str]:
    return {row.key for row in world.ports.tables.query(names.TABLE_PENDING)}


class TestIndex:
    def test_the_most_urgent_come_first_and_parked_ones_when_their_time_comes(self, world: World) -> None:
        now = world.clock.now()
        urgent = world.job("urgent", "A", deadline=now + timedelta(seconds=60))
        patient = world.job("patient", "B", patience_s=7200.0)
        parked = world.job("parked", "C", not_before=now + timedelta(seconds=90))
        assert waiting(world) == [urgent, patient]
        world.clock.advance(91)
        assert waiting(world) == [urgent, patient, parked]

    def test_parked_rows_do_not_hide_runnable_ones(self, world: World) -> None:
        now = world.clock.now()
        for number in range(5):
            world.job(f"parked-{number}", "ABCDE"[number], not_before=now + timedelta(seconds=90))
        world.clock.advance(1)
        task_id = world.job("runnable", "F")
        assert waiting(world, 2) == [task_id]

    def test_one_users_backlog_does_not_hide_anothers_turn(self, world: World) -> None:
        now = world.clock.now()
        for number in range(5):
            deadline, turn = now + timedelta(seconds=60), now + timedelta(seconds=1000 + number)
            world.job(f"many-{number}", "ABCDE"[number], deadline=deadline, turn_at=turn)
        one = world.job("one", "F", deadline=now + timedelta(days=2), turn_at=now)
        assert one in waiting(world, 2)

    def test_rows_say_all_that_the_policy_wants_to_know(self, world: World) -> None:
        now = world.clock.now()
        deadline = now + timedelta(hours=1)
        fields = {"deadline": deadline, "patience_s": 7.0, "turn_at": now, "process": "gamma0_rtc", "megapixels": 3.5}
        task = world.task(world.job("one", "A", input_bytes=12, urgent=True, **fields))
        for row in index_rows(task):
            found = pending_task(row, 300.0)
            assert (found.task_id, found.user, found.created_s) == (task.task_id, "local", now.timestamp())
            assert (found.deadline_s, found.turn_s) == (deadline.timestamp(), now.timestamp())
            assert (found.patience_s, found.process, found.megapixels) == (7.0, "gamma0_rtc", 3.5)
            assert (found.inputs, found.urgent) == ((("blobs", 12),), True)
            assert found.result_version == KERNEL_RESULT_VERSION
        assert pending_task(index_rows(task.changed(patience_s=None))[0], 300.0).patience_s == 300.0

    def test_a_row_written_ahead_is_left_and_a_leftover_is_deleted(self, world: World) -> None:
        task_id = world.job("one", "A")
        pending = world.task(task_id)
        world.status("node-1")
        world.round()
        ahead = index_rows(world.task(task_id))  # a recall writes them before it turns the row pending
        for row in ahead:
            world.ports.tables.put(names.TABLE_PENDING, row)
        assert waiting(world) == []
        for row in index_rows(pending):  # of release 0: left over
            world.ports.tables.put(names.TABLE_PENDING, row)
        assert waiting(world) == []
        for row in ahead:
            world.ports.tables.delete(names.TABLE_PENDING, row.partition, row.key)
        assert (waiting(world), waiting(world)) == ([], [])
        assert index_keys(world) == set()

    def test_what_means_nothing_takes_no_slot_from_what_waits(self, world: World) -> None:
        ghost = TaskRecord(
            job_id="j1", task_id="j1-0001", user="u", created_at=world.clock.now() - timedelta(days=1),
            result_version=KERNEL_RESULT_VERSION,
        )  # fmt: skip
        enqueue(world.ports, ghost)
        task_id = world.job("one", "A")
        world.status("node-1", slots=1)
        world.round()
        assert world.task(task_id).state is TaskState.RELEASED
        assert len(index_keys(world)) == 1, "the planner's rows are left for it, those of the released task are gone"

    def test_a_row_without_a_task_is_left_for_the_planner(self, world: World) -> None:
        task = TaskRecord(
            job_id="j1", task_id="j1-0001", user="u", created_at=world.clock.now(), result_version=KERNEL_RESULT_VERSION
        )
        enqueue(world.ports, task)
        assert waiting(world) == []
        world.ports.tables.insert(names.TABLE_TASKS, task.to_row())
        assert waiting(world) == ["j1-0001"]

    def test_ranges_of_one_version_end_before_the_next(self, world: World) -> None:
        now = world.clock.now()
        for version in (1, 10, 2):
            task = TaskRecord(job_id="j", task_id=f"j-{version}", user="u", created_at=now, result_version=version)
            enqueue(world.ports, task)
        for version in (1, 10, 2):
            keys = [
                row.values["task_id"]
                for part in runnable(version, now)
                for row in world.ports.tables.query(
                    names.TABLE_PENDING, partition_from=part.partition_from, partition_below=part.partition_below
                )
            ]
            assert keys == [f"j-{version}"] * 2
