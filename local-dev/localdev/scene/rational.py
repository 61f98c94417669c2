"""Rational polynomial coefficients (RPC00B): evaluated, and fitted to a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from localdev.scene.ellipsoid import Float64Array

GroundToImage = Callable[[Float64Array, Float64Array, Float64Array], tuple[Float64Array, Float64Array]]
FIT_NODES = (17, 17, 9)
FIT_ROUNDS = 3


@dataclass(frozen=True)
class RationalModel:
    """``line = line_scale * num(P, L, H) / den(P, L, H) + line_offset``, sample alike.

    Offsets are 0-based with integers at pixel centres. Each polynomial has 20 coefficients in the order of RPC00B.
    Source: STDI-0002, The Compendium of Controlled Extensions for NITF, appendix E, RPC00B.
    """

    line_offset: float
    sample_offset: float
    lat_offset: float
    lon_offset: float
    height_offset: float
    line_scale: float
    sample_scale: float
    lat_scale: float
    lon_scale: float
    height_scale: float
    line_num: Float64Array
    line_den: Float64Array
    sample_num: Float64Array
    sample_den: Float64Array

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points."""
        terms = _terms(
            (np.asarray(lat_deg, float) - self.lat_offset) / self.lat_scale,
            (np.asarray(lon_deg, float) - self.lon_offset) / self.lon_scale,
            (np.asarray(height_m, float) - self.height_offset) / self.height_scale,
        )
        line = terms @ self.line_num / (terms @ self.line_den)
        sample = terms @ self.sample_num / (terms @ self.sample_den)
        return line * self.line_scale + self.line_offset, sample * self.sample_scale + self.sample_offset

    def shifted(self, first_line: float, first_sample: float) -> RationalModel:
        """The model of a crop that begins at this line and sample."""
        return replace(self, line_offset=self.line_offset - first_line, sample_offset=self.sample_offset - first_sample)


def _terms(p: Float64Array, l: Float64Array, h: Float64Array) -> Float64Array:  # noqa: E741 (RPC00B's letters)
    """The 20 monomials, last axis, of normalised latitude P, longitude L and height H."""
    one = np.ones(np.broadcast_shapes(p.shape, l.shape, h.shape))
    parts = [one, l, p, h, l * p, l * h, p * h, l * l, p * p, h * h]
    parts += [p * l * h, l**3, l * p * p, l * h * h, l * l * p, p**3, p * h * h, l * l * h, p * p * h, h**3]
    return np.stack([part * one for part in parts], axis=-1)


def fit_rational(
    project: GroundToImage, lon_deg: tuple[float, float], lat_deg: tuple[float, float], height_m: tuple[float, float]
) -> tuple[RationalModel, float]:
    """Fit a model over a box of ground, by weighted linear least squares.

    Returns
    -------
    model : RationalModel
    residual_px : float
        Largest distance to the camera on a denser grid than the one fitted.
    """
    lon, lat, height = _box(lon_deg, lat_deg, height_m, FIT_NODES)
    line, sample = project(lon, lat, height)
    line_offset, line_scale = _normaliser(line)
    sample_offset, sample_scale = _normaliser(sample)
    lat_offset, lat_scale = _normaliser(lat)
    lon_offset, lon_scale = _normaliser(lon)
    height_offset, height_scale = _normaliser(height)
    terms = _terms(
        (lat - lat_offset) / lat_scale, (lon - lon_offset) / lon_scale, (height - height_offset) / height_scale
    )
    line_num, line_den = _fit(terms, (line - line_offset) / line_scale)
    sample_num, sample_den = _fit(terms, (sample - sample_offset) / sample_scale)
    model = RationalModel(
        line_offset=line_offset,
        sample_offset=sample_offset,
        lat_offset=lat_offset,
        lon_offset=lon_offset,
        height_offset=height_offset,
        line_scale=line_scale,
        sample_scale=sample_scale,
        lat_scale=lat_scale,
        lon_scale=lon_scale,
        height_scale=height_scale,
        line_num=line_num,
        line_den=line_den,
        sample_num=sample_num,
        sample_den=sample_den,
    )
    check = _box(lon_deg, lat_deg, height_m, (41, 41, 13))
    true_line, true_sample = project(*check)
    line, sample = model.ground_to_image(*check)
    return model, float(np.hypot(line - true_line, sample - true_sample).max())


def _normaliser(values: Float64Array) -> tuple[float, float]:
    """Offset and scale that bring values to -1 .. 1."""
    return 0.5 * float(values.max() + values.min()), max(0.5 * float(np.ptp(values)), 1e-9)


def _box(
    lon_deg: tuple[float, float],
    lat_deg: tuple[float, float],
    height_m: tuple[float, float],
    nodes: tuple[int, int, int],
) -> tuple[Float64Array, Float64Array, Float64Array]:
    lon, lat, height = np.meshgrid(
        np.linspace(*lon_deg, nodes[0]), np.linspace(*lat_deg, nodes[1]), np.linspace(*height_m, nodes[2])
    )
    return lon.ravel(), lat.ravel(), height.ravel()


def _fit(terms: Float64Array, value: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Numerator and denominator (constant term 1) with ``numerator / denominator = value``."""
    weight: Float64Array = np.ones_like(value)
    numerator: Float64Array = np.zeros(20)
    denominator: Float64Array = np.zeros(20)
    for _ in range(FIT_ROUNDS):
        matrix = np.concatenate([terms, -value[:, None] * terms[:, 1:]], axis=1)
        # Far more freedom than a camera has: the cut-off keeps the coefficients small where the data says nothing.
        solution = np.linalg.lstsq(matrix * weight[:, None], value * weight, rcond=1e-12)[0]
        numerator = np.asarray(solution[:20], dtype=np.float64)
        denominator = np.concatenate([np.ones(1), solution[20:]])
        weight = np.asarray(1.0 / (terms @ denominator), dtype=np.float64)
    return numerator, denominator
