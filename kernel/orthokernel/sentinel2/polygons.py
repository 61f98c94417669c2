"""Polygons on a grid of pixels: which pixels one covers, or has the middle of.

Coordinates are those of pixels' edges: pixel ``(line, sample)`` reaches from ``sample`` to ``sample + 1`` and from
``line`` to ``line + 1``. Both answers are exact for the coordinates given, and do not depend on the window asked for.
"""

# numba infers the types of what it compiles
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Ring = Float64Array
"""``(N, 2)``: sample and line."""


class Polygons(NamedTuple):
    """Polygons of several rings each, what lies in an odd number of which is inside.

    Attributes
    ----------
    x, y : (P,) float64
        Sample and line of all rings' points.
    ring : (R + 1,) int64
        Where each ring's points begin.
    polygon : (Q + 1,) int64
        Where each polygon's rings begin.
    bounds : (Q, 4) float64
        Least and greatest sample, least and greatest line.
    value : (Q,) uint8
    most_points : int
        Of a polygon.
    """

    x: Float64Array
    y: Float64Array
    ring: NDArray[np.int64]
    polygon: NDArray[np.int64]
    bounds: Float64Array
    value: NDArray[np.uint8]
    most_points: int

    @classmethod
    def of(cls, polygons: Sequence[Sequence[Ring]], values: Sequence[int]) -> Polygons:
        """From the rings of each."""
        rings = [ring for polygon in polygons for ring in polygon]
        points = np.concatenate([*rings, np.empty((0, 2))])
        whole = [np.concatenate(polygon) for polygon in polygons]
        return cls(
            np.ascontiguousarray(points[:, 0]),
            np.ascontiguousarray(points[:, 1]),
            np.cumsum([0, *(len(ring) for ring in rings)]),
            np.cumsum([0, *(len(polygon) for polygon in polygons)]),
            np.array([[*one.min(axis=0), *one.max(axis=0)] for one in whole]).reshape(-1, 4)[:, [0, 2, 1, 3]],
            np.array(values, np.uint8),
            max((len(one) for one in whole), default=0),
        )


@njit(cache=True, nogil=True)
def mark_middles(polygons, line0, sample0, out):
    """Give pixels whose middle a polygon has its value; the first polygon's where several have it.

    A middle on an edge is in the polygon to its right, or below.

    Parameters
    ----------
    polygons : Polygons
    line0, sample0 : int
        Of the window's first pixel.
    out : (lines, samples) uint8
        Zero where no polygon's value is yet.
    """
    crossings = np.empty(polygons.most_points, np.float64)
    for q in range(polygons.value.size):
        first, stop = _reach(polygons.bounds[q, 2], polygons.bounds[q, 3], line0, out.shape[0])
        if not _may_have(polygons.bounds[q, 0], polygons.bounds[q, 1], sample0, out.shape[1]):
            continue
        for line in range(first, stop):
            count = _cross(polygons, q, line + 0.5, crossings)
            for k in range(0, count - 1, 2):
                a = max(math.ceil(crossings[k] - 0.5), sample0)
                b = min(math.ceil(crossings[k + 1] - 0.5), sample0 + out.shape[1])
                for sample in range(a, b):
                    if out[line - line0, sample - sample0] == 0:
                        out[line - line0, sample - sample0] = polygons.value[q]


@njit(cache=True, nogil=True)
def mark_covered(polygons, line0, sample0, out):
    """Set the bits of a polygon's value in all pixels of which it covers any part. As `mark_middles`.

    Where it does, an edge crosses the pixel, or all of the pixel is inside and so is its middle. To touch a pixel's
    edge is to cover nothing of it.
    """
    crossings = np.empty(polygons.most_points, np.float64)
    for q in range(polygons.value.size):
        first, stop = _reach(polygons.bounds[q, 2], polygons.bounds[q, 3], line0, out.shape[0])
        if first >= stop or not _may_have(polygons.bounds[q, 0], polygons.bounds[q, 1], sample0, out.shape[1]):
            continue
        value = polygons.value[q]
        for line in range(first, stop):
            count = _cross(polygons, q, line + 0.5, crossings)
            for k in range(0, count - 1, 2):
                a = max(math.ceil(crossings[k] - 0.5), sample0)
                b = min(math.ceil(crossings[k + 1] - 0.5), sample0 + out.shape[1])
                for sample in range(a, b):
                    out[line - line0, sample - sample0] |= value
        for r in range(polygons.polygon[q], polygons.polygon[q + 1]):
            start, end = polygons.ring[r], polygons.ring[r + 1]
            for k in range(start, end):
                j = k + 1 if k + 1 < end else start
                _mark_edge(
                    polygons.x[k], polygons.y[k], polygons.x[j], polygons.y[j], value, line0, sample0, first, stop, out
                )


@njit(inline="always")
def _may_have(least, greatest, sample0, n_samples):
    return greatest > sample0 and least < sample0 + n_samples


@njit(inline="always")
def _reach(least, greatest, line0, n_lines):
    """The lines of a window that a polygon may cover."""
    first = max(math.floor(least), line0)
    return first, min(math.ceil(greatest), line0 + n_lines)


@njit(nogil=True)
def _cross(polygons, q, y, crossings):
    """Where edges of a polygon cross a line, in order; how many."""
    count = 0
    for r in range(polygons.polygon[q], polygons.polygon[q + 1]):
        start, end = polygons.ring[r], polygons.ring[r + 1]
        for k in range(start, end):
            j = k + 1 if k + 1 < end else start
            y0, y1 = polygons.y[k], polygons.y[j]
            if (y0 <= y) != (y1 <= y):
                x0, x1 = polygons.x[k], polygons.x[j]
                crossings[count] = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
                count += 1
    crossings[:count].sort()
    return count


@njit(nogil=True)
def _mark_edge(x0, y0, x1, y1, value, line0, sample0, first, stop, out):
    """Pixels whose inside an edge crosses."""
    if y0 > y1:
        x0, y0, x1, y1 = x1, y1, x0, y0
    for line in range(max(first, math.floor(y0)), min(stop, math.floor(y1) + 1)):
        if y0 == y1:
            if y0 == line:
                continue  # along the pixels' edges
            a, b = min(x0, x1), max(x0, x1)
        else:
            low, high = max(y0, float(line)), min(y1, line + 1.0)
            if low >= high:
                continue
            at_low = x0 + (low - y0) / (y1 - y0) * (x1 - x0)
            at_high = x0 + (high - y0) / (y1 - y0) * (x1 - x0)
            a, b = min(at_low, at_high), max(at_low, at_high)
        if a == b:
            if a == math.floor(a):
                continue
            from_sample, to_sample = math.floor(a), math.floor(a) + 1
        else:
            from_sample, to_sample = math.floor(a), math.ceil(b)
        for sample in range(max(from_sample, sample0), min(to_sample, sample0 + out.shape[1])):
            out[line - line0, sample - sample0] |= value
