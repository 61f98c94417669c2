"""A run over all blocks of an output: prepared ahead, made, written behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Protocol

import rasterio

from orthokernel.blocks import Walk, Window
from orthokernel.errors import EmptyIntersectionError
from orthokernel.extras import Block
from orthokernel.grid import Grid
from orthokernel.layers import open_layers
from orthokernel.options import Options
from orthokernel.pixels import PixelMaker
from orthokernel.prepare import Prepare, Prepared
from orthokernel.product import Product
from orthokernel.progress import Progress
from orthokernel.tally import Tally
from orthokernel.terrain import Terrain

_READ_CACHE_BYTES = 64 * 2**20  # GDAL would take a twentieth of the machine's memory for lines that are read once


class Sink(Protocol):
    """Takes finished blocks, from one thread, in order."""

    def write(self, window: Window, block: Block) -> None:
        """The block may be changed, and is not looked at any more on return."""
        ...


def run(
    products: Sequence[Product],
    grid: Grid,
    terrain: Terrain,
    options: Options,
    walk: Walk,
    sink: Sink,
    progress: Progress,
) -> Tally:
    """Make all blocks: while threads work on one, the next is prepared and the one before is written.

    Raises
    ------
    EmptyIntersectionError
        No pixel has data.
    """
    tally = Tally(pixels=grid.n_rows * grid.n_cols)
    windows = list(walk.windows(grid))
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_READ_CACHE_BYTES))
        layers = open_layers(products, terrain, options, stack, tally)
        writer = stack.enter_context(ThreadPoolExecutor(1, "orthokernel-write"))
        pool = stack.enter_context(ThreadPoolExecutor(options.threads, "orthokernel-loop"))
        make = PixelMaker(pool, options, walk, layers)
        prepare = Prepare(grid, terrain, options, walk, layers)

        def put(window: Window, block: Block) -> None:
            sink.write(window, block)
            make.take_back(block)

        written: Future[None] | None = None
        for k, prepared in enumerate(_ahead(prepare, windows, stack)):
            block = make(prepared, tally)
            prepare.take_back(prepared)
            if written is not None:
                written.result()  # one block waits at most: memory stays bounded when the disk is slow
            written = writer.submit(put, prepared.window, block)
            if tally.seen:  # silent until a block reaches an image: a grid off the product is one error and no progress
                progress((k + 1) / len(windows), "orthorectifying")
        if written is not None:
            written.result()
        tally.lattice_error_px = prepare.lattice_error_px
    if tally.valid == 0:
        names = ", ".join(product.id for product in products)
        raise EmptyIntersectionError(names, f"the grid {grid.crs.name} {tuple(round(v, 3) for v in grid.bounds)}")
    return tally


def _ahead(prepare: Prepare, windows: list[Window], stack: ExitStack) -> Iterator[Prepared]:
    """The blocks in order: meanwhile one thread prepares the next, and another the terrain of the one after that.

    Terrain is read in squares that lie under several blocks: one block waits for a row of them, the others for nothing.
    """
    terrain = stack.enter_context(ThreadPoolExecutor(1, "orthokernel-terrain"))
    lines = stack.enter_context(ThreadPoolExecutor(1, "orthokernel-ahead"))
    grounds = deque(terrain.submit(prepare.ground, window) for window in windows[:2])
    coming = lines.submit(prepare, windows[0], grounds.popleft())
    for k in range(len(windows)):
        prepared = coming.result()
        if k + 2 < len(windows):
            grounds.append(terrain.submit(prepare.ground, windows[k + 2]))
        if grounds:
            coming = lines.submit(prepare, windows[k + 1], grounds.popleft())
        yield prepared
