"""The loop over a whole tile, everything in memory: the one place of the benches that knows the loop's entry points."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from localdev.bench._inputs import ArrayReader
from orthokernel import Grid, Terrain
from orthokernel.blocks import Ground, Walk, ground_under, lattice_geometry, limit_numba_threads, parts_of, run_part
from orthokernel.ground import cells_at_pixels, extent_of, height_bounds
from orthokernel.lattice import break_table
from orthokernel.loop import BILINEAR
from orthokernel.sensor import SensorModel
from orthokernel.source import SampleValues, SourceRing


class TileLoop:
    """Bilinear resampling of one image to one grid; sources, lattices and outputs are prepared, never timed.

    Parameters
    ----------
    model : SensorModel
    grid : Grid
    terrain : Terrain
        Of the ground; what it has read stays in memory.
    pixels : (lines, samples) array
        The whole image.
    values : SampleValues
        What is done with each source sample.
    """

    def __init__(
        self, model: SensorModel, grid: Grid, terrain: Terrain, pixels: NDArray[np.uint16], values: SampleValues
    ) -> None:
        self._terrain = terrain
        self._walk = Walk.over(1.0)
        self._table = break_table(model.break_lines)
        self._power = len(values.calibration_line) > 0
        ring = SourceRing([ArrayReader(pixels)], [values])
        self._source = ring.prepare((0, model.n_lines), (0, model.n_samples), (0, 0))
        self._blocks = []
        for row0, row1, col0, col1 in self._walk.windows(grid):
            block = grid.window(row0, row1, col0, col1)
            extent = extent_of(block, self._walk.loop_block_px)
            dem = cells_at_pixels(terrain, block, extent)
            on_grid = Ground(block, extent, dem, *height_bounds(dem))
            out = np.full((1, row1 - row0, col1 - col0), np.nan, np.float32)
            flags = np.zeros(out.shape[1:], np.uint8)
            self._blocks.append((on_grid, lattice_geometry(model, on_grid, BILINEAR), out, flags))

    def run(self, pool: ThreadPoolExecutor, threads: int, terrain_inside: bool) -> None:
        """Fill the whole tile on the ``threads`` of a pool.

        With ``terrain_inside`` its heights are taken from the DEM afresh; as in an image's run, a block's cells are
        looked up while the block before is filled, by a thread that has nothing left to do there.
        """
        limit_numba_threads(threads)

        def ground_of(n: int) -> Ground:
            on_grid: Ground = self._blocks[n][0]
            return ground_under(self._terrain, on_grid.grid, self._walk) if terrain_inside else on_grid

        coming = pool.submit(ground_of, 0)
        for n in range(len(self._blocks)):
            ground = coming.result()
            jobs = [pool.submit(self._fill, n, k, threads, ground) for k in range(threads)]
            if n + 1 < len(self._blocks):
                coming = pool.submit(ground_of, n + 1)
            for job in jobs:
                job.result()

    def _fill(self, n: int, k: int, threads: int, ground: Ground) -> None:
        """Of block n the parts of thread k."""
        _, geometry, out, flags = self._blocks[n]
        scratch = np.empty(512 * 512, np.float32)
        for part in parts_of(ground.grid, self._walk)[k::threads]:
            how = self._walk, BILINEAR, self._power
            run_part(part, ground, geometry, self._table, self._source, *how, scratch, out, flags)

    @property
    def filled(self) -> bool:
        """Whether every pixel has a value."""
        return all(bool(np.isfinite(out).all()) for _, _, out, _ in self._blocks)
