"""Areas of an image's lines, held beside its pixels while the loop works on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from orthokernel.flattening.areas import RadarAreas


class AreaRing:
    """Rows of a `SourceRing` in areas: line l is in row ``l % R``, column j is sample ``sample0 + j``.

    Attributes
    ----------
    area, factor : (R, C) float32
        See `AreaWindow`.
    visibility : (R, F) uint8
        See `AreaWindow`; column j of row i is flat sample ``flat_sample0[i] + j``, 0 where nothing is known.
    flat_sample0 : (R,) int32
    """

    def __init__(self, areas: RadarAreas) -> None:
        self._areas = areas
        self._samples = (0, 0)
        self.area = self.factor = np.empty((0, 0), np.float32)
        self.visibility = np.empty((0, 0), np.uint8)
        self.flat_sample0 = np.empty(0, np.int32)

    def allocate(self, n_rows: int, samples: tuple[int, int]) -> None:
        """New arrays; the loop may still hold the former ones."""
        self._samples = samples
        self.area = np.empty((n_rows, samples[1] - samples[0]), np.float32)
        self.factor = np.empty_like(self.area)
        self.visibility = np.zeros((n_rows, 0), np.uint8)
        self.flat_sample0 = np.zeros(n_rows, np.int32)

    def read(self, line: int, rows: slice) -> None:
        """Make the areas of the lines from ``line`` on, into some rows."""
        found = self._areas.over((line, line + rows.stop - rows.start), self._samples)
        self.area[rows], self.factor[rows] = found.area, found.factor
        width = found.visibility.shape[1]
        if width > self.visibility.shape[1]:
            wider = np.zeros((len(self.visibility), width + width // 16), np.uint8)
            wider[:, : self.visibility.shape[1]] = self.visibility
            self.visibility = wider
        self.visibility[rows, :width] = found.visibility
        self.visibility[rows, width:] = 0
        self.flat_sample0[rows] = found.flat_sample0
