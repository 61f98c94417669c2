"""A small day of an archive: nothing missed, nothing twice, what is broken told once; and a judge that sees what is."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from localdev.day.judge import Judgement, judge
from localdev.day.run import COVERED, Day, DaySpec, live_through
from localdev.day.scenes import Scene
from orthocontracts.requests import Request
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports
from orthofunctions.triggers import uploads
from orthofunctions.usecases import arrivals, asking, upload
from orthofunctions.usecases.asking import NO_WAITING
from orthofunctions.usecases.jobs import find_job
from orthofunctions.usecases.passes import Member
from orthofunctions.usecases.submit import submit

SMALL = DaySpec(
    n_scenes=100,
    n_orders=80,
    slots=3,
    cloud_slots=6,
    hours=3.0,
    broken_share=0.1,
    held_share=0.2,
    killed_share=0.02,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def day() -> Day:
    return live_through(SMALL)


@pytest.fixture(scope="module")
def found(day: Day) -> Judgement:
    return judge(day)


def test_nothing_is_missed_nothing_is_done_twice_and_what_is_broken_is_told_once(day: Day, found: Judgement) -> None:
    assert (found.missed, found.twice, found.broken) == ([], [], [])


def test_much_happens_in_it(day: Day, found: Judgement) -> None:
    assert found.n_broken == 10
    assert found.n_wanted > 20
    assert found.n_callbacks > 0
    assert found.n_images > 30
    assert found.n_seams > 20
    assert found.n_vain > found.n_early > 0
    assert day.calls.n_killed > 5
    assert day.books.n_runs["hpc"] > 0
    assert max(day.backlog) > 0


def _whole(day: Day) -> Scene:
    """A product that becomes images whoever orders it."""
    return next(scene for scene in day.scenes if scene.defect is None and scene.mission in COVERED)


def test_a_product_of_which_no_event_comes_is_missed(day: Day) -> None:
    lost = _whole(day)
    found = judge(live_through(SMALL, lost=frozenset({lost.ref})))
    assert found.missed
    assert all(lost.ref in one for one in found.missed)


def test_jobs_of_repeated_events_that_are_not_known_again_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = asking._request

    def forgetful(*args: Any) -> Request:
        return honest(*args).model_copy(update={"request_id": f"o{secrets.token_hex(15)}"})

    monkeypatch.setattr(asking, "_request", forgetful)
    found = judge(live_through(SMALL))
    assert found.twice


def test_seams_that_nobody_makes_again_when_the_neighbour_has_come_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def content(ports: Ports, request: Request, source: str) -> JobRecord:
        if not request.replaces:
            return submit(ports, request, source)
        old = find_job(ports, request.user, request.replaces[0])
        assert old is not None
        return old

    monkeypatch.setattr(asking, "submit", content)
    found = judge(live_through(SMALL))
    assert (found.twice, found.broken) == ([], [])
    assert any("of all of them in 0 jobs, not 1; of fewer in 1" in one for one in found.missed)
    assert any("no job replaces it" in one for one in found.missed)


def test_seams_of_one_slice_though_the_neighbour_is_there_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(_: Ports, product: ProductFacts, arrived_at: datetime, __: Any) -> list[Member]:
        return [Member(product, arrived_at)]

    monkeypatch.setattr(arrivals, "pass_of", alone)
    found = judge(live_through(SMALL))
    assert any("of all of them in 0 jobs" in one for one in found.missed)
    assert any("there since" in one for one in found.twice)


def test_seams_that_do_not_wait_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "Waiting", lambda *_: NO_WAITING)
    found = judge(live_through(SMALL))
    assert found.missed == []
    assert any("did not wait" in one for one in found.twice)


def test_what_is_broken_and_told_to_nobody_is_seen(monkeypatch: pytest.MonkeyPatch, day: Day) -> None:
    monkeypatch.setattr(upload, "default_order", lambda _: None)
    monkeypatch.setattr(upload, "keep_for_operators", lambda *_: None)
    found = judge(live_through(SMALL))
    assert found.broken


def test_an_image_that_is_lost_and_one_that_is_made_twice_are_seen(day: Day) -> None:
    digest = next(iter(day.books.made))
    blobs = day.ports.blobs
    (entry,) = blobs.list("catalogue", digest)
    data = blobs.read("catalogue", entry.name)
    try:
        day.books.made[digest] += 1
        blobs.delete("catalogue", entry.name)
        found = judge(day)
    finally:
        day.books.made[digest] -= 1
        blobs.write("catalogue", entry.name, data)
    assert any(digest[:12] in one for one in found.twice)
    assert any(digest[:12] in one for one in found.missed)
