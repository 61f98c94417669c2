"""How long results are kept: by the site, by the request, by a pin."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from fakes.asgi import AsgiClient
from fakes.crash import Fuse, fused
from fakes.world import RULES, World, run_to_the_end
from orthocontracts.requests import Request
from orthofunctions.domain.records import JobRecord
from orthofunctions.ports import Ports, RowChangedError
from orthofunctions.usecases.expire import expire_job, expire_jobs
from orthofunctions.usecases.jobs import open_job
from orthofunctions.usecases.pins import PinRefusedError, pin, unpin
from orthofunctions.usecases.rows import load, swap
from unit.test_api import client as client  # noqa: PLC0414  # fixtures
from unit.test_api import submitted
from unit.test_api import system as system  # noqa: PLC0414
from unit.test_functions_expire import Site

HOUR = replace(RULES, keep_jobs_s=3600.0)


def kept_after(seconds: float, *, keep_days: float | None, keep_jobs_s: float | None, pinned: bool = False) -> bool:
    world = World()
    job = open_job(world.ports, Request(request_id="r", products=("products/a.tif",), keep_days=keep_days), "http")
    swap(world.ports.tables, job.changed(planned=True, pinned=pinned))
    world.clock.advance(seconds)
    expire_jobs(world.ports, replace(RULES, keep_jobs_s=keep_jobs_s))
    return world.jobs() != []


def test_a_request_may_ask_for_less_than_the_site_gives_and_not_for_more() -> None:
    day = 86_400.0
    assert kept_after(100 * day, keep_days=None, keep_jobs_s=None)
    assert kept_after(1.9 * day, keep_days=2, keep_jobs_s=None)
    assert not kept_after(2.1 * day, keep_days=2, keep_jobs_s=None)
    assert not kept_after(1.1 * day, keep_days=2, keep_jobs_s=day)
    assert not kept_after(1.1 * day, keep_days=1, keep_jobs_s=2 * day)
    assert kept_after(0.9 * day, keep_days=1, keep_jobs_s=2 * day)
    assert kept_after(100 * day, keep_days=1, keep_jobs_s=day, pinned=True)


def pinned(ports: Ports, site: Site) -> bool | None:
    """Whether a pin was granted; None where the job was gone already."""
    job = load(ports.tables, JobRecord, site.one.user, site.one.job_id)
    if job is None:
        return None
    try:
        return pin(ports, RULES, job).pinned
    except PinRefusedError:
        return False


def expired(ports: Ports, site: Site) -> None:
    site.world.clock.advance(4000)
    expire_jobs(ports, HOUR)
    expire_jobs(site.world.ports, HOUR)  # what was not done is done at the next hour


@pytest.mark.parametrize("first", ["pin", "expiry"])
def test_a_pin_beside_an_expiry_is_granted_and_kept_or_refused(first: str) -> None:
    outcomes = set()
    for at in range(100):
        site = Site.made("A")
        granted: list[bool | None] = []
        fuse = Fuse(at)
        ports = fused(site.world.ports, fuse)
        if first == "pin":
            fuse.meanwhile = partial(expired, site.world.ports, site)
            try:
                granted.append(pinned(ports, site))
            except RowChangedError:  # the job is gone under it
                granted.append(False)
        else:
            fuse.meanwhile = lambda site=site, granted=granted: granted.append(pinned(site.world.ports, site))  # type: ignore[misc]
            expired(ports, site)
        if granted == [True]:
            assert len(site.world.jobs()) == len(site.world.catalogue()) == 1
            assert [output.state for output in site.world.outputs()] == ["committed"]
        elif granted:
            assert site.world.jobs() == site.world.catalogue() == []
        outcomes.update(granted)
        if not fuse.blown:
            assert at > 0
            break
    assert outcomes >= ({True, False} if first == "expiry" else {True})


def test_a_user_pins_so_many_jobs_and_no_more() -> None:
    world = World()
    rules = replace(RULES, max_pinned_jobs=2)
    jobs = [open_job(world.ports, Request(request_id=name, products=("products/a.tif",)), "http") for name in "abc"]
    one = pin(world.ports, rules, jobs[0])
    pin(world.ports, rules, jobs[1])
    with pytest.raises(PinRefusedError, match="2 pinned jobs"):
        pin(world.ports, rules, jobs[2])
    assert pin(world.ports, rules, one).pinned  # again
    assert not unpin(world.ports, one).pinned
    assert pin(world.ports, rules, jobs[2]).pinned


def test_what_expires_is_no_longer_found_and_its_entry_goes_last() -> None:
    site = Site.made("A")
    run_to_the_end(site.world, lambda delivery: delivery.succeed())
    assert site.world.indexed() == site.entries()
    assert expire_job(site.world.ports, site.one)
    assert site.world.indexed() == set()


def test_over_http(client: AsgiClient, system: object) -> None:
    job = submitted(client, system, plan=False)  # type: ignore[arg-type]
    answer = client.post(f"/jobs/{job}/pin")
    assert (answer.status_code, answer.json()["jobID"]) == (200, job)
    assert client.delete(f"/jobs/{job}/pin").status_code == 200
    for wrong in ("nothing", "a-b", "x" * 100):
        assert client.post(f"/jobs/{wrong}/pin").status_code == 404
        assert client.delete(f"/jobs/{wrong}/pin").status_code == 404
