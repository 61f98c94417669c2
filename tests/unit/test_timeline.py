"""The timeline of a job: each moment of it has a phase, whatever happens to its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.world import Delivery, World, run_to_the_end
from orthocontracts.states import JobState, TaskState
from orthocontracts.tasks import job_of_task
from orthofunctions.domain.endings import OVER
from orthofunctions.domain.history import MOST_RELEASES, History
from orthofunctions.domain.phases import Phase, Segment
from orthofunctions.domain.timeline import Lane, Part, Timeline, What, timeline_of
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.plan import note_planned, read_plan
from orthofunctions.usecases.settle import settle_job
from orthofunctions.usecases.views import view_job
from unit.test_functions_crash import (
    Work,
    check_all_succeeded,
    crash_everywhere,
    die_silently_once,
    fail_first_release,
    hand_back_once,
    lose_the_message,
    report_everything_twice,
    succeed,
)

FIGURES = {"fetch_s": 4.0, "compute_s": 20.0, "deliver_s": 1.5}


@pytest.fixture
def world() -> World:
    return World()


def planned_job(world: World, name: str, tiles: str) -> str:
    task_id = world.job(name, tiles)
    world.clock.advance(2)
    job = find_job(world.ports, "local", job_of_task(task_id))
    plan = read_plan(world.ports, job_of_task(task_id))
    assert job is not None
    assert plan is not None
    settle_job(world.ports, note_planned(world.ports, job, plan))
    return task_id


def timeline(world: World, job_id: str, waits: str = "") -> Timeline:
    job = find_job(world.ports, "local", job_id)
    assert job is not None
    view = view_job(world.ports, job, {})
    parts = [Part(task=one.record, title=one.title, joined=one.joined, waits=waits) for one in view.tasks]
    return timeline_of(job, view.outputs, parts, world.clock.now(), is_over=view.state in OVER)


def released(world: World) -> Delivery:
    world.status("node-1", slots=2)
    world.round()
    delivery = world.take()
    assert delivery is not None
    return delivery


def said(world: World, delivery: Delivery, kind: str) -> None:
    delivery.report(kind)
    world.deliver_results()


def phases(lane: Lane | Timeline) -> list[tuple[str, float]]:
    of = lane.segments if isinstance(lane, Lane) else lane.path
    return [(one.phase.value, one.seconds) for one in of]


def check(line: Timeline) -> None:
    """What holds of every timeline, whatever happened."""
    assert line.start <= line.end
    without_a_gap(line.path, line.start, line.end)
    total_s = (line.end - line.start).total_seconds()
    assert sum(one.seconds for one in line.path) == pytest.approx(total_s, abs=1e-6), "phases sum to the total"
    begins = line.planned_at or line.start
    for lane in line.lanes:
        over_at = lane.task.ended_at if lane.task.state.is_final else line.end
        assert over_at is not None
        over_at = min(over_at, line.end)
        if lane.segments:
            without_a_gap(lane.segments, max(begins, lane.segments[0].start), over_at)
        else:
            assert over_at <= begins or lane.part.joined
        for one in lane.segments:
            assert begins <= one.start < one.end <= line.end
    times = [one.at for one in line.happened]
    assert times == sorted(times)
    assert all(line.start <= at <= line.end for at in times)
    assert sum(line.totals_s.values()) == pytest.approx(
        sum(one.seconds for lane in line.lanes for one in lane.segments), abs=1e-6
    )
    if line.longest is not None:
        assert 0 < line.longest[1] <= total_s + 1e-6


def without_a_gap(segments: Sequence[Segment], start: datetime, end: datetime) -> None:
    if not segments:
        assert start == end
        return
    assert (segments[0].start, segments[-1].end) == (start, end)
    assert all(before.end == after.start for before, after in pairwise(segments))


class TestWhatItSays:
    def test_a_run_that_goes_well(self, world: World) -> None:
        task_id = planned_job(world, "one", "AB")
        world.clock.advance(30)
        delivery = released(world)
        world.clock.advance(3)
        said(world, delivery, "started")
        world.clock.advance(26)
        delivery.succeed(FIGURES)
        world.deliver_results()
        line = timeline(world, job_of_task(task_id))
        check(line)
        (lane,) = line.lanes
        assert phases(lane) == [
            ("slot", 30.0),
            ("start", 3.0),
            ("fetch", 4.0),
            ("compute", 20.0),
            ("deliver", 1.5),
            ("commit", 0.5),
        ]
        assert phases(line) == [("planning", 2.0), *phases(lane)]
        assert lane.segments[0].says == "until hpc: an on-prem slot was free"
        assert len(lane.task.history) < 300, "what a row weighs more for it"
        assert {one.agent for one in lane.segments[2:]} == {"node-1"}
        assert {one.pool for one in lane.segments} == {"hpc"}
        assert line.longest is not None
        segment, seconds = line.longest
        assert (segment.phase, segment.pool, seconds) == (Phase.SLOT, "hpc", 30.0)
        what = [one.what for one in line.happened]
        assert what == [
            What.ACCEPTED,
            What.PLANNED,
            What.READY,
            What.RELEASED,
            What.STARTED,
            What.DELIVERY_ENDED,
            What.RELEASE_ENDED,
            What.OUTPUT_ENDED,
            What.OUTPUT_ENDED,
            What.TASK_ENDED,
            What.ENDED,
        ]

    def test_a_worker_that_dies_is_shown_with_the_delivery_that_followed(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        first = released(world)
        said(world, first, "started")
        world.clock.advance(61)
        second = world.take()
        assert second is not None
        second.agent = "node-2"
        said(world, second, "started")
        world.clock.advance(26)
        second.succeed(FIGURES)
        world.deliver_results()
        line = timeline(world, job_of_task(task_id))
        check(line)
        (lane,) = line.lanes
        found = [(one.phase.value, one.seconds, one.delivery, one.agent) for one in lane.segments]
        assert found == [
            ("lost", 61.0, 1, "node-1"),
            ("fetch", 4.0, 2, "node-2"),
            ("compute", 20.0, 2, "node-2"),
            ("deliver", 1.5, 2, "node-2"),
            ("commit", 0.5, 2, "node-2"),
        ]
        ended = [(one.delivery, one.how) for one in line.happened if one.what is What.DELIVERY_ENDED]
        assert ended == [(1, "silent"), (2, "delivered")]

    def test_a_start_that_is_heard_of_late_moves_nothing_past_the_end(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        delivery = released(world)
        world.clock.advance(40)
        delivery.report("started")
        delivery.succeed(FIGURES)
        world.deliver_results()
        line = timeline(world, job_of_task(task_id))
        check(line)
        assert phases(line.lanes[0]) == [("start", 14.5), ("fetch", 4.0), ("compute", 20.0), ("deliver", 1.5)]

    def test_a_worker_that_says_it_worked_for_longer_than_it_had_is_believed_until_its_end(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        delivery = released(world)
        said(world, delivery, "started")
        world.clock.advance(10)
        digest = delivery.ticket.wanted[0]
        verdicts = (delivery.fault(digest, permanent=False),)
        delivery.report("finished", verdicts, figures={"fetch_s": 3.0, "compute_s": 1e7, "deliver_s": float(-1)})
        delivery.delete_message()
        world.deliver_results()
        world.clock.advance(2)
        line = timeline(world, job_of_task(task_id))
        check(line)
        assert phases(line.lanes[0]) == [("fetch", 3.0), ("compute", 7.0), ("back_off", 2.0)]

    def test_a_failure_a_back_off_and_another_release(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        first = released(world)
        said(world, first, "started")
        world.clock.advance(10)
        digest = first.ticket.wanted[0]
        first.report("finished", (first.fault(digest, permanent=False),), figures={"fetch_s": 9.0})
        first.delete_message()
        world.deliver_results()
        world.clock.advance(8)
        second = released(world)
        said(world, second, "started")
        world.clock.advance(1)
        line = timeline(world, job_of_task(task_id))
        check(line)
        assert phases(line.lanes[0]) == [
            ("fetch", 9.0),
            ("commit", 1.0),
            ("back_off", 5.0),
            ("slot", 3.0),
            ("run", 1.0),
        ]
        assert line.lanes[0].segments[2].says == "it broke"
        assert not line.is_over

    def test_work_handed_back_before_it_began(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        delivery = released(world)
        world.clock.advance(7)
        delivery.give_back()
        world.deliver_results()
        world.clock.advance(2)
        line = timeline(world, job_of_task(task_id), waits="the next round looks at it")
        check(line)
        assert phases(line.lanes[0]) == [("start", 7.0), ("back_off", 2.0)]
        ended = [(one.what, one.how) for one in line.happened if one.how and one.release]
        assert ended == [(What.DELIVERY_ENDED, "returned"), (What.RELEASE_ENDED, "returned")]

    def test_a_worker_that_lost_it_while_storage_was_silent(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        first = released(world)
        said(world, first, "started")
        world.clock.advance(50)
        said(world, first, "lost")
        world.clock.advance(11)
        second = world.take()
        assert second is not None
        said(world, second, "started")
        world.clock.advance(5)
        line = timeline(world, job_of_task(task_id))
        check(line)
        assert phases(line.lanes[0]) == [("lost", 50.0), ("start", 11.0), ("run", 5.0)]

    def test_a_delivery_thought_dead_delivers_after_the_next_has_begun(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        first = released(world)
        said(world, first, "started")
        world.clock.advance(61)
        second = world.take()
        assert second is not None
        said(world, second, "started")
        world.clock.advance(4)
        first.succeed(FIGURES)
        world.deliver_results()
        line = timeline(world, job_of_task(task_id))
        check(line)
        assert [(one.delivery, one.what) for one in line.happened if one.what is What.STARTED] == [
            (1, What.STARTED),
            (2, What.STARTED),
        ]
        ended = [(one.delivery, one.how) for one in line.happened if one.what is What.DELIVERY_ENDED]
        assert sorted(ended) == [(1, "delivered"), (2, "found")]
        assert phases(line.lanes[0]) == [
            ("fetch", 4.0),
            ("compute", 20.0),
            ("deliver", 1.5),
            ("lost", 35.5),
            ("run", 4.0),
        ]

    def test_the_image_of_a_release_that_was_recalled_counts_and_is_shown_so(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        first = released(world)
        said(world, first, "started")
        world.clock.advance(10_000)
        world.sweep()
        world.clock.advance(20)
        second = released(world)
        said(world, second, "started")
        world.clock.advance(4)
        first.succeed(FIGURES)
        world.deliver_results()
        assert world.task(task_id).state is TaskState.SUCCEEDED
        line = timeline(world, job_of_task(task_id))
        check(line)
        found = [(one.release, one.delivery, one.how) for one in line.happened if one.what is What.DELIVERY_ENDED]
        assert found == [(1, 1, "delivered"), (2, 1, "found")]
        assert line.lanes[0].segments[-1].phase is Phase.RUN

    def test_a_job_that_joined_has_none_of_the_time_before_it_came(self, world: World) -> None:
        planned_job(world, "one", "A")
        delivery = released(world)
        said(world, delivery, "started")
        world.clock.advance(10)
        other = planned_job(world, "two", "A")
        world.clock.advance(14)
        delivery.succeed(FIGURES)
        world.deliver_results()
        line = timeline(world, job_of_task(other))
        check(line)
        (lane,) = line.lanes
        assert lane.part.joined
        assert phases(line) == [("planning", 2.0), ("compute", 12.0), ("deliver", 1.5), ("commit", 0.5)]

    def test_what_is_in_the_catalogue_needs_no_task(self, world: World) -> None:
        planned_job(world, "one", "A")
        run_to_the_end(world, lambda delivery: delivery.succeed())
        again = planned_job(world, "two", "A")
        line = timeline(world, job_of_task(again))
        check(line)
        assert line.lanes == []
        assert [(one.what, one.how) for one in line.happened][1:3] == [
            (What.PLANNED, None),
            (What.OUTPUT_ENDED, "found"),
        ]
        assert line.is_over

    def test_a_job_that_was_cancelled_while_its_task_goes_on_for_another(self, world: World) -> None:
        first = planned_job(world, "one", "A")
        planned_job(world, "two", "A")
        said(world, released(world), "started")
        world.clock.advance(5)
        cancel_job(world.ports, "local", job_of_task(first))
        world.clock.advance(500)
        line = timeline(world, job_of_task(first))
        check(line)
        assert (line.is_over, line.happened[-1].how) == (True, JobState.DISMISSED)
        assert phases(line.lanes[0])[-1] == ("run", 5.0)

    def test_many_releases_and_the_earliest_are_counted(self, world: World) -> None:
        task_id = planned_job(world, "one", "A")
        for _ in range(MOST_RELEASES + 3):
            delivery = released(world)
            said(world, delivery, "started")
            world.clock.advance(5)
            delivery.give_back()
            world.deliver_results()
            world.clock.advance(1)
        task = world.task(task_id)
        history = History.of(task.history)
        assert (len(history.releases), history.n_dropped) == (MOST_RELEASES, 3)
        assert len(task.history) < 4000
        line = timeline(world, job_of_task(task_id))
        check(line)
        assert line.lanes[0].n_unknown == 3
        assert line.lanes[0].segments[0].phase is Phase.EARLIER

    def test_rows_of_before_say_what_they_know(self, world: World) -> None:
        """As an older version left them: without history, times of planning, and ends of outputs."""
        task_id = planned_job(world, "one", "A")
        first = released(world)
        said(world, first, "started")
        first.fail()
        world.deliver_results()
        world.clock.advance(10)
        second = released(world)
        world.clock.advance(3)
        said(world, second, "started")
        world.clock.advance(26)
        second.succeed()
        world.deliver_results()
        job = find_job(world.ports, "local", job_of_task(task_id))
        assert job is not None
        view = view_job(world.ports, job, {})
        old = [Part(task=one.record.changed(history=""), title=one.title) for one in view.tasks]
        outputs = [one.changed(ended_at=None) for one in view.outputs]
        line = timeline_of(job.changed(planned_at=None), outputs, old, world.clock.now(), is_over=True)
        check(line)
        assert phases(line.lanes[0]) == [("earlier", 12.0), ("start", 3.0), ("run", 26.0)]
        assert line.lanes[0].n_unknown == 1


@pytest.mark.parametrize(
    "work", [succeed, fail_first_release, die_silently_once, hand_back_once, lose_the_message, report_everything_twice]
)
def test_a_process_that_dies_at_any_write_spoils_no_timeline(work: Work) -> None:
    def scenario(world: World) -> None:
        planned_job(world, "one", "AB")
        run_to_the_end(world, work)

    def each_has_its_time(world: World) -> None:
        check_all_succeeded(world)
        for job in world.jobs():
            line = timeline(world, job.job_id)
            check(line)
            (lane,) = line.lanes
            assert lane.n_unknown == 0
            assert len(History.of(lane.task.history).releases) == lane.task.release, "each release once"

    crash_everywhere(scenario, each_has_its_time)


def test_releases_that_an_older_version_lost_in_between_are_a_gap_and_no_waiting(world: World) -> None:
    task_id = planned_job(world, "one", "A")
    for _ in range(3):
        delivery = released(world)
        said(world, delivery, "started")
        world.clock.advance(5)
        delivery.give_back()
        world.deliver_results()
        world.clock.advance(1)
    task = world.task(task_id)
    kept = History.of(task.history).releases
    job = find_job(world.ports, "local", job_of_task(task_id))
    assert job is not None
    torn = Part(task=task.changed(history=History((kept[0], kept[2])).to_text()))
    (lane,) = timeline_of(job, [], [torn], world.clock.now(), is_over=False).lanes
    assert lane.n_unknown == 1
    assert phases(lane) == [("run", 5.0), ("earlier", 7.0), ("run", 5.0), ("slot", 1.0)]


ACTIONS = ("go", "go", "round", "take", "start", "finish", "fail", "return", "lose", "late", "sweep", "cancel", "join")


@dataclass
class Chance:
    """A world in which anything may happen, and what really did."""

    world: World = field(default_factory=World)
    jobs: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def act(self, action: str, which: int) -> None:
        world = self.world
        delivery = self.deliveries[which % len(self.deliveries)] if self.deliveries else None
        if action in ("round", "go"):
            world.status("node-1", slots=2)
            world.round()
        if action == "go":  # a worker takes what there is, and begins
            if (taken := world.take()) is not None:
                self.deliveries.append(taken)
                taken.report("started")
        elif action == "take":
            if (taken := world.take()) is not None:
                self.deliveries.append(taken)
        elif action == "sweep":
            world.sweep()
        elif action == "cancel" and which % 5 == 0:
            world.call(cancel_job, "local", self.jobs[which % len(self.jobs)])
        elif action == "join" and len(self.jobs) < 3:
            self.jobs.append(job_of_task(planned_job(world, f"job{len(self.jobs)}", "AB")))
        elif delivery is not None:
            self._report(action, delivery, which)
        world.deliver_results()

    def _report(self, action: str, delivery: Delivery, which: int) -> None:
        figures = {"fetch_s": which * 1.7, "compute_s": which * 3.1, "deliver_s": 0.4}
        if action == "start":
            delivery.report("started")
        elif action == "fail":
            delivery.report("finished", tuple(map(delivery.fault, delivery.ticket.wanted)), figures=figures)
        elif action == "return":
            delivery.report("returned", reason="draining", figures=figures)
        elif action == "lose":
            delivery.report("lost")
        elif action in ("finish", "late") and delivery.agent == "node-1":
            delivery.agent = "node-1-done"  # its files can be uploaded once
            verdicts = tuple(map(delivery.upload, delivery.ticket.wanted))
            delivery.report("finished", verdicts, figures=figures if action == "finish" else None)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 30), st.sampled_from([0, 1, 20, 61, 700]))))
def test_whatever_happens_every_moment_has_its_phase(steps: list[tuple[str, int, int]]) -> None:
    chance = Chance()
    chance.jobs.append(job_of_task(planned_job(chance.world, "job0", "AB")))
    for action, which, seconds in steps:
        chance.act(action, which)
        for job_id in chance.jobs:
            check(timeline(chance.world, job_id))
        chance.world.clock.advance(seconds)
        for task in chance.world.tasks():
            kept = History.of(task.history)
            assert len(kept.releases) <= MOST_RELEASES
            assert task.state not in (TaskState.SUCCEEDED, TaskState.FAILED) or task.release == 0 or kept.releases


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["die", "return", "fail"]), st.integers(1, 50)), max_size=2))
def test_every_start_that_was_heard_of_is_told_with_its_time(past: list[tuple[str, int]]) -> None:
    """Against what really happened, kept beside the store."""
    world, started = World(), list[tuple[int, int, datetime]]()
    task_id = planned_job(world, "one", "A")
    delivery = released(world)
    for how, seconds in past:
        said(world, delivery, "started")
        started.append((delivery.ticket.release, delivery.number, world.clock.now()))
        world.clock.advance(seconds)
        if how == "die":
            world.clock.advance(61)
            again = world.take()
        else:
            delivery.give_back() if how == "return" else delivery.fail()
            world.deliver_results()
            world.clock.advance(100)
            again = released(world)
        assert again is not None
        delivery = again
    said(world, delivery, "started")
    started.append((delivery.ticket.release, delivery.number, world.clock.now()))
    world.clock.advance(30)
    delivery.succeed(FIGURES)
    world.deliver_results()
    line = timeline(world, job_of_task(task_id))
    check(line)
    found = [(one.release, one.delivery, one.at) for one in line.happened if one.what is What.STARTED]
    assert found == started
    assert line.end - started[-1][2] == timedelta(seconds=30)
