"""A day of a national archive through the real functions, the kernel asleep: none missed, none twice, broken told once.

In virtual time: the functions that Azure would call, by their own triggers, over storage in memory with Azure's
promises (ETags, leases, visibility, messages and events that come twice, late, in any order). Nothing of it is told to
the judge, who reckons with shapely what must come of the day.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from localdev.bench._serve import peak_mb
from localdev.bench.case import Case
from localdev.day.emulator import live_through_for_real
from localdev.day.judge import Judgement, judge
from localdev.day.run import LOOK_EVERY_S, Day, DaySpec, live_through
from localdev.day.scenes import MIDNIGHT
from orthofunctions.usecases.costs import month_costs

MOST_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--products``, ``--orders``, ``--seed``, ``--emulator``."""
    parser.add_argument("--products", type=int, help="how many arrive (default 10000; 60 with --emulator)")
    parser.add_argument("--orders", type=int, default=500, help="standing orders (default 500)")
    parser.add_argument(
        "--emulator",
        action="store_true",
        help="through functions host, emulator, broker and agents, not in virtual time",
    )
    parser.add_argument("--seed", type=int, default=1, help="another day (default 1)")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """The promises first, then figures."""
    if options.emulator:
        yield from _for_real(options)
        return
    logging.disable(logging.ERROR)  # a subscriber that does not answer, a product that is broken: all part of the day
    began_s = time.monotonic()
    try:
        day = live_through(spec_of(options), on_hour=_say)
    finally:
        logging.disable(logging.NOTSET)
    took_s = time.monotonic() - began_s
    found = judge(day)
    yield from _promises(day, found, took_s)
    yield from _figures(day, found)


def _for_real(options: argparse.Namespace) -> Iterator[Case]:
    spec = replace(spec_of(options, 60), hours=3.0, broken_share=0.05)
    began_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="bench-day-") as scratch,
        live_through_for_real(spec, Path(scratch)) as day,
    ):
        took_s = time.monotonic() - began_s
        found = judge(day)
    yield from _promises(day, found, took_s)
    yield from _waits(found)


def _promises(day: Day, found: Judgement, took_s: float) -> Iterator[Case]:
    of = (
        f"{len(day.scenes)} products, {len(day.orders)} standing orders, {found.n_wanted} pairs of both that fit "
        f"({found.n_near} more on an edge), {found.n_jobs} jobs, {found.n_images} images, in {took_s / 60:.1f} minutes"
    )
    yield _promise("missed", found.missed, of)
    yield _promise("twice", found.twice, f"{found.n_images} images, {found.n_jobs} jobs, {found.n_callbacks} callbacks")
    yield _promise("broken", found.broken, f"{found.n_broken} broken products, each to be told once")


def _say(day: Day) -> None:
    made, waiting = len(day.books.made), day.backlog[-1] if day.backlog else 0
    print(f"{day.ended_at:%H:%M}: {made} images made, {waiting} tasks wait", file=sys.stderr, flush=True)


def spec_of(options: argparse.Namespace, usual: int = DaySpec.n_scenes) -> DaySpec:
    """A day of fewer products has a smaller centre."""
    n_scenes = options.products or usual
    share = n_scenes / DaySpec.n_scenes
    return DaySpec(
        n_scenes=n_scenes,
        n_orders=options.orders,
        seed=options.seed,
        slots=max(2, round(DaySpec.slots * share)),
        cloud_slots=max(4, round(DaySpec.cloud_slots * share)),
    )


def _promise(name: str, wrong: Sequence[str], of: str) -> Case:
    """A case that holds where nothing is wrong; what is, is said on standard error."""
    for line in wrong[:MOST_SHOWN]:
        print(f"{name}: {line}", file=sys.stderr)
    return Case(name, float(len(wrong)), "", of, None, "0", not wrong)


def _figures(day: Day, found: Judgement) -> Iterator[Case]:
    n = len(day.scenes)
    worst = max(range(len(day.backlog)), key=day.backlog.__getitem__)
    at = f"{MIDNIGHT + timedelta(seconds=worst * LOOK_EVERY_S):%H:%M}"
    hourly = [max(part) for part in _parts(day.backlog[: int(86_400 / LOOK_EVERY_S)], int(3600 / LOOK_EVERY_S))]
    yield _figure("backlog", max(day.backlog), "tasks that wait, at most", f"at {at}; most of each hour: {hourly}")
    total = month_costs(day.ports, day.system.rules).total
    books = day.books
    yield _figure(
        "cloud", total.spent_eur, "EUR",
        f"{books.n_runs['cloud']} runs, {total.cloud_slot_s / 3600:.1f} slot-hours paid for, "
        f"{books.busy_s['cloud'] / 3600:.1f} of them work",
    )  # fmt: skip
    yield _figure(
        "on-prem", total.on_prem_slot_s / 3600, "slot-hours, already paid for",
        f"{books.n_runs['hpc']} runs on {day.spec.slots} slots, {books.busy_s['hpc'] / 3600:.1f} slot-hours of work; "
        f"{books.n_silent} nodes died, {books.n_failed} kernels crashed",
    )  # fmt: skip
    yield _figure(
        "seams", found.n_seams, "tiles of several slices, counted for each order",
        f"{found.n_vain} jobs waited in vain for a neighbour; {found.n_early} of them were made again when it came",
    )  # fmt: skip
    yield from _waits(found)
    times, cpu_s = day.calls.times, day.calls.cpu_s
    most = ", ".join(f"{name} {count}" for name, count in times.most_common(6))
    killed = f"{day.calls.n_killed} killed, {sum(day.calls.failures.values())} failed"
    yield _figure("calls", sum(times.values()) / n, "function calls a product", f"{killed}; {most}")
    dearest = ", ".join(
        f"{name} {seconds:.0f} s" for name, seconds in sorted(cpu_s.items(), key=lambda one: -one[1])[:6]
    )
    yield _figure("processor", sum(cpu_s.values()) / n, "s of functions a product", f"storage in memory; {dearest}")
    yield _figure("peak memory", peak_mb(), "MB", "functions, storage and simulation in one process")


def _waits(found: Judgement) -> Iterator[Case]:
    waits = sorted(found.waits_s) or [0.0]
    yield _figure("wait, median", statistics.median(waits), "s from whole to image", "waiting for a neighbour among it")
    yield _figure("wait, p95", waits[int(0.95 * len(waits))], "s from whole to image", f"the longest {waits[-1]:.0f} s")


def _figure(name: str, value: float, unit: str, more: str) -> Case:
    return Case(name, value, unit, more, None, "", None, "nothing was promised")


def _parts(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
