"""Unit quaternions ``x, y, z, w`` in the last axis: they turn a vector v into q v q*."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


def times(a: Float64Array, b: Float64Array) -> Float64Array:
    """The turn of b, then that of a."""
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector: Float64Array = aw * bv + bw * av + np.cross(av, bv)
    return np.concatenate([vector, aw * bw - (av * bv).sum(-1, keepdims=True)], -1)


def inverse(q: Float64Array) -> Float64Array:
    turned_back: Float64Array = q * np.array([-1.0, -1.0, -1.0, 1.0])
    return turned_back


def rotation_vector(q: Float64Array) -> Float64Array:
    """``(..., 3)``: axis times angle in radians, for turns of less than half a turn."""
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., 3:])
    vector: Float64Array = q[..., :3] * np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 0.0)
    return vector


def from_rotation_vector(v: Float64Array) -> Float64Array:
    half = 0.5 * np.linalg.norm(v, axis=-1, keepdims=True)
    return np.concatenate([0.5 * np.sinc(half / np.pi) * v, np.cos(half)], -1)


def matrices(q: Float64Array) -> Float64Array:
    """``(..., 3, 3)``."""
    x, y, z, w = np.moveaxis(q, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)
