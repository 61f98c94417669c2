"""How the sun lights the ground for the MSI, and what its detectors count of that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.msi import MSI_BANDS

GAINS = dict(
    zip(
        MSI_BANDS,
        (4.109, 3.750, 4.173, 4.504, 5.187, 4.852, 4.515, 6.135, 5.112, 8.489, 54.881, 35.181, 106.034),
        strict=True,
    )
)
"""Counts for each W m-2 sr-1 um-1, about those of Sentinel-2A."""
_IRRADIANCE = {
    "S2A": (
        1884.69, 1959.66, 1823.24, 1512.06, 1424.64, 1287.61, 1162.08, 1041.63, 955.32, 812.92, 367.15, 245.59, 85.25,
    ),
    "S2B": (
        1874.30, 1959.75, 1824.93, 1512.79, 1425.78, 1291.13, 1175.57, 1041.28, 953.93, 817.58, 365.41, 247.08, 87.75,
    ),
}  # fmt: skip
"""Of the sun at one astronomical unit, in W m-2 um-1, as ESA's products tell it."""
_NOON_2000 = datetime(2000, 1, 1, 12)
_YEAR_1950 = datetime(1950, 1, 1)


@dataclass(frozen=True)
class Sunlight:
    """On a day: where the sun stands, by the Astronomical Almanac's low-precision formulas (within 0.01 degree)."""

    day: datetime

    def direction(self, lon_deg: ArrayLike, lat_deg: ArrayLike, utc_s: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """Cosine of the zenith angle, and azimuth in degrees, at seconds UTC of the day."""
        days = (self.day - _NOON_2000) / timedelta(days=1) + np.asarray(utc_s, float) / 86_400.0
        mean, anomaly = 280.460 + 0.9856474 * days, np.radians(357.528 + 0.9856003 * days)
        along = np.radians(mean + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2.0 * anomaly))
        tilt = np.radians(23.439 - 4e-7 * days)
        ascension = np.arctan2(np.cos(tilt) * np.sin(along), np.cos(along))
        sine = np.sin(tilt) * np.sin(along)
        sidereal = np.radians(280.46062 + 360.98564737 * days)
        lat, hour = np.radians(lat_deg), sidereal + np.radians(lon_deg) - ascension
        cosine = np.sqrt(1.0 - sine**2)
        up = np.sin(lat) * sine + np.cos(lat) * cosine * np.cos(hour)
        north = np.cos(lat) * sine - np.sin(lat) * cosine * np.cos(hour)
        return up, np.degrees(np.arctan2(-cosine * np.sin(hour), north)) % 360.0

    def irradiance(self, platform: str, band: str) -> float:
        """Of the day, in W m-2 um-1: the Earth's distance as ESA reckons it."""
        days = (self.day - _YEAR_1950).days
        near = 1.0 - 0.01673 * math.cos(0.0172 * (days - 2))
        return _IRRADIANCE[platform][MSI_BANDS[band].number] / near**2

    def counts(
        self, platform: str, band: str, reflectance: Float64Array, cosine: Float64Array, offset: int
    ) -> Float64Array:
        """Of a band, before they are rounded; ``offset`` is what whoever reads them adds."""
        radiance = reflectance * self.irradiance(platform, band) * cosine / np.pi
        return GAINS[band] * radiance - offset
