"""``orthoagent scale`` and the pilots it submits, on a real Slurm, with a real queue and a real broker."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integration.test_worker_broker import Ear
from integration.worker_kit import TESTS, Agent, Storage, agents, until
from localdev.servers import Azurite, Broker, Slurm
from localdev.servers.slurm import missing_for_slurm
from orthocontracts import names
from orthocontracts.messages import AgentStatus, Demand

REASON = missing_for_slurm()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with Slurm(tmp_path_factory.mktemp("slurm")) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster.config))
        yield cluster


class Centre:
    """A pool that pilots serve: its queue, its demand, its jobs."""

    def __init__(self, slurm: Slurm, azurite: Azurite, broker: Broker, folder: Path) -> None:
        self.slurm, self.broker, self.folder = slurm, broker, folder
        self.storage = Storage(azurite)
        self.ear = Ear(broker)
        self.env_file = folder / "agent.env"
        self.write_env_file()

    def write_env_file(self, **settings: object) -> None:
        given = {
            "storage": self.storage.azurite.connection_string,
            "broker": self.broker.url,
            "scratch": self.folder / "scratch",
            "cache": self.folder / "cache",
            "compute": "integration.worker_compute:act",
            "grace_s": 5,
            "lease_s": 3,
            "poll_down_s": 0.3,
            "status_min_s": 0.2,
            **settings,
        }
        lines = [f"ORTHOAGENT_{name.upper()}={value}\n" for name, value in given.items()]
        self.env_file.touch(mode=0o600)
        self.env_file.write_text("".join([*lines, f"PYTHONPATH={TESTS}\n"]))

    def scale(self, start: Callable[..., Agent], *arguments: str, **settings: object) -> Agent:
        pilots = ("--max", "2", "--env-file", str(self.env_file), "--linger", "2", "--walltime", "60")
        given = {"broker": self.broker.url, "state": self.folder / "state", "look_every_s": 1, "keep_s": 0}
        return start("scale", "--scheduler", "slurm", *pilots, *arguments, **{**given, **settings})

    def want(self, slots: int, for_s: float = 120) -> None:
        demand = Demand(pool=self.storage.pool, slots=slots, until=datetime.now(UTC) + timedelta(seconds=for_s))
        self.ear.say(names.topic_demand(self.storage.pool), demand.to_json(), retain=True)

    def pilots(self) -> dict[str, str]:
        """States of this pool's jobs by pilot."""
        lines = self.slurm.run("squeue", "--noheader", "--format=%j %T").splitlines()
        jobs = dict(line.split() for line in lines)
        return {name: state for name, state in jobs.items() if name.startswith(f"pilot-{self.storage.pool}-")}

    def job_of(self, pilot: str) -> str:
        return self.slurm.run("squeue", "--noheader", f"--name={pilot}", "--format=%A").strip()

    def starting(self) -> dict[str, AgentStatus]:
        """The latest status of each pilot that is said to be starting with a moment."""
        latest = {names.topic_status(agent): self.ear.last(agent) for agent in self.pilots()}
        found = [status for status in latest.values() if status is not None and status.state == "starting"]
        return {status.agent: status for status in found if status.starts_at is not None}

    def is_cleared(self, pilot: str) -> bool:
        """Whether the broker keeps nothing of a pilot, and the last that it said was goodbye."""
        topic = names.topic_status(pilot)
        heard = [body for _, where, body in list(self.ear.heard) if where == topic]
        return bool(heard) and heard[-1] == b"" and self.ear.statuses(pilot)[-1].state == "offline"

    def log_of(self, pilot: str) -> str:
        return (self.folder / "state" / self.storage.pool / "logs" / f"{pilot}.log").read_text()

    def close(self) -> None:
        self.ear.close()
        self.storage.close()


@pytest.fixture
def centre(slurm: Slurm, azurite: Azurite, broker: Broker, tmp_path: Path) -> Iterator[Centre]:
    found = Centre(slurm, azurite, broker, tmp_path)
    yield found
    for pilot in found.pilots():
        slurm.run("scancel", f"--name={pilot}")
    found.close()


@pytest.fixture
def start(centre: Centre, tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    with agents(centre.storage, tmp_path) as starter:
        yield starter


@pytest.fixture
def busy(slurm: Slurm) -> Iterator[str]:
    """A job of somebody else's that has the whole node."""
    job = slurm.run("sbatch", "--parsable", "--exclusive", "--time=2", "--output=/dev/null", "--wrap=sleep 120").strip()
    yield job
    slurm.run("scancel", job)


def test_pilots_come_with_demand_work_and_leave(centre: Centre, start: Callable[..., Agent], busy: str) -> None:
    tasks = [centre.storage.release({"steps": [0.2]}) for _ in range(4)]
    scale = centre.scale(start)
    centre.want(5)
    pilots = until(lambda: len(found := centre.pilots()) == 2 and found, "as many pilots as there may be")
    starting = until(lambda: len(found := centre.starting()) == 2 and found, "when they are expected to start")
    for status in starting.values():
        assert (status.pool, status.slots) == (centre.storage.pool, 1)
        assert status.starts_at is not None
        assert 0 < (status.starts_at - datetime.now(UTC)).total_seconds() <= 240
    centre.slurm.run("scancel", busy)
    for task in tasks:
        finished = centre.storage.report(task, "finished")
        assert finished.agent in pilots
        assert centre.storage.faults(finished) == []
    centre.want(0)
    until(lambda: not centre.pilots(), "the pilots to leave")
    for pilot in pilots:
        states = [status.state for status in centre.ear.statuses(pilot)]
        assert states.index("starting") < states.index("online") < states.index("offline")
        assert "starting" not in states[states.index("online") :]
        until(lambda pilot=pilot: centre.is_cleared(pilot), "no trace of it at the broker")  # type: ignore[misc]
    assert scale.events("pilot_ended_early") == []
    assert scale.end() == 0


def test_what_waits_is_cancelled_without_demand_and_found_again_after_a_restart(
    centre: Centre, start: Callable[..., Agent], busy: str
) -> None:
    scale = centre.scale(start)
    centre.want(2)
    pilots = until(lambda: len(found := centre.pilots()) == 2 and found, "two pilots")
    until(lambda: len(centre.starting()) == 2, "their statuses")
    scale.kill()
    (centre.folder / "state" / centre.storage.pool / "pilots.json").unlink()  # their names are enough
    again = centre.scale(start)
    again.wait_for("demand", slots=2, pilots=2)
    time.sleep(2)
    assert centre.pilots() == pilots
    assert again.events("pilot_submitted") == []
    centre.want(0)
    until(lambda: not centre.pilots(), "them to be cancelled")
    for pilot in pilots:
        until(lambda pilot=pilot: centre.is_cleared(pilot), "no trace of it at the broker")  # type: ignore[misc]
    assert again.end() == 0


def test_without_a_broker_what_is_there_stays_and_nothing_comes(
    slurm: Slurm, azurite: Azurite, tmp_path: Path, busy: str
) -> None:
    with Broker(tmp_path / "broker") as broker:
        centre = Centre(slurm, azurite, broker, tmp_path)
        with agents(centre.storage, tmp_path) as start:
            scale = centre.scale(start)
            scale.wait_for("broker_up")
            centre.want(1, for_s=4)
            pilots = until(centre.pilots, "a pilot")
            broker.kill()
            scale.wait_for("demand", slots=None, pilots=1)
            assert centre.pilots() == pilots
            broker.start()
            until(lambda: not centre.pilots(), "it to be cancelled once silence means that nobody wants it")
            assert scale.end() == 0
        centre.close()


def test_a_pilot_drains_before_its_time_limit(centre: Centre, start: Callable[..., Agent]) -> None:
    centre.write_env_file(grace_s=44)
    scale = centre.scale(start, "--slots", "2")
    task, too_long = centre.storage.release({"steps": [1.0] * 6}), centre.storage.release({}, expected_s=100)
    centre.want(1)
    started = centre.storage.report(task, "started")
    job = centre.job_of(started.agent)
    returned = centre.storage.report(too_long, "returned")
    assert "this worker's batch job ends in" in (returned.reason or "")
    assert centre.storage.report(task, "finished").agent == started.agent
    centre.want(0)
    until(lambda: started.agent not in centre.pilots(), "the pilot to leave")
    assert "JobState=COMPLETED" in centre.slurm.run("scontrol", "show", "job", job)
    assert "the batch job's walltime is nearly over" in centre.log_of(started.agent)
    seen = [status.walltime_left_s for status in centre.ear.statuses(started.agent) if status.state == "online"]
    assert all(left_s is not None and 0 < left_s <= 61 for left_s in seen)
    assert scale.end() == 0


def test_slurms_warning_hands_back_what_would_not_end(centre: Centre, start: Callable[..., Agent]) -> None:
    centre.write_env_file(grace_s=1)
    scale = centre.scale(start)
    task = centre.storage.release({"steps": [120]})
    centre.want(1)
    started = centre.storage.report(task, "started")
    centre.slurm.run("scancel", "--batch", "--signal=USR1", centre.job_of(started.agent))
    centre.want(0)
    assert centre.storage.report(task, "returned").reason == "received SIGUSR1"
    until(lambda: not centre.pilots(), "the pilot to leave")
    assert scale.end() == 0


def test_an_agent_as_a_batch_job_by_hand(centre: Centre) -> None:
    centre.write_env_file(pool=centre.storage.pool)
    script = Path(__file__).parents[2] / "infra" / "slurm" / "agent.sbatch"
    smaller = ("--cpus-per-task=1", "--mem=100M", "--time=10", f"--output={centre.folder}/%j.log")
    program = Path(sys.executable).with_name("orthoagent")
    job = centre.slurm.run("sbatch", "--parsable", *smaller, str(script), str(centre.env_file), str(program)).strip()
    task = centre.storage.release({"steps": [0.2]})
    assert centre.storage.report(task, "finished").agent == f"slurm-{job}"
    status = until(lambda: centre.ear.last(f"slurm-{job}"), "its status")
    assert 500 < (status.walltime_left_s or 0) <= 600
    centre.slurm.run("scancel", job)
    until(lambda: centre.ear.statuses(f"slurm-{job}")[-1].state == "offline", "its goodbye")
    assert "received SIGTERM" in (centre.folder / f"{job}.log").read_text()


def test_secrets_are_in_no_job_script_and_on_no_command_line(
    centre: Centre, start: Callable[..., Agent], busy: str
) -> None:
    scale = centre.scale(start)
    centre.want(1)
    pilot = next(iter(until(centre.pilots, "a pilot")))
    scale.wait_for("pilot_submitted", pilot=pilot)
    script = centre.slurm.run("scontrol", "write", "batch_script", centre.job_of(pilot), "-")
    assert f"export ORTHOAGENT_AGENT={pilot}" in script
    assert "AccountKey" not in script
    assert str(centre.env_file) in script
    assert not list((centre.folder / "state").rglob("*.job"))
    assert (centre.folder / "state" / centre.storage.pool).stat().st_mode & 0o077 == 0
    assert scale.end() == 0


def test_a_scheduler_that_fails_for_a_while_is_asked_again(centre: Centre, start: Callable[..., Agent]) -> None:
    broken, commands = centre.folder / "broken", centre.folder / "bin"
    commands.mkdir()
    broken.touch()
    real = until(lambda: centre.slurm.command("squeue"), "squeue")
    wrapper = commands / "squeue"
    wrapper.write_text(f'#!/bin/sh\n[ -e {broken} ] && {{ echo "Socket timed out" >&2; exit 1; }}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
        scale = centre.scale(start)
    centre.want(1)
    failed = scale.wait_for("scheduler_fails")
    assert failed["error"] == "squeue ended with exit code 1: Socket timed out"
    assert not centre.pilots()
    broken.unlink()
    until(centre.pilots, "a pilot")
    assert scale.end() == 0


def test_pilots_that_fail_at_once_become_few(centre: Centre, start: Callable[..., Agent]) -> None:
    scale = centre.scale(start, "--max", "1", "--linger", "60", agent_command="/nonexistent/orthoagent")
    centre.want(1)
    early = scale.wait_for("pilot_ended_early")
    assert early["none_for_s"] == 15
    time.sleep(3)
    assert len(scale.events("pilot_submitted")) == 1
    assert "/nonexistent/orthoagent: No such file" in centre.log_of(str(early["pilot"]))
    assert scale.end() == 0


def test_a_partition_that_does_not_exist_is_named(centre: Centre, start: Callable[..., Agent]) -> None:
    scale = centre.scale(start, "--partition", "nosuch", "--account", "a")
    centre.want(1)
    assert scale.process.wait(30) == 1
    said = scale.log_path.read_text()
    assert "orthoagent: Slurm refuses the pilot with --partition nosuch: sbatch: error: invalid partition" in said
    assert "Traceback" not in said
    assert not centre.pilots()


def test_one_scale_a_pool_and_an_environment_file_for_its_user_alone(
    centre: Centre, start: Callable[..., Agent]
) -> None:
    scale = centre.scale(start)
    scale.wait_for("broker_up")
    second = centre.scale(start)
    assert second.process.wait(30) == 1
    assert "another `orthoagent scale` is at work here" in second.log_path.read_text()
    centre.env_file.chmod(0o644)
    third = centre.scale(start)
    assert third.process.wait(30) == 1
    assert f"chmod 600 {centre.env_file}" in third.log_path.read_text()
    assert scale.end() == 0
