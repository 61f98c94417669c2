"""Where a satellite's swath lies: circular orbits that follow the sun. Right to some kilometres, which is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

EARTH_RADIUS_KM = 6371.0
DAY_S = 86_400.0

LonLat = tuple[float, float]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Orbit:
    """A circular orbit whose plane turns with the sun, so that it passes the equator at one local time.

    Attributes
    ----------
    period_s, inclination_deg : float
    node_lon_deg : float
        Longitude of the ascending node at the day's begin.
    phase_s : float
        By how much the satellite is ahead of that node then.
    """

    period_s: float
    inclination_deg: float
    node_lon_deg: float
    phase_s: float = 0.0

    def revolution(self, at_s: float) -> int:
        """Counted from the day's begin."""
        return math.floor((at_s + self.phase_s) / self.period_s)

    def ascends(self, at_s: float) -> bool:
        return math.cos(2 * math.pi * (at_s + self.phase_s) / self.period_s) > 0

    def beside(self, at_s: float, right_km: float) -> LonLat:
        """The place so far to the right of the ground track; to its left where negative."""
        here, there = self._nadir(at_s), self._nadir(at_s + 1.0)
        right = _unit(_cross(there, here))
        angle = right_km / EARTH_RADIUS_KM
        x, y, z = (math.cos(angle) * a + math.sin(angle) * b for a, b in zip(here, right, strict=True))
        return math.degrees(math.atan2(y, x)), math.degrees(math.asin(z))

    def swath(self, from_s: float, to_s: float, near_km: float, far_km: float, n_edges: int = 1) -> list[LonLat]:
        """The outline of what is seen between two moments and two distances; ``n_edges`` along each side."""
        moments = [from_s + (to_s - from_s) * n / n_edges for n in range(n_edges + 1)]
        there = [self.beside(at_s, near_km) for at_s in moments]
        return [*there, *(self.beside(at_s, far_km) for at_s in reversed(moments))]

    def _nadir(self, at_s: float) -> Vector:
        along = 2 * math.pi * (at_s + self.phase_s) / self.period_s
        inclination = math.radians(self.inclination_deg)
        z = math.sin(inclination) * math.sin(along)
        east = math.atan2(math.cos(inclination) * math.sin(along), math.cos(along))
        lon = math.radians(self.node_lon_deg) + east - 2 * math.pi * at_s / DAY_S
        flat = math.sqrt(max(0.0, 1 - z * z))
        return flat * math.cos(lon), flat * math.sin(lon), z


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _unit(vector: Vector) -> Vector:
    length = math.sqrt(sum(one * one for one in vector))
    return vector[0] / length, vector[1] / length, vector[2] / length
