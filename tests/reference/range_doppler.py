"""Sentinel-1 range-Doppler geometry, slowly: a point at a time, bisection for Newton, Lagrange for a fitted orbit.

Shares no code with the kernel. Geodetic coordinates are PROJ's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

SPEED_OF_LIGHT_M_S = 299_792_458.0
_TO_ECEF = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
_TO_GEODETIC = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)


def bisect(function, low: float, high: float, steps: int = 60) -> float:  # type: ignore[no-untyped-def]
    """Root of a function that changes sign between ``low`` and ``high``."""
    low_sign = function(low) > 0
    assert low_sign != (function(high) > 0), "no change of sign"
    for _ in range(steps):
        middle = 0.5 * (low + high)
        if (function(middle) > 0) == low_sign:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@dataclass(frozen=True)
class SlowRangeDoppler:
    """All times in seconds from the first line; ``grsr`` (slant of ground range) lowest power first, in metres."""

    vector_time_s: NDArray[np.float64]
    position_m: NDArray[np.float64]
    velocity_m_s: NDArray[np.float64]
    record_time_s: NDArray[np.float64]
    ground_origin_m: NDArray[np.float64]
    grsr: NDArray[np.float64]
    swath_m: float
    tau_mid_s: float
    line_interval_s: float
    sample_spacing_m: float

    def orbit(self, time_s: float, n_nodes: int = 8) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position and velocity by Lagrange interpolation of the nearest vectors, each by itself."""
        first = int(np.clip(np.searchsorted(self.vector_time_s, time_s) - n_nodes // 2, 0, None))
        first = max(min(first, self.vector_time_s.size - n_nodes), 0)
        nodes = slice(first, first + n_nodes)
        times = self.vector_time_s[nodes]
        others = times[:, None] - times[None, :]
        np.fill_diagonal(others, 1.0)
        ratios = (time_s - times)[None, :] / others
        np.fill_diagonal(ratios, 1.0)
        weights = ratios.prod(axis=1)
        return weights @ self.position_m[nodes], weights @ self.velocity_m_s[nodes]

    def zero_doppler(self, lon_deg: float, lat_deg: float, height_m: float) -> tuple[float, float]:
        """``time_s, slant_range_m``."""
        point = np.array(_TO_ECEF.transform(lon_deg, lat_deg, height_m))

        def along(time_s: float) -> float:
            position, velocity = self.orbit(time_s)
            return float(velocity @ (point - position))

        time_s = bisect(along, self.vector_time_s[0], self.vector_time_s[-1])
        return time_s, float(np.linalg.norm(point - self.orbit(time_s)[0]))

    def sample_of(self, line: float, slant_range_m: float, kind: str) -> float:
        """Sample of a slant range at a line."""
        record_line = self.record_time_s / self.line_interval_s

        def by_record(record: int) -> float:
            def miss(ground_m: float) -> float:
                distance_m = ground_m - self.ground_origin_m[record]
                return float(sum(c * distance_m**k for k, c in enumerate(self.grsr[record]))) - slant_range_m

            return bisect(miss, -0.05 * self.swath_m - 2e3, 1.05 * self.swath_m + 2e3) / self.sample_spacing_m

        if kind == "nearest":
            return by_record(int(np.argmin(np.abs(record_line - line))))
        after = int(np.clip(np.searchsorted(record_line, line), 1, record_line.size - 1))
        pair = [after - 1, after]
        return float(np.interp(line, record_line[pair], [by_record(record) for record in pair]))

    def ground_to_image(
        self, lon_deg: float, lat_deg: float, height_m: float, kind: str = "linear"
    ) -> tuple[float, float]:
        """``line, sample``, not bounded by the image."""
        time_s, slant_range_m = self.zero_doppler(lon_deg, lat_deg, height_m)
        tau_s = 2.0 * slant_range_m / SPEED_OF_LIGHT_M_S
        line = (time_s - 0.5 * (tau_s - self.tau_mid_s)) / self.line_interval_s
        return line, self.sample_of(line, slant_range_m, kind)

    def radar_to_ground(self, time_s: float, slant_range_m: float, height_m: float) -> tuple[float, float]:
        """``lon_deg, lat_deg`` right of the track: bisection on the angle from the downward direction."""
        position, velocity = self.orbit(time_s)
        forward = velocity / np.linalg.norm(velocity)
        up = position - (position @ forward) * forward
        up /= np.linalg.norm(up)
        right = np.cross(forward, up)

        def point(angle_rad: float) -> NDArray[np.float64]:
            return position + slant_range_m * (math.sin(angle_rad) * right - math.cos(angle_rad) * up)

        def miss(angle_rad: float) -> float:
            return float(_TO_GEODETIC.transform(*point(angle_rad))[2]) - height_m

        lon_deg, lat_deg, _ = _TO_GEODETIC.transform(*point(bisect(miss, 0.0, 1.2)))
        return float(lon_deg), float(lat_deg)

    def image_to_ground(self, line: float, sample: float, height_m: float, kind: str = "linear") -> tuple[float, float]:
        """``lon_deg, lat_deg``."""
        slant_range_m = bisect(lambda r: self.sample_of(line, r, kind) - sample, *self._slant_bounds_m())
        tau_s = 2.0 * slant_range_m / SPEED_OF_LIGHT_M_S
        time_s = line * self.line_interval_s + 0.5 * (tau_s - self.tau_mid_s)
        return self.radar_to_ground(time_s, slant_range_m, height_m)

    def _slant_bounds_m(self) -> tuple[float, float]:
        """Slant ranges that every record knows, a little beyond the swath on both sides."""
        ends = [
            [float(np.polynomial.polynomial.polyval(ground_m - origin, row)) for ground_m in (-1e3, self.swath_m + 1e3)]
            for origin, row in zip(self.ground_origin_m, self.grsr, strict=True)
        ]
        return max(low for low, _ in ends), min(high for _, high in ends)
