"""The border of frames from before IPF 2.9: where nothing was imaged there are low random values, not zeros."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from localdev.scene.spec import SceneSpec

FIRST_WITHOUT = "002.90"
HIGHEST_DN = 16
RAGGED_PX, PERIOD_PX = 3.0, 90.0  # real borders are not straight

IntArray = NDArray[np.int64]


def is_old(ipf_version: str) -> bool:
    """Whether a processor wrote noise files of the older generation, and border noise."""
    return float(ipf_version) < float(FIRST_WITHOUT)


def imaged(spec: SceneSpec, window: tuple[int, int, int, int], line: IntArray, sample: IntArray) -> NDArray[np.bool_]:
    """Whether the crossings of lines and samples lie inside the border, shape (lines, samples).

    ``window`` is first line, first sample, lines, samples of what is filled: the border runs along its edges,
    ``border_noise_px`` wide, give or take three.
    """
    width = spec.border_noise_px
    if not width or not is_old(spec.ipf_version):
        return np.ones((line.size, sample.size), np.bool_)
    first_line, first_sample, n_lines, n_samples = window
    left_right = width + np.round(RAGGED_PX * np.sin(2 * np.pi * line / PERIOD_PX))[:, None]
    top_bottom = width + np.round(RAGGED_PX * np.cos(2 * np.pi * sample / PERIOD_PX))[None, :]
    at_line, at_sample = (line - first_line)[:, None], (sample - first_sample)[None, :]
    return np.asarray(
        (at_sample >= left_right)
        & (n_samples - 1 - at_sample >= left_right)
        & (at_line >= top_bottom)
        & (n_lines - 1 - at_line >= top_bottom)
    )
