"""Areas of an image's lines, held beside its pixels while the loop works on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from orthokernel.flattening.areas import RadarAreas


class AreaArrays(NamedTuple):
    """Areas of the lines that a `SourceRing` holds: line l is in row ``l % R``, column j is its sample ``sample0 + j``.

    Attributes
    ----------
    area : (R, C) float32
        See `AreaWindow`.
    visibility : (R, F) uint8
        See `AreaWindow`; column j of row i is flat sample ``flat_sample0[i] + j``, 0 where nothing is known.
    flat_sample0 : (R,) int32
    """

    area: NDArray[np.float32]
    visibility: NDArray[np.uint8]
    flat_sample0: NDArray[np.int32]


class AreaRing:
    """Makes them, line by line as they are read; ``factor`` (R, C) float32 as in `AreaWindow`."""

    def __init__(self, areas: RadarAreas) -> None:
        self._areas = areas
        self._samples = (0, 0)
        self._area = self.factor = np.empty((0, 0), np.float32)
        self._visibility = np.empty((0, 0), np.uint8)
        self._flat_sample0 = np.empty(0, np.int32)

    @property
    def arrays(self) -> AreaArrays:
        """What is held now; the rows of lines that are kept stay as they are."""
        return AreaArrays(self._area, self._visibility, self._flat_sample0)

    def allocate(self, n_rows: int, samples: tuple[int, int]) -> None:
        """New arrays; the loop may still hold the former ones."""
        self._samples = samples
        self._area = np.empty((n_rows, samples[1] - samples[0]), np.float32)
        self.factor = np.empty_like(self._area)
        self._visibility = np.zeros((n_rows, 0), np.uint8)
        self._flat_sample0 = np.zeros(n_rows, np.int32)

    def read(self, line: int, rows: slice) -> None:
        """Make the areas of the lines from ``line`` on, into some rows."""
        found = self._areas.over((line, line + rows.stop - rows.start), self._samples)
        self._area[rows], self.factor[rows] = found.area, found.factor
        width = found.visibility.shape[1]
        if width > self._visibility.shape[1]:
            wider = np.zeros((len(self._visibility), width + width // 16), np.uint8)
            wider[:, : self._visibility.shape[1]] = self._visibility
            self._visibility = wider
        self._visibility[rows, :width] = found.visibility
        self._visibility[rows, width:] = 0
        self._flat_sample0[rows] = found.flat_sample0
