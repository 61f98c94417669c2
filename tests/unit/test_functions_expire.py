"""Results live until the last job that has them expires, whoever comes or dies meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest

from fakes.crash import Crash, Fuse, fused
from fakes.world import RULES, World, run_to_the_end
from orthocontracts import names
from orthocontracts.requests import Request
from orthocontracts.states import OutputState
from orthofunctions.domain.plans import Plan, PlannedOutput
from orthofunctions.domain.records import DigestRecord, DigestState, JobRecord
from orthofunctions.ports import Ports
from orthofunctions.usecases.claims import settle_output
from orthofunctions.usecases.digests import commit_digest
from orthofunctions.usecases.expire import expire_job, expire_jobs
from orthofunctions.usecases.jobs import open_job
from orthofunctions.usecases.repair import sweep_results
from orthofunctions.usecases.rows import load, swap

KEPT = replace(RULES, keep_jobs_s=3600.0)


@dataclass
class Site:
    """A job that is over, as its planner and workers left it, and what it was planned to make."""

    world: World
    one: JobRecord
    output: PlannedOutput

    @classmethod
    def made(cls, tiles: str = "AB") -> Site:
        world = World()
        world.job("one", tiles)
        run_to_the_end(world, lambda delivery: delivery.succeed())
        one = planned(world, "one")
        plan = Plan.model_validate_json(world.blobs.read(names.CONTAINER_PLANS, names.plan_blob(one.job_id)))
        return cls(world, one, plan.outputs[0])

    def join(self, ports: Ports | None = None) -> None:
        """Job two asks for the same output, as its planner does."""
        ports = ports or self.world.ports
        job = open_job(ports, Request(request_id="two", products=("products/image.tif",)), "queue")
        settle_output(ports, job, self.output.model_copy(update={"task_id": f"{job.job_id}-0001"}))

    def expire(self, ports: Ports | None = None) -> bool:
        ports = ports or self.world.ports
        one = load(ports.tables, JobRecord, self.one.user, self.one.job_id)
        return one is not None and expire_job(ports, one)

    def entries(self) -> set[str]:
        return {entry.digest for entry in self.world.catalogue()}

    def check_join(self) -> None:
        """Job two was told that the output is there, and it is, and a search finds it; or it makes it itself."""
        self.world.check_promises()
        assert self.world.indexed() == self.entries()
        (output,) = [one for one in self.world.outputs() if one.job_id != self.one.job_id]
        if output.state is OutputState.COMMITTED:
            assert self.output.digest in self.entries()
            return
        record = load(self.world.ports.tables, DigestRecord, self.output.digest, "state")
        assert record is not None
        assert (output.state, record.state, record.task_id) == (OutputState.WANTED, "open", output.task_id)
        assert self.entries() == set()


def planned(world: World, request_id: str) -> JobRecord:
    job = next(job for job in world.jobs() if job.request_id == request_id)
    return swap(world.ports.tables, job.changed(planned=True))


def test_only_what_is_old_and_over_expires() -> None:
    world = Site.made().world
    assert expire_jobs(world.ports, RULES) == 0
    assert expire_jobs(world.ports, KEPT) == 0
    world.job("two", "C")
    world.clock.advance(3601)
    assert expire_jobs(world.ports, KEPT) == 1
    (two,) = world.jobs()
    assert two.request_id == "two"
    assert {row.job_id for row in (*world.tasks(), *world.outputs())} == {two.job_id}
    assert [blob.name for blob in world.blobs.list(names.CONTAINER_PLANS)] == [names.plan_blob(two.job_id)]
    assert world.catalogue() == []
    world.clock.advance(RULES.keep_results_s + RULES.time_limit_s + 1)
    assert sweep_results(world.ports, RULES) > 0
    assert list(world.blobs.list(names.CONTAINER_RESULTS)) == []


def test_a_result_lives_as_long_as_any_job_that_has_it() -> None:
    site = Site.made()
    site.join()
    assert site.expire()
    assert site.entries() == {site.output.digest}
    two = planned(site.world, "two")
    assert [output.state for output in site.world.outputs()] == [OutputState.COMMITTED]
    assert expire_job(site.world.ports, two)
    assert (site.entries(), site.world.jobs()) == (set(), [])


def test_what_has_expired_is_made_again_for_whoever_asks() -> None:
    site = Site.made()
    assert site.expire()
    site.world.job("two", "AB")
    run_to_the_end(site.world, lambda delivery: delivery.succeed())
    assert {output.state for output in site.world.outputs()} == {OutputState.COMMITTED}
    assert len(site.world.catalogue()) == 2
    site.world.check_promises()


def held_up_everywhere(held_up: Callable[[Site, Ports], object], meanwhile: Callable[[Site], object]) -> int:
    """Hold a process up before each of its writes in turn, and let another do its work there. Returns their number."""
    for at in range(100):
        site = Site.made("A")
        fuse = Fuse(at, meanwhile=partial(meanwhile, site))  # type: ignore[arg-type]
        held_up(site, fused(site.world.ports, fuse))
        if not fuse.blown:
            return at
        site.check_join()
    raise AssertionError("it never ends")


def test_a_join_at_any_moment_of_an_expiry_finds_the_result_or_makes_it() -> None:
    assert held_up_everywhere(lambda site, ports: site.expire(ports), lambda site: site.join()) > 6


def test_an_expiry_at_any_moment_of_a_join_takes_nothing_that_was_promised() -> None:
    assert held_up_everywhere(lambda site, ports: site.join(ports), lambda site: site.expire()) > 2


def test_two_expiries_side_by_side_and_a_join_in_between() -> None:
    def meanwhile(site: Site) -> None:
        site.expire()
        site.join()

    assert held_up_everywhere(lambda site, ports: site.expire(ports), meanwhile) > 6


def test_an_expiry_that_dies_anywhere_is_completed_by_the_next() -> None:
    for at in range(100):
        site = Site.made()
        fuse = Fuse(at)
        try:
            assert site.expire(fused(site.world.ports, fuse))
        except Crash:
            site.world.check_promises()
            assert site.expire(), "the job's own row goes last"
        assert (site.world.jobs(), site.world.outputs(), site.world.catalogue()) == ([], [], [])
        assert site.world.indexed() == set()
        if not fuse.blown:
            assert at > 8
            return
    raise AssertionError("it never ends")


@pytest.mark.parametrize("state", [DigestState.EXPIRED, DigestState.GONE])
def test_a_late_report_does_not_bring_back_what_nobody_holds(state: DigestState) -> None:
    site = Site.made("A")
    tables = site.world.ports.tables
    record = load(tables, DigestRecord, site.output.digest, "state")
    assert record is not None
    swap(tables, record.changed(state=state))
    tables.delete(names.TABLE_OUTPUTS, site.one.job_id, site.output.digest)  # job one has let go of it
    tables.delete(names.TABLE_HOLDERS, site.output.digest, site.one.job_id)
    commit_digest(site.world.ports, site.output.digest)
    record = load(tables, DigestRecord, site.output.digest, "state")
    assert record is not None
    assert record.state is state
    site.join()
    site.check_join()


def test_a_job_that_is_at_work_does_not_expire() -> None:
    world = World()
    world.job("one", "A")
    assert not expire_job(world.ports, planned(world, "one"))
    assert len(world.outputs()) == 1
