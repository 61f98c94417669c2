"""An image in memory that is read like a product's band."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Image:
    """A `BandReader` of an array that counts what is read."""

    nodata: float | None = 0.0

    def __init__(self, pixels: NDArray[Any]) -> None:
        self.pixels = pixels
        self.dtype: np.dtype[Any] = pixels.dtype
        self.n_lines, self.n_samples = pixels.shape
        self.read_samples = 0

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        part = self.pixels[line_start:line_stop, sample_start:sample_stop]
        self.read_samples += part.size
        return part

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
