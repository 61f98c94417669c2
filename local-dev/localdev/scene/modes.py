"""Acquisition modes: where a swath lies, how it is divided, and how its pixels are spaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from localdev.scene.ellipsoid import SPEED_OF_LIGHT_M_S

ModeName = Literal["IW", "EW", "SM"]
Resolution = Literal["F", "H", "M"]

IW_MID_SWATH_S = 5.866e-3  # two-way time of mid-swath, as fitted from real products
EARTH_RADIUS_M, ORBIT_RADIUS_M = 6.3685e6, 7.071e6  # at middle latitudes
# Pixel spacing in metres. Source: Sentinel-1 Product Definition, S1-RS-MDA-52-7440, tables of GRD products.
SPACING_M: dict[tuple[str, str], float] = {
    ("IW", "H"): 10.0,
    ("IW", "M"): 40.0,
    ("EW", "H"): 25.0,
    ("EW", "M"): 40.0,
    ("SM", "F"): 3.5,
    ("SM", "H"): 10.0,
    ("SM", "M"): 40.0,
}
# Number of looks in range and azimuth. Source: ESA's Sentinel-1 SAR technical guide, table of GRD products.
LOOKS = {
    ("IW", "H"): (5, 1),
    ("IW", "M"): (22, 5),
    ("EW", "H"): (3, 1),
    ("EW", "M"): (6, 2),
    ("SM", "F"): (2, 2),
    ("SM", "H"): (6, 6),
    ("SM", "M"): (22, 22),
}
# Incidence angles in degrees, near and far. Source: ESA's Sentinel-1 SAR user guide, tables of the modes (SM: the
# middle between minimum and maximum orbit altitude).
INCIDENCE_DEG = {
    "IW": (29.1, 46.0),
    "EW": (18.9, 47.0),
    "S1": (19.2, 25.4),
    "S2": (22.6, 28.6),
    "S3": (28.5, 34.0),
    "S4": (33.9, 38.9),
    "S5": (38.8, 43.3),
    "S6": (41.7, 45.9),
}
_DEFAULT_RESOLUTION: dict[str, Resolution] = {"IW": "H", "EW": "M", "SM": "H"}
_SUBSWATHS = {"IW": 3, "EW": 5}
_FULL_FRAME_M = {"EW": (416_000.0, 400_000.0), "SM": (170_000.0, 80_000.0)}
_FULL_FRAME_IW = (16705, 26102)
_LETTERS = {"F": "FR", "H": "HR", "M": "MR"}


@dataclass(frozen=True)
class Mode:
    """A mode with its swath and resolution class.

    Attributes
    ----------
    name : {"IW", "EW", "SM"}
    swath : str
        The mode, or the beam of SM.
    resolution : {"F", "H", "M"}
    """

    name: ModeName
    swath: str
    resolution: Resolution

    @property
    def spacing_m(self) -> float:
        """Of lines and samples."""
        return SPACING_M[self.name, self.resolution]

    @property
    def resolution_words(self) -> str:
        """``FR``, ``HR`` or ``MR``."""
        return _LETTERS[self.resolution]

    @property
    def looks(self) -> tuple[int, int]:
        """In range and azimuth."""
        return LOOKS[self.name, self.resolution]

    @property
    def subswaths(self) -> list[str]:
        """Names of the sub-swaths that were merged, from near to far range."""
        parts = _SUBSWATHS.get(self.name)
        return [self.swath] if parts is None else [f"{self.name}{order + 1}" for order in range(parts)]

    @property
    def mid_swath_s(self) -> float:
        """Two-way time of the ground point in the middle between near and far."""
        if self.name == "IW":
            return IW_MID_SWATH_S
        ratio = EARTH_RADIUS_M / ORBIT_RADIUS_M
        incidence = np.radians(INCIDENCE_DEG[self.swath])
        centre = float(np.mean(incidence - np.arcsin(ratio * np.sin(incidence))))
        square = EARTH_RADIUS_M**2 + ORBIT_RADIUS_M**2 - 2.0 * EARTH_RADIUS_M * ORBIT_RADIUS_M * np.cos(centre)
        return round(2.0 * float(np.sqrt(square)) / SPEED_OF_LIGHT_M_S, 6)

    @property
    def full_frame(self) -> tuple[int, int]:
        """Lines and samples of a whole product."""
        if self.name == "IW" and self.resolution == "H":
            return _FULL_FRAME_IW
        if self.name == "IW":
            return _FULL_FRAME_IW[0] // 4, _FULL_FRAME_IW[1] // 4
        along, across = _FULL_FRAME_M[self.name]
        return int(along / self.spacing_m), int(across / self.spacing_m)


def mode_of(name: ModeName, swath: str | None, resolution: Resolution | None) -> Mode:
    """A mode with its defaults: beam S3 for SM, high resolution for IW and SM, medium for EW.

    Raises
    ------
    ValueError
        Where no such product exists.
    """
    swath = swath or ("S3" if name == "SM" else name)
    resolution = resolution or _DEFAULT_RESOLUTION[name]
    choices = [key for key in INCIDENCE_DEG if key.startswith("S")] if name == "SM" else [name]
    if swath not in choices:
        raise ValueError(f"mode {name} has no swath {swath}: expected {' or '.join(choices)}")
    if (name, resolution) not in SPACING_M:
        raise ValueError(f"there is no GRD{resolution} product of mode {name}")
    return Mode(name, swath, resolution)
