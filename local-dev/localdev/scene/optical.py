"""Lines of a camera's image: where each line of sight meets the terrain, and how bright the ground is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.jit import jit
from localdev.scene.spec import Target
from localdev.scene.terrain import Surface
from localdev.scene.texture import Texture, brightness

NODE_STEP_PX = 16
BAND_LINES = 256
FULL_WIDTH_PER_SIGMA = 2.3548
PANEL_PX, PATCH_PX = 10.0, 14
Response = Callable[[int, Float64Array], Float64Array]
"""What a detector makes of brightness: from the first line and ``(bands, lines, samples)``, numbers of that shape."""


class Camera(Protocol):
    """Whose lines of sight are painted."""

    @property
    def n_lines(self) -> int: ...

    @property
    def n_samples(self) -> int: ...

    def image_to_ground(
        self, line: ArrayLike, sample: ArrayLike, height_m: ArrayLike
    ) -> tuple[Float64Array, Float64Array]:
        """``lon_deg, lat_deg``, broadcast."""
        ...


@jit
def _height(height_m: NDArray[np.float32], dem_origin: Float64Array, lon: float, lat: float) -> float:
    rows, columns = height_m.shape
    column = min(max((lon - dem_origin[0]) / dem_origin[2], 0.0), columns - 1.0)
    row = min(max((dem_origin[1] - lat) / dem_origin[3], 0.0), rows - 1.0)
    c = min(int(column), columns - 2)
    r = min(int(row), rows - 2)
    u = column - c
    v = row - r
    upper = height_m[r, c] * (1.0 - u) + height_m[r, c + 1] * u
    lower = height_m[r + 1, c] * (1.0 - u) + height_m[r + 1, c + 1] * u
    return float(upper * (1.0 - v) + lower * v)


@jit
def render(
    nodes: Float64Array,
    node_step: float,
    low_m: float,
    high_m: float,
    height_m: NDArray[np.float32],
    dem_origin: Float64Array,
    origin_lon: float,
    origin_lat: float,
    mean: float,
    waves: Float64Array,
    out: Float64Array,
) -> None:
    """Paint ``out``: the texture where each line of sight first meets the terrain.

    Along a line of sight longitude and latitude are parabolas in height (off by less than a millimetre). The height
    is found from above: in steps down to below the terrain, then by false position. The search begins a little above
    the neighbour's answer, which skips overhangs no bilinear DEM with this look angle has.

    Parameters
    ----------
    nodes : (2, 3, NL, NS) float64
        Longitude and latitude at ``low_m``, halfway and ``high_m``, at every ``node_step`` th line and sample.
    out : (L, N) float64
        Digital numbers, overwritten.
    """
    n_lines, n_samples = out.shape
    reach = high_m - low_m
    step = max(reach / 64.0, 2.0)
    for i in range(n_lines):
        place = i / node_step
        k = min(int(place), nodes.shape[2] - 2)
        down = place - k
        start = high_m
        for j in range(n_samples):
            place = j / node_step
            m = min(int(place), nodes.shape[3] - 2)
            right = place - m
            curve = np.empty((2, 3))
            for axis in range(2):
                for level in range(3):
                    upper = nodes[axis, level, k, m] * (1.0 - right) + nodes[axis, level, k, m + 1] * right
                    lower = nodes[axis, level, k + 1, m] * (1.0 - right) + nodes[axis, level, k + 1, m + 1] * right
                    curve[axis, level] = upper * (1.0 - down) + lower * down
                first = curve[axis, 0]
                half = curve[axis, 1] - first
                whole = curve[axis, 2] - first
                curve[axis, 1] = 4.0 * half - whole
                curve[axis, 2] = 2.0 * whole - 4.0 * half
            above = start
            gap_above = 0.0
            gap_below = 0.0
            t = (above - low_m) / reach
            lon = curve[0, 0] + t * (curve[0, 1] + t * curve[0, 2])
            lat = curve[1, 0] + t * (curve[1, 1] + t * curve[1, 2])
            gap_above = above - _height(height_m, dem_origin, lon, lat)
            if gap_above <= 0.0:
                above = high_m
                t = 1.0
                lon = curve[0, 0] + curve[0, 1] + curve[0, 2]
                lat = curve[1, 0] + curve[1, 1] + curve[1, 2]
                gap_above = above - _height(height_m, dem_origin, lon, lat)
            below = above
            while below > low_m:
                below = max(below - step, low_m)
                t = (below - low_m) / reach
                lon = curve[0, 0] + t * (curve[0, 1] + t * curve[0, 2])
                lat = curve[1, 0] + t * (curve[1, 1] + t * curve[1, 2])
                gap_below = below - _height(height_m, dem_origin, lon, lat)
                if gap_below <= 0.0:
                    break
                above = below
                gap_above = gap_below
            # False position between the last height above the terrain and the first below it (Illinois variant).
            middle = below
            side = 0
            for _ in range(40):
                middle = (below * gap_above - above * gap_below) / (gap_above - gap_below)
                t = (middle - low_m) / reach
                lon = curve[0, 0] + t * (curve[0, 1] + t * curve[0, 2])
                lat = curve[1, 0] + t * (curve[1, 1] + t * curve[1, 2])
                gap = middle - _height(height_m, dem_origin, lon, lat)
                if abs(gap) < 1e-4:
                    break
                if gap < 0.0:
                    below = middle
                    gap_below = gap
                    if side == -1:
                        gap_above *= 0.5
                    side = -1
                else:
                    above = middle
                    gap_above = gap
                    if side == 1:
                        gap_below *= 0.5
                    side = 1
            start = min(middle + 0.5 * step, high_m)
            out[i, j] = brightness(lon - origin_lon, lat - origin_lat, mean, waves)


class Photographer:
    """Makes the lines of an image, a band at a time.

    Lines of sight are reckoned for every ``node_step_px`` th line and sample and go in straight lines between.
    """

    def __init__(
        self,
        camera: Camera,
        surface: Surface,
        targets: list[Target],
        *,
        target_dn: float,
        panel_dn: float,
        node_step_px: int = NODE_STEP_PX,
        response: Response | None = None,
    ) -> None:
        self._camera = camera
        self._surface = surface
        self._targets = targets
        self._target_dn = target_dn
        self._panel_dn = panel_dn
        self._node_step_px = node_step_px
        self._response = response
        self._low = float(surface.height_m.min()) - 5.0
        self._high = float(surface.height_m.max()) + 5.0

    def bands(self, textures: list[Texture], threads: int) -> Iterator[tuple[int, NDArray[np.uint16]]]:
        """First line and pixels (bands, lines, samples), in order."""
        starts = iter(range(0, self._camera.n_lines, BAND_LINES))

        def paint(first: int) -> tuple[int, NDArray[np.uint16]]:
            return first, self._paint(first, min(BAND_LINES, self._camera.n_lines - first), textures)

        with ThreadPoolExecutor(threads) as pool:
            while chunk := list(islice(starts, threads)):
                yield from pool.map(paint, chunk)

    def _paint(self, first_line: int, n_lines: int, textures: list[Texture]) -> NDArray[np.uint16]:
        camera, surface = self._camera, self._surface
        step = self._node_step_px
        line = first_line + step * np.arange(-(-n_lines // step) + 2)
        sample = step * np.arange(-(-camera.n_samples // step) + 2)
        heights = np.array([self._low, 0.5 * (self._low + self._high), self._high])
        lon, lat = camera.image_to_ground(line[:, None], sample[None, :], heights[:, None, None])
        nodes = np.stack([lon, lat])
        dem_origin = np.array([surface.lon_deg, surface.lat_deg, surface.step_lon_deg, surface.step_lat_deg])
        image = np.zeros((len(textures), n_lines, camera.n_samples))
        for band, texture in zip(image, textures, strict=True):
            render(
                nodes,
                float(step),
                self._low,
                self._high,
                surface.height_m,
                dem_origin,
                texture.lon_deg,
                texture.lat_deg,
                texture.mean,
                texture.waves,
                band,
            )
            self._stamp(band, first_line)
        if self._response is not None:
            image = self._response(first_line, image)
        return np.clip(np.rint(image), 1, 65535).astype(np.uint16)

    def _stamp(self, image: Float64Array, first_line: int) -> None:
        width = 1.4 / FULL_WIDTH_PER_SIGMA
        for target in self._targets:
            q, s = round(target.line), round(target.sample)
            lines = np.arange(max(q - PATCH_PX, first_line), min(q + PATCH_PX + 1, first_line + image.shape[0]))
            samples = np.arange(max(s - PATCH_PX, 0), min(s + PATCH_PX + 1, image.shape[1]))
            along = np.exp(-0.5 * ((lines - target.line) / width) ** 2)
            across = np.exp(-0.5 * ((samples - target.sample) / width) ** 2)
            where = np.ix_(lines - first_line, samples)
            # A plain panel under the target: else the texture's slope would draw its centroid aside.
            distance = np.hypot(lines[:, None] - target.line, samples[None, :] - target.sample)
            panel = np.exp(-((distance / PANEL_PX) ** 6))
            image[where] += panel * (self._panel_dn - image[where])
            image[where] += self._target_dn * along[:, None] * across[None, :]
