"""The writer's pixel work in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def halved(image: NDArray[Any], no_data: float, overviews: str) -> NDArray[Any]:
    """(rows, cols) to half of it, rounded up: see `orthokernel.cogtiles.Overviews`."""
    if overviews == "nearest":
        return image[::2, ::2]
    n_rows, n_cols = (image.shape[0] + 1) // 2, (image.shape[1] + 1) // 2
    quads = np.full((2 * n_rows, 2 * n_cols), np.nan)
    quads[: image.shape[0], : image.shape[1]] = np.where(image == no_data, np.nan, image.astype(np.float64))
    quads = quads.reshape(n_rows, 2, n_cols, 2)
    if overviews == "average_db":
        quads = 10 ** (quads / 10)
    n_valid = (~np.isnan(quads)).sum(axis=(1, 3))
    total = np.nansum(quads, axis=(1, 3))
    mean = np.divide(total, n_valid, out=np.full(total.shape, np.nan), where=n_valid > 0)
    if overviews == "average_db":
        return (10 * np.log10(mean)).astype(image.dtype)
    if image.dtype.kind == "f":
        return mean.astype(image.dtype)
    rounded = np.floor(np.nan_to_num(mean) + 0.5)
    most = np.iinfo(image.dtype).max
    rounded[rounded == no_data] = no_data + 1 if no_data < most else no_data - 1
    return np.where(n_valid > 0, rounded, no_data).astype(image.dtype)


def pyramid(image: NDArray[Any], no_data: float, overviews: str, tile_px: int = 512) -> list[NDArray[Any]]:
    """An image and its overviews, down to the first that fits a tile."""
    levels = [image]
    while max(levels[-1].shape) > tile_px:
        levels.append(halved(levels[-1], no_data, overviews))
    return levels


def float_predicted(tile: NDArray[np.float32]) -> NDArray[np.uint8]:
    """TIFF's predictor 3, (T, T) to (T, 4 T)."""
    big_endian = tile.astype(">f4").view(np.uint8).reshape(*tile.shape, 4)
    planes = np.ascontiguousarray(big_endian.transpose(0, 2, 1)).reshape(tile.shape[0], -1)
    return np.diff(planes, axis=1, prepend=np.uint8(0))


def float_restored(predicted: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a reader of predictor 3 does."""
    planes = np.cumsum(predicted, axis=1, dtype=np.uint8).reshape(predicted.shape[0], 4, -1)
    return np.ascontiguousarray(planes.transpose(0, 2, 1)).view(">f4")[:, :, 0].astype(np.float32)


def as_integers(data: NDArray[np.float32], dtype: str, no_data: float) -> NDArray[Any]:
    """What `orthokernel.cog.as_stored` makes of floats."""
    kind = np.dtype(dtype)
    limits = np.iinfo(kind)
    missing = np.isnan(data)
    stored = np.clip(np.rint(np.where(missing, 0, data)), limits.min, limits.max).astype(kind)
    off = no_data + 1 if no_data < limits.max else no_data - 1
    stored[~missing & (stored == no_data)] = off
    stored[missing] = no_data
    return stored
