"""Where a radar image point lies on the terrain.

All ground points that share an image point lie on one curve, a circle around the track, on which height rises with the
distance from the track. The terrain meets that curve once, or, in layover, three times and more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]

LEVEL_STEP_M = 15.0
"""Height between looks at the terrain along the curve: about 20 m on the ground. Smaller folds are not seen."""

LOWEST_M, HIGHEST_M = -600.0, 9100.0
POINTS_AT_ONCE = 1_000_000
BISECTIONS = 16
"""From 15 m to a fifth of a millimetre."""


class ImageToGround(Protocol):
    """The part of a sensor model that this module needs."""

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]: ...


@dataclass(frozen=True)
class TerrainHit:
    """Ground points of image points; all arrays have the shape of the image points.

    Attributes
    ----------
    lon_deg, lat_deg, height_m : float64
        The hit nearest to the track; NaN where the terrain has no height.
    layover : bool
        Other points of the terrain share the image point.
    """

    lon_deg: Float64Array
    lat_deg: Float64Array
    height_m: Float64Array
    layover: NDArray[np.bool_]


def intersect_terrain(model: ImageToGround, line: ArrayLike, sample: ArrayLike, terrain: Terrain) -> TerrainHit:
    """Intersect the curves of image points with the terrain; of several hits the nearest to the track is taken."""
    line_b, sample_b = np.broadcast_arrays(np.asarray(line, np.float64), np.asarray(sample, np.float64))
    flat_line, flat_sample = line_b.reshape(-1), sample_b.reshape(-1)
    lowest_m, highest_m = _height_bounds(model, flat_line, flat_sample, terrain)
    lon_deg, lat_deg, height_m = (np.full(flat_line.size, np.nan) for _ in range(3))
    layover = np.zeros(flat_line.size, dtype=np.bool_)
    if math.isfinite(lowest_m) and math.isfinite(highest_m):
        # a level below and one above all terrain, so that every curve starts under the ground and ends over it
        n_levels = math.ceil((highest_m - lowest_m + 2.0) / LEVEL_STEP_M) + 1
        levels_m = np.linspace(lowest_m - 1.0, highest_m + 1.0, n_levels)
        chunk = max(POINTS_AT_ONCE // n_levels, 1)
        for start in range(0, flat_line.size, chunk):
            part = slice(start, start + chunk)
            lon_deg[part], lat_deg[part], height_m[part], layover[part] = _intersect_chunk(
                model, flat_line[part], flat_sample[part], terrain, levels_m
            )
    shape = line_b.shape
    return TerrainHit(lon_deg.reshape(shape), lat_deg.reshape(shape), height_m.reshape(shape), layover.reshape(shape))


def _intersect_chunk(
    model: ImageToGround, line: Float64Array, sample: Float64Array, terrain: Terrain, levels_m: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array, NDArray[np.bool_]]:
    """``lon_deg, lat_deg, height_m, layover`` of ``(N,)`` points, looking at ``(L,)`` levels."""
    lon_deg, lat_deg = model.image_to_ground(line[:, None], sample[:, None], levels_m)
    ground_m, _ = terrain.heights(lon_deg, lat_deg)
    under = ground_m >= levels_m
    over = ground_m < levels_m
    emerges = under[:, :-1] & over[:, 1:]
    found = emerges.any(axis=1)
    first = emerges.argmax(axis=1)
    low_m, high_m = levels_m[first], levels_m[first + 1]
    for _ in range(BISECTIONS):
        middle_m = 0.5 * (low_m + high_m)
        ground_m, _ = terrain.heights(*model.image_to_ground(line, sample, middle_m))
        below = ground_m >= middle_m
        low_m, high_m = np.where(below, middle_m, low_m), np.where(below, high_m, middle_m)
    height_m = np.where(found, 0.5 * (low_m + high_m), np.nan)
    lon_deg, lat_deg = model.image_to_ground(line, sample, height_m)
    return lon_deg, lat_deg, height_m, np.count_nonzero(emerges, axis=1) > 1


def _height_bounds(
    model: ImageToGround, line: Float64Array, sample: Float64Array, terrain: Terrain
) -> tuple[float, float]:
    """``(lowest_m, highest_m)`` of the terrain wherever the curves may meet it; NaN where no curve is defined."""
    lon_deg, lat_deg = model.image_to_ground(line[:, None], sample[:, None], np.array([LOWEST_M, HIGHEST_M]))
    defined = np.isfinite(lon_deg)
    if not defined.any():
        return math.nan, math.nan
    lon_deg, lat_deg = lon_deg[defined], lat_deg[defined]
    middle_deg = lon_deg[0]
    from_middle_deg = (lon_deg - middle_deg + 180.0) % 360.0 - 180.0  # an area across ±180 stays one area

    def wrapped(offset_deg: float) -> float:
        return float((middle_deg + offset_deg + 180.0) % 360.0 - 180.0)

    return terrain.height_range(
        wrapped(from_middle_deg.min()), float(lat_deg.min()), wrapped(from_middle_deg.max()), float(lat_deg.max())
    )
