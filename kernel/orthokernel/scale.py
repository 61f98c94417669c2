"""Power in decibels."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import OptionError

Scale = Literal["linear", "db"]

FLOOR_DB: Final = -50.0
"""What less power than this is written as, and zero, which noise removal leaves: below every noise floor. A pixel with
data so stays one; the mask says NOISE_FLOOR where it was zero."""
FLOOR_POWER: Final = 1e-5


def resolve_scale(scale: str, radiometry: str) -> Scale:
    """The scale asked for.

    Raises
    ------
    OptionError
        It is unknown, or not one for this radiometry.
    """
    if scale not in get_args(Scale):
        raise OptionError(f"scale {scale!r}: expected one of {', '.join(get_args(Scale))}")
    if scale == "db" and radiometry == "dn":
        raise OptionError("scale 'db' of pixels as they are (radiometry dn): expected sigma0, beta0 or gamma0")
    if scale == "db" and radiometry == "gamma0_rtc":
        raise OptionError("scale 'db' of gamma0_rtc: Normalised Radar Backscatter is linear, leave the scale out")
    return scale  # type: ignore[return-value]


def to_decibels(power: NDArray[np.float32]) -> None:
    """``10 log10(power)``, not below `FLOOR_DB`, written over an array of any shape; NaN stays."""
    np.maximum(power, np.float32(FLOOR_POWER), out=power)
    np.log10(power, out=power)
    np.multiply(power, np.float32(10.0), out=power)
    np.maximum(power, np.float32(FLOOR_DB), out=power)  # rounding went past it
