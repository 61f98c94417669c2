"""Calibration and noise vectors: made, read, and evaluated at pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from localdev.scene.annotation import numbers, text
from localdev.scene.ellipsoid import Float64Array
from localdev.scene.radar import RadarGeometry

IntArray = NDArray[np.int64]

BETA_NOUGHT = 474.0
ABSOLUTE_CONSTANT = 1.393
VECTOR_INTERVAL_S = 1.0
PIXEL_STEP, AZIMUTH_NOISE_STEP = 40, 10


@dataclass(frozen=True)
class AzimuthNoise:
    """Noise factor along the lines of one sub-swath's block of samples."""

    swath: str
    first_line: int
    last_line: int
    first_sample: int
    last_sample: int
    line: Float64Array
    factor: Float64Array


@dataclass(frozen=True)
class Calibration:
    """Look-up tables of one polarisation: vectors at some lines, values at some samples.

    Attributes
    ----------
    line : (V,) float64
    sample : (P,) float64
    sigma, beta, gamma : (V, P) float64
        sigma0 = DN**2 / sigma**2, and so on.
    noise_line, noise_sample, noise_range : (W,), (Q,), (W, Q) float64
    noise_azimuth : list
        The noise power in DN**2 is the range value times the azimuth factor.
    """

    line: Float64Array
    sample: Float64Array
    sigma: Float64Array
    beta: Float64Array
    gamma: Float64Array
    noise_line: Float64Array
    noise_sample: Float64Array
    noise_range: Float64Array
    noise_azimuth: list[AzimuthNoise]

    def sigma_squared(self, line: IntArray, sample: IntArray) -> Float64Array:
        """Square of the sigma0 table at the crossings of lines and samples."""
        return between(self.line, self.sample, self.sigma, line, sample) ** 2

    def noise(self, line: IntArray, sample: IntArray) -> Float64Array:
        """Noise power in DN squared at the crossings of lines and samples."""
        power = between(self.noise_line, self.noise_sample, self.noise_range, line, sample)
        for block in self.noise_azimuth:
            rows = np.flatnonzero((line >= block.first_line) & (line <= block.last_line))
            columns = np.flatnonzero((sample >= block.first_sample) & (sample <= block.last_sample))
            if rows.size and columns.size:
                factor = np.interp(line[rows], block.line, block.factor)
                power[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] *= factor[:, None]
        return power


def between(
    vector_line: Float64Array, vector_sample: Float64Array, values: Float64Array, line: IntArray, sample: IntArray
) -> Float64Array:
    """Bilinear between vectors, shape (lines, samples); constant before the first and after the last."""
    position = np.interp(line, vector_line, np.arange(vector_line.size))
    before = np.minimum(position.astype(np.int64), max(vector_line.size - 2, 0))
    weight = (position - before)[:, None]
    used = np.unique(np.concatenate([before, np.minimum(before + 1, vector_line.size - 1)]))
    rows = np.array([np.interp(sample, vector_sample, values[vector]) for vector in used])
    lower = np.searchsorted(used, before)
    upper = np.searchsorted(used, np.minimum(before + 1, vector_line.size - 1))
    return np.asarray(rows[lower] * (1.0 - weight) + rows[upper] * weight, dtype=np.float64)


def swath_edges(n_samples: int, n_subswaths: int) -> list[int]:
    """First sample of every sub-swath, and the number of samples."""
    return [round(n_samples * order / n_subswaths) for order in range(n_subswaths + 1)]


def make_calibration(
    geometry: RadarGeometry, height_m: float, noise_db: float | None, subswaths: list[str]
) -> Calibration:
    """Tables for a frame made from nothing.

    beta0 is one constant, sigma0 and gamma0 follow from the incidence angle. The noise has the shape of a real one:
    higher towards the edges of the sub-swaths, with a slow scalloping along the lines.
    """
    n_lines, n_samples = geometry.n_lines, geometry.n_samples
    every = VECTOR_INTERVAL_S / geometry.line_interval_s
    line = np.unique(np.append(np.round(np.arange(0, n_lines - 1, every)), n_lines - 1))
    sample = np.unique(np.append(np.arange(0, n_samples - 1, PIXEL_STEP), n_samples - 1)).astype(np.float64)
    middle = np.full(sample.size, 0.5 * (n_lines - 1))
    slant = geometry.range_of(middle, sample)
    time = middle * geometry.line_interval_s
    point = geometry.locate(time, slant, np.full(sample.size, height_m))
    incidence = np.radians(geometry.angles(time, point)[0])
    sigma = np.tile(BETA_NOUGHT / np.sqrt(np.sin(incidence)), (line.size, 1))
    gamma = np.tile(BETA_NOUGHT / np.sqrt(np.tan(incidence)), (line.size, 1))
    noise_range = np.zeros_like(sigma)
    blocks = []
    floor = 0.0 if noise_db is None else 10.0 ** (noise_db / 10.0)
    along = np.unique(np.append(np.arange(0, n_lines - 1, AZIMUTH_NOISE_STEP), n_lines - 1)).astype(np.float64)
    for order, (left, right) in enumerate(pairwise(swath_edges(n_samples, len(subswaths)))):
        inside = (sample >= left) & (sample < right)
        across = (sample[inside] - 0.5 * (left + right)) / max(0.5 * (right - left), 1.0)
        noise_range[:, inside] = floor * (0.9 + 0.3 * across**2) * sigma[:, inside] ** 2
        factor = 1.0 + 0.05 * np.cos(2.0 * np.pi * along / 1850.0 + 2.0 * order)
        blocks.append(AzimuthNoise(subswaths[order], 0, n_lines - 1, left, right - 1, along, factor))
    beta = np.full_like(sigma, BETA_NOUGHT)
    # Seven digits are written: what is used for the pixels must be what is written.
    return Calibration(
        line,
        sample,
        seven_digits(sigma),
        seven_digits(beta),
        seven_digits(gamma),
        line,
        sample,
        seven_digits(noise_range),
        [AzimuthNoise(*_rounded(block)) for block in blocks],
    )


def without_azimuth(calibration: Calibration) -> Calibration:
    """The tables as processors before IPF 2.9 had them: no noise along azimuth."""
    return replace(calibration, noise_azimuth=[])


def _rounded(block: AzimuthNoise) -> tuple[str, int, int, int, int, Float64Array, Float64Array]:
    return (
        block.swath,
        block.first_line,
        block.last_line,
        block.first_sample,
        block.last_sample,
        block.line,
        seven_digits(block.factor),
    )


def seven_digits(values: Float64Array) -> Float64Array:
    """Values as the annotation's ``1.234567e+00`` carries them."""
    flat = [float(f"{value:.6e}") for value in values.ravel()]
    return np.array(flat).reshape(values.shape)


def read_calibration(calibration: Element, noise: Element | None) -> Calibration:
    """Tables of a real product (noise in the format with range and azimuth vectors).

    Raises
    ------
    ValueError
        Where vectors do not share their pixels, which no product seen so far does.
    """
    vectors = calibration.findall("calibrationVectorList/calibrationVector")
    line = np.array([float(text(vector, "line")) for vector in vectors])
    sample = numbers(text(vectors[0], "pixel"))
    sigma, beta, gamma = (
        np.array([numbers(text(vector, name)) for vector in vectors]) for name in ("sigmaNought", "betaNought", "gamma")
    )
    if sigma.shape != (line.size, sample.size):
        raise ValueError("calibration vectors of different lengths")
    noise_line, noise_sample, noise_range = np.zeros(1), np.zeros(1), np.zeros((1, 1))
    blocks: list[AzimuthNoise] = []
    if noise is not None:
        found = noise.findall("noiseRangeVectorList/noiseRangeVector")
        noise_line = np.array([float(text(vector, "line")) for vector in found])
        noise_sample = np.arange(0.0, 1.0 + max(numbers(text(vector, "pixel"))[-1] for vector in found))
        noise_range = np.array(
            [
                np.interp(noise_sample, numbers(text(vector, "pixel")), numbers(text(vector, "noiseRangeLut")))
                for vector in found
            ]
        )
        blocks = [
            AzimuthNoise(
                text(vector, "swath"),
                int(text(vector, "firstAzimuthLine")),
                int(text(vector, "lastAzimuthLine")),
                int(text(vector, "firstRangeSample")),
                int(text(vector, "lastRangeSample")),
                numbers(text(vector, "line")),
                numbers(text(vector, "noiseAzimuthLut")),
            )
            for vector in noise.findall("noiseAzimuthVectorList/noiseAzimuthVector")
        ]
    return Calibration(line, sample, sigma, beta, gamma, noise_line, noise_sample, noise_range, blocks)
