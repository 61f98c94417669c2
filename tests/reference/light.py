"""Twin of `orthokernel.light`: every pixel by itself, from the cosine's own function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orthokernel.light import LightNodes


def under_light(
    values: NDArray[np.float32], row0: int, col0: int, nodes: LightNodes, scale: float, shift: float
) -> NDArray[np.float64]:
    """What `orthokernel.light.under_light` makes of the values, bilinear between the nodes around."""
    _, n_rows, n_cols = values.shape
    row = (row0 + np.arange(n_rows) - nodes.row0) / nodes.step_px
    col = (col0 + np.arange(n_cols) - nodes.col0) / nodes.step_px
    at_rows = np.stack([np.interp(row, np.arange(len(nodes.cosine)), column) for column in nodes.cosine.T], axis=1)
    cosine = np.stack([np.interp(col, np.arange(nodes.cosine.shape[1]), line) for line in at_rows])
    with np.errstate(divide="ignore", invalid="ignore"):
        out = (values / cosine - shift) / scale
    return np.where(cosine > 0, out, np.nan)
