"""What Azure deploys of the functions: how large it is, and how long a fresh process takes to import it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from localdev.bench.case import Case, Runs
from packing.functions import IMPORT_LIMIT_S, build_folder, cold_imports, size_mb, write_zip

TIMES = 9


def cases(_: argparse.Namespace) -> Iterator[Case]:
    """The package is built first, as ``infra/functions/package`` does."""
    with tempfile.TemporaryDirectory(prefix="bench-package-") as scratch:
        folder, archive = Path(scratch, "app"), Path(scratch, "app.zip")
        build_folder(folder)
        write_zip(folder, archive)
        yield Case(
            "size", archive.stat().st_size / 1e6, "MB", f"unpacked {size_mb(folder):.0f} MB", None, "", None,
            "nothing was promised",
        )  # fmt: skip
        found = cold_imports(folder, TIMES)
        runs = Runs(tuple(run.wall_s for run in found), cpu_s=sorted(run.cpu_s for run in found)[TIMES // 2])
        yield Case(
            "cold import", runs.median_s, "s", f"the limit, {IMPORT_LIMIT_S} s", runs.median_s / IMPORT_LIMIT_S,
            f"under {IMPORT_LIMIT_S} s", runs.median_s < IMPORT_LIMIT_S, runs=runs.spread,
        )  # fmt: skip
