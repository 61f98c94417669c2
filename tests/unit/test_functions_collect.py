"""Reports: late, twice, stale, out of order, malformed, or lying about their files."""

from __future__ import annotations

import json

import pytest

from fakes.memory_ports import memory_ports
from fakes.world import COG, PLAIN, Delivery, World
from orthocontracts import names
from orthocontracts.messages import Control, Fault, JobEvent, Report, Verdict
from orthocontracts.outputs import FILE_SUFFIX, FileFacts, FileKind, file_kinds
from orthocontracts.requests import Options
from orthocontracts.states import OutputState, TaskState
from orthofunctions.domain.cog import cog_defect
from orthofunctions.domain.history import Ending, History
from orthofunctions.usecases.poison import reconcile_poison
from orthofunctions.usecases.seals import seal

NRB = Options(radiometry="gamma0_rtc")


@pytest.fixture
def world() -> World:
    return World()


def released(world: World, tiles: str = "A", options: Options = PLAIN) -> Delivery:
    """A delivery of the first release of a fresh job's task."""
    world.job("one", tiles, options)
    world.status("node-1", slots=2)
    world.round()
    delivery = world.take()
    assert delivery is not None
    return delivery


def take_again(world: World, after_s: float = 61) -> Delivery:
    world.clock.advance(after_s)
    world.status("node-1", slots=2)
    world.round()
    delivery = world.take()
    assert delivery is not None
    return delivery


class TestTicket:
    def test_it_holds_what_a_worker_needs_and_no_more(self, world: World) -> None:
        ticket = released(world, "AB").ticket
        assert [one.path for one in ticket.inputs] == ["products/image.tif", "products/image_RPC.TXT"]
        assert all(one.md5 for one in ticket.inputs)
        assert len(ticket.deliveries) == 8
        blobs = [file.blob for one in ticket.deliveries for files in one.files.values() for file in files.values()]
        assert len(set(blobs)) == 8 * 2 * len(file_kinds(Options()))
        assert all(blob.startswith(f"results/{ticket.spec.task_id}-1/") for blob in blobs)
        start_by = world.clock.now().timestamp() + 300
        assert ticket.expires_at.timestamp() >= start_by + ticket.time_limit_s

    @pytest.mark.parametrize("options", [PLAIN, NRB, Options(extras=("scattering_area", "local_incidence"))])
    def test_it_has_a_link_for_just_the_files_that_the_options_ask_for(self, world: World, options: Options) -> None:
        ticket = released(world, "AB", options).ticket
        assert ticket.spec.options == options
        for delivery in ticket.deliveries:
            for digest in ticket.wanted:
                assert tuple(delivery.files[digest]) == file_kinds(options)
        for kind, file in ticket.deliveries[0].files[ticket.wanted[0]].items():
            assert file.blob.endswith(f"/1/{ticket.wanted[0]}{FILE_SUFFIX[kind]}")
            assert file.blob.removeprefix("results/") in file.url

    def test_only_what_is_still_open_is_wanted_again(self, world: World) -> None:
        first = released(world, "AB")
        first.report("started")
        done, missing = first.ticket.wanted
        first.report("finished", (first.upload(done),))
        first.delete_message()
        world.deliver_results()
        assert take_again(world).ticket.wanted == (missing,)

    def test_an_input_that_is_gone_ends_the_task(self, world: World) -> None:
        world.job("one", "A")
        world.blobs.delete("products", "image.tif")
        world.status("node-1")
        world.round()
        (task,) = world.tasks()
        assert (task.state, task.fault_kind) == (TaskState.FAILED, "InputMissingError")
        assert "products/image.tif" in str(task.fault_message)
        assert world.take() is None
        assert [output.state for output in world.outputs()] == [OutputState.FAILED]

    def test_a_jobs_only_task_is_released_the_first_time_without_its_plan(self, world: World) -> None:
        task_id = world.job("one", "A")
        plan = names.plan_blob(world.task(task_id).job_id)
        kept = world.blobs.read(names.CONTAINER_PLANS, plan)
        world.blobs.delete(names.CONTAINER_PLANS, plan)
        world.status("node-1")
        world.round()
        delivery = world.take()
        assert delivery is not None
        world.blobs.write(names.CONTAINER_PLANS, plan, kept)
        delivery.give_back()
        world.deliver_results()
        again = take_again(world)
        assert again.ticket.release == 2, "and by its plan from then on"
        again.succeed()
        world.deliver_results()
        assert world.task(task_id).state is TaskState.SUCCEEDED

    def test_a_specification_of_another_age_is_read_from_the_plan(self, world: World) -> None:
        task_id = world.job("one", "A", spec='{"from": "another age"}')
        world.status("node-1")
        world.round()
        assert world.task(task_id).state is TaskState.RELEASED

    def test_a_plan_that_is_gone_ends_the_task(self, world: World) -> None:
        task_id = world.job("one", "A", spec=None)
        world.blobs.delete(names.CONTAINER_PLANS, names.plan_blob(world.task(task_id).job_id))
        world.status("node-1")
        world.round()
        assert world.task(task_id).fault_kind == "PlanLostError"
        assert [output.state for output in world.outputs()] == [OutputState.FAILED]


class TestWhoseReportCounts:
    def test_started_says_who_and_which_delivery(self, world: World) -> None:
        delivery = released(world)
        delivery.report("started")
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.agent, task.delivery) == (TaskState.RUNNING, "node-1", 1)
        assert world.active()[0].end_by is not None

    def test_failure_of_a_delivery_that_lost_its_message_does_not_count(self, world: World) -> None:
        first = released(world)
        first.report("started")
        second = take_again(world)
        assert second.number == 2
        second.report("started")
        world.deliver_results()
        fault = Fault(kind="Late", message="too late to say")
        first.report("finished", (Verdict(digest=first.ticket.wanted[0], fault=fault),))
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.delivery, task.failures, task.silences) == (TaskState.RUNNING, 2, 0, 1)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_delivery_that_lost_its_message_while_storage_was_silent_is_no_attempt(
        self, world: World, when: str
    ) -> None:
        first = released(world)
        first.report("started")
        world.deliver_results()
        if when == "before":
            first.report("lost")
            first.report("lost")
        second = take_again(world)
        second.report("started")
        if when == "after":
            first.report("lost")
            first.report("lost")
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.delivery, task.failures, task.silences) == (TaskState.RUNNING, 2, 0, 0)
        third = take_again(world)
        third.report("started")
        world.deliver_results()
        assert world.tasks()[0].silences == 1, "the second said nothing"

    def test_so_it_is_where_its_word_comes_after_the_end(self, world: World) -> None:
        first = released(world)
        first.report("started")
        world.deliver_results()
        second = take_again(world)
        second.report("started")
        second.succeed()
        world.deliver_results()
        assert [(task.state, task.silences) for task in world.tasks()] == [(TaskState.SUCCEEDED, 1)]
        first.report("lost")
        first.report("lost")
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.silences) == (TaskState.SUCCEEDED, 0)
        (release,) = History.of(task.history).releases
        assert [one.how for one in release.deliveries] == [Ending.LOST, Ending.DELIVERED]

    @pytest.mark.parametrize("kind", ["InputUnreachable", "DeliveryFailed"])
    def test_storage_that_does_not_answer_is_no_attempt(self, world: World, kind: str) -> None:
        delivery = released(world)
        delivery.report("started")
        fault = Fault(kind=kind, message="no answer for minutes")
        delivery.report("finished", (Verdict(digest=delivery.ticket.wanted[0], fault=fault),))
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.failures, task.silences) == (TaskState.PENDING, 0, 0)
        assert task.not_before is not None

    def test_success_of_a_delivery_that_lost_its_message_counts(self, world: World) -> None:
        first = released(world)
        first.report("started")
        second = take_again(world)
        second.agent = "node-2"
        second.report("started")
        world.deliver_results()
        first.report("finished", (first.upload(first.ticket.wanted[0]),))
        world.deliver_results()
        (task,) = world.tasks()
        assert task.state is TaskState.SUCCEEDED
        assert world.catalogue()[0].delivery == 1
        assert world.tickets() == []
        controls = [(t, b) for t, b in world.ports.bell.published if t == names.topic_control("node-2")]  # type: ignore[attr-defined]
        assert Control.model_validate_json(controls[-1][1]).action == "cancel"

    def test_the_second_success_adopts_the_first(self, world: World) -> None:
        first = released(world)
        first.report("started")
        second = take_again(world)
        second.succeed()
        world.deliver_results()
        entry = world.catalogue()[0]
        first.report("finished", (first.upload(first.ticket.wanted[0]),))
        world.deliver_results()
        assert world.catalogue() == [entry]
        assert entry.delivery == 2

    def test_success_of_a_recalled_release_counts(self, world: World) -> None:
        first = released(world)
        first.report("started")
        world.deliver_results()
        world.clock.advance(world.rules.time_limit_s + world.rules.run_grace_s + 1)
        world.status("node-1", slots=2)
        world.sweep()
        assert [task.state for task in world.tasks()] == [TaskState.PENDING]
        first.report("finished", (first.upload(first.ticket.wanted[0]),))
        world.deliver_results()
        assert [task.state for task in world.tasks()] == [TaskState.SUCCEEDED]
        assert take_nothing(world)

    def test_finished_before_started_is_no_surprise(self, world: World) -> None:
        delivery = released(world)
        delivery.fail()
        delivery.report("started")
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.failures) == (TaskState.PENDING, 1)

    def test_handed_back_is_not_counted_and_not_put_off(self, world: World) -> None:
        delivery = released(world)
        delivery.report("started")
        delivery.give_back()
        delivery.report("returned")
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.failures, task.silences, task.not_before) == (TaskState.PENDING, 0, 0, None)
        assert take_again(world, 0).ticket.release == 2

    def test_refused_before_it_began_is_put_off_but_not_counted(self, world: World) -> None:
        released(world).give_back()
        world.deliver_results()
        (task,) = world.tasks()
        assert (task.state, task.failures, task.silences) == (TaskState.PENDING, 0, 0)
        assert task.not_before is not None
        assert take_nothing(world)
        assert take_again(world, 6).ticket.release == 2

    def test_a_failure_backs_off_longer_each_time(self, world: World) -> None:
        waits = []
        for attempt in range(2):
            delivery = released(world) if attempt == 0 else take_again(world)
            delivery.fail()
            world.deliver_results()
            (task,) = world.tasks()
            assert task.not_before is not None
            waits.append((task.not_before - world.clock.now()).total_seconds())
            world.round()
            assert world.task(task.task_id).state is TaskState.PENDING
        assert waits == [5, 10]

    def test_permanent_failure_of_one_output_keeps_the_other(self, world: World) -> None:
        delivery = released(world, "AB")
        good, bad = delivery.ticket.wanted
        fault = Fault(kind="OutsideGrid", message="the grid is off the product", permanent=True)
        delivery.report("finished", (delivery.upload(good), Verdict(digest=bad, fault=fault)))
        world.deliver_results()
        states = {output.digest: (output.state, output.fault_kind) for output in world.outputs()}
        assert states == {good: (OutputState.COMMITTED, None), bad: (OutputState.FAILED, "OutsideGrid")}
        (task,) = world.tasks()
        assert (task.state, task.fault_message) == (TaskState.FAILED, "the grid is off the product")

    def test_watchers_hear_of_it(self, world: World) -> None:
        delivery = released(world)
        delivery.report("started")
        delivery.succeed()
        world.deliver_results()
        topic = names.topic_job_events(delivery.ticket.spec.job_id)
        events = [JobEvent.model_validate_json(b) for t, b in world.ports.bell.published if t == topic]  # type: ignore[attr-defined]
        assert [event.state for event in events] == ["released", "running", "successful", "succeeded"]


def take_nothing(world: World) -> bool:
    world.round()
    return world.take() is None


class TestWhatIsRefused:
    @pytest.mark.parametrize("body", ["", "not json", "[]", '{"kind":"finished"}', "\ud800" * 3, "[" * 50_000])
    def test_malformed_reports_are_kept_for_operators(self, world: World, body: str) -> None:
        world.ports.queues.send(names.QUEUE_RESULTS, body)
        world.deliver_results()
        assert len(list(world.blobs.list(names.CONTAINER_CONTROL, "poison/results/"))) == 1

    def test_a_report_on_no_task_is_kept(self, world: World) -> None:
        report = Report(
            kind="finished",
            task_id="j0-0001",
            release=1,
            delivery=1,
            agent="a",
            pool="hpc",
            token=seal(world.ports, "j0-0001", 1, "hpc"),
            at=world.clock.now(),
        )
        world.ports.queues.send(names.QUEUE_RESULTS, report.to_json())
        world.deliver_results()
        (kept,) = world.blobs.list(names.CONTAINER_CONTROL, "poison/results/")
        assert json.loads(world.blobs.read(kept.container, kept.name))["why"] == "there is no such task"

    def test_an_output_of_another_task_is_ignored(self, world: World) -> None:
        delivery = released(world)
        stranger = Verdict(digest="0" * 64, fault=Fault(kind="X", message="x", permanent=True))
        delivery.report("finished", (stranger, delivery.upload(delivery.ticket.wanted[0])))
        world.deliver_results()
        assert [task.state for task in world.tasks()] == [TaskState.SUCCEEDED]

    @pytest.mark.parametrize(
        ("lie", "says"),
        [
            ({"size_bytes": 7}, "bytes; the report says 7"),
            ({"md5": "0" * 32}, "the report says 000"),
            ({"blob": "results/elsewhere.tif"}, "is not where"),
            ({"blob": "catalogue/x.json"}, "is not where"),
        ],
    )
    def test_files_must_be_as_reported(self, world: World, lie: dict[str, object], says: str) -> None:
        delivery = released(world)
        verdict = delivery.upload(delivery.ticket.wanted[0])
        assert verdict.files is not None
        image = verdict.files["image"].model_copy(update=lie)
        delivery.report("finished", (verdict.model_copy(update={"files": {**verdict.files, "image": image}}),))
        world.deliver_results()
        self.check_refused(world, says)

    def test_files_must_be_there(self, world: World) -> None:
        delivery = released(world)
        verdict = delivery.upload(delivery.ticket.wanted[0])
        assert verdict.files is not None
        world.blobs.delete("results", verdict.files["item"].blob.removeprefix("results/"))
        delivery.report("finished", (verdict,))
        world.deliver_results()
        self.check_refused(world, "is not there")

    def test_an_item_must_be_among_them(self, world: World) -> None:
        delivery = released(world)
        verdict = delivery.upload(delivery.ticket.wanted[0])
        assert verdict.files is not None
        only_image: dict[str, FileFacts] = {"image": verdict.files["image"]}
        delivery.report("finished", (Verdict.model_validate({"digest": verdict.digest, "files": only_image}),))
        world.deliver_results()
        self.check_refused(world, "no item")

    @pytest.mark.parametrize("lacks", ["browse", "layover_shadow", "local_incidence", "acquisition"])
    def test_flattened_gamma0_is_refused_without_all_of_its_files(self, world: World, lacks: FileKind) -> None:
        delivery = released(world, options=NRB)
        verdict = delivery.upload(delivery.ticket.wanted[0])
        assert verdict.files is not None
        files = {kind: facts for kind, facts in verdict.files.items() if kind != lacks}
        delivery.report("finished", (verdict.model_copy(update={"files": files}),))
        world.deliver_results()
        self.check_refused(world, f"no {lacks}")

    def test_an_extra_is_checked_like_every_file(self, world: World) -> None:
        delivery = released(world, options=NRB)
        verdict = delivery.upload(delivery.ticket.wanted[0])
        assert verdict.files is not None
        world.blobs.delete("results", verdict.files["local_incidence"].blob.removeprefix("results/"))
        delivery.report("finished", (verdict,))
        world.deliver_results()
        self.check_refused(world, "is not there")

    def test_an_extra_nobody_asked_for_is_refused(self, world: World) -> None:
        delivery = released(world)
        verdict = delivery.upload(delivery.ticket.wanted[0])
        assert verdict.files is not None
        files: dict[FileKind, FileFacts] = {**verdict.files, "local_incidence": verdict.files["mask"]}
        delivery.report("finished", (verdict.model_copy(update={"files": files}),))
        world.deliver_results()
        self.check_refused(world, "local_incidence, which the options do not ask for")

    def test_flattened_gamma0_enters_the_catalogue_with_all_of_its_files(self, world: World) -> None:
        delivery = released(world, options=NRB)
        delivery.succeed()
        world.deliver_results()
        (entry,) = world.catalogue()
        assert tuple(entry.files) == file_kinds(NRB)
        assert [task.state for task in world.tasks()] == [TaskState.SUCCEEDED]

    @pytest.mark.parametrize("image", [b"not a tiff", b"II*\x00\x08\x00\x00\x00 a plain tiff"])
    def test_images_must_be_cogs(self, world: World, image: bytes) -> None:
        delivery = released(world)
        delivery.report("finished", (delivery.upload(delivery.ticket.wanted[0], image),))
        world.deliver_results()
        self.check_refused(world, "TIFF")

    def check_refused(self, world: World, says: str) -> None:
        (task,) = world.tasks()
        assert (task.state, task.failures, task.fault_kind) == (TaskState.PENDING, 1, "BadDelivery")
        assert says in str(task.fault_message)
        assert world.catalogue() == []


class TestCogHeader:
    def test_big_and_classic_both_ways(self) -> None:
        ghost = COG[8:]
        assert cog_defect(COG) is None
        assert cog_defect(b"MM\x00*\x00\x00\x00\xc0" + ghost) is None
        assert cog_defect(b"II+\x00\x08\x00\x00\x00" + bytes(8) + ghost) is None

    def test_edited_and_empty(self) -> None:
        assert "edited" in str(cog_defect(COG + b"KNOWN_INCOMPATIBLE_EDITION=YES\n "))
        assert "not a TIFF" in str(cog_defect(b""))


class TestForged:
    """A worker of one pool knows the ids of another's tasks, and may add to the queue that all report on."""

    def report(self, world: World, delivery: Delivery, **changes: object) -> None:
        """What a worker that has not read the ticket would report, and what came of it: nothing."""
        verdict = delivery.upload(delivery.ticket.wanted[0])
        delivery.report("finished", (verdict,))
        (body,) = world.queues.drain(names.QUEUE_RESULTS, 1)
        before = (world.tasks(), world.active(), world.tickets(), world.outputs())
        for kind in ("started", "returned", "finished"):
            forged = Report.model_validate_json(body).model_copy(update={"kind": kind, **changes})
            world.ports.queues.send(names.QUEUE_RESULTS, forged.to_json())
        world.deliver_results()
        assert (world.tasks(), world.active(), world.tickets(), world.outputs()) == before
        assert world.catalogue() == []
        assert not list(world.blobs.list(names.CONTAINER_CONTROL, "poison/")), "dropped: one could send many"
        world.ports.queues.send(names.QUEUE_RESULTS, body)
        world.deliver_results()
        assert len(world.catalogue()) == 1, "the true one still counts"

    @pytest.mark.parametrize("token", ["", "0" * 64, "no hexadecimal at all: é"])
    def test_without_the_token_of_the_ticket(self, world: World, token: str) -> None:
        self.report(world, released(world), token=token)

    def test_in_the_name_of_another_pool(self, world: World) -> None:
        self.report(world, released(world), pool="cloud")

    def test_with_the_token_of_another_release(self, world: World) -> None:
        first = released(world)
        first.fail()
        world.deliver_results()
        second = take_again(world)
        assert second.ticket.release == 2
        self.report(world, second, token=first.ticket.token)

    def test_with_the_token_of_another_task(self, world: World) -> None:
        world.job("other", "B")
        mine = released(world)
        other = world.take()
        assert other is not None
        assert mine.ticket.token != other.ticket.token
        self.report(world, mine, token=other.ticket.token)

    def test_on_a_release_that_the_row_does_not_know(self, world: World) -> None:
        delivery = released(world)
        token = seal(world.ports, delivery.ticket.spec.task_id, 2, "hpc")
        self.report(world, delivery, release=2, token=token)

    def test_one_that_was_poisoned_is_not_believed_either(self, world: World) -> None:
        delivery = released(world)
        delivery.report("finished")
        (body,) = world.queues.drain(names.QUEUE_RESULTS, 1)
        forged = Report.model_validate_json(body).model_copy(update={"token": "0" * 64})
        world.ports.queues.send(names.poison_queue(names.QUEUE_RESULTS), forged.to_json())
        reconcile_poison(world.ports, world.rules)
        assert [(task.state, task.failures) for task in world.tasks()] == [(TaskState.RELEASED, 0)]

    def test_files_of_another_delivery_are_not_committed(self, world: World) -> None:
        first = released(world)
        stolen = first.upload(first.ticket.wanted[0])
        second = take_again(world)
        assert second.number == 2
        second.report("finished", (stolen,))
        world.deliver_results()
        assert world.catalogue() == []

    def test_the_key_is_made_once_and_shared(self, world: World) -> None:
        token = seal(world.ports, "j1-0001", 1, "hpc")
        key = world.blobs.read(names.CONTAINER_CONTROL, names.BLOB_SEAL_KEY)
        other = World()
        assert seal(other.ports, "j1-0001", 1, "hpc") != token
        elsewhere = memory_ports()
        elsewhere.blobs.create(names.CONTAINER_CONTROL, names.BLOB_SEAL_KEY, key)
        assert seal(elsewhere, "j1-0001", 1, "hpc") == token
