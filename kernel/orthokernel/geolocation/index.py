"""Makes the index of a swath: its pixels on a plane, tiles of quads, and buckets that list them."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orthokernel.geolocation.plane import Plane
from orthokernel.geolocation.solver import (
    NO_POSITION,
    TILE,
    Quads,
    box_tiles,
    contest_tiles,
    count_tiles,
    ends_of_tiles,
    list_tiles,
    overlap_tiles,
    place,
)

Float64Array = NDArray[np.float64]

_LOOKED_AT: Final = 200
"""Lines and samples from which the plane and the spacing are found: so many of each at most."""
_NEIGHBOURS_WITHIN: Final = 10.0
"""Spacings: relief moves neighbours by some pixels where it is seen steeply; beyond this something is missing."""
_REACH_SPACINGS: Final = 1.5
_BUCKET_QUADS: Final = 8.0
_LINES_AT_ONCE: Final = 256
_MOST_BUCKETS: Final = 2**26

_Over = Callable[[int, int, Callable[[int, int], Any]], list[Any]]
"""Does a work over ranges of so many numbers, so many of them at once: ``over(n, at_once, work)``."""


@dataclass(frozen=True)
class Positions:
    """Latitudes and longitudes of pixels, as a file has them.

    Attributes
    ----------
    lat, lon : (L, S) arrays
        Degrees once multiplied by ``scale_lat`` and ``scale_lon``.
    fill : float or None
        What stands for none, before scaling; NaN and what is no angle always do.
    """

    lat: NDArray[Any]
    lon: NDArray[Any]
    scale_lat: float = 1.0
    scale_lon: float = 1.0
    fill: float | None = None

    def some(self, lines: slice | NDArray[np.int64], samples: slice | NDArray[np.int64]) -> tuple[Float64Array, ...]:
        """``lon_deg, lat_deg`` of a part, NaN where there is none."""
        lat, lon = self.lat[lines][:, samples], self.lon[lines][:, samples]
        b, a = lat.astype(np.float64) * self.scale_lat, lon.astype(np.float64) * self.scale_lon
        known = (np.abs(b) <= 90.0) & (np.abs(a) <= 360.0)
        if self.fill is not None:
            known &= (lat != self.fill) & (lon != self.fill)
        return np.where(known, a, np.nan), np.where(known, b, np.nan)


@dataclass(frozen=True)
class Further:
    """Measurements that have no pixel: ``lon_deg, lat_deg`` (N,) float64, and the ``line, sample`` (N,) they go by."""

    lon_deg: Float64Array
    lat_deg: Float64Array
    line: NDArray[np.int32]
    sample: NDArray[np.int32]


@dataclass(frozen=True)
class SwathIndex:
    """What points are looked up in.

    ``counts``: how many quads are good, bad, flat, and none (see `orthokernel.geolocation.solver`).
    """

    plane: Plane
    quads: Quads
    counts: dict[str, int]


def build_index(
    positions: Positions, marks: NDArray[np.uint8] | None, further: Further | None, threads: int
) -> SwathIndex | None:
    """The index of a swath; None where no four neighbouring pixels have positions that make a quad.

    Parameters
    ----------
    positions : Positions
    marks : (L, S) uint8, optional
        Bits `orthokernel.geolocation.solver.APART` and ``REPLACEABLE``.
    further : Further, optional
    threads : int
    """
    n_lines, n_samples = positions.lat.shape
    if min(n_lines, n_samples) < 2:
        return None
    every_line = _pairs(n_lines)
    every_sample = _pairs(n_samples)
    plane = Plane.of_swath(*positions.some(every_line, every_sample))
    if plane is None:
        return None
    xy = np.empty((n_lines, n_samples, 2), np.int32)
    fill = math.nan if positions.fill is None else float(positions.fill)
    with ThreadPoolExecutor(threads) as pool:

        def over(n: int, at_once: int, work: Callable[[int, int], Any]) -> list[Any]:
            starts = range(0, n, at_once)
            return list(pool.map(lambda start: work(start, min(start + at_once, n)), starts))

        over(n_lines, _LINES_AT_ONCE, lambda a, b: place(
            positions.lat, positions.lon, positions.scale_lat, positions.scale_lon, a, b, fill, plane.axes, plane.unit,
            xy,
        ))  # fmt: skip
        spacing = _spacing(xy, every_line, every_sample)
        if spacing is None:
            return None
        quads = _empty(xy, marks, spacing)
        n_tiles = quads.box.shape[0]
        at_once = max(_LINES_AT_ONCE // TILE, 1)
        counts = np.sum(over(n_tiles, at_once, lambda a, b: box_tiles(quads, a, b)), axis=0)
        if counts[1] == 0:
            return None
        quads = _with_buckets(quads, threads, over)
        overlaps, contested = np.zeros_like(quads.contested), np.empty_like(quads.contested)
        over(quads.n_rows, at_once, lambda a, b: overlap_tiles(quads, a, b, overlaps))
        over(n_tiles, at_once, lambda a, b: contest_tiles(quads, overlaps, a, b, contested))
    quads = quads._replace(contested=contested)
    if further is not None and len(further.line):
        quads = _with_further(quads, plane, further)
    names = ("none", "good", "bad", "flat")
    return SwathIndex(plane, quads, {name: int(count) for name, count in zip(names, counts, strict=True)})


def _pairs(n: int) -> NDArray[np.int64]:
    """Neighbours two by two, from all over a side."""
    if n <= _LOOKED_AT:
        return np.arange(n)
    first = np.linspace(0, n - 2, _LOOKED_AT // 2).astype(np.int64)
    return np.unique(np.concatenate([first, first + 1]))


def _spacing(xy: NDArray[np.int32], lines: NDArray[np.int64], samples: NDArray[np.int64]) -> Float64Array | None:
    """Usual distance of neighbours along a line and across, in steps of the plane; None where there are none."""
    part = xy[lines][:, samples].astype(np.float64)
    part[part[..., 0] == NO_POSITION] = np.nan
    found = []
    for axis, numbers in ((1, samples), (0, lines)):
        is_next = np.diff(numbers) == 1
        length = np.hypot(*np.moveaxis(np.diff(part, axis=axis), -1, 0))
        length = length[:, is_next] if axis == 1 else length[is_next]
        length = length[np.isfinite(length) & (length > 0.0)]  # a pixel that is there twice says nothing
        if not length.size:
            return None
        found.append(float(np.median(length)))
    return np.array(found)


def _empty(xy: NDArray[np.int32], marks: NDArray[np.uint8] | None, spacing: Float64Array) -> Quads:
    n_tiles = [-(-(n - 1) // TILE) for n in xy.shape[:2]]
    return Quads(
        xy=xy,
        marks=np.empty((0, 0), np.uint8) if marks is None else np.ascontiguousarray(marks, np.uint8),
        most=_NEIGHBOURS_WITHIN * spacing,
        spacing=spacing,
        reach=_REACH_SPACINGS * float(spacing.max()),
        box=np.empty((n_tiles[0], n_tiles[1], 4), np.int32),
        contested=np.empty((n_tiles[0], n_tiles[1]), np.uint8),
        x0=0.0,
        y0=0.0,
        side=1.0,
        n_rows=0,
        n_cols=0,
        start=np.zeros(1, np.int64),
        listed=np.empty(0, np.int32),
        further_xy=np.empty((0, 2), np.int32),
        further_at=np.empty((0, 2), np.int32),
        further_start=np.zeros(1, np.int64),
        further_side=1.0,
        further_shape=(0, 0),
    )


def _with_buckets(quads: Quads, threads: int, over: _Over) -> Quads:
    low_x, high_x, low_y, high_y = ends_of_tiles(quads.box)
    x0, x1, y0, y1 = low_x - quads.reach, high_x + quads.reach, low_y - quads.reach, high_y + quads.reach
    side = _BUCKET_QUADS * float(quads.spacing.max())
    side = max(side, math.sqrt((x1 - x0) * (y1 - y0) / _MOST_BUCKETS))
    n_cols, n_rows = int((x1 - x0) / side) + 1, int((y1 - y0) / side) + 1
    quads = quads._replace(x0=float(x0), y0=float(y0), side=side, n_rows=n_rows, n_cols=n_cols)
    counts = np.zeros(n_rows * n_cols + 1, np.int64)
    at_once = -(-n_rows // threads)  # each goes through all tiles
    over(n_rows, at_once, lambda a, b: count_tiles(quads, a, b, counts))
    start = np.cumsum(counts)
    filled, at = quads._replace(start=start, listed=np.empty(int(start[-1]), np.int32)), start[:-1].copy()
    over(n_rows, at_once, lambda a, b: list_tiles(filled, a, b, at))
    return filled


def _with_further(quads: Quads, plane: Plane, further: Further) -> Quads:
    x, y = plane.place(further.lon_deg, further.lat_deg)
    side = _REACH_SPACINGS * float(quads.spacing.max())
    n_cols, n_rows = (int(n * quads.side / side) + 1 for n in (quads.n_cols, quads.n_rows))
    col, row = np.floor((x - quads.x0) / side), np.floor((y - quads.y0) / side)
    near = (col >= 0) & (col < n_cols) & (row >= 0) & (row < n_rows)
    bucket = (row[near] * n_cols + col[near]).astype(np.int64)
    order = np.argsort(bucket, kind="stable")
    at = np.stack([further.line, further.sample], axis=1).astype(np.int32)
    return quads._replace(
        further_xy=np.rint(np.stack([x, y], axis=1)[near][order]).astype(np.int32),
        further_at=np.ascontiguousarray(at[near][order]),
        further_start=np.searchsorted(bucket[order], np.arange(n_rows * n_cols + 1)).astype(np.int64),
        further_side=side,
        further_shape=(n_rows, n_cols),
    )
