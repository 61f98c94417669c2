"""Slow twin of `orthokernel.geolocation.solver`: every quad is asked about every point, on a plane of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

NEIGHBOURS_WITHIN = 10.0


class BruteForce:
    """Looks points up in an array of places (L, S): degrees, NaN where there is none. For some hundreds of pixels.

    The plane is gnomonic about the mean of the places: great circles are straight, unlike on the kernel's.
    """

    def __init__(self, lon_deg: Float64Array, lat_deg: Float64Array, apart: NDArray[np.bool_] | None = None) -> None:
        n = _normal(lon_deg, lat_deg)
        self.middle = np.nanmean(n.reshape(-1, 3), axis=0)
        self.middle /= np.linalg.norm(self.middle)
        helper = np.eye(3)[np.argmin(np.abs(self.middle))]
        self.east = np.cross(helper, self.middle)
        self.east /= np.linalg.norm(self.east)
        self.north = np.cross(self.middle, self.east)
        self.xy = self._place(n)
        self.apart = np.zeros(lon_deg.shape, bool) if apart is None else apart
        along, down = np.diff(self.xy, axis=1), np.diff(self.xy, axis=0)
        lengths = [np.hypot(d[..., 0], d[..., 1]) for d in (along, down)]
        self.spacing = [np.median(one[np.isfinite(one) & (one > 0)]) for one in lengths]
        self.quads = []
        for i in range(lon_deg.shape[0] - 1):
            for j in range(lon_deg.shape[1] - 1):
                corners = self.xy[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j]]
                if np.isnan(corners).any() or self._too_far(corners):
                    continue
                self.quads.append((i, j, corners, _turns(corners)))
        ways = [np.sign(turns.sum()) for *_, turns in self.quads]
        self.way = np.sign(np.sum(ways))

    def _too_far(self, corners: Float64Array) -> bool:
        sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
        return bool(max(sides[0], sides[2]) > NEIGHBOURS_WITHIN * self.spacing[0]) or bool(
            max(sides[1], sides[3]) > NEIGHBOURS_WITHIN * self.spacing[1]
        )

    def _place(self, n: Float64Array) -> Float64Array:
        height = n @ self.middle
        return np.stack([n @ self.east / height, n @ self.north / height], axis=-1)

    def quads_over(self, lon_deg: float, lat_deg: float) -> list[tuple[float, float, float]]:
        """Distance to the nearest corner in spacings, line, sample: of all good quads over a point, nearest first."""
        p = self._place(_normal(lon_deg, lat_deg))
        found = []
        for i, j, corners, turns in self.quads:
            if (turns * self.way < 0).any() or not (turns != 0).any():
                continue
            if self.apart[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j]].any():
                continue
            sides = np.roll(corners, -1, axis=0) - corners
            away = p - corners
            if (self.way * (sides[:, 0] * away[:, 1] - sides[:, 1] * away[:, 0]) < 0).any():
                continue
            part = _invert(corners, p)
            if part is not None:
                nearest = np.min(np.linalg.norm(away, axis=1)) / max(self.spacing)
                found.append((float(nearest), i + part[0], j + part[1]))
        return sorted(found)

    def nearest_pixel(self, lon_deg: float, lat_deg: float) -> tuple[int, int, float]:
        """Line and sample of the pixel nearest to a point, and its distance in spacings."""
        p = self._place(_normal(lon_deg, lat_deg))
        distance = np.linalg.norm(self.xy - p, axis=-1) / max(self.spacing)
        distance[self.apart] = np.nan
        line, sample = np.unravel_index(np.nanargmin(distance), distance.shape)
        return int(line), int(sample), float(distance[line, sample])

    def is_covered(self, lon_deg: float, lat_deg: float) -> bool:
        """Whether a quad of any kind is over a point, by its winding number."""
        p = self._place(_normal(lon_deg, lat_deg))
        for _, _, corners, _ in self.quads:
            angles = np.arctan2(*(corners - p).T[::-1])
            turn = np.sum((np.diff(np.append(angles, angles[0])) + np.pi) % (2 * np.pi) - np.pi)
            if abs(turn) > 3.0:
                return True
        return False


def _normal(lon_deg: Float64Array | float, lat_deg: Float64Array | float) -> Float64Array:
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0 * lon], axis=-1)


def _turns(corners: Float64Array) -> Float64Array:
    """At each corner, which way and how much the outline turns."""
    ahead, behind = np.roll(corners, -1, axis=0) - corners, corners - np.roll(corners, 1, axis=0)
    turns: Float64Array = behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0]
    size = float(np.max(np.abs(corners - corners[0]))) ** 2
    return np.where(np.abs(turns) < 1e-9 * size, 0.0, turns)


def _invert(corners: Float64Array, p: Float64Array) -> tuple[float, float] | None:
    """Newton's method on the bilinear map, from several starts: line and sample within the quad."""
    a, b, c, d = corners
    for start in ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)):
        v, u = start
        for _ in range(60):
            at = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)
            by_v, by_u = (1 - u) * (d - a) + u * (c - b), (1 - v) * (b - a) + v * (c - d)
            jacobian = np.stack([by_v, by_u], axis=1)
            if abs(np.linalg.det(jacobian)) < 1e-30:
                break
            step = np.linalg.solve(jacobian, p - at)
            v, u = v + step[0], u + step[1]
            if np.max(np.abs(step)) < 1e-13:
                if -1e-9 <= v <= 1 + 1e-9 and -1e-9 <= u <= 1 + 1e-9:
                    return float(v), float(u)
                break
    return None
