"""IERS Bulletin A: how the Earth stands, day by day, measured and foretold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from orthokernel.errors import BulletinError
from orthokernel.sentinel2.frames import EarthOrientation

_NUMBER: Final = r"-?\d*\.\d+"
_DATE: Final = r"\s*(?:\d{2}|\d{4})\s+\d{1,2}\s+\d{1,2}\s+(?P<mjd>\d{5})"
_MEASURED: Final = re.compile(
    rf"{_DATE}\s+(?P<x>{_NUMBER})\s+{_NUMBER}\s+(?P<y>{_NUMBER})\s+{_NUMBER}\s+(?P<ut1>{_NUMBER})\s+{_NUMBER}\s*"
)
_FORETOLD: Final = re.compile(rf"{_DATE}\s+(?P<x>{_NUMBER})\s+(?P<y>{_NUMBER})\s+(?P<ut1>{_NUMBER})\s*")
_MJD_OF_1970: Final = 40_587.0
_LEAP_S: Final = 0.5


def orientation_from(path: Path, utc: np.datetime64, known: EarthOrientation) -> EarthOrientation:
    """The orientation at a moment, linear between the midnights of a Bulletin A; leap seconds as ``known``.

    Raises
    ------
    BulletinError
        It is no Bulletin A, or does not reach from before the moment to after it.

    Source: "Explanatory supplement to IERS Bulletins A and B", format of the combined and predicted series.
    """
    try:
        text = path.read_text("ascii", "replace")
    except OSError as error:
        raise BulletinError(path, f"nothing that can be read ({error})", "an IERS Bulletin A") from error
    days: dict[float, tuple[float, float, float]] = {}
    for line in text.splitlines():
        match = _MEASURED.fullmatch(line) or _FORETOLD.fullmatch(line)
        if match is not None:  # what was measured comes first, and counts more than what was foretold
            days.setdefault(float(match["mjd"]), (float(match["x"]), float(match["y"]), float(match["ut1"])))
    if not days:
        raise BulletinError(path, "no rows of MJD, x, y, UT1-UTC", "an IERS Bulletin A")
    mjd = np.array(sorted(days))
    at = float((utc - np.datetime64("1970-01-01", "us")) / np.timedelta64(1, "us")) / 86_400e6 + _MJD_OF_1970
    after = int(np.searchsorted(mjd, at, "right"))
    # Only neighbouring days: nothing is made up for those that a bulletin leaves out.
    if not 0 < after < mjd.size or mjd[after] - mjd[after - 1] > 1.5:
        raise BulletinError(path, f"days {mjd[0]:.0f} to {mjd[-1]:.0f} (MJD)", f"those around {utc} (MJD {at:.3f})")
    part = at - mjd[after - 1]
    before, behind = np.array(days[mjd[after - 1]]), np.array(days[mjd[after]])
    if behind[2] - before[2] > _LEAP_S:
        behind[2] -= 1.0  # a leap second between them: UT1 itself goes on
    x, y, ut1 = before + part * (behind - before)
    return replace(known, ut1_minus_utc_s=float(ut1), pole_x_arcsec=float(x), pole_y_arcsec=float(y))
