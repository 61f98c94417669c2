"""What an orthoimage is written as: type, no-data value, and what the numbers stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthokernel.cogpixels import store_integers
from orthokernel.cogtiles import beside
from orthokernel.product import Product


@dataclass(frozen=True)
class Storage:
    """The numbers of a file.

    Attributes
    ----------
    dtype : {"float32", "uint16", "uint8"}
        Integers that pass through keep their type.
    no_data : float
        NaN for floats.
    scales, shifts : tuple of float
        Of each band ``value = scale * number + shift``.
    """

    dtype: str
    no_data: float
    scales: tuple[float, ...]
    shifts: tuple[float, ...]


def storage_of(product: Product, bands: Sequence[str], radiometry: str) -> Storage:
    """How bands are written; all bands of a file are of one type."""
    measures = [product.measure(band, radiometry) for band in bands]
    scales, shifts = tuple(m.scale for m in measures), tuple(m.shift for m in measures)
    kinds: list[np.dtype[Any]] = []
    no_data: list[float] = []
    for band, measure in zip(bands, measures, strict=True):
        if measure.dtype is not None:
            kinds.append(np.dtype(measure.dtype))
            no_data.append(0.0 if measure.no_data is None else measure.no_data)
            continue
        with product.open_band(band) as reader:
            kinds.append(reader.dtype)
            no_data.append(0.0 if reader.nodata is None else float(reader.nodata))
    kind = np.result_type(*kinds)
    if kind.kind != "u" or kind.itemsize > 2 or len(set(no_data)) > 1:
        return Storage("float32", math.nan, scales, shifts)
    return Storage(kind.name, no_data[0], scales, shifts)


def as_stored(data: NDArray[np.float32], dtype: str, no_data: float) -> NDArray[Any]:
    """Values as the file has them: ``data`` (..., rows, cols), NaN where there is none."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return data.astype(kind, copy=False)
    limits = np.iinfo(kind)
    none, off = kind.type(no_data), kind.type(beside(kind, no_data))
    stored = np.empty(data.shape, kind)
    flat = np.ascontiguousarray(data, np.float32).reshape(-1)
    store_integers(flat, limits.min, limits.max, none, off, stored.reshape(-1))
    return stored
