"""What the counts of L1B stand for: radiance, and with the sun's light known, reflectance.

``radiance = (count + RADIO_ADD_OFFSET) / PHYSICAL_GAINS`` and, at the top of the atmosphere,
``reflectance = pi * radiance / (SOLAR_IRRADIANCE * U * cos(sun's zenith angle))``.

Source: ESA, "Sentinel-2 MSI Technical Guide", "Level-1B product formatting" (counts are proportional to radiance by
physical gains) and "Level-1C algorithm", equations 1 and 2. That gains are counts for a radiance, not the other way
about, is seen from their size: the brightest radiances that the bands are made for are 500 to 3000 counts of 4095 so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from orthokernel.errors import AnnotationError
from orthokernel.safexml import XmlDocument
from orthokernel.sentinel2.bands import BY_NUMBER

RADIANCE_UNIT: Final = "W.m-2.sr-1.um-1"
_IRRADIANCE: Final = {
    "S2A": (
        1884.69, 1959.66, 1823.24, 1512.06, 1424.64, 1287.61, 1162.08, 1041.63, 955.32, 812.92, 367.15, 245.59, 85.25,
    ),
    "S2B": (
        1874.30, 1959.75, 1824.93, 1512.79, 1425.78, 1291.13, 1175.57, 1041.28, 953.93, 817.58, 365.41, 247.08, 87.75,
    ),
}  # fmt: skip
"""W m-2 um-1 at one astronomical unit, band after band, as ESA's L1C products of these satellites have them; L1B does
not."""
_DAY_ZERO: Final = np.datetime64("1950-01-01")
_ECCENTRICITY, _RATE_RAD_DAY, _PERIHELION_DAY = 0.01673, 0.0172, 2


@dataclass(frozen=True)
class Calibration:
    """Of the bands of a datastrip.

    Attributes
    ----------
    gains : mapping of band to float
        Counts for each W m-2 sr-1 um-1. Empty where the datastrip does not have them.
    offsets : mapping of band to float
        Added to counts; zero before processing baseline 04.00.
    irradiance : mapping of band to float
        Of the sun, in W m-2 um-1 at one astronomical unit. Empty where it is not known.
    distance_factor : float
        See `distance_factor`.
    """

    gains: Mapping[str, float]
    offsets: Mapping[str, float]
    irradiance: Mapping[str, float]
    distance_factor: float

    def radiance(self, band: str) -> tuple[float, float]:
        """Gain and offset of ``radiance = gain * count + offset``."""
        return 1.0 / self.gains[band], self.offsets[band] / self.gains[band]

    def reflectance_at_zenith(self, band: str) -> tuple[float, float]:
        """The same for the reflectance that would be, if the sun stood in the zenith: over the cosine of its zenith
        angle it is the reflectance."""
        whole = math.pi / (self.irradiance[band] * self.distance_factor)
        gain, offset = self.radiance(band)
        return whole * gain, whole * offset


def read_calibration(document: XmlDocument, satellite: str, baseline: str, day: np.datetime64) -> Calibration:
    """From a datastrip's metadata.

    Parameters
    ----------
    document : XmlDocument
        ``*_MTD_L1B_DS_*.xml``.
    satellite : str
        ``S2A``.
    baseline : str
        Of the processing, ``05.00``.
    day : datetime64
        When it was sensed.

    Raises
    ------
    AnnotationError
        Gains are not positive, bands unknown, or offsets missing that the baseline should have.
    """
    gains = {}
    for entry in document.find_all(".//Spectral_Band_Info/Spectral_Band_Information"):
        band, gain = _band(entry, "bandId"), entry.number("PHYSICAL_GAINS")
        if gain <= 0:
            raise AnnotationError(document.source, f"<PHYSICAL_GAINS> of {band} is {gain:g}", "a positive number")
        gains[band] = gain
    offsets = dict.fromkeys(BY_NUMBER.values(), 0.0)
    found = document.find_all(".//Radiometric_Offset_List/RADIO_ADD_OFFSET")
    for entry in found:
        offsets[_band(entry, "band_id")] = entry.number(".")
    if gains and not found and tuple(int(part) for part in re.findall(r"\d+", baseline)) >= (4, 0):
        raise AnnotationError(
            document.source, "no <RADIO_ADD_OFFSET>", f"one for each band, as baseline {baseline} has them"
        )
    known = _IRRADIANCE.get(satellite)
    irradiance = {} if known is None else dict(zip(BY_NUMBER.values(), known, strict=True))
    return Calibration(gains, offsets, irradiance, distance_factor(day))


def _band(entry: XmlDocument, attribute: str) -> str:
    number = entry.element.get(attribute, "")
    if number not in BY_NUMBER:
        raise AnnotationError(entry.source, f"<{entry.element.tag}> of band {number!r}", f"{attribute} 0 to 12")
    return BY_NUMBER[number]


def distance_factor(day: np.datetime64) -> float:
    """U, by which the sun's irradiance on a day is greater than at one astronomical unit.

    That of ESA's L1C products, from a circle with an eccentricity, so that L1B gives the reflectances that L1C has. It
    is up to 0.2 % from the true inverse square of the distance.

    Source: ESA, as above, equation 2: ``U = (1 - 0.01673 * cos(0.0172 * (t - 2))) ** -2``, t in days since 1950. Whole
    days come within 1.2e-5 of what products have.
    """
    days = int((day.astype("datetime64[D]") - _DAY_ZERO) / np.timedelta64(1, "D"))
    return float((1.0 - _ECCENTRICITY * math.cos(_RATE_RAD_DAY * (days - _PERIHELION_DAY))) ** -2)
