"""Where a line of sight first meets the ground."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from orthokernel.terrain.terrain import Terrain

Float64Array = NDArray[np.float64]

_METRES_PER_DEGREE = 111_319.49
_REACH_M = 10_000.0  # how far beside the first guess to look for mountains in the way: sight lines up to 45 degrees
_MAX_STEPS = 10_000
_HEIGHT_TOLERANCE_M = 1e-6
_MAX_REFINEMENTS = 60


class ImageToGround(Protocol):
    """``lon_deg, lat_deg`` of image points at ellipsoidal heights."""

    def __call__(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]: ...


def first_hit(
    image_to_ground: ImageToGround, line: ArrayLike, sample: ArrayLike, terrain: Terrain
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Follow each line of sight down from above the highest ground around until it is below the terrain.

    The steps are small enough that none moves more than half a DEM cell sideways, so that no ridge wider than that is
    stepped over; the hit is then closed in by false position (Illinois) to a micrometre.

    Parameters
    ----------
    image_to_ground : callable
        The sensor model's, for points of any height.
    line, sample : array_like
        Broadcast.
    terrain : Terrain

    Returns
    -------
    lon_deg, lat_deg, height_m : float64
        NaN where the sight line has no ground, or the terrain no height.
    """
    lines, samples = np.broadcast_arrays(np.asarray(line, np.float64), np.asarray(sample, np.float64))
    shape = lines.shape
    lines, samples = lines.reshape(-1), samples.reshape(-1)
    lon, lat, height = (np.full(lines.shape, np.nan) for _ in range(3))

    def above_ground(index: NDArray[np.int64], height_m: Float64Array) -> Float64Array:
        at_lon, at_lat = image_to_ground(lines[index], samples[index], height_m)
        return height_m - terrain.heights(at_lon, at_lat)[0]

    search = _search_heights(image_to_ground, lines, samples, terrain)
    if search is not None:
        levels, active = search
        upper = np.full(lines.shape, levels[0])
        upper_gap = np.full(lines.shape, np.nan)
        upper_gap[active] = above_ground(active, upper[active])
        for level in levels[1:]:
            gap = above_ground(active, np.full(active.shape, level))
            hit = (gap <= 0) & (upper_gap[active] > 0)
            found = active[hit]
            height[found] = _close_in(above_ground, found, upper[found], upper_gap[found], level, gap[hit])
            active, gap = active[~hit], gap[~hit]
            upper[active], upper_gap[active] = level, gap
            if not active.size:
                break
        seen = np.flatnonzero(np.isfinite(height))
        lon[seen], lat[seen] = image_to_ground(lines[seen], samples[seen], height[seen])
    return lon.reshape(shape), lat.reshape(shape), height.reshape(shape)


def _search_heights(
    image_to_ground: ImageToGround, line: Float64Array, sample: Float64Array, terrain: Terrain
) -> tuple[Float64Array, NDArray[np.int64]] | None:
    """Heights to step through, highest first, and which points have ground at all; None where none has."""
    guess = np.zeros(line.shape)
    for _ in range(3):
        # Only to learn where on the globe this is; the search below is what decides.
        lon, lat = image_to_ground(line, sample, guess)
        ground = terrain.heights(lon, lat)[0]
        guess = np.where(np.isfinite(ground), ground, guess)
    active = np.flatnonzero(np.isfinite(lon))
    if not active.size:
        return None
    lon, lat = lon[active], lat[active]
    middle = lon[0]
    east = (lon - middle + 180.0) % 360.0 - 180.0
    lat_margin = _REACH_M / _METRES_PER_DEGREE
    cos_lat = max(0.01, math.cos(math.radians(float(np.abs(lat).max()))))
    low, high = terrain.height_range(
        middle + float(east.min()) - lat_margin / cos_lat,
        float(lat.min()) - lat_margin,
        middle + float(east.max()) + lat_margin / cos_lat,
        float(lat.max()) + lat_margin,
    )
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    low, high = low - 1.0, high + 1.0
    top = image_to_ground(line[active], sample[active], np.full(active.shape, high))
    bottom = image_to_ground(line[active], sample[active], np.full(active.shape, low))
    east_m = ((top[0] - bottom[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(lat)) * _METRES_PER_DEGREE
    north_m = (top[1] - bottom[1]) * _METRES_PER_DEGREE
    aside_m = np.hypot(east_m, north_m)
    furthest_m = float(np.max(aside_m[np.isfinite(aside_m)], initial=0.0))
    steps = min(_MAX_STEPS, 1 + math.ceil(2.0 * furthest_m / terrain.spacing_m))
    return np.linspace(high, low, steps + 1), active


class _AboveGround(Protocol):
    def __call__(self, index: NDArray[np.int64], height_m: Float64Array) -> Float64Array: ...


def _close_in(
    above_ground: _AboveGround,
    index: NDArray[np.int64],
    upper: Float64Array,
    upper_gap: Float64Array,
    lower_level: float,
    lower_gap: Float64Array,
) -> Float64Array:
    """Height where the gap to the ground vanishes between two levels: false position with Illinois' halving.

    Source: M. Dowell and P. Jarratt, "A modified regula falsi method", BIT 11 (1971) 168-174.
    """
    high, low = upper.copy(), np.full(upper.shape, lower_level)
    high_gap, low_gap = upper_gap.copy(), lower_gap.copy()
    best = low.copy()
    todo = np.arange(index.size)
    for _ in range(_MAX_REFINEMENTS):
        if not todo.size:
            break
        h0, h1, g0, g1 = low[todo], high[todo], low_gap[todo], high_gap[todo]
        middle = np.where(g1 > g0, h0 - g0 * (h1 - h0) / np.where(g1 > g0, g1 - g0, 1.0), h0)
        gap = above_ground(index[todo], middle)
        best[todo] = middle
        below = gap <= 0
        # The end that stays counts half, or one end would never move.
        low[todo] = np.where(below, middle, h0)
        low_gap[todo] = np.where(below, gap, g0 / 2)
        high[todo] = np.where(below, h1, middle)
        high_gap[todo] = np.where(below, g1 / 2, gap)
        todo = todo[(np.abs(gap) > _HEIGHT_TOLERANCE_M) & (h1 - h0 > _HEIGHT_TOLERANCE_M)]
    return best
