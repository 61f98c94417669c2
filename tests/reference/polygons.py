"""Twins of `orthokernel.sentinel2.polygons`, pixel by pixel with GEOS (shapely)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

Rings = Sequence[NDArray[np.float64]]


def middles(polygons: Sequence[Rings], values: Sequence[int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The value of the first polygon that has the middle of a pixel."""
    line, sample = np.mgrid[0 : shape[0], 0 : shape[1]]
    out = np.zeros(shape, np.uint8)
    for rings, value in zip(polygons, values, strict=True):
        inside = shapely.contains_xy(shapely.Polygon(rings[0], rings[1:]), sample + 0.5, line + 0.5)
        out[inside & (out == 0)] = value
    return out


def covered(polygons: Sequence[Rings], values: Sequence[int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The values, as bits, of all polygons that have a part of a pixel."""
    out = np.zeros(shape, np.uint8)
    for rings, value in zip(polygons, values, strict=True):
        polygon = shapely.Polygon(rings[0], rings[1:])
        for line, sample in np.ndindex(*shape):
            if polygon.intersection(shapely.box(sample, line, sample + 1, line + 1)).area > 0:
                out[line, sample] |= value
    return out
