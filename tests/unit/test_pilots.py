"""Pilots: how many, what is said of them, and what survives a restart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from orthoagent.adapters.batch import BatchScheduler
from orthoagent.adapters.pbs import parse_qstat
from orthoagent.adapters.slurm import parse_squeue
from orthoagent.envfile import EnvFileError, read_env_file
from orthoagent.errors import CommandFailedError
from orthoagent.pilots.announce import Announcer
from orthoagent.pilots.book import Book, Entry, ScaleTwiceError, own_folder
from orthoagent.pilots.bootstrap import pilot_spec
from orthoagent.pilots.demand import DemandHeard
from orthoagent.pilots.lives import ShortLives
from orthoagent.pilots.logs import KEEP_S, remove_old_logs
from orthoagent.pilots.plan import Orders, Pilot, pilots_for, plan
from orthoagent.pilots.scheduler import SeenJob
from orthoagent.pilots.script import refusal
from orthoagent.settings import ScaleSettings
from orthocontracts.messages import Demand

NOW_S = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()


def pilots(*states: str) -> list[Pilot]:
    return [Pilot(f"p{n}", state) for n, state in enumerate(states)]  # type: ignore[arg-type]


class TestPlan:
    def test_as_many_as_are_wanted_and_no_more_than_may_be(self) -> None:
        assert plan([], wanted=3, kept=3, at_most=5) == Orders(submit=3)
        assert plan(pilots("running", "queued", "submitted"), wanted=4, kept=4, at_most=5) == Orders(submit=1)
        assert plan([], wanted=9, kept=9, at_most=5) == Orders(submit=5)

    def test_those_that_would_start_last_are_cancelled_first(self) -> None:
        queued = [Pilot("soon", "queued", 1.0), Pilot("never", "queued"), Pilot("late", "queued", 9.0)]
        assert plan([*queued, Pilot("r", "running")], wanted=2, kept=2, at_most=9).cancel == ("never", "late")

    def test_a_demand_that_has_only_just_fallen_cancels_nothing(self) -> None:
        assert plan(pilots("queued", "queued"), wanted=0, kept=2, at_most=9) == Orders()
        assert plan(pilots("queued", "queued"), wanted=0, kept=1, at_most=9) == Orders(cancel=("p1",))

    def test_a_lowered_maximum_cancels(self) -> None:
        assert plan(pilots("queued", "queued", "running"), wanted=3, kept=3, at_most=2) == Orders(cancel=("p1",))

    @pytest.mark.parametrize(("slots", "each", "found"), [(0, 4, 0), (1, 4, 1), (4, 4, 1), (5, 4, 2), (100, 1, 7)])
    def test_slots_in_pilots(self, slots: int, each: int, found: int) -> None:
        assert pilots_for(slots, slots_each=each, at_most=7) == found

    @given(
        st.lists(st.tuples(st.sampled_from(["submitted", "queued", "running"]), st.none() | st.floats(0, 1e9))),
        st.integers(0, 30),
        st.integers(0, 30),
        st.integers(1, 20),
    )
    def test_whatever_there_is(
        self, states: Sequence[tuple[str, float | None]], wanted: int, kept: int, at_most: int
    ) -> None:
        there = [Pilot(f"p{n}", state, start_s) for n, (state, start_s) in enumerate(states)]  # type: ignore[arg-type]
        orders = plan(there, wanted=wanted, kept=kept, at_most=at_most)
        by_name = {pilot.agent: pilot for pilot in there}
        left = len(there) - len(orders.cancel) + orders.submit
        n_queued = sum(pilot.state == "queued" for pilot in there)
        assert all(by_name[agent].state == "queued" for agent in orders.cancel), "what runs leaves by itself"
        assert len(set(orders.cancel)) == len(orders.cancel)
        assert not (orders.submit and orders.cancel)
        assert orders.submit == 0 or left <= min(wanted, at_most)
        if wanted == kept == 0:
            assert (orders.submit, len(orders.cancel)) == (0, n_queued), "without demand nothing waits"
        if len(there) < min(wanted, at_most):
            assert left == min(wanted, at_most)
        if orders.cancel:
            assert left >= min(kept, at_most)
        after = [pilot for pilot in there if pilot.agent not in orders.cancel] + pilots(*["queued"] * orders.submit)
        assert plan(after, wanted=wanted, kept=kept, at_most=at_most) == Orders(), "it settles at once"


class TestDemand:
    def heard(self, slots: int, for_s: float, keep_s: float = 0) -> DemandHeard:
        heard = DemandHeard(keep_s=keep_s)
        until = datetime.fromtimestamp(NOW_S, UTC) + timedelta(seconds=for_s)
        heard.note(Demand(pool="hpc", slots=slots, until=until))
        return heard

    def test_nobody_knows_until_the_broker_has_had_time_to_say(self) -> None:
        heard = DemandHeard(keep_s=0)
        assert heard.slots(NOW_S) is None
        heard.connected(NOW_S)
        assert heard.slots(NOW_S + 4.9) is None
        assert heard.slots(NOW_S + 5) == 0

    def test_over_is_none_with_a_broker_and_unknown_without(self) -> None:
        heard = self.heard(7, for_s=10)
        assert heard.slots(NOW_S + 9) == 7
        assert heard.slots(NOW_S + 11) is None
        heard.connected(NOW_S)
        assert heard.slots(NOW_S + 11) == 0
        heard.disconnected()
        assert heard.slots(NOW_S + 12) is None

    def test_the_most_of_the_last_while(self) -> None:
        heard = self.heard(7, for_s=100, keep_s=60)
        assert heard.slots(NOW_S) == 7
        heard.note(Demand(pool="hpc", slots=2, until=datetime.fromtimestamp(NOW_S + 500, UTC)))
        assert heard.slots(NOW_S + 30) == 2
        assert heard.most_lately(NOW_S + 60) == 7
        assert heard.most_lately(NOW_S + 61) == 2


class TestLives:
    def test_pauses_double_and_a_long_life_ends_them(self) -> None:
        lives = ShortLives(60)
        assert lives.ended(None, 100)
        assert lives.ended(3, 101), "those that end together count once"
        assert lives.pause_left_s(105) == 10
        assert lives.ended(29, 115)
        assert lives.pause_left_s(115) == 30
        assert not lives.ended(30, 116)
        assert lives.pause_left_s(116) == 0


class TestBook:
    def test_a_new_life_finds_the_pilots_in_the_file_or_by_their_names(self, tmp_path: Path) -> None:
        book = Book(tmp_path, "hpc")
        first, second = book.new(NOW_S), book.new(NOW_S)
        first.job, second.job = "1", "2"
        book.save()
        again = Book(tmp_path, "hpc")
        assert {entry.agent for entry in again.entries} == {first.agent, second.agent}
        (tmp_path / "pilots.json").unlink()
        seen = [SeenJob("1", first.agent, False, NOW_S + 60, "Priority"), SeenJob("9", "pilot-other-1", True)]
        changes = Book(tmp_path, "hpc").compare(seen, NOW_S)
        assert [entry.agent for entry in changes.queued] == [first.agent]
        assert changes.queued[0].starts_at_s == NOW_S + 60

    def test_what_becomes_of_a_pilot(self, tmp_path: Path) -> None:
        book = Book(tmp_path, "hpc")
        entry = book.new(NOW_S)
        assert book.compare([], NOW_S - 1).gone == [], "the look began before it was submitted"
        assert book.compare([SeenJob("1", entry.agent, False)], NOW_S + 1).queued == [entry]
        assert book.compare([SeenJob("1", entry.agent, False)], NOW_S + 2).queued == []
        assert book.compare([SeenJob("1", entry.agent, True)], NOW_S + 3).began == [entry]
        assert book.compare([], NOW_S + 4).gone == [entry]
        assert list(Book(tmp_path, "hpc").entries) == [entry], "until everybody knows"
        book.told(entry)
        assert Book(tmp_path, "hpc").entries == []

    def test_names_are_ids_that_nobody_had(self, tmp_path: Path) -> None:
        names = {Book(tmp_path, "a" * 40).new(NOW_S).agent for _ in range(50)}
        assert len(names) == 50
        assert all(len(name) <= 63 for name in names)

    def test_one_at_a_time(self, tmp_path: Path) -> None:
        with own_folder(tmp_path / "state"):
            with pytest.raises(ScaleTwiceError), own_folder(tmp_path / "state"):
                pass
            assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


class TestAnnouncer:
    def test_what_waits_is_said_when_it_changes_and_every_half_minute(self) -> None:
        announcer = Announcer(pool="hpc", slots=4, scheduler="Slurm")
        entry = Entry("pilot-hpc-1", NOW_S, "17", "queued", NOW_S + 600)
        (status,) = announcer.due([entry], NOW_S)
        assert (status.agent, status.state, status.slots, status.machine) == (
            entry.agent,
            "starting",
            4,
            "Slurm job 17",
        )
        assert status.starts_at == datetime.fromtimestamp(NOW_S + 600, UTC)
        assert list(announcer.due([entry], NOW_S + 29)) == []
        entry.starts_at_s = NOW_S + 602
        assert list(announcer.due([entry], NOW_S + 29)) == [], "no news"
        entry.starts_at_s = NOW_S + 700
        (again,) = announcer.due([entry], NOW_S + 29)
        assert (again.session, again.sequence) == (status.session, status.sequence + 1)
        entry.starts_at_s = None
        (unknown,) = announcer.due([entry], NOW_S + 30)
        assert unknown.starts_at is None
        assert len(list(announcer.due([entry], NOW_S + 60))) == 1
        announcer.forget()
        assert len(list(announcer.due([entry], NOW_S + 61))) == 1

    def test_what_runs_speaks_for_itself_and_what_is_gone_is_offline(self) -> None:
        announcer = Announcer(pool="hpc", slots=4, scheduler="Slurm")
        entry = Entry("pilot-hpc-1", NOW_S, "17", "running", NOW_S)
        assert list(announcer.due([entry], NOW_S)) == []
        farewell = announcer.farewell(entry, NOW_S + 1)
        assert (farewell.state, farewell.slots, farewell.starts_at) == ("offline", 0, None)


def settings(tmp_path: Path, **given: object) -> ScaleSettings:
    values = {"pool": "hpc", "scheduler": "slurm", "env_file": tmp_path / "env", "max_pilots": 3, "state": tmp_path}
    return ScaleSettings(broker=SecretStr("mqtt://scale:secret@host"), **{**values, **given})  # type: ignore[arg-type]


class TestScript:
    def script(self, tmp_path: Path, **given: object) -> str:
        """What would be submitted: the command is replaced by one that keeps the script."""
        of = settings(tmp_path, slots=2, cores=8, memory_gb=16, walltime_s=5400, account="a1", **given)
        kept, commands = tmp_path / "kept", tmp_path / "bin"
        commands.mkdir()
        for name in ("sbatch", "qsub"):
            (commands / name).write_text(f'#!/bin/sh\ncp "$1" {kept}\necho Submitted batch job 17\n')
            (commands / name).chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
            assert asyncio.run(BatchScheduler(of.scheduler, pilot_spec(of)).submit("pilot-hpc-1")) == "17"
        assert not list((tmp_path / "hpc" / "psij").rglob("*.job"))
        return kept.read_text()

    def test_slurm(self, tmp_path: Path) -> None:
        script = self.script(tmp_path, partition="main", qos="low", scheduler_args="--constraint='a b' --nice=5")
        lines = script.splitlines()
        for wanted in (
            "#SBATCH --cpus-per-task=8",
            "#SBATCH --mem=15625000K",
            "#SBATCH --time=1:30:0",
            '#SBATCH --partition="main"',
            '#SBATCH --account="a1"',
            "#SBATCH --qos=low",
            "#SBATCH --export=NONE",
            "#SBATCH --job-name=pilot-hpc-1",
            "#SBATCH --constraint='a b' --nice=5",
            "export ORTHOAGENT_SLOTS=2",
            "export ORTHOAGENT_CORES=8",
            "export ORTHOAGENT_AGENT=pilot-hpc-1",
        ):
            assert wanted in lines
        assert lines[-1].endswith(f"-m orthoagent run --until-empty --linger 60 --env-file {tmp_path / 'env'}")
        assert lines[-1].startswith("exec "), "signals reach the worker itself"
        assert "secret" not in script

    def test_pbs(self, tmp_path: Path) -> None:
        lines = self.script(tmp_path, scheduler="pbs", partition="workq", scheduler_args="-W group_list=x").splitlines()
        for wanted in (
            "#PBS -N pilot-hpc-1",
            "#PBS -l select=1:ncpus=8:mem=15625000kb",
            "#PBS -l walltime=1:30:0",
            "#PBS -A a1",
            "#PBS -q workq",
            "#PBS -W group_list=x",
        ):
            assert wanted in lines
        assert not any("mpiprocs" in line or "-N=" in line for line in lines)

    def test_a_refusal_names_what_the_scheduler_complains_of(self) -> None:
        options = {"partition": "p", "account": "a"}
        said = "sbatch: error: invalid partition specified: p\nsbatch: error: failed"
        assert refusal("Slurm", said, options) == (
            "Slurm refuses the pilot with --partition p: sbatch: error: invalid partition specified: p / "
            "sbatch: error: failed"
        )
        assert refusal("PBS", "qsub: Unknown queue", options).startswith("PBS refuses the pilot with --partition p:")
        assert refusal("Slurm", "too large", options).startswith(
            "Slurm refuses the pilot with --partition p --account a:"
        )
        assert refusal("Slurm", "too large", {}) == "Slurm refuses the pilot: too large"

    def test_what_is_no_word_of_a_scheduler_is_refused_before(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="partition may have letters"):
            settings(tmp_path, partition='main"\nrm')
        with pytest.raises(ValidationError, match="qos is Slurm's"):
            settings(tmp_path, scheduler="pbs", qos="low")


class TestWords:
    def test_squeue(self) -> None:
        text = (
            "2|pilot-hpc-a|PENDING|1795722738|Resources\n3|x|RUNNING|1795722678|None\n5|y|COMPLETING|1795722678|None\n"
            "4|pilot-hpc-b|PENDING|N/A|(Nodes required for job are DOWN, DRAINED|or reserved)\n"
        )
        assert parse_squeue(text) == [
            SeenJob("2", "pilot-hpc-a", False, 1795722738.0, "Resources"),
            SeenJob("3", "x", True, 1795722678.0),
            SeenJob("5", "y", True, 1795722678.0),
            SeenJob("4", "pilot-hpc-b", False, None, "(Nodes required for job are DOWN, DRAINED|or reserved)"),
        ]
        assert parse_squeue("") == []

    def test_qstat(self) -> None:
        text = """{"Jobs": {
            "1.head": {"Job_Name": "pilot-hpc-a", "job_state": "Q", "comment": "Not Running: no room",
                       "estimated": {"start_time": 1795722738}},
            "2.head": {"Job_Name": "pilot-hpc-b", "job_state": "R", "stime": "Thu Nov 26 12:00:00 2026"},
            "3.head": {"Job_Name": "pilot-hpc-c", "job_state": "H"},
            "4.head": {"Job_Name": "pilot-hpc-d", "job_state": "F"}}}"""
        queued, running, held = parse_qstat(text)
        assert queued == SeenJob("1.head", "pilot-hpc-a", False, 1795722738.0, "Not Running: no room")
        assert (running.is_running, running.starts_at_s is not None) == (True, True)
        assert held == SeenJob("3.head", "pilot-hpc-c", False)
        assert parse_qstat("{}") == []
        with pytest.raises(CommandFailedError, match="no JSON"):
            parse_qstat("Job has finished")


class TestEnvFile:
    def write(self, path: Path, text: str, mode: int = 0o600) -> Path:
        path.touch(mode=mode)
        path.write_text(text)
        return path

    def test_values_are_taken_as_they_are(self, tmp_path: Path) -> None:
        text = '# comment\n\nORTHOAGENT_STORAGE=Account=a;Key=$HOME==\nhttps_proxy="http://p:1"\n EMPTY=\n'
        assert read_env_file(self.write(tmp_path / "env", text)) == {
            "ORTHOAGENT_STORAGE": "Account=a;Key=$HOME==",
            "https_proxy": "http://p:1",
            "EMPTY": "",
        }

    def test_what_others_can_open_or_nobody_understands(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "env", "A=1\nexport KEY=secret\n")
        with pytest.raises(EnvFileError, match="line 2: expected NAME=value") as caught:
            read_env_file(path)
        assert "secret" not in str(caught.value)
        path.chmod(0o640)
        with pytest.raises(EnvFileError, match=r"chmod 600"):
            read_env_file(path)
        with pytest.raises(EnvFileError, match="cannot be read"):
            read_env_file(tmp_path / "absent")


def test_old_logs_go(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in ("pilot-hpc-1.log", "pilot-hpc-2.log", "other.log"))
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (NOW_S - KEEP_S - 1, NOW_S - KEEP_S - 1))
    os.utime(new, (NOW_S, NOW_S))
    remove_old_logs(tmp_path, NOW_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.log", "pilot-hpc-2.log"]
