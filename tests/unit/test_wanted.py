"""Jobs that wait for products which have to be fetched: asked for once, told of how it went, whoever dies meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import pytest

from fakes.crash import Crash, Fuse, fused
from fakes.memory_ports import ManualClock, MemoryQueues, memory_ports
from fakes.products import NEXT_RING, NEXT_SLICE, ROME, put_safe
from orthocontracts import names
from orthocontracts.digests import job_id_of
from orthocontracts.messages import Fault
from orthocontracts.procurement import Procured, Wanted
from orthocontracts.requests import Request
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord, WaiterRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.cancel import cancel_job
from orthofunctions.usecases.explain import whereabouts
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.retry import retry_job
from orthofunctions.usecases.submit import read_request, submit
from orthofunctions.usecases.upload import take_upload
from orthofunctions.usecases.wanted import look_after_waiters, take_outcome

HOUR = 3600
RULES = Rules(wanted_limit_s=24 * HOUR)
MANIFEST = f"{ROME}.SAFE/manifest.safe"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ports(clock: ManualClock) -> Ports:
    return memory_ports(clock)


def ask(ports: Ports, *products: str, request_id: str = "r1", user: str = "ada") -> str:
    document = {"request_id": request_id, "user": user, "terrain": {"height_m": 0}}
    wanted = products or (f"id:{ROME}",)
    return submit(ports, Request.model_validate({**document, "products": wanted}), "http").job_id


def deliver(ports: Ports, rules: Rules = RULES) -> int:
    """Plan what is on the queue, as its trigger does."""
    bodies = ports.queues.drain(names.QUEUE_REQUESTS, 100)
    for body in bodies:
        plan_request(ports, read_request(ports, body), Limits(), rules)
    return len(bodies)


def job(ports: Ports, job_id: str, user: str = "ada") -> JobRecord:
    found = find_job(ports, user, job_id)
    assert found is not None
    return found


def wanted(ports: Ports) -> list[Wanted]:
    return [Wanted.model_validate_json(body) for body in cast(MemoryQueues, ports.queues).bodies(names.QUEUE_WANTED)]


def say(ports: Ports, kind: str, number: int = -1, fault: Fault | None = None) -> None:
    message = wanted(ports)[number]
    document = {"kind": kind, "name": message.name, "ask": message.ask, "agent": "fetcher", "at": ports.clock.now()}
    take_outcome(ports, Procured.model_validate({**document, "fault": fault}))


def rows(ports: Ports) -> list[str]:
    return [row.key for row in ports.tables.query(names.TABLE_WANTED)]


NOT_THERE = Fault(kind="ProductMissing", message="no provider lists it", permanent=True)


class TestWaiting:
    def test_without_a_limit_nobody_waits(self, ports: Ports) -> None:
        one = ask(ports)
        deliver(ports, Rules())
        assert job(ports, one).fault_kind == "ProductMissing"
        assert not wanted(ports)
        assert not rows(ports)

    def test_it_is_asked_for_waited_for_and_planned_when_it_comes(self, ports: Ports) -> None:
        one = ask(ports)
        deliver(ports)
        assert not job(ports, one).planned
        assert [message.name for message in wanted(ports)] == [ROME]
        assert "nobody has begun" in str(whereabouts(ports, job(ports, one))[0]["how"])
        say(ports, "started")
        assert whereabouts(ports, job(ports, one)) == [
            {"asked": f"id:{ROME}", "ref": None, "how": "fetcher fetches it since 2026-05-01 12:00 UTC"}
        ]
        put_safe(ports.blobs)
        take_upload(ports, MANIFEST)
        assert deliver(ports) == 1
        assert job(ports, one).n_outputs > 0
        assert whereabouts(ports, job(ports, one))[0]["ref"] == f"products/{ROME}.SAFE"
        assert not rows(ports)

    def test_many_wait_for_one_fetch_and_the_same_request_again_changes_nothing(self, ports: Ports) -> None:
        jobs = [ask(ports, request_id=f"r{n}", user=f"user{n % 3}") for n in range(9)]
        deliver(ports)
        for _ in range(3):
            ask(ports, request_id="r0", user="user0")
            deliver(ports)
        assert len(wanted(ports)) == 1
        put_safe(ports.blobs)
        take_upload(ports, MANIFEST)
        assert deliver(ports) == 9
        assert all(job(ports, one, f"user{n % 3}").planned for n, one in enumerate(jobs))
        assert not rows(ports)

    def test_two_products_are_both_waited_for(self, ports: Ports) -> None:
        one = ask(ports, f"id:{ROME}", f"id:{NEXT_SLICE}")
        deliver(ports)
        assert sorted(message.name for message in wanted(ports)) == sorted([ROME, NEXT_SLICE])
        put_safe(ports.blobs)
        take_upload(ports, MANIFEST)
        deliver(ports)
        assert not job(ports, one).planned
        assert job(ports, one).waits_for == NEXT_SLICE
        put_safe(ports.blobs, NEXT_SLICE, NEXT_RING)
        take_upload(ports, f"{NEXT_SLICE}.SAFE/manifest.safe")
        deliver(ports)
        assert job(ports, one).planned
        assert job(ports, one).fault_kind is None
        assert not rows(ports)

    def test_what_cannot_be_fetched_fails_all_who_wait_and_is_asked_for_anew_by_who_comes_later(
        self, ports: Ports
    ) -> None:
        jobs = [ask(ports, request_id=f"r{n}") for n in range(3)]
        deliver(ports)
        say(ports, "failed", fault=NOT_THERE)
        say(ports, "failed", fault=NOT_THERE)
        deliver(ports)
        assert {job(ports, one).final_message for one in jobs} == {f"ProductMissing: id:{ROME}: no provider lists it"}
        assert not rows(ports)
        later = ask(ports, request_id="later")
        deliver(ports)
        say(ports, "failed", number=0, fault=NOT_THERE)  # an answer to the first, once more
        deliver(ports)
        assert len(wanted(ports)) == 2
        assert not job(ports, later).planned

    def test_its_job_can_be_tried_again(self, ports: Ports) -> None:
        one = ask(ports)
        deliver(ports)
        say(ports, "failed", fault=NOT_THERE)
        deliver(ports)
        again = retry_job(ports, job(ports, one))
        put_safe(ports.blobs)
        deliver(ports)
        assert job(ports, again.job_id).n_outputs > 0

    def test_who_comes_between_the_failure_and_its_jobs_end_has_it_asked_for_anew(self, ports: Ports) -> None:
        first = ask(ports)
        deliver(ports)
        say(ports, "failed", fault=NOT_THERE)
        later = ask(ports, request_id="later")
        plan_request(ports, read_request(ports, ports.queues.drain(names.QUEUE_REQUESTS, 9)[-1]), Limits(), RULES)
        look_after_waiters(ports, RULES)
        deliver(ports)
        assert len(wanted(ports)) == 2
        put_safe(ports.blobs)
        say(ports, "fetched")
        deliver(ports)
        assert [job(ports, one).fault_kind for one in (first, later)] == [None, None]
        assert all(job(ports, one).planned for one in (first, later))

    def test_the_wait_has_an_end_that_says_whether_anybody_began(self, ports: Ports, clock: ManualClock) -> None:
        one, two = ask(ports), ask(ports, f"id:{NEXT_SLICE}", request_id="r2")
        deliver(ports)
        say(ports, "started", number=1)
        clock.advance(23.9 * HOUR)
        assert look_after_waiters(ports, RULES) == 0
        clock.advance(0.2 * HOUR)
        assert look_after_waiters(ports, RULES) == 2
        deliver(ports)
        said = sorted([job(ports, one).final_message, job(ports, two).final_message])
        assert "fetcher began to fetch it, and has not brought it within 24 h" in " ".join(said)
        assert "does `orthoagent procure` run?" in " ".join(said)
        assert not rows(ports)

    def test_an_arrival_that_nobody_told_of_is_found_by_the_clock(self, ports: Ports, clock: ManualClock) -> None:
        one = ask(ports)
        deliver(ports)
        put_safe(ports.blobs)
        assert look_after_waiters(ports, RULES) == 0  # events may still come
        clock.advance(300)
        assert look_after_waiters(ports, RULES) == 1
        deliver(ports)
        assert job(ports, one).planned

    def test_who_cancels_leaves_and_the_others_stay(self, ports: Ports) -> None:
        one, two = ask(ports), ask(ports, request_id="r2")
        deliver(ports)
        cancel_job(ports, "ada", one)
        assert job(ports, one).final_state == "dismissed"
        assert rows(ports) == [WaiterRecord.key_of(two), "state"]
        cancel_job(ports, "ada", two)
        assert not rows(ports)


Step = Callable[[Ports], object]


@pytest.mark.parametrize("ending", ["arrives", "fails", "cancelled", "in time no more"])
def test_whoever_dies_at_any_write_the_job_ends_once_and_nothing_is_left(ending: str) -> None:
    for at in range(200):
        clock = ManualClock()
        ports, fuse = memory_ports(clock), Fuse(at)
        dying = fused(ports, fuse)

        def do(step: Step, ports: Ports = ports, dying: Ports = dying) -> None:
            try:
                step(dying)
            except Crash:
                step(ports)  # the message comes again, or the timer does

        def planned(ports: Ports = ports, do: Callable[[Step], None] = do) -> None:
            """Each message is there until its function has ended well."""
            while bodies := ports.queues.drain(names.QUEUE_REQUESTS, 1):
                request = read_request(ports, bodies[0])
                do(partial(plan_request, request=request, limits=Limits(), rules=RULES))

        do(ask)
        do(lambda these: ask(these, request_id="r2"))
        planned()
        do(lambda these: look_after_waiters(these, RULES))
        planned()
        assert wanted(ports), at
        if ending == "arrives":
            put_safe(ports.blobs)
            do(lambda these: take_upload(these, MANIFEST))
        elif ending == "fails":
            do(lambda these: say(these, "failed", fault=NOT_THERE))
        elif ending == "cancelled":
            ids = [job_id_of("ada", one) for one in ("r1", "r2")]
            for job_id in ids:
                do(lambda these, job_id=job_id: cancel_job(these, "ada", job_id))  # type: ignore[misc]
        else:
            clock.advance(25 * HOUR)
        planned()
        clock.advance(300)
        do(lambda these: look_after_waiters(these, RULES))
        planned()
        clock.advance(25 * HOUR)
        look_after_waiters(ports, RULES)
        planned()
        look_after_waiters(ports, RULES)
        jobs = [job(ports, job_id_of("ada", one)) for one in ("r1", "r2")]
        assert all(one.planned or one.cancelled for one in jobs), at
        kinds = {"arrives": None, "fails": "ProductMissing", "cancelled": None, "in time no more": "ProductMissing"}
        assert {one.fault_kind for one in jobs} == {kinds[ending]}, at
        assert not rows(ports), at
        if not fuse.blown:
            assert at > 10
            return
    raise AssertionError("it never ends without a crash")


def test_two_leave_at_the_same_time_and_the_clock_clears_up() -> None:
    for at in range(30):
        ports = memory_ports()
        one, two = ask(ports), ask(ports, request_id="r2")
        deliver(ports)
        fuse = Fuse(at, meanwhile=partial(cancel_job, ports, "ada", two))
        cancel_job(fused(ports, fuse), "ada", one)
        look_after_waiters(ports, RULES)
        if not fuse.blown:
            assert at > 1
            return
        assert not rows(ports), at
    raise AssertionError("it never ends")
