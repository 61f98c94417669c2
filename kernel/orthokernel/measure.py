"""What the numbers of a band stand for, and how values are written."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A band's pixels as values, and values as numbers of a file.

    Attributes
    ----------
    gain, offset : float
        ``value = gain * pixel + offset``, formed at every source sample.
    unit : str or None
        Of the value; None where it has none (reflectance, counts).
    dtype : str or None
        Type of the numbers in a file: "float32", "uint16" or "uint8". None: that of the source's pixels.
    no_data : float or None
        Number in a file that means no data; NaN for floats. None: that of the source, or 0.
    scale, shift : float
        ``value = scale * number + shift``.
    """

    gain: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    dtype: str | None = "float32"
    no_data: float | None = math.nan
    scale: float = 1.0
    shift: float = 0.0


AS_THEY_ARE = Measure(dtype=None, no_data=None)
"""Pixels that pass through."""


def as_reflectance(gain: float, offset: float) -> Measure:
    """Written in ten thousandths, from -0.1 on, as Sentinel-2 has it since baseline 04.00."""
    return Measure(gain, offset, None, "uint16", 0.0, 1e-4, -0.1)
