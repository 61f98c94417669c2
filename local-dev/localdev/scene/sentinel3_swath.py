"""Where the pixels of a wide swath lie, and what is seen there: Sentinel-3's orbit, relief, and a smooth field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from localdev.scene.ellipsoid import SEMI_MAJOR_M, SEMI_MINOR_M, Float64Array, normal, to_geodetic
from localdev.scene.jit import jit
from localdev.scene.orbit import CircularOrbit

RADIUS_M = 7.1926e6  # 814.5 km above the equator
INCLINATION_DEG = 98.65
EARTH_M = 6.371e6
LINES_AT_ONCE = 128
TIE_COLUMN_M, TIE_ROW_M = 16_000.0, 1_000.0  # of geodetic_tx


@dataclass(frozen=True)
class Field:
    """A value for every place on Earth: waves over the unit sphere of normals, smooth over poles and ±180°."""

    mean: float
    waves: Float64Array
    """(5, W): wave vector (3 rows, radians per Earth radius), phase in radians, amplitude."""

    @classmethod
    def made(cls, seed: int, mean: float, amplitude: float, shortest_m: float, longest_m: float) -> Field:
        """Waves of all directions; amplitude is about the standard deviation."""
        random = np.random.default_rng(seed)
        n = 10
        length_m = np.geomspace(shortest_m, longest_m, n)
        direction = random.normal(size=(3, n))
        direction /= np.linalg.norm(direction, axis=0)
        size = length_m**0.5
        size *= amplitude / np.sqrt(0.5 * np.sum(size**2))
        wave = direction * 2.0 * np.pi * EARTH_M / length_m
        return cls(mean, np.concatenate([wave, random.uniform(0, 2 * np.pi, (1, n)), size[None]]))

    def at(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
        """The value at places, broadcast."""
        n = normal(lon_deg, lat_deg)
        total = np.full(n.shape[:-1], self.mean)
        for x, y, z, phase, amplitude in self.waves.T:
            total += amplitude * np.cos(n[..., 0] * x + n[..., 1] * y + n[..., 2] * z + phase)
        return total

    def image(self, lon_deg: Float64Array, lat_deg: Float64Array) -> NDArray[np.float32]:
        """The value at all pixels of an image, in little memory."""
        out = np.empty(lon_deg.shape, np.float32)
        _fill(np.radians(lon_deg), np.radians(lat_deg), self.mean, self.waves, out)
        return out


@jit
def _fill(lon: Float64Array, lat: Float64Array, mean: float, waves: Float64Array, out: NDArray[np.float32]) -> None:
    for i in range(lon.shape[0]):
        for j in range(lon.shape[1]):
            x, y, z = np.cos(lat[i, j]) * np.cos(lon[i, j]), np.cos(lat[i, j]) * np.sin(lon[i, j]), np.sin(lat[i, j])
            total = mean
            for k in range(waves.shape[1]):
                total += waves[4, k] * np.cos(x * waves[0, k] + y * waves[1, k] + z * waves[2, k] + waves[3, k])
            out[i, j] = total


@dataclass(frozen=True)
class Relief:
    """Mountains: heights between 0 and ``top_m`` from waves as `Field` has them, the lower half cut off as sea."""

    top_m: float
    field: Field

    @classmethod
    def made(cls, seed: int, top_m: float, shortest_m: float) -> Relief:
        """Relief whose steepest slopes belong to waves of ``shortest_m``."""
        return cls(top_m, Field.made(seed, 0.0, 0.5, shortest_m, 40.0 * shortest_m))

    def height_m(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
        """At places, broadcast."""
        return self.top_m * np.clip(self.field.at(lon_deg, lat_deg), 0.0, 1.0)


@dataclass(frozen=True)
class Swath:
    """How pixels are laid out on the ground.

    Attributes
    ----------
    orbit : CircularOrbit or None
    tie : (lon, lat) or None
        In place of an orbit, places every 1 km of line and 16 km of sample.
    line_m, sample_m : float
        Distance of lines and of samples.
    first_sample_m : float
        Where sample 0 is, across the track to the right of it.
    middle_line : float
        The line that the orbit's time zero belongs to.
    """

    orbit: CircularOrbit | None
    tie: tuple[Float64Array, Float64Array] | None
    line_m: float
    sample_m: float
    first_sample_m: float
    middle_line: float
    relief: Relief | None = None

    def places(self, line: Float64Array, sample: Float64Array) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of lines and samples (fractions, one shape): on the ellipsoid, moved by the relief.

        Relief moves a pixel away from the track by its height times the tangent of the view: what a single correction
        does, which folds where slopes are steeper than the view.
        """
        if self.tie is not None:
            return self._from_tie(line, sample)
        assert self.orbit is not None
        rate = self.orbit.rate_rad_s * EARTH_M
        states = self.orbit.states(((line - self.middle_line) * self.line_m / rate).reshape(-1))
        across = (self.first_sample_m + sample * self.sample_m).reshape(-1)
        p = states.position_m
        down = -p / np.linalg.norm(p, axis=1, keepdims=True)
        right = np.cross(down, states.velocity_m_s)
        right = -right / np.linalg.norm(right, axis=1, keepdims=True) * -1.0
        turn = across / EARTH_M
        look = np.arctan2(EARTH_M * np.sin(turn), RADIUS_M - EARTH_M * np.cos(turn))
        ray = np.cos(look)[:, None] * down + np.sin(look)[:, None] * right
        squeeze = np.array([1.0, 1.0, SEMI_MAJOR_M / SEMI_MINOR_M])
        a, b = ray * squeeze, p * squeeze
        qa, qb, qc = np.sum(a * a, 1), np.sum(a * b, 1), np.sum(b * b, 1) - SEMI_MAJOR_M**2
        distance = (-qb - np.sqrt(qb * qb - qa * qc)) / qa
        ground = p + distance[:, None] * ray
        lon, lat, _ = to_geodetic(ground)
        if self.relief is not None:
            aside = ground / np.linalg.norm(ground, axis=1, keepdims=True)
            aside = np.cross(np.cross(aside, right), aside)
            shift = self.relief.height_m(lon, lat) * np.tan(look + turn)
            lon, lat, _ = to_geodetic(ground + shift[:, None] * aside)
        return lon.reshape(line.shape), lat.reshape(line.shape)

    def _from_tie(self, line: Float64Array, sample: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Between tie points by cubics of the unit normal."""
        assert self.tie is not None
        n = normal(*self.tie)
        row = line * self.line_m / TIE_ROW_M + 2.0
        col = (n.shape[1] - 1) / 2.0 + (self.first_sample_m + sample * self.sample_m) / TIE_COLUMN_M
        if row.min() < 1 or row.max() > n.shape[0] - 2 or col.min() < 1 or col.max() > n.shape[1] - 2:
            raise ValueError("the swath is larger than its tie points: give fewer lines or samples")
        i, j = np.floor(row).astype(int), np.floor(col).astype(int)
        total = np.zeros((*line.shape, 3))
        for di, wi in enumerate(_cubic(row - i)):
            for dj, wj in enumerate(_cubic(col - j)):
                total += (wi * wj)[..., None] * n[i + di - 1, j + dj - 1]
        return np.degrees(np.arctan2(total[..., 1], total[..., 0])), np.degrees(
            np.arctan2(total[..., 2], np.hypot(total[..., 0], total[..., 1]))
        )


def _cubic(t: Float64Array) -> tuple[Float64Array, ...]:
    return (
        -t * (t - 1) * (t - 2) / 6, (t + 1) * (t - 1) * (t - 2) / 2, -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )  # fmt: skip


def orbit_over(lon_deg: float, lat_deg: float, *, ascending: bool) -> CircularOrbit:
    """The orbit whose track is over a place at time zero, or, beyond 81 degrees, over its meridian's nearest point."""
    tilt = np.radians(INCLINATION_DEG)
    ratio = np.clip(np.sin(np.radians(lat_deg)) / np.sin(tilt), -0.9999, 0.9999)
    argument = float(np.arcsin(ratio)) if ascending else float(np.pi - np.arcsin(ratio))
    under = np.arctan2(np.sin(argument) * np.cos(tilt), np.cos(argument))
    return CircularOrbit(argument, float(np.radians(lon_deg) - under), RADIUS_M, INCLINATION_DEG)


def read_tie_points(path: Path) -> tuple[Float64Array, Float64Array]:
    """Longitudes and latitudes of a real ``geodetic_tx.nc``."""
    with h5py.File(path, "r") as file:
        return np.asarray(file["longitude_tx"][...], float), np.asarray(file["latitude_tx"][...], float)
