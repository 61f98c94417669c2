"""Range-Doppler geometry of a ground-range radar image, slow and exact: what the simulator takes for true."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import SPEED_OF_LIGHT_M_S, Float64Array, normal, to_earth_centred, to_geodetic
from localdev.scene.orbit import OrbitArc, StateVectors

RecordChoice = Literal["linear", "nearest"]


@dataclass(frozen=True)
class RangeRecords:
    """How ground range becomes slant range, at times about a second apart.

    Attributes
    ----------
    time_s : (R,) float64
        Seconds since the epoch.
    origin_m : (R,) float64
        Ground range at which the polynomial's argument is zero.
    slant_m : (R, K) float64
        Coefficients, lowest power first: slant range in metres of ground range in metres.
    """

    time_s: Float64Array
    origin_m: Float64Array
    slant_m: Float64Array

    def slant_range(self, record: int, ground_m: Float64Array, span_m: float) -> tuple[Float64Array, Float64Array]:
        """Slant range and its slope; beyond ``0 .. span_m`` the straight continuation of the edge."""
        inside = np.clip(ground_m, 0.0, span_m)
        argument = inside - self.origin_m[record]
        slope = polyval(argument, polyder(self.slant_m[record]))
        value = polyval(argument, self.slant_m[record]) + slope * (ground_m - inside)
        return np.asarray(value, dtype=np.float64), np.asarray(slope, dtype=np.float64)

    def ground_range(self, record: int, slant_m: Float64Array, span_m: float) -> Float64Array:
        """Ground range of a slant range: Newton on the slant-range polynomial, which is what makes the image.

        The annotated inverse polynomial is not used: in real products the two disagree by 6 cm.
        """
        near, slope = self.slant_range(record, np.zeros(1), span_m)
        far, _ = self.slant_range(record, np.full(1, span_m), span_m)
        ground = (slant_m - near[0]) * span_m / (far[0] - near[0])
        for _ in range(30):
            value, slope = self.slant_range(record, ground, span_m)
            step = (value - slant_m) / slope
            ground = ground - step
            if step.size == 0 or float(np.abs(step).max()) < 1e-7:
                break
        return np.asarray(ground, dtype=np.float64)


@dataclass(frozen=True)
class RadarGeometry:
    """Maps ground to image and back for a Sentinel-1 ground-range image.

    ``line, sample`` are 0-based with integers at pixel centres.

    Attributes
    ----------
    epoch : datetime
        UTC of line 0; all times in seconds count from it.
    line_interval_s, sample_spacing_m : float
    mid_swath_s : float
        Two-way time at which line time and zero-Doppler time agree. Elsewhere the image carries a bistatic
        residual: ``zero-Doppler time = line time + (two-way time - mid_swath_s) / 2``.
    """

    epoch: datetime
    n_lines: int
    n_samples: int
    line_interval_s: float
    sample_spacing_m: float
    states: StateVectors
    records: RangeRecords
    mid_swath_s: float

    @cached_property
    def arc(self) -> OrbitArc:
        """The orbit around the scene."""
        return OrbitArc(self.states, 0.5 * (self.n_lines - 1) * self.line_interval_s)

    @property
    def span_m(self) -> float:
        """Ground range of the last sample."""
        return (self.n_samples - 1) * self.sample_spacing_m

    def blend(self, line: Float64Array, choice: RecordChoice) -> tuple[Float64Array, Float64Array]:
        """For every line the index of the record before it and the weight of the one after it."""
        times = self.records.time_s
        time = line * self.line_interval_s
        before = np.clip(np.searchsorted(times, time, side="right") - 1, 0, max(times.size - 2, 0))
        if times.size == 1:
            return before.astype(float), np.zeros_like(time)
        weight = np.clip((time - times[before]) / (times[before + 1] - times[before]), 0.0, 1.0)
        return before.astype(float), np.round(weight) if choice == "nearest" else weight

    def sample_of(self, line: Float64Array, range_m: Float64Array, choice: RecordChoice = "linear") -> Float64Array:
        """Sample of a slant range, on a line: ground ranges of the two records, mixed linearly in time."""
        before, weight = self.blend(line, choice)
        sample = np.empty(np.shape(line))
        for record in np.unique(before):
            mine = before == record
            first = self.records.ground_range(int(record), range_m[mine], self.span_m)
            second = first
            if self.records.time_s.size > 1:
                second = self.records.ground_range(int(record) + 1, range_m[mine], self.span_m)
            sample[mine] = ((1.0 - weight[mine]) * first + weight[mine] * second) / self.sample_spacing_m
        return sample

    def range_of(self, line: Float64Array, sample: Float64Array, choice: RecordChoice = "linear") -> Float64Array:
        """Slant range of an image point: the inverse of ``sample_of``."""
        before, _ = self.blend(line, choice)
        slant = np.empty(np.shape(line))
        for record in np.unique(before):
            mine = before == record
            ground = sample[mine] * self.sample_spacing_m
            slant[mine], slope = self.records.slant_range(int(record), ground, self.span_m)
            for _ in range(30):
                step = (self.sample_of(line[mine], slant[mine], choice) - sample[mine]) * self.sample_spacing_m * slope
                slant[mine] -= step
                if float(np.abs(step).max()) < 1e-8:
                    break
        return slant

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike, choice: RecordChoice = "linear"
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points, also outside the image."""
        point = to_earth_centred(lon_deg, lat_deg, height_m)
        time, slant = self.arc.zero_doppler(point)
        two_way = 2.0 * slant / SPEED_OF_LIGHT_M_S
        line = (time - 0.5 * (two_way - self.mid_swath_s)) / self.line_interval_s
        shape = line.shape
        return line, self.sample_of(line.ravel(), slant.ravel(), choice).reshape(shape)

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike, choice: RecordChoice = "linear"
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of image points at a height above the ellipsoid."""
        lines, samples, heights = np.broadcast_arrays(
            np.asarray(line, float), np.asarray(sample, float), np.asarray(height_m, float)
        )
        slant = self.range_of(lines.ravel(), samples.ravel(), choice)
        time = lines.ravel() * self.line_interval_s + 0.5 * (2.0 * slant / SPEED_OF_LIGHT_M_S - self.mid_swath_s)
        point = self.locate(time, slant, heights.ravel())
        lon, lat, _ = to_geodetic(point)
        return lon.reshape(lines.shape), lat.reshape(lines.shape)

    def locate(self, time_s: Float64Array, range_m: Float64Array, height_m: Float64Array) -> Float64Array:
        """Earth-centred points (N, 3) abeam on the right at given times, slant ranges and heights.

        In the plane across the velocity the look angle alone is free; Newton turns it until the height fits.
        """
        position = self.arc.position(time_s)
        forward = _unit(self.arc.velocity(time_s))
        down = _unit(-position + np.sum(position * forward, axis=-1, keepdims=True) * forward)
        right = np.cross(down, forward)
        radius = np.linalg.norm(position, axis=-1)
        ground = np.linalg.norm(to_earth_centred(0.0, _latitude(position), 0.0), axis=-1) + height_m
        cosine = (radius**2 + range_m**2 - ground**2) / (2.0 * radius * range_m)
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        point = position
        for _ in range(20):
            point = position + range_m[:, None] * (np.cos(angle)[:, None] * down + np.sin(angle)[:, None] * right)
            lon, lat, height = to_geodetic(point)
            turn = range_m[:, None] * (-np.sin(angle)[:, None] * down + np.cos(angle)[:, None] * right)
            step = (height - height_m) / np.sum(turn * normal(lon, lat), axis=-1)
            angle = angle - step
            if float(np.abs(step).max(initial=0.0)) < 1e-13:
                break
        return point

    def angles(self, time_s: Float64Array, point_m: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Incidence angle at the ellipsoid's normal, and elevation angle at the satellite's nadir, in degrees."""
        position = self.arc.position(time_s)
        lon, lat, _ = to_geodetic(point_m)
        to_satellite = _unit(position - point_m)
        incidence = np.degrees(np.arccos(np.sum(to_satellite * normal(lon, lat), axis=-1)))
        return incidence, np.degrees(np.arccos(np.sum(to_satellite * _unit(position), axis=-1)))


def _unit(vector: Float64Array) -> Float64Array:
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True), dtype=np.float64)


def _latitude(position_m: Float64Array) -> Float64Array:
    return to_geodetic(position_m)[1]
