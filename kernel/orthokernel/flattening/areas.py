"""Projected ground area of every sample of a radar image, over what flat ground would have."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import get_num_threads
from numpy.typing import NDArray

from orthokernel.flattening.nodes import flat_ranges, profile_nodes, reach_of
from orthokernel.flattening.walk import walk_lines
from orthokernel.lattice import break_table
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.terrain import Terrain

CHUNK_LINES = 256
"""Lines at a time: the DEM's cells under them are in memory, and threads share the chunks."""


@dataclass(frozen=True)
class AreaWindow:
    """Areas of a part of an image, and what can be seen of the ground that may show there.

    Attributes
    ----------
    lines, samples : (int, int)
        The half-open part of the image.
    area : (L, S) float32
        Ground area projected across the line of sight, over the flat reference area of the sample (azimuth spacing
        times slant range spacing): linear, ``1 / tan(incidence)`` on flat ground. 0 where no ground is lit, NaN where
        the DEM has no height.
    factor : (L, S) float32
        Terrain-flattened gamma0 over beta0: ``1 / area``; NaN where that is NaN or below `LEAST_AREA`.
    visibility : (L, F) uint8
        Of ground points on a line, one for every flat sample (the smooth sample a point would have at height 0):
        VISIBLE alone, or SHADOW and LAYOVER bits, or 0 where there is no height. To be relied on for ground that shows
        in ``samples``; beyond them what shares a range or casts a shadow may not have been looked at.
    flat_sample0 : int
        Flat sample of ``visibility[:, 0]``.
    """

    lines: tuple[int, int]
    samples: tuple[int, int]
    area: NDArray[np.float32]
    factor: NDArray[np.float32]
    visibility: NDArray[np.uint8]
    flat_sample0: int


class RadarAreas:
    """Areas of one image over one terrain. Safe to share between threads.

    Parameters
    ----------
    model : RangeDopplerModel
    terrain : Terrain
    oversampling : int, optional
        Points of a terrain profile for each sample, a power of two. Default: 2 where the DEM's cells are smaller than
        two samples, else 1.
    """

    def __init__(self, model: RangeDopplerModel, terrain: Terrain, oversampling: int | None = None) -> None:
        if oversampling is not None and (oversampling < 1 or oversampling & (oversampling - 1)):
            raise ValueError(f"oversampling is {oversampling}, expected a power of two: 1, 2, 4, …")
        self._model = model
        self._terrain = terrain
        self._table = break_table(model.break_lines)
        self._reach = reach_of(model)
        spacing_m = model.sample_spacing_m
        self._level = max(1, math.floor(spacing_m / terrain.spacing_m)) if math.isfinite(terrain.spacing_m) else 1
        cell_m = terrain.spacing_m * self._level
        self.oversampling = oversampling or (2 if cell_m < 2.0 * spacing_m else 1)

    def over(self, lines: tuple[int, int], samples: tuple[int, int]) -> AreaWindow:
        """Areas of a half-open part of the image; may reach beyond it.

        The same to the last bit as that part of any other window.

        Raises
        ------
        TerrainError
            A raster cannot be read.
        """
        seen, hiding = flat_ranges(self._model, self._terrain, self._reach, lines, samples)
        shape = lines[1] - lines[0], samples[1] - samples[0]
        area, factor = np.empty(shape, np.float32), np.empty(shape, np.float32)
        visibility = np.empty((shape[0], seen[1] - seen[0]), np.uint8)

        def walk(start: int) -> None:
            stop = min(start + CHUNK_LINES, shape[0])
            part = lines[0] + start, lines[0] + stop
            flat = hiding[0], hiding[1] + 1
            nodes, dem = profile_nodes(self._model, self._terrain, part, flat, samples, self._level)
            walk_lines(
                nodes,
                dem,
                self._table,
                part[0],
                hiding[0] * self.oversampling,
                (hiding[1] - hiding[0]) * self.oversampling,
                self.oversampling,
                samples[0],
                seen[0],
                area[start:stop],
                factor[start:stop],
                visibility[start:stop],
            )

        starts = range(0, shape[0], CHUNK_LINES)
        if len(starts) == 1 or get_num_threads() == 1:
            for start in starts:
                walk(start)
        else:
            with ThreadPoolExecutor(min(get_num_threads(), len(starts))) as threads:
                list(threads.map(walk, starts))
        return AreaWindow(lines, samples, area, factor, visibility, seen[0])
