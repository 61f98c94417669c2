"""Decibels: of values, of overviews, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from orthokernel.errors import OptionError
from orthokernel.scale import FLOOR_DB, resolve_scale, to_decibels


def test_power_in_decibels() -> None:
    values = np.array([1.0, 0.1, 10.0, 0.0, -0.2, 1e-7, np.nan, np.inf], np.float32)
    to_decibels(values)
    np.testing.assert_allclose(values, [0.0, -10.0, 10.0, FLOOR_DB, FLOOR_DB, FLOOR_DB, np.nan, np.inf], atol=1e-5)
    part = np.full((3, 4, 5), 0.5, np.float32)
    to_decibels(part[:, 1:3, ::2])
    assert (part[:, 1:3, ::2] < 0).all()
    assert (part[:, 0] == 0.5).all()


def test_what_has_no_decibels() -> None:
    assert resolve_scale("db", "sigma0") == "db"
    assert resolve_scale("linear", "gamma0_rtc") == "linear"
    with pytest.raises(OptionError, match="'log': expected one of linear, db"):
        resolve_scale("log", "sigma0")
    with pytest.raises(OptionError, match="pixels as they are"):
        resolve_scale("db", "dn")
    with pytest.raises(OptionError, match="Backscatter is linear"):
        resolve_scale("db", "gamma0_rtc")
