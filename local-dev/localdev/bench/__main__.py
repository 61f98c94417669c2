"""``python -m localdev.bench NAME [--json]``."""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from localdev.bench.case import Case

_NOT_BENCHES = {"__init__", "__main__", "case"}


def names() -> list[str]:
    """The benches there are: modules of this package with a function ``cases``, which gives one after the other.

    One with a function ``summary`` says itself, from its cases, what ``--json`` prints.
    """
    found = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    return [name for name in found if name not in _NOT_BENCHES and not name.startswith("_")]


def main(arguments: list[str] | None = None) -> int:
    """Run a bench and print its table. Exit code 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure one thing against its peer.")
    benches = parser.add_subparsers(dest="name", metavar="BENCH", help="which; without it, all names are listed")
    modules = {}
    for name in names():
        module = modules[name] = importlib.import_module(f"localdev.bench.{name}")
        one = benches.add_parser(name, help=module.__doc__, description=module.__doc__)
        one.add_argument("--json", action="store_true", help="the last line of standard output is JSON")
        if hasattr(module, "add_arguments"):
            module.add_arguments(one)
    options = parser.parse_args(arguments)
    if options.name is None:
        print("\n".join(names()))
        return 0
    cases: list[Case] = []
    try:
        for case in modules[options.name].cases(options):
            cases.append(case)
            print(f"{case.case}: {_short(case.figure)} {case.unit}, {_verdict(case)}", file=sys.stderr, flush=True)
    finally:  # a bench takes long: what it has found is not lost with a peer that fails
        _print(options.name, cases)
    if options.json:
        summary = getattr(modules[options.name], "summary", _list)
        print(json.dumps(summary(cases)), flush=True)
    return 1 if any(case.holds is False for case in cases) else 0


def _list(cases: list[Case]) -> list[dict[str, Any]]:
    return [case.as_json() for case in cases]


def _print(name: str, cases: list[Case]) -> None:
    table = Table(
        "case", "median", "unit", "lowest to highest", "MB", "peer", "ratio", "promised", "holds", title=f"bench {name}"
    )
    for case in cases:
        memory = "" if case.peak_mb is None else f"{case.peak_mb:.0f}"
        table.add_row(
            case.case, _short(case.figure), case.unit, case.runs or "", memory, case.peer, _short(case.ratio),
            case.at_least, _verdict(case),
        )  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the bench {peak_mb:.0f} MB")


def _verdict(case: Case) -> str:
    if case.holds is None:
        return case.reason or "not measured"
    return "yes" if case.holds else "NO"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
