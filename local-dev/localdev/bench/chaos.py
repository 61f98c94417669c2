"""The whole stack under load while everything that can be killed, cut, filled or delayed is: nothing may be lost."""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localdev.bench.case import Case
from localdev.chaos.faults import KINDS
from localdev.chaos.outcome import Verdict
from localdev.chaos.run import LEASE_S, Calm, Order, run

SLACK_S = 5.0
PRESENCE_S = 5.0
_BARS = {
    "kill_agent": LEASE_S + SLACK_S,
    "freeze_agent": LEASE_S + SLACK_S,
    "kill_broker": PRESENCE_S,
}
"""Most seconds of the slowest recovery."""
_verdicts: list[Verdict] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="the storm's longest (default 10)")
    parser.add_argument("--seed", type=int, help="of the storm; a fresh one by default, which is printed")
    parser.add_argument("--agents", type=int, default=3, help="on-prem agents (default 3)")
    parser.add_argument("--tasks", type=int, default=300, help="requests, each a task or what another has made")
    parser.add_argument("--every", type=float, default=3.0, metavar="S", help="seconds between faults (default 3)")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS), help="which faults")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where data and logs stay; removed by default")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """What must be zero, then how long each kind of fault took to recover from."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with everything undone
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", flush=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in ("azure", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    order = Order(
        seed, options.tasks, options.minutes, options.agents, every_s=options.every, kinds=tuple(options.kinds)
    )
    if options.keep is not None:
        verdict = run(order, options.keep, Calm.run(order, options.keep))
    else:
        with tempfile.TemporaryDirectory(prefix="bench-chaos-") as folder:
            verdict = run(order, Path(folder), Calm.run(order, Path(folder)))
    _verdicts.append(verdict)
    struck = sum(verdict.faults.values())
    of = f"{verdict.tasks} tasks, {struck} faults"
    for name in ("lost", "committed_twice", "wrong_pixels"):
        count = float(getattr(verdict, name))
        yield Case(name.replace("_", " "), count, "", of, None, "0", count == 0)
    for kind, took in verdict.recovery_s.items():
        bar = _BARS.get(kind)
        yield Case(
            kind.replace("_", " "), took["p50"], "s", f"recovery, {took['n']:.0f} times; p99 {took['p99']:.1f} s",
            None if bar is None else took["p99"] / bar, "" if bar is None else f"within {bar:g} s",
            None if bar is None else took["p99"] <= bar, None if bar is not None else "nothing was promised",
        )  # fmt: skip


def summary(_: list[Case]) -> dict[str, Any]:
    """The JSON."""
    return _verdicts[-1].as_json()
