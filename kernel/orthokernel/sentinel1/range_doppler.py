"""The Sentinel-1 GRD sensor model: zero-Doppler geometry, bistatic term, slant to ground range records."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numba import get_num_threads
from numpy.typing import ArrayLike, NDArray

from orthokernel.ellipsoid import geodetic_to_ecef
from orthokernel.sensor import BreakLines, within
from orthokernel.sentinel1 import solver
from orthokernel.sentinel1.annotation import Annotation, GeolocationGrid
from orthokernel.sentinel1.orbit import Orbit, fit_orbit
from orthokernel.sentinel1.slant_range import SlantToSample, fit_slant_to_sample, make_break_lines
from orthokernel.sentinel1.terrain_intersection import TerrainHit, intersect_terrain

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]

HEIGHT_SUPPORT_M = (-500.0, 9000.0)
POINTS_A_CHUNK = 50_000
"""About 30 ms of work: starting threads for less costs more than it saves."""


class RangeDopplerModel:
    """Maps ground to image and back for one polarisation of a GRD product; a `SensorModel`.

    The image line of a zero-Doppler time ``t`` and two-way slant range time ``tau`` is
    ``(t - (tau - tau_mid) / 2) / line_interval_s``: the processor corrects the bistatic shift for mid-swath only.
    ``tau_mid`` is not annotated, it is fitted from the product's geolocation grid. Leaving the term out costs up to
    0.18 line.

    Parameters
    ----------
    annotation : Annotation
    slant_to_ground : {"linear", "nearest"}
        Between coordinate conversion records: linear for images, nearest to reproduce the annotated geolocation grid.
    """

    def __init__(self, annotation: Annotation, slant_to_ground: Literal["linear", "nearest"] = "linear") -> None:
        self.n_lines = annotation.n_lines
        self.n_samples = annotation.n_samples
        self.line_interval_s = annotation.line_interval_s
        self.sample_spacing_m = annotation.sample_spacing_m
        self.first_line_time_utc = annotation.first_line_time_utc
        self.orbit: Orbit = fit_orbit(annotation.orbit, 0.0, (self.n_lines - 1) * self.line_interval_s)
        self.conversion: SlantToSample = fit_slant_to_sample(annotation, slant_to_ground)
        self.tau_mid_s = fit_tau_mid_s(annotation.geolocation, self.line_interval_s)
        self._seed = _fit_time_seed(annotation.geolocation)
        self._break_lines = make_break_lines(self.conversion)

    @property
    def height_support_m(self) -> tuple[float, float]:
        """All of the Earth: there a polynomial of third degree errs by 0.0002 px (one of second by 0.04)."""
        return HEIGHT_SUPPORT_M

    @property
    def break_lines(self) -> BreakLines:
        """Record minus smooth sample, at the records' lines."""
        return self._break_lines

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points; NaN outside ``[-0.5, n - 0.5]``. See `SensorModel`."""
        line, sample = self._forward(lon_deg, lat_deg, height_m, exact=True)
        return within(line, sample, self.n_lines, self.n_samples)

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, smooth_sample`` of ground points. See `SensorModel`.

        Defined right of the track wherever the zero-Doppler time lies within the orbit state vectors (a minute to each
        side of the image), NaN elsewhere.
        """
        return self._forward(lon_deg, lat_deg, height_m, exact=False)

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of image points at ellipsoidal heights, inside the image and around it.

        The exact inverse of `ground_to_image`; longitude in (-180, 180]. NaN where there is no such ground point.
        """
        arrays = (self.orbit, self.conversion, self.tau_mid_s, self.line_interval_s)
        return _over_points(partial(solver.image_to_ground, *arrays), line, sample, height_m)

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """``lon_deg, lat_deg, height_m`` where image points lie on the terrain; in layover the nearest to the track."""
        hit = self.image_to_terrain_hits(line, sample, terrain)
        return hit.lon_deg, hit.lat_deg, hit.height_m

    def image_to_terrain_hits(self, line: ArrayLike, sample: ArrayLike, terrain: Terrain) -> TerrainHit:
        """As `image_to_terrain`, with the layover flag of every point."""
        return intersect_terrain(self, line, sample, terrain)

    def look_vectors(self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike) -> Float64Array:
        """``(3, ...)`` unit vectors from ground points to the satellite that images them: east, north, up.

        Up is the ellipsoid's normal, so that the third component is the cosine of the incidence angle. NaN where a
        point is never imaged.
        """
        views = np.broadcast_arrays(*(np.asarray(values, np.float64) for values in (lon_deg, lat_deg, height_m)))
        lon, lat, height = (np.ascontiguousarray(view).reshape(-1) for view in views)
        out = np.empty((3, lon.size))
        solver.look_vectors(self.orbit, self._seed, lon, lat, height, out)
        return out.reshape(3, *views[0].shape)

    def _forward(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike, exact: bool
    ) -> tuple[Float64Array, Float64Array]:
        arrays = (self.orbit, self.conversion, self._seed, self.tau_mid_s, self.line_interval_s, exact)
        return _over_points(partial(solver.ground_to_image, *arrays), lon_deg, lat_deg, height_m)


def _over_points(solve: Callable[..., None], *inputs: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """Broadcast the inputs and solve every point, chunk by chunk, on as many threads as numba has.

    Slices of ``flat`` copy a chunk of a broadcast view: contiguous and writable, so that one compiled signature serves
    whatever comes in, and memory stays at the two results plus a chunk for each thread.
    """
    views = np.broadcast_arrays(*(np.asarray(values, dtype=np.float64) for values in inputs))
    first, second = np.empty(views[0].shape), np.empty(views[0].shape)
    flat_first, flat_second = first.reshape(-1), second.reshape(-1)

    def solve_chunk(start: int) -> None:
        part = slice(start, start + POINTS_A_CHUNK)
        solve(*(view.flat[part] for view in views), flat_first[part], flat_second[part])

    starts = range(0, first.size, POINTS_A_CHUNK)
    if len(starts) <= 1 or get_num_threads() == 1:
        for start in starts:
            solve_chunk(start)
    else:
        with ThreadPoolExecutor(min(get_num_threads(), len(starts))) as threads:
            list(threads.map(solve_chunk, starts))
    return first, second


def fit_tau_mid_s(grid: GeolocationGrid, line_interval_s: float) -> float:
    """Two-way slant range time for which the annotated grid's azimuth times carry no bistatic shift.

    The grid has ``azimuth_time = line_time + (tau - tau_mid) / 2``; the mean over its points is the least-squares fit.
    """
    shift_s = grid.azimuth_time_s - grid.line * line_interval_s
    return float(np.mean(grid.slant_range_time_s - 2.0 * shift_s))


def _fit_time_seed(grid: GeolocationGrid) -> Float64Array:
    """``(4,)``: zero-Doppler time as a linear function of 1 and Earth-fixed coordinates: where Newton starts."""
    to_ecef = geodetic_to_ecef.py_func  # 210 points: compiling would take longer
    xyz = np.array([to_ecef(*point) for point in zip(grid.lon_deg, grid.lat_deg, grid.height_m, strict=True)])
    design = np.column_stack([np.ones(len(xyz)), xyz])
    scale = np.abs(design).max(axis=0)
    solution, *_ = np.linalg.lstsq(design / scale, grid.azimuth_time_s, rcond=None)
    return np.asarray(solution / scale, dtype=np.float64)
