"""Sweeps, repairs, cancel, capacity, poison."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.world import Delivery, World, run_to_the_end
from orthocontracts import names
from orthocontracts.messages import AgentStatus, Control, Statuses
from orthocontracts.outputs import CatalogueEntry, FileFacts, file_kinds
from orthocontracts.requests import Options, Request, RequestEnvelope
from orthocontracts.states import OutputState, TaskState
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.domain.records import AgentRecord, DigestRecord
from orthofunctions.domain.runtimes import RUNS_TO_BELIEVE
from orthofunctions.ports import Ports, Row
from orthofunctions.usecases import capacity
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.capacity import note_status
from orthofunctions.usecases.plan import read_plan
from orthofunctions.usecases.poison import CHANCES, reconcile_poison
from orthofunctions.usecases.repair import repair, repair_outputs, repair_rows, sweep_agents, sweep_results
from orthofunctions.usecases.roster import all_agents
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.site import Site
from orthofunctions.usecases.sweep import sweep
from orthofunctions.usecases.tour import SHARES, TARGET_S, Share, next_share


@pytest.fixture
def world() -> World:
    return World()


def released(world: World, tiles: str = "A") -> Delivery:
    world.job("one", tiles)
    world.status("node-1", slots=2)
    world.round()
    delivery = world.take()
    assert delivery is not None
    return delivery


def only_task(world: World) -> tuple[TaskState, int, int, str | None]:
    (task,) = world.tasks()
    return task.state, task.failures, task.silences, task.fault_message


class TestRecall:
    def test_a_running_release_is_left_alone(self, world: World) -> None:
        released(world).report("started")
        world.deliver_results()
        for _ in range(20):
            world.clock.advance(30)
            world.status("node-1", slots=2)
            assert sweep(world.ports, world.rules) == 0

    def test_start_overdue_is_not_an_attempt(self, world: World) -> None:
        released(world)  # its worker says nothing
        world.clock.advance(301)
        world.sweep()
        state, failures, silences, why = only_task(world)
        assert (state, failures, silences) == (TaskState.PENDING, 0, 0)
        assert why == "no worker of pool hpc took it within 300 s"
        assert world.tickets() == []
        assert world.active() == []

    def test_a_cloud_worker_that_does_not_come_is_not_waited_for(self, world: World) -> None:
        """Start-ups of 10 s: after 60 s the release is taken back, and the next one waits longer."""
        world.job("one", "A", patience_s=0.0)
        world.round()
        world.clock.advance(60)
        assert sweep(world.ports, world.rules) == 0
        world.clock.advance(1)
        assert sweep(world.ports, world.rules) == 1
        assert only_task(world)[3] == "no worker of pool cloud took it within 60 s"
        for _ in range(12):
            world.round()
            world.clock.advance(61)
            world.sweep()
        assert world.tasks()[0].state is TaskState.RELEASED, "60 s are what its workers need, it seems"

    def test_start_ups_are_learned_where_a_worker_had_to_come(self, world: World) -> None:
        for number in range(RUNS_TO_BELIEVE):
            world.job(f"job-{number}", "A", Options(resampling="nearest", bands=(f"b{number}",)), patience_s=0.0)
            world.round()
            delivery = world.take("cloud")
            assert delivery is not None
            world.clock.advance(30)
            delivery.report("started")
            world.deliver_results()
            delivery.succeed()
            world.deliver_results()
        cloud = next(
            state
            for state in Site.read(world.ports).states(1, world.clock.now(), world.rules)
            if state.spec.kind == "cloud"
        )
        assert 30 <= cloud.spec.startup_s < 60
        assert "start-up" not in cloud.run_times

    def test_run_overdue_is(self, world: World) -> None:
        released(world).report("started")
        world.deliver_results()
        world.clock.advance(661)
        world.sweep()
        state, failures, silences, why = only_task(world)
        assert (state, failures, silences) == (TaskState.PENDING, 0, 1)
        assert why == "node-1 was not heard from within 660 s of starting it"
        body = next(b for t, b in world.ports.bell.published if t == names.topic_control("node-1"))  # type: ignore[attr-defined]
        assert Control.model_validate_json(body).action == "cancel"

    def test_a_pool_that_said_goodbye(self, world: World) -> None:
        released(world)
        world.status("node-1", state="offline")
        world.clock.advance(31)
        world.sweep()
        assert only_task(world)[3] == "every worker of pool hpc has gone"

    def test_silence_of_all_is_not_goodbye(self, world: World) -> None:
        released(world).report("started")
        world.deliver_results()
        world.clock.advance(500)
        assert sweep(world.ports, world.rules) == 0

    def test_nothing_while_a_report_is_unread(self, world: World) -> None:
        delivery = released(world)
        delivery.report("started")
        world.deliver_results()
        delivery.succeed()  # unread
        world.clock.advance(5000)
        world.sweep()
        assert world.tasks()[0].state is TaskState.RUNNING
        world.deliver_results()
        assert world.tasks()[0].state is TaskState.SUCCEEDED

    def test_reports_that_are_read_in_time_hold_up_nothing(self, world: World) -> None:
        """On a busy site one waits whenever one looks."""
        released(world)
        world.clock.advance(350)  # nobody has taken it
        world.ports.queues.send(names.QUEUE_RESULTS, "another's")
        world.clock.advance(world.rules.report_grace_s + 1)
        world.sweep()
        assert world.tasks()[0].state is TaskState.RELEASED  # nobody reads them
        world.ports.queues.drain(names.QUEUE_RESULTS, 1)
        world.ports.queues.send(names.QUEUE_RESULTS, "a younger one")
        world.clock.advance(1)
        world.sweep()
        assert only_task(world)[3] == "no worker of pool hpc took it within 300 s"

    def test_a_message_that_is_gone_proves_nothing_while_a_report_waits(self, world: World) -> None:
        delivery = released(world)
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(130)
        delivery.succeed()
        world.sweep()
        assert world.tasks()[0].state is TaskState.RUNNING
        world.deliver_results()
        assert only_task(world)[:3] == (TaskState.SUCCEEDED, 0, 0)

    def test_the_catalogue_is_asked_first(self, world: World) -> None:
        delivery = released(world)
        delivery.report("started")
        world.deliver_results()
        other = World()
        twin = released(other)
        twin.succeed()
        other.deliver_results()
        digest = delivery.ticket.wanted[0]
        entry = other.blobs.read(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest))
        world.blobs.write(names.CONTAINER_CATALOGUE, names.catalogue_blob(digest), entry)
        world.clock.advance(5000)
        world.sweep()
        assert world.tasks()[0].state is TaskState.SUCCEEDED
        assert world.outputs()[0].state is OutputState.COMMITTED

    def test_a_pool_that_was_taken_out_of_the_settings(self, world: World) -> None:
        released(world)
        text = json.loads(world.blobs.read(names.CONTAINER_SETTINGS, names.BLOB_POOLS))
        text["pools"] = [pool for pool in text["pools"] if pool["name"] != "hpc"]
        world.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_POOLS, json.dumps(text).encode())
        world.sweep()
        assert only_task(world)[3] == "pool hpc is no longer configured"

    def test_a_waiting_message_of_a_dead_worker_rings_another(self, world: World) -> None:
        released(world).report("started")
        world.deliver_results()
        world.clock.advance(30)
        world.status("node-1", state="offline")
        world.status("node-2")
        world.ports.bell.published.clear()  # type: ignore[attr-defined]
        world.sweep()
        assert names.topic_doorbell("node-2") in [topic for topic, _ in world.ports.bell.published]  # type: ignore[attr-defined]
        assert world.tasks()[0].state is TaskState.RUNNING

    def test_tickets_of_other_releases_are_deleted(self, world: World) -> None:
        delivery = released(world)
        current = names.ticket_blob(delivery.ticket.spec.task_id, 1)
        for name in (names.ticket_blob(delivery.ticket.spec.task_id, 2), names.ticket_blob("j0-0001", 1), "junk.json"):
            world.blobs.write(names.ticket_container("hpc"), name, b"{}")
        world.sweep()
        assert world.tickets() == [current]

    def test_what_a_round_is_still_writing_is_left_alone(self, world: World) -> None:
        delivery = released(world)
        world.blobs.delete(names.ticket_container("hpc"), names.ticket_blob(delivery.ticket.spec.task_id, 1))
        delivery.delete_message()
        world.clock.advance(119)
        assert sweep(world.ports, world.rules) == 0
        world.clock.advance(2)
        assert sweep(world.ports, world.rules) == 1
        assert only_task(world)[3] == "its ticket was never written, or is lost"


ALL = Share(0, SHARES)


class TestRepair:
    def test_a_large_site_is_gone_through_share_by_share_and_none_is_left_out(self, world: World) -> None:
        """Tables that take a minute to read: each look takes what fits into seconds, and goes on from there."""
        jobs = [f"j{number:02x}" for number in range(SHARES)]
        seen: list[str] = []
        shares: list[Share] = []
        while len(seen) < len(jobs):
            with next_share(world.ports) as share:
                start, below = share.jobs
                shares.append(share)
                mine = [job for job in jobs if (start or "") <= job and (below is None or job < below)]
                seen += mine if len(shares) > 1 else []
                world.clock.advance(60 * len(mine) / SHARES)
        assert shares[0].is_all
        assert seen == jobs
        assert max(60 * share.width / SHARES for share in shares[1:]) < 2 * TARGET_S
        for _ in range(12):
            with next_share(world.ports) as share:
                pass  # it has become quick
        assert share.is_all

    def test_what_fails_is_looked_at_again(self, world: World) -> None:
        with next_share(world.ports):
            world.clock.advance(60)
        with pytest.raises(ValueError, match="broken"), next_share(world.ports) as share:
            raise ValueError("broken")
        with next_share(world.ports) as again:
            assert again == share

    def test_lost_rows_of_one_share(self, world: World) -> None:
        world.job("waiting", "A")
        for row in list(world.ports.tables.query(names.TABLE_PENDING)):
            world.ports.tables.delete(names.TABLE_PENDING, row.partition, row.key)
        number = int(world.jobs()[0].job_id[1:3], 16)
        assert repair_rows(world.ports, world.rules, Share((number + 1) % SHARES, 1)) == 0
        assert repair_rows(world.ports, world.rules, Share(number, 1)) == 1

    def test_lost_index_rows_and_lost_active_rows(self, world: World) -> None:
        world.job("waiting", "A")
        for row in list(world.ports.tables.query(names.TABLE_PENDING)):
            world.ports.tables.delete(names.TABLE_PENDING, row.partition, row.key)
        assert repair(world.ports, world.rules) == 1
        assert repair(world.ports, world.rules) == 0
        world.status("node-1", slots=2)
        world.round()
        (active,) = world.active()
        world.ports.tables.delete(names.TABLE_ACTIVE, active.job_id, active.release_key)
        assert repair(world.ports, world.rules) == 0, "a round may be about to write it"
        world.clock.advance(121)
        assert repair(world.ports, world.rules) == 1
        assert world.active()[0].released_at == active.released_at

    def test_what_is_in_order_is_not_asked_for_one_by_one(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """With twenty thousand tasks that would keep storage busy for longer than the pause between two repairs."""
        for number in range(20):
            world.job(f"job-{number}", "ABCDEFGHIJKLMNOPQRST"[number])
        world.status("node-1", slots=8)
        world.round()
        world.clock.advance(121)
        asked: list[str] = []
        monkeypatch.setattr(world.ports.tables, "get", lambda table, *_: asked.append(table))
        monkeypatch.setattr(world.ports.blobs, "facts", lambda container, _: asked.append(container))
        assert repair(world.ports, world.rules) == 0
        assert set(asked) <= {names.CONTAINER_SETTINGS}
        sweep(world.ports, world.rules)
        assert not {names.TABLE_TASKS, names.ticket_container("hpc")} & set(asked)

    def test_outputs_left_waiting(self, world: World) -> None:
        task_id = world.job("one", "AB")
        a = min(world.outputs(), key=lambda output: output.title)
        plan = read_plan(world.ports, a.job_id)
        assert plan is not None
        entry = CatalogueEntry(
            digest=a.digest,
            identity=next(one.identity for one in plan.outputs if one.digest == a.digest),
            files={"image": FileFacts(blob="results/a.tif", size_bytes=1, md5="0" * 32)},
            task_id=task_id,
            release=1,
            delivery=1,
            pool="hpc",
            agent="node-1",
            committed_at=world.clock.now().isoformat(),
        )
        there = names.CONTAINER_CATALOGUE, names.catalogue_blob(a.digest)
        world.ports.blobs.write(*there, entry.to_json().encode())
        task = world.task(task_id)
        world.ports.tables.replace(names.TABLE_TASKS, task.changed(state=TaskState.FAILED).to_row())
        assert repair_outputs(world.ports, ALL) == 2
        states = {output.title: output.state for output in world.outputs()}
        assert states == {"A": OutputState.COMMITTED, "B": OutputState.FAILED}
        assert repair_outputs(world.ports, ALL) == 0
        assert {one.state for one in find(world.ports.tables, DigestRecord) if one.row == "state"} == {
            "committed",
            "failed",
        }

    def test_files_nothing_names_go_a_day_later(self, world: World) -> None:
        first = released(world)
        first.report("started")
        first.upload(first.ticket.wanted[0])
        world.clock.advance(61)
        world.status("node-1", slots=2)
        second = world.take()
        assert second is not None
        second.succeed()
        world.deliver_results()
        assert len(list(world.blobs.list(names.CONTAINER_RESULTS))) == 2 * len(file_kinds(Options()))
        world.clock.advance(86_400 + 500)
        assert sweep_results(world.ports, world.rules) == 0, "not before the day and the time limit are over"
        world.clock.advance(200)
        assert sweep_results(world.ports, world.rules) == len(file_kinds(Options()))
        kept = {f"results/{blob.name}" for blob in world.blobs.list(names.CONTAINER_RESULTS)}
        assert kept == {facts.blob for facts in world.catalogue()[0].files.values()}

    def test_files_of_a_release_under_way_stay(self, world: World) -> None:
        delivery = released(world)
        delivery.report("started")
        delivery.upload(delivery.ticket.wanted[0])
        world.clock.advance(10 * 86_400)
        assert sweep_results(world.ports, world.rules) == 0

    def test_workers_nobody_heard_of_for_a_day_are_forgotten(self, world: World) -> None:
        world.status("node-1")
        world.clock.advance(80_000)
        world.status("node-2")
        world.clock.advance(10_000)
        sweep_agents(world.ports)
        assert [agent.agent for agent in all_agents(world.ports)] == ["node-2"]

    def test_rows_of_workers_in_the_words_of_another_version_stop_nobody(self, world: World) -> None:
        world.status("node-1")
        (row,) = world.ports.tables.query(names.TABLE_AGENTS)
        newer = json.loads(str(row.values["agents_00"]))
        newer[0]["mood"] = "of a version to come"
        world.ports.tables.put(names.TABLE_AGENTS, replace(row, values={"agents_00": json.dumps(newer)}))
        world.ports.tables.put(names.TABLE_AGENTS, Row("hpc", "node-7", {"session": "s1", "slots": 4}))
        world.ports.tables.put(names.TABLE_AGENTS, Row("hpc", "998", {"agents_00": '[{"mood": "cut off'}))
        world.round()
        assert [agent.agent for agent in all_agents(world.ports)] == ["node-1"]
        world.clock.advance(90_000)
        world.sweep()
        sweep_agents(world.ports)
        assert list(world.ports.tables.query(names.TABLE_AGENTS)) == []


class TestCancel:
    def test_a_running_task_is_stopped(self, world: World) -> None:
        delivery = released(world, "AB")
        delivery.report("started")
        world.deliver_results()
        job_id = delivery.ticket.spec.job_id
        job = cancel_job(world.ports, "local", job_id)
        assert job is not None
        assert job.cancelled
        assert only_task(world)[0] is TaskState.CANCELLED
        assert world.tickets() == []
        assert world.active() == []
        body = next(b for t, b in world.ports.bell.published if t == names.topic_control("node-1"))  # type: ignore[attr-defined]
        assert Control.model_validate_json(body) == Control(
            action="cancel", task_id=delivery.ticket.spec.task_id, release=1
        )
        delivery.succeed()  # too late to stop: what is made is kept for whoever asks next
        world.deliver_results()
        assert len(world.catalogue()) == 2
        assert {output.state for output in world.outputs()} == {OutputState.CANCELLED}

    def test_a_job_of_another_user(self, world: World) -> None:
        delivery = released(world)
        assert cancel_job(world.ports, "someone-else", delivery.ticket.spec.job_id) is None
        assert only_task(world)[0] is TaskState.RELEASED

    def test_what_is_committed_stays(self, world: World) -> None:
        task_id = world.job("one", "A")
        run_to_the_end(world, lambda delivery: delivery.succeed())
        cancel_job(world.ports, "local", world.task(task_id).job_id)
        assert world.outputs()[0].state is OutputState.COMMITTED
        assert only_task(world)[0] is TaskState.SUCCEEDED

    def test_a_cancelled_output_stays_so_though_its_subscription_was_left_behind(self, world: World) -> None:
        delivery = released(world)
        (output,) = world.outputs()
        world.ports.tables.replace(names.TABLE_OUTPUTS, output.changed(state=OutputState.CANCELLED).to_row())
        delivery.succeed()
        world.deliver_results()
        assert world.outputs()[0].state is OutputState.CANCELLED
        assert len(world.catalogue()) == 1

    def test_a_cancelled_output_can_be_asked_for_again(self, world: World) -> None:
        task_id = world.job("one", "A")
        cancel_job(world.ports, "local", world.task(task_id).job_id)
        again = world.job("two", "A")
        run_to_the_end(world, lambda delivery: delivery.succeed())
        assert world.task(again).state is TaskState.SUCCEEDED
        assert world.task(task_id).state is TaskState.CANCELLED


def status(world: World, **fields: object) -> AgentStatus:
    values = {"agent": "node-1", "pool": "hpc", "session": "s1", "sequence": 5, "state": "online", "slots": 2}
    return AgentStatus.model_validate(
        {"at": world.clock.now(), "result_version": KERNEL_RESULT_VERSION, **values, **fields}
    )


def known(world: World) -> AgentRecord | None:
    return next(all_agents(world.ports), None)


def of_pool(world: World, pool: str) -> list[AgentRecord]:
    return [agent for agent in all_agents(world.ports) if agent.pool == pool]


class TestCapacity:
    def test_plain_and_in_every_envelope(self, world: World) -> None:
        text = status(world).to_json()
        encoded = base64.b64encode(text.encode()).decode()
        forms = [
            text,
            json.dumps({"specversion": "1.0", "type": "MQTT.EventPublished", "data_base64": encoded}),
            json.dumps({"specversion": "1.0", "data": json.loads(text)}),
            json.dumps({"specversion": "1.0", "data": text}),
            json.dumps({"eventType": "x", "data": json.loads(text)}),
        ]
        for form in forms:
            world = World()
            note_status(world.ports, form)
            record = known(world)
            assert record is not None
            assert (record.agent, record.slots, record.sequence) == ("node-1", 2, 5)

    @pytest.mark.parametrize(
        ("told", "counts"),
        [
            ({"subject": "orthoburst/v1/agents/node-1/status"}, True),
            ({"subject": "orthoburst/v1/agents/node-1/status", "agent": "node-1"}, True),
            ({"subject": "orthoburst/v1/agents/node-2/status"}, False),
            ({"subject": "orthoburst/v1/agents/node-1/control"}, False),
            ({"subject": "orthoburst/v1/agents/node-1/status", "agent": "node-2"}, False),
        ],
    )
    def test_nobody_speaks_of_another(self, world: World, told: dict[str, str], counts: bool) -> None:
        encoded = base64.b64encode(status(world).to_json().encode()).decode()
        note_status(world.ports, json.dumps({"specversion": "1.0", "data_base64": encoded, **told}))
        assert (known(world) is not None) == counts

    @pytest.mark.parametrize("body", ["", " ", '{"specversion":"1.0","data_base64":""}', '{"specversion":"1.0"}'])
    def test_a_status_being_cleared_is_nothing(self, world: World, body: str) -> None:
        note_status(world.ports, body)
        assert known(world) is None
        assert list(world.blobs.list(names.CONTAINER_CONTROL)) == []

    @pytest.mark.parametrize("body", ["x", "[]", "{}", '{"data_base64":"?"}', '{"data_base64":7}', "[" * 50_000])
    def test_what_is_no_status_is_kept(self, world: World, body: str) -> None:
        note_status(world.ports, body)
        assert len(list(world.blobs.list(names.CONTAINER_CONTROL, "poison/capacity/"))) == 1

    def test_older_statuses_change_nothing(self, world: World) -> None:
        note_status(world.ports, status(world).to_json())
        for older in (status(world, sequence=4, slots=9), status(world, sequence=5, slots=9)):
            note_status(world.ports, older.to_json())
        before = world.clock.now() - timedelta(seconds=10)
        note_status(world.ports, status(world, session="s0", sequence=99, slots=9, at=before).to_json())
        record = known(world)
        assert record is not None
        assert record.slots == 2

    def test_a_new_session_counts_whatever_its_number(self, world: World) -> None:
        note_status(world.ports, status(world).to_json())
        world.clock.advance(1)
        note_status(world.ports, status(world, session="s2", sequence=0, slots=3).to_json())
        record = known(world)
        assert record is not None
        assert (record.session, record.slots) == ("s2", 3)

    def test_a_last_will_stands_above_the_statuses_of_its_connection_and_below_the_next_one(self, world: World) -> None:
        said = [
            (status(world, sequence=1003), "online"),
            (status(world, sequence=1999, state="offline", slots=0), "offline"),
            (status(world, sequence=1004), "offline"),
            (status(world, sequence=2000), "online"),
            (status(world, sequence=1999, state="offline", slots=0), "online"),
        ]
        for one, state in said:
            note_status(world.ports, one.to_json())
            record = known(world)
            assert record is not None
            assert record.state == state

    def test_a_will_of_an_earlier_session_buries_nobody(self, world: World) -> None:
        began = world.clock.now()
        world.clock.advance(60)
        note_status(world.ports, status(world, session="s2").to_json())
        note_status(world.ports, status(world, session="s1", sequence=0, state="offline", at=began).to_json())
        record = known(world)
        assert record is not None
        assert record.state == "online"

    def test_several_in_one_message_are_as_if_they_had_come_one_by_one(self, world: World) -> None:
        def several(*statuses: AgentStatus) -> str:
            return Statuses(statuses=statuses).to_json()

        first = [status(world, agent=f"node-{n:03d}", slots=n) for n in range(1, 150)]
        note_status(world.ports, several(*first, status(world, agent="far", pool="cloud")))
        assert {one.agent: one.slots for one in of_pool(world, "hpc")} == {one.agent: one.slots for one in first}
        assert [one.agent for one in of_pool(world, "cloud")] == ["far"]
        assert world.queues.length(names.QUEUE_DISPATCH) == 1
        older, newer, gone = (
            status(world, agent="node-001", sequence=4, slots=99),
            status(world, agent="node-002", sequence=6, slots=99),
            status(world, agent="node-003", sequence=6, slots=0, state="offline"),
        )
        note_status(world.ports, several(gone, newer, older))
        slots = {one.agent: one.slots for one in of_pool(world, "hpc")}
        assert (slots["node-001"], slots["node-002"], slots["node-003"]) == (1, 99, 0)
        encoded = base64.b64encode(several(newer, gone).encode()).decode()
        note_status(world.ports, json.dumps({"specversion": "1.0", "data_base64": encoded}))

    def test_where_a_row_changes_meanwhile_the_others_are_not_lost(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        both = [status(world, agent=name) for name in ("node-1", "node-2")]
        read = capacity.pages

        def beside_another(ports: Ports, pool: str, keys: Collection[str]) -> object:
            found = read(ports, pool, keys)
            monkeypatch.setattr(capacity, "pages", read)
            note_status(ports, status(world, agent="node-1", sequence=9, slots=7).to_json())
            return found

        monkeypatch.setattr(capacity, "pages", beside_another)
        note_status(world.ports, Statuses(statuses=tuple(both)).to_json())
        assert {one.agent: one.slots for one in all_agents(world.ports)} == {"node-1": 7, "node-2": 2}

    def test_it_wakes_the_dispatcher_only_when_that_matters(self, world: World) -> None:
        def wakes_after(**fields: object) -> int:
            world.queues.drain(names.QUEUE_DISPATCH, 99)
            note_status(world.ports, status(world, **fields).to_json())
            return world.queues.length(names.QUEUE_DISPATCH)

        running = [{"task_id": "t", "release": 1}]
        assert wakes_after() == 1
        assert wakes_after(sequence=6) == 0
        assert wakes_after(sequence=7, running=running) == 0
        assert wakes_after(sequence=8) == 1
        assert wakes_after(sequence=9, state="draining") == 1
        assert wakes_after(sequence=10, state="offline") == 1


class TestPoison:
    def poison(self, world: World, queue: str, body: str) -> None:
        world.ports.queues.send(names.poison_queue(queue), body)

    def use_up_the_chances(self, world: World, queue: str, body: str) -> None:
        """Poison it until it is not put back any longer: what fails while storage does must not be lost."""
        for _ in range(CHANCES):
            self.poison(world, queue, body)
            assert reconcile_poison(world.ports, world.rules) == 1
            assert world.queues.drain(queue, 32) == [body]

    def test_a_request_fails_its_job(self, world: World) -> None:
        request = Request(request_id="r1", products=("products/image.tif",))
        for body in (RequestEnvelope(request=request).to_json(), "garbage"):
            self.use_up_the_chances(world, names.QUEUE_REQUESTS, body)
        assert world.jobs() == []
        for body in (RequestEnvelope(request=request).to_json(), "garbage"):
            self.poison(world, names.QUEUE_REQUESTS, body)
        assert reconcile_poison(world.ports, world.rules) == 2
        (job,) = world.jobs()
        assert job.fault_kind == "Poisoned"
        kept = [blob.name for blob in world.blobs.list(names.CONTAINER_CONTROL, "poison/requests/")]
        assert len(kept) == 2
        assert all(name.endswith(".json") for name in kept), "operators are shown what is there"
        assert reconcile_poison(world.ports, world.rules) == 0

    def test_a_report_counts_as_a_failure(self, world: World) -> None:
        delivery = released(world)
        delivery.report("finished")
        (body,) = world.queues.drain(names.QUEUE_RESULTS, 1)
        self.use_up_the_chances(world, names.QUEUE_RESULTS, body)
        self.poison(world, names.QUEUE_RESULTS, body)
        self.poison(world, names.QUEUE_RESULTS, body)
        reconcile_poison(world.ports, world.rules)
        assert only_task(world) == (TaskState.PENDING, 1, 0, "the report of node-1 could not be processed")

    def test_a_release_too_and_the_rest_is_kept(self, world: World) -> None:
        released(world)
        (body,) = world.queues.bodies(names.pool_queue("hpc", KERNEL_RESULT_VERSION))
        self.poison(world, names.pool_queue("hpc", KERNEL_RESULT_VERSION), body)
        self.poison(world, names.QUEUE_DISPATCH, "{}")
        self.poison(world, names.QUEUE_CAPACITY, "{}")
        assert reconcile_poison(world.ports, world.rules) == 3
        assert only_task(world)[:2] == (TaskState.PENDING, 1)
        assert len(list(world.blobs.list(names.CONTAINER_CONTROL, "poison/"))) == 3
