"""Do two images of the same grid show the same place? A peer that answers zeros is fast, and no peer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shift_px(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[float, float, float]:
    """Shift between two images of equal shape, and how alike they are there.

    Returns
    -------
    row, col : float
        Whole pixels from ours to theirs: where the circular cross-correlation of the logarithms is highest.
    correlation : float
        At that shift, -1 to 1; 0 where an image is one value everywhere.
    """
    images = []
    for image in (ours, theirs):
        values = np.asarray(image, np.float64)
        known = np.isfinite(values) & (values > 0)
        if not known.any():
            return 0.0, 0.0, 0.0
        logs = np.log(values, where=known, out=np.zeros_like(values))
        images.append(np.where(known, logs - logs[known].mean(), 0.0))
    energy = float(np.sqrt((images[0] ** 2).sum() * (images[1] ** 2).sum()))
    if energy == 0.0:
        return 0.0, 0.0, 0.0
    spectrum = np.conj(np.fft.rfft2(images[0])) * np.fft.rfft2(images[1])
    correlation = np.fft.irfft2(spectrum, ours.shape)
    row, col = np.unravel_index(int(correlation.argmax()), ours.shape)
    wrapped = [float(at - n if at > n // 2 else at) for at, n in zip((row, col), ours.shape, strict=True)]
    return wrapped[0], wrapped[1], float(correlation[row, col]) / energy


def require_same_place(ours: NDArray[Any], theirs: NDArray[Any], peer: str) -> None:
    """Raise where a peer's image is empty, elsewhere, or of something else.

    Raises
    ------
    AssertionError
    """
    row, col, correlation = shift_px(ours, theirs)
    assert correlation > 0.4, f"{peer}'s image is not ours: correlation {correlation:.2f}"
    assert max(abs(row), abs(col)) < 2.0, f"{peer}'s image lies {row:.0f} rows, {col:.0f} columns from ours"
