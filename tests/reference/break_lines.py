"""What a `BreakLines` table means, point by point."""

from __future__ import annotations

import numpy as np

from orthokernel.sensor import BreakLines


def correction_px(table: BreakLines, line: float, smooth_sample: float) -> float:
    """What to add to one smooth sample."""
    columns = table.first_sample + table.step_samples * np.arange(table.correction_px.shape[1])
    of_records = [float(np.interp(smooth_sample, columns, row)) for row in table.correction_px]
    if table.kind == "nearest":
        return of_records[int(np.argmin(np.abs(table.line - line)))]
    return float(np.interp(line, table.line, of_records))
