"""Names of the resampling methods, and which one suits a spacing."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from orthokernel.errors import OptionError
from orthokernel.grid import Grid
from orthokernel.loop import AVERAGE, BILINEAR, CUBIC, NEAREST
from orthokernel.sensor import SensorModel

Resampling = Literal["nearest", "bilinear", "cubic", "average"]
RESAMPLINGS: tuple[str, ...] = get_args(Resampling)
METHODS: dict[str, int] = {"nearest": NEAREST, "bilinear": BILINEAR, "cubic": CUBIC, "average": AVERAGE}

AVERAGE_FROM_PX = 1.6
"""Coarser than this many source samples, `average` is the default: bilinear to 60 m keeps the speckle of 10 m.

What is meant is 1.5, and a little: 40 m of EW onto 60 m, or 10 m of IW onto 15 m, span 1.46 to 1.55 with place and
map, and tiles of one product must not differ.
"""


def source_px_per_pixel(model: SensorModel, grid: Grid, height_m: float) -> float:
    """How many source samples one output pixel spans, along the larger of its two sides.

    The median over points of the grid that lie in or near the image; NaN where none does.
    """
    rows = np.linspace(0, max(grid.n_rows - 1, 0), 9)[:, None]
    cols = np.linspace(0, max(grid.n_cols - 1, 0), 9)[None, :]
    line, sample = model.ground_to_smooth(*grid.lonlat(rows, cols), height_m)
    spans = []
    for d_row, d_col in ((1.0, 0.0), (0.0, 1.0)):
        moved = model.ground_to_smooth(*grid.lonlat(rows + d_row, cols + d_col), height_m)
        spans.append(np.hypot(moved[0] - line, moved[1] - sample))
    span = np.maximum(*spans)
    near = (
        np.isfinite(span)
        & (np.abs(line - model.n_lines / 2) < model.n_lines)
        & (np.abs(sample - model.n_samples / 2) < model.n_samples)
    )
    return float(np.median(span[near])) if near.any() else float("nan")


def resampling_of(asked: str | None, span_px: float) -> Resampling:
    """The method asked for, or the default for a span in source samples.

    Raises
    ------
    OptionError
        For a name that is none.
    """
    if asked is None:
        return "average" if span_px > AVERAGE_FROM_PX else "bilinear"
    for name in get_args(Resampling):
        if name == asked:
            return name  # type: ignore[no-any-return]
    raise OptionError(f"resampling {asked!r}: expected one of {', '.join(RESAMPLINGS)}")
