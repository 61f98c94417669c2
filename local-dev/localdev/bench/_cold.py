"""The command as a whole process: first run after install, later runs, against the same work warm."""

from __future__ import annotations

import sys
from pathlib import Path

from localdev.bench import _ours_side
from localdev.bench._frame import TILE, make_frame
from localdev.bench._sides import Side, run_process, together
from localdev.bench.case import Case
from orthokernel import Grid

SIZE_PX = 1000
SHAPE = (1500, 1800)
LATER_WITHIN_S = 2.0
TIMES = 3


def cold_command(folder: Path) -> list[Case]:
    """`cold command`, on a small product: a million pixels of one polarisation."""
    small = folder / "small"
    small.mkdir()
    frame = make_frame(small, ("vv",), SHAPE, dem_px=1200)
    grid = Grid.mgrs(TILE, 10.0)
    row, col = (grid.n_rows - SIZE_PX) // 2, (grid.n_cols - SIZE_PX) // 2
    window = (row, row + SIZE_PX, col, col + SIZE_PX)
    bounds = [f"{value:g}" for value in grid.window(*window).bounds]
    command = [
        sys.executable, "-m", "orthokernel.cli", "ortho", str(frame.safe), "-o", str(small / "cold.tif"),
        "--bounds", *bounds, "--crs", f"EPSG:326{TILE[:2]}", "--spacing", "10", "--dem", str(frame.dem),
    ]  # fmt: skip
    # As after an install: nothing compiled, by numba or by Python, but both may keep what they compile.
    fresh = {
        "NUMBA_CACHE_DIR": str(small / "compiled"),
        "PYTHONPYCACHEPREFIX": str(small / "bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    first = run_process(command, fresh)
    later_runs = [run_process(command, fresh) for _ in range(TIMES)]
    later = together(later_runs)
    request = _ours_side.request(frame.safe, frame.dem, small / "warm.tif", window, TILE)
    with Side([sys.executable, "-m", "localdev.bench._ours_side"], fresh) as side:
        side.run(request, counted=False)
        for _ in range(TIMES):
            side.run(request)
        warm = side.runs()
    paid_s = later.median_s - warm.median_s
    return [
        Case(
            case="cold command, first run after install",
            figure=first.median_s,
            unit="s",
            peer=f"the same work warm: {warm}",
            ratio=first.median_s / warm.median_s,
            at_least="printed",
            holds=None,
            reason="nothing promised",
            peak_mb=first.peak_mb,
        ),
        Case(
            case="cold command, later runs",
            figure=later.median_s,
            unit="s",
            peer=f"the same work warm: {warm}; a later run pays {paid_s:.2f} s",
            ratio=later.median_s / warm.median_s,
            at_least=f"under {LATER_WITHIN_S:g} s more than warm",
            holds=paid_s < LATER_WITHIN_S,
            peak_mb=later.peak_mb,
            runs=later.spread,
        ),
    ]
