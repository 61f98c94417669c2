"""What a run learns on its way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_VALID = 1
_ROWS_APART = 64


@dataclass
class Tally:
    """Counts and findings, gathered block by block."""

    lattice_error_px: float = 0.0
    pixels: int = 0
    valid: int = 0
    covered: float = 0.0
    seen: int = 0
    outline: list[tuple[int, int]] = field(default_factory=list)
    """``(row, col)`` of the first and last valid pixel of some rows."""
    noise_kept: list[str] = field(default_factory=list)
    """Why noise was not subtracted, for each band of each product; empty where it was."""
    border_noise_masked: bool = False

    @property
    def dem_coverage(self) -> float:
        """Share of the pixels of blocks that the image reaches whose height comes from the DEM."""
        return self.covered / self.seen if self.seen else 0.0

    def note_outline(self, mask: NDArray[np.uint8], row0: int, col0: int) -> None:
        """Take in the outline of a block's mask ``(rows, cols)`` whose first pixel is ``row0, col0``."""
        with_data = np.flatnonzero(np.bitwise_or.reduce(mask, axis=1) & _VALID)
        if not with_data.size:
            return
        first, last = int(with_data[0]), int(with_data[-1])
        for row in sorted({*range(first, last, _ROWS_APART), last}):
            cols = np.flatnonzero(mask[row] & _VALID)
            if cols.size:
                self.outline += [(row0 + row, col0 + int(cols[0])), (row0 + row, col0 + int(cols[-1]))]
