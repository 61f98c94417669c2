"""The instrument of Sentinel-2: where the pixels of its detectors look, and how its parts are mounted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.flight import about

FocalPlane = Literal["VNIR", "SWIR"]
Polynomial = tuple[float, ...]
"""Lowest power first, of seconds since the middle of the datastrip."""

LINE_PERIOD_S = 1.565873622e-3
"""Of a 10 m band."""
PITCH_TAN = 10.0 / 786e3
"""Between samples of a 10 m band."""
TDI_BANDS = ("B03", "B04", "B11", "B12")
"""Those with two lines of detectors, whose charges are added."""
_DIGITS = 12


@dataclass(frozen=True)
class MsiBand:
    """A band: ``ahead`` is how far its detectors look ahead (even ones) or back (odd ones), as a tangent."""

    name: str
    number: int
    resolution_m: int
    focal_plane: FocalPlane
    ahead: float

    @property
    def per_pixel(self) -> int:
        """Pixels of 10 m along a side of one of its own."""
        return self.resolution_m // 10


MSI_BANDS = {
    name: MsiBand(name, number, resolution_m, "SWIR" if name in ("B10", "B11", "B12") else "VNIR", ahead)
    for number, (name, resolution_m, ahead) in enumerate(
        [
            ("B01", 60, 0.0277), ("B02", 10, 0.0079), ("B03", 10, 0.0124), ("B04", 10, 0.0155), ("B05", 20, 0.0187),
            ("B06", 20, 0.0206), ("B07", 20, 0.0227), ("B08", 10, 0.0101), ("B8A", 20, 0.0249), ("B09", 60, 0.0300),
            ("B10", 60, 0.0153), ("B11", 20, 0.0206), ("B12", 20, 0.0258),
        ]
    )
}  # fmt: skip


@dataclass(frozen=True)
class Mounting:
    """How a frame stands in the one it is mounted in: angles about X, Y, Z, and a factor on directions' Z."""

    angles_mrad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    z_scale: float = 1.0


@dataclass(frozen=True)
class Correction:
    """What refining adds to a mounting: polynomials of the angles, in radians, and of the factor."""

    angles_rad: tuple[Polynomial, Polynomial, Polynomial] = ((0.0,), (0.0,), (0.0,))
    z_scale: Polynomial = (0.0,)


@dataclass(frozen=True)
class Refining:
    """What refining has found: of the position in the local orbital frame, in metres, and of the mountings."""

    position_m: tuple[Polynomial, Polynomial, Polynomial] = ((0.0,), (0.0,), (0.0,))
    msi: Correction = field(default_factory=Correction)
    focal_planes: Mapping[FocalPlane, Correction] = field(default_factory=dict)


SMALL_REFINING = Refining(
    position_m=((1.5, 4e-4), (-2.0, 3e-4), (0.8, -5e-4)),
    msi=Correction(((3e-6, -4e-8), (-4e-6, 1e-8), (2e-6, 2e-9)), (-2.5e-6,)),
    focal_planes={
        "VNIR": Correction(((2e-6,), (1e-6, 3e-8), (-3e-6,))),
        "SWIR": Correction(((-2e-6, 2e-8), (3e-6,), (1e-6,))),
    },
)
"""Some metres on the ground, of the size that real refining finds."""


@dataclass(frozen=True)
class Mountings:
    """Of the instrument on the satellite, of its focal planes, and of the detectors on these."""

    msi: Mounting = Mounting((-0.0292, -0.9626, -0.0224))
    focal_planes: Mapping[FocalPlane, Mounting] = field(
        default_factory=lambda: {"VNIR": Mounting((0.05, -0.03, 0.2)), "SWIR": Mounting((-0.04, 0.06, -0.15))}
    )
    detectors: Mapping[tuple[FocalPlane, str], Mounting] = field(default_factory=dict)

    def to_piloting(self, band: MsiBand, detector: str, refining: Refining, since_s: ArrayLike) -> Float64Array:
        """Directions of a detector's frame to the piloting frame, ``since_s.shape + (3, 3)``."""
        plane = band.focal_plane
        return np.asarray(
            to_outer(self.msi, refining.msi, since_s)
            @ to_outer(self.focal_planes[plane], refining.focal_planes.get(plane, Correction()), since_s)
            @ to_outer(self.detectors.get((plane, detector), Mounting()), Correction(), since_s)
        )


def to_outer(mounting: Mounting, correction: Correction, since_s: ArrayLike) -> Float64Array:
    """Directions of the mounted frame to the one it is mounted in, ``since_s.shape + (3, 3)``.

    The angles are those of the turn into the mounted frame, about Z first; the factor is on the mounted frame's Z.
    """
    x, y, z = (
        1e-3 * given + value(polynomial, since_s)
        for given, polynomial in zip(mounting.angles_mrad, correction.angles_rad, strict=True)
    )
    turn_back = about(2, -z) @ about(1, -y) @ about(0, -x)
    turn_back[..., :, 2] *= (mounting.z_scale + value(correction.z_scale, since_s))[..., None]
    return turn_back


def value(polynomial: Polynomial, since_s: ArrayLike) -> Float64Array:
    """Of a polynomial, shape of ``since_s``."""
    return np.polyval(polynomial[::-1], np.asarray(since_s, float))


@dataclass(frozen=True)
class Directions:
    """Tangents of one detector's pixels, (S,), as parameter files have them: x grows with the sample, y is ahead."""

    tan_psi_x: Float64Array
    tan_psi_y: Float64Array


def directions(band: MsiBand, detector: str, n_samples: int, overlap_px: int, tdi: str = "APPLIED") -> Directions:
    """Where the pixels of a detector look: twelve side by side, bent a little, each band's in its own way.

    Parameters
    ----------
    n_samples, overlap_px : int
        Of a detector and of what it has in common with its neighbour, in pixels of 10 m.
    tdi : {"APPLIED", "LINE_A", "LINE_B"}
        Of bands with two lines: one of them, or both together.
    """
    number = int(detector)
    count = n_samples // band.per_pixel
    u = (np.arange(count) * band.per_pixel + 0.5 * (band.per_pixel - 1)) - 0.5 * (n_samples - 1)
    part = 2.0 * u / n_samples
    # Bent by some tenths of a pixel of 10 m, and shifted against other bands by as much.
    across = u + 0.4 * part**2 + 0.2 * np.cos(1.7 * band.number + number)
    middle = centre_tan(detector, n_samples, overlap_px)
    side = 1.0 if number % 2 == 0 else -1.0
    along = side * band.ahead / PITCH_TAN - 0.004 * u - 0.3 * part**2
    half_line = {"APPLIED": 0.0, "LINE_A": -0.5, "LINE_B": 0.5}[tdi] * band.per_pixel
    return Directions(
        np.round(middle + PITCH_TAN * across, _DIGITS), np.round(PITCH_TAN * (along + half_line), _DIGITS)
    )


def centre_tan(detector: str, n_samples: int, overlap_px: int) -> float:
    """``tan_psi_x`` in the middle of a detector; 01 is on the right."""
    return (int(detector) - 6.5) * (n_samples - overlap_px) * PITCH_TAN
