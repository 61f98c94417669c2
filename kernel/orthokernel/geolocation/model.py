"""The sensor model of an image whose pixels' places on the ground are written beside it, one by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orthokernel.errors import GeolocationError
from orthokernel.geolocation.index import Further, Positions, SwathIndex, build_index
from orthokernel.geolocation.places import NODE_STEP_PX, Nodes
from orthokernel.geolocation.solver import NO_POSITION, locate_points, locate_rows
from orthokernel.sensor import BreakLines
from orthokernel.spare import Spare

if TYPE_CHECKING:
    from orthokernel.terrain import Terrain

Float64Array = NDArray[np.float64]

_ANY_HEIGHT_M: Final = (-500.0, 9000.0)
_ROWS_AT_ONCE: Final = 32
_WAYS: Final = (np.fmin.reduce, np.inf), (np.fmax.reduce, -np.inf)


class Located(NamedTuple):
    """Where the pixels of a window of a map are in an image.

    ``line, sample`` (rows, columns) float64, NaN where on none; ``lines, samples``: the least and greatest of each,
    infinities where all are NaN.
    """

    line: Float64Array
    sample: Float64Array
    lines: tuple[float, float]
    samples: tuple[float, float]


class GeolocationModel:
    """See `orthokernel.sensor.SensorModel`. The places are on the terrain already, so heights decide nothing.

    Inside a quad of four pixels a point's line and sample are those of the bilinear map over it. Where several quads
    are over a point (camera seams, folds of terrain) it is the one with the pixel nearest to the point that counts.
    Where none is that could be interpolated in, but the pixels around have places, the point has the line and
    sample of the nearest of them. At the edge of the swath pixels reach half a pixel outward.

    Parameters
    ----------
    positions : Positions
    source : object
        The name of the file they come from, for errors.
    marks : (L, S) uint8, optional
        `APART`: pixels that are never interpolated from. `REPLACEABLE`: for "nearest", a further measurement on the
        pixel is better than it.
    further : Further, optional
        Measurements without a pixel, for "nearest" only.
    n_samples : int, optional
        Of the image as it is read, where that is wider than the arrays because further measurements are beside them.
    threads : int
        Used to make the index.

    Raises
    ------
    GeolocationError
        Too few pixels have a place.
    """

    def __init__(
        self,
        positions: Positions,
        source: object,
        marks: NDArray[np.uint8] | None = None,
        further: Further | None = None,
        n_samples: int | None = None,
        threads: int = 1,
    ) -> None:
        self.n_lines, self.grid_samples = positions.lat.shape
        self.n_samples = n_samples or self.grid_samples
        found = build_index(positions, marks, further, threads)
        if found is None:
            raise GeolocationError(
                source,
                f"no place on the ground of any four neighbouring pixels among {self.n_lines} x {self.grid_samples}",
                "latitudes and longitudes that are not fill values",
            )
        self.index: SwathIndex = found

    @property
    def height_support_m(self) -> tuple[float, float]:
        """Any."""
        return _ANY_HEIGHT_M

    @property
    def break_lines(self) -> BreakLines | None:
        """None."""
        return None

    def ground_to_image(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``line, sample`` of ground points; NaN where they are on no pixel."""
        lon, lat, _ = np.broadcast_arrays(
            np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64), np.asarray(height_m, np.float64)
        )
        return self._locate(lon, lat, nearest=False)

    def ground_to_smooth(
        self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """As `ground_to_image`: nothing is known of what lies beyond the swath."""
        return self.ground_to_image(lon_deg, lat_deg, height_m)

    def ground_to_nearest(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """Whole ``line, sample`` of the measurement nearest to ground points; NaN where they are on none.

        That is the nearest of the quad's four pixels (or, where quads are out of shape, of those around them), or a
        further measurement that is nearer. A further measurement also stands in for a `REPLACEABLE` pixel if it lies
        within half a pixel's diagonal of the point.
        """
        lon, lat = np.broadcast_arrays(np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64))
        return self._locate(lon, lat, nearest=True)

    def _locate(self, lon: Float64Array, lat: Float64Array, nearest: bool) -> tuple[Float64Array, Float64Array]:
        x, y = self.index.plane.place(lon, lat)
        line, sample = np.empty(x.shape), np.empty(x.shape)
        flat_x, flat_y = (np.ascontiguousarray(values).reshape(-1) for values in (x, y))
        locate_points(self.index.quads, flat_x, flat_y, nearest, line.reshape(-1), sample.reshape(-1))
        return line, sample

    def locate_window(self, nodes: Nodes, nearest: bool, threads: int, memory: Spare[np.float64]) -> Located:
        """``line, sample`` of every pixel of a window of a map, the same however large the window.

        Parameters
        ----------
        nodes : Nodes
            Where the window's pixels are on the plane.
        nearest : bool
            As `ground_to_nearest` has it, otherwise as `ground_to_image`.
        threads : int
        memory : Spare
            What the arrays are taken from.
        """
        shape = nodes.window.shape
        line, sample = memory.take(shape), memory.take(shape)
        rows = range(0, shape[0], _ROWS_AT_ONCE)

        def work(first: int) -> tuple[float, float, float, float]:
            found: tuple[float, float, float, float] = locate_rows(
                self.index.quads, nodes.xy, NODE_STEP_PX, nodes.row, nodes.col, first,
                min(first + _ROWS_AT_ONCE, shape[0]), nearest, line, sample,
            )  # fmt: skip
            return found

        with ThreadPoolExecutor(threads) as pool:
            ends = list(pool.map(work, rows))
        unknown = nodes.unknown_pixels()
        if unknown is not None:  # beside the end of the map, and at the pole of a map of degrees
            row, col = np.nonzero(unknown)
            line[row, col], sample[row, col] = self._locate(*nodes.window.lonlat(row, col), nearest)
            low, high = ([way(values[row, col], initial=end) for values in (line, sample)] for way, end in _WAYS)
            ends.append((low[0], high[0], low[1], high[1]))
        low_line, low_sample = (min(part[k] for part in ends) for k in (0, 2))
        high_line, high_sample = (max(part[k] for part in ends) for k in (1, 3))
        return Located(line, sample, (low_line, high_line), (low_sample, high_sample))

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg`` of image points: the bilinear map of their quad, that of the edge's quad beyond it.

        NaN more than half a pixel outside the image, and where a corner has no place.
        """
        line, sample, _ = np.broadcast_arrays(
            np.asarray(line, np.float64), np.asarray(sample, np.float64), np.asarray(height_m, np.float64)
        )
        xy = self.index.quads.xy
        inside = (line >= -0.5) & (line <= xy.shape[0] - 0.5) & (sample >= -0.5) & (sample <= xy.shape[1] - 0.5)
        i = np.clip(np.floor(np.where(inside, line, 0.0)), 0, xy.shape[0] - 2).astype(np.int64)
        j = np.clip(np.floor(np.where(inside, sample, 0.0)), 0, xy.shape[1] - 2).astype(np.int64)
        p, q = (line - i)[..., None], (sample - j)[..., None]
        corners = [xy[i + di, j + dj].astype(np.float64) for di in (0, 1) for dj in (0, 1)]
        known = inside & np.all([corner[..., 0] != NO_POSITION for corner in corners], axis=0)
        at = (1 - p) * ((1 - q) * corners[0] + q * corners[1]) + p * ((1 - q) * corners[2] + q * corners[3])
        lon, lat = self.index.plane.lonlat(at[..., 0], at[..., 1])
        return np.where(known, lon, np.nan), np.where(known, lat, np.nan)

    def image_to_terrain(
        self, line: ArrayLike, sample: ArrayLike, terrain: Terrain
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """``lon_deg, lat_deg, height_m``: the terrain at the point's place."""
        lon_deg, lat_deg = self.image_to_ground(line, sample, 0.0)
        return lon_deg, lat_deg, terrain.heights(lon_deg, lat_deg)[0]
