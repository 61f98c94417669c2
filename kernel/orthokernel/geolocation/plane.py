"""The plane that pixel positions are put on: stereographic about the middle of the swath, x along its lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

_STEPS: Final = 2**30
"""Of the plane from the middle to the farthest pixel, and as many again to spare: 1 mm for a frame of 3 minutes."""
_FARTHEST_RAD: Final = math.radians(110.0)
"""From the middle; beyond half an orbit nothing belongs to the swath."""


@dataclass(frozen=True)
class Plane:
    """See `of_swath`.

    Attributes
    ----------
    axes : (3, 3) float64
        Unit vectors of x, y and of the middle.
    unit : float
        A step of the coordinates as a part of the sphere's radius.
    """

    axes: Float64Array
    unit: float

    @classmethod
    def of_swath(cls, lon_deg: Float64Array, lat_deg: Float64Array) -> Plane | None:
        """The plane of a swath (or of some of its lines and samples), arrays (L, S) with NaN where nothing is known.

        y runs the way lines are counted, and x the way samples are: quads of neighbouring pixels lie like the axes.
        None where too little is known.
        """
        n = normals(lon_deg, lat_deg)
        known = n[~np.isnan(n[..., 0])]
        if len(known) < 4:
            return None
        middle = _unit(np.median(known, axis=0))  # a mean would follow positions that are plainly wrong
        if middle is None:
            return None
        steps = np.diff(n, axis=0).reshape(-1, 3), np.diff(n, axis=1).reshape(-1, 3)
        down, along = (step[~np.isnan(step[:, 0])] for step in steps)
        if not len(down) or not len(along):
            return None
        y = np.median(down, axis=0)
        y_axis = _unit(y - (y @ middle) * middle)
        if y_axis is None:
            return None
        x_axis = np.cross(y_axis, middle)
        if np.median(along @ x_axis) < 0:
            x_axis = -x_axis
        angle = np.arccos(np.clip(known @ middle, -1.0, 1.0))
        farthest = float(np.max(angle[angle <= _FARTHEST_RAD], initial=1e-3))
        return cls(np.stack([x_axis, y_axis, middle]), 2.0 * math.tan(farthest / 2.0) / _STEPS)

    def place(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """``x, y`` of points, broadcast. Source: as `orthokernel.geolocation.solver.place`."""
        n = normals(lon_deg, lat_deg)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = 2.0 / ((1.0 + n @ self.axes[2]) * self.unit)
            return factor * (n @ self.axes[0]), factor * (n @ self.axes[1])

    def lonlat(self, x: ArrayLike, y: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of points on the plane, broadcast.

        Source: Snyder, Map Projections - A Working Manual, equations 20-14, 20-15 and 21-15, as a vector.
        """
        u, v = np.broadcast_arrays(np.asarray(x, np.float64) * self.unit, np.asarray(y, np.float64) * self.unit)
        quarter = 0.25 * (u * u + v * v)
        n = (u[..., None] * self.axes[0] + v[..., None] * self.axes[1] + (1.0 - quarter)[..., None] * self.axes[2]) / (
            1.0 + quarter
        )[..., None]
        return np.degrees(np.arctan2(n[..., 1], n[..., 0])), np.degrees(
            np.arctan2(n[..., 2], np.hypot(n[..., 0], n[..., 1]))
        )


def normals(lon_deg: ArrayLike, lat_deg: ArrayLike) -> Float64Array:
    """Unit normals of the ellipsoid, shape ``broadcast + (3,)``; NaN where either is no angle."""
    lon, lat = np.broadcast_arrays(np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64))
    with np.errstate(invalid="ignore"):
        known = (np.abs(lat) <= 90.0) & np.isfinite(lon)
        a, b = np.radians(np.where(known, lon, np.nan)), np.radians(np.where(known, lat, np.nan))
    return np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], axis=-1)


def _unit(vector: Float64Array) -> Float64Array | None:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else None
