"""The bands of the MSI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from orthokernel.errors import UnknownBandError

FocalPlane = Literal["VNIR", "SWIR"]


@dataclass(frozen=True)
class Band:
    """A spectral band. ``number`` is what metadata call ``bandId``, ``resolution_m`` the nominal size of a pixel."""

    name: str
    number: int
    resolution_m: int
    focal_plane: FocalPlane


BANDS: Final = tuple(
    Band(name, number, resolution_m, "SWIR" if name in ("B10", "B11", "B12") else "VNIR")
    for number, (name, resolution_m) in enumerate(
        [
            ("B01", 60), ("B02", 10), ("B03", 10), ("B04", 10), ("B05", 20), ("B06", 20), ("B07", 20), ("B08", 10),
            ("B8A", 20), ("B09", 60), ("B10", 60), ("B11", 20), ("B12", 20),
        ]
    )
)  # fmt: skip
BY_NUMBER: Final = {str(band.number): band.name.lower() for band in BANDS}
DETECTORS: Final = tuple(f"{number:02d}" for number in range(1, 13))


def band_of(name: str, path: object) -> Band:
    """Raises UnknownBandError, which names the product at ``path``."""
    for band in BANDS:
        if band.name == name.upper():
            return band
    raise UnknownBandError(path, f"no band {name!r}", f"one of {', '.join(band.name for band in BANDS)}")
