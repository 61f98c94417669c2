"""Point targets for Sentinel-2 L1B: spread over the images of all detectors, and where two see the same ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.msi_camera import MsiCamera
from localdev.scene.terrain import Surface

_EDGE_PX = 24.0


@dataclass(frozen=True)
class MsiTarget:
    """A point target.

    Attributes
    ----------
    seen : dict of (band, detector) to (line, sample)
        Where it is inside an image; lines are those of the detector's image of the datastrip.
    """

    lon_deg: float
    lat_deg: float
    height_m: float
    seen: dict[tuple[str, str], tuple[float, float]]


@dataclass(frozen=True)
class Swath:
    """Detectors side by side, in pixels of 10 m."""

    detectors: tuple[str, ...]
    n_lines: int
    samples: int
    overlap_px: int

    @property
    def step(self) -> int:
        """Samples from a detector's first to the next one's."""
        return self.samples - self.overlap_px

    @property
    def width(self) -> int:
        """Samples of all together."""
        return self.samples + (len(self.detectors) - 1) * self.step


def place_targets(
    cameras: Mapping[tuple[str, str], MsiCamera], swath: Swath, surface: Surface, count: int, common: int, seed: int
) -> list[MsiTarget]:
    """``count`` targets in the cells of a grid, then ``common`` ones in the middle of each overlap."""
    random = np.random.default_rng([seed, 79])
    rows = max(1, round((count * swath.n_lines / swath.width) ** 0.5))
    columns = -(-count // rows)
    line, place = [], []
    for cell in range(count):
        row, column = divmod(cell, columns)
        line.append(_EDGE_PX + (row + random.uniform(0.3, 0.7)) / rows * (swath.n_lines - 1 - 2 * _EDGE_PX))
        place.append(_EDGE_PX + (column + random.uniform(0.3, 0.7)) / columns * (swath.width - 1 - 2 * _EDGE_PX))
    for k in range(len(swath.detectors) - 1):
        for n in range(common):
            # Between the rows of the others.
            row = 1 + n % (rows - 1) if rows > 1 else 0.5
            line.append(_EDGE_PX + row / rows * (swath.n_lines - 1 - 2 * _EDGE_PX))
            place.append((k + 1) * swath.step + 0.5 * (swath.overlap_px - 1))
    if not line:
        return []
    # Samples go to the left of the flight, as the detectors' numbers do.
    detector = np.minimum(np.array(place) // swath.step, len(swath.detectors) - 1).astype(int)
    lon, lat, height = _on_the_ground(cameras, swath, surface, np.array(line), np.array(place), detector)
    found = [MsiTarget(float(x), float(y), float(h), {}) for x, y, h in zip(lon, lat, height, strict=True)]
    for key, camera in cameras.items():
        for target, seen_line, seen_sample in zip(found, *camera.ground_to_image(lon, lat, height), strict=True):
            if -0.5 <= seen_line <= camera.n_lines - 0.5 and -0.5 <= seen_sample <= camera.n_samples - 0.5:
                target.seen[key] = float(seen_line), float(seen_sample)
    return found


def _on_the_ground(
    cameras: Mapping[tuple[str, str], MsiCamera],
    swath: Swath,
    surface: Surface,
    line: Float64Array,
    place: Float64Array,
    detector: NDArray[np.int64],
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Where the first band sees the terrain: ``lon_deg, lat_deg, height_m``."""
    lon, lat, height = np.zeros(line.size), np.zeros(line.size), np.zeros(line.size)
    first_band = next(iter(cameras))[0]
    for k, name in enumerate(swath.detectors):
        mine = detector == k
        if not mine.any():
            continue
        camera = cameras[first_band, name]
        at = line[mine] / camera.band.per_pixel, (place[mine] - k * swath.step) / camera.band.per_pixel
        own = np.full(int(mine.sum()), float(np.median(surface.height_m)))
        for _ in range(30):
            lon[mine], lat[mine] = camera.image_to_ground(*at, own)
            own = 0.5 * (own + surface.height(lon[mine], lat[mine]))
        height[mine] = surface.height(lon[mine], lat[mine])
    return lon, lat, height
