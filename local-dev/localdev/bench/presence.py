"""Ten thousand simulated agents: what their statuses cost, and how soon a last will has reached the dispatcher."""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from localdev.bench._agents_side import SLOTS, agent_name
from localdev.bench.case import Case
from localdev.stack import Stack, StackSpec
from localdev.stack.settings import write_setting
from orthocontracts import names
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.bootstrap import System, build
from orthofunctions.ports import Ports
from orthofunctions.settings import Settings
from orthofunctions.usecases.roster import all_agents, find_agent
from orthofunctions.usecases.site import Site

POOL = "hpc"
PROCESSES = 2
MEASURED_S = 60.0
SINGLE_WILLS, MASS_WILLS = 20, 200
MOST_S = 2.0
COME_LIMIT_S, WILL_LIMIT_S = 300.0, 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--every", type=float, default=30.0, metavar="S", help="seconds between an agent's statuses")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """How long they take to be known, what they cost when nothing happens, last wills one by one and many at once."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-presence-") as scratch,
        Stack(StackSpec(Path(scratch), agents=0, cloud_limit=0)) as stack,
        _Crowd(options.agents, stack.broker.port, options.every) as crowd,
    ):
        connection = stack.azurite.connection_string
        pool = {"name": POOL, "kind": "onprem", "max_slots": 100_000}
        write_setting(connection, names.BLOB_POOLS, {"version": 1, "pools": [pool]})
        system = build(Settings.model_validate({"AzureWebJobsStorage": connection}))
        yield _come(system.ports, options.agents, crowd)
        yield from _cost(stack, options.agents, options.every)
        agents = list(range(options.agents))
        random.Random(1).shuffle(agents)
        single, mass = agents[:SINGLE_WILLS], agents[SINGLE_WILLS : SINGLE_WILLS + MASS_WILLS]
        yield _wills(system.ports, crowd, single)
        yield _mass(system.ports, crowd, mass)
        yield _capacity(system, options.agents - len(single) - len(mass))
        system.close()


class _Crowd:
    """The simulated agents, in processes of their own."""

    def __init__(self, count: int, port: int, every_s: float) -> None:
        self._share = -(-count // PROCESSES)
        self._began_s = time.monotonic()
        self._processes = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "localdev.bench._agents_side", str(first),
                    str(min(self._share, count - first)), str(port), str(every_s),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for first in range(0, count, self._share)
        ]  # fmt: skip

    def __enter__(self) -> _Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def wait(self) -> float:
        """Seconds until all are connected."""
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the simulated agents did not come up: see standard error")
        return time.monotonic() - self._began_s

    def kill(self, numbers: Sequence[int]) -> None:
        for k, process in enumerate(self._processes):
            mine = [str(number) for number in numbers if number // self._share == k]
            if mine:
                assert process.stdin is not None
                process.stdin.write(f"kill {' '.join(mine)}\n")
                process.stdin.flush()


def _come(ports: Ports, count: int, crowd: _Crowd) -> Case:
    connected_s = crowd.wait()
    deadline = time.monotonic() + COME_LIMIT_S
    began_s = time.monotonic()
    while (known := sum(1 for agent in all_agents(ports) if agent.state == "online")) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{known} of {count} agents are known after {COME_LIMIT_S:g} s")
        time.sleep(0.2)
    after_s = time.monotonic() - began_s
    return Case(
        "come", after_s, f"s until all {count} are known, from their connection",
        f"they connect in {connected_s:.0f} s", None, "", None, "nothing was promised",
    )  # fmt: skip


@dataclass(frozen=True)
class _Use:
    cpu_s: float
    memory_mb: float

    @classmethod
    def of(cls, pid: int) -> _Use:
        """Of a process and its children."""
        ticks, pages = 0.0, 0
        for one in [pid, *_descendants(pid)]:
            try:
                stat = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
                pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
            except OSError:
                continue
            ticks += int(stat[11]) + int(stat[12])
        return cls(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


def _descendants(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _cost(stack: Stack, count: int, every_s: float) -> Iterator[Case]:
    assert stack.presence is not None
    parts = {"functions": stack.host.group, "presence": stack.presence.group, "emulator": stack.azurite.group}
    before = {name: _Use.of(pid) for name, pid in parts.items()}
    time.sleep(MEASURED_S)
    for name, pid in parts.items():
        after = _Use.of(pid)
        yield Case(
            name, 100 * (after.cpu_s - before[name].cpu_s) / MEASURED_S, "% of a core",
            f"{count / every_s:.0f} statuses a second, nothing else to do, rounds every 5 s", None, "", None,
            "nothing was promised", peak_mb=after.memory_mb,
        )  # fmt: skip


def _until_offline(ports: Ports, numbers: Sequence[int], began_s: float) -> list[float]:
    """Seconds until the row of each says so."""
    waiting, found = set(numbers), []
    while waiting:
        if time.monotonic() - began_s > WILL_LIMIT_S:
            raise TimeoutError(f"{len(waiting)} last wills have not come after {WILL_LIMIT_S:g} s")
        if len(waiting) == 1:
            (number,) = waiting
            record = find_agent(ports, POOL, agent_name(number))
            gone = {number} if record is not None and record.state == "offline" else set()
        else:
            offline = {record.agent for record in all_agents(ports) if record.state == "offline"}
            gone = {number for number in waiting if agent_name(number) in offline}
        found += [time.monotonic() - began_s] * len(gone)
        waiting -= gone
        time.sleep(0.01)
    return found


def _wills(ports: Ports, crowd: _Crowd, numbers: Sequence[int]) -> Case:
    took = []
    for number in numbers:
        began_s = time.monotonic()
        crowd.kill([number])
        took += _until_offline(ports, [number], began_s)
        time.sleep(0.5)
    return _will_case("will", took, "an agent that dies, from the cut to its row")


def _mass(ports: Ports, crowd: _Crowd, numbers: Sequence[int]) -> Case:
    began_s = time.monotonic()
    crowd.kill(numbers)
    return _will_case("mass", _until_offline(ports, numbers, began_s), f"{len(numbers)} that die at once")


def _will_case(name: str, took_s: Sequence[float], what: str) -> Case:
    ranked = sorted(took_s)
    p99 = ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))]
    return Case(
        name, statistics.median(ranked), "s", f"{what}; p99 {p99:.2f} s", ranked[-1] / MOST_S,
        f"all within {MOST_S:g} s", ranked[-1] <= MOST_S, runs=f"{ranked[0]:.2f} to {ranked[-1]:.2f}",
    )  # fmt: skip


def _capacity(system: System, alive: int) -> Case:
    """What a round reads, and how long it takes to read it."""
    began_s = time.monotonic()
    site = Site.read(system.ports)
    took_s = time.monotonic() - began_s
    (state,) = site.states(KERNEL_RESULT_VERSION, system.ports.clock.now(), system.rules)
    found = state.slots.get(KERNEL_RESULT_VERSION, 0)
    return Case(
        "capacity", float(found), "slots", f"{alive} agents of {SLOTS} that are left; read in {took_s:.2f} s",
        found / (alive * SLOTS), "as many as there are", found == alive * SLOTS,
    )  # fmt: skip
