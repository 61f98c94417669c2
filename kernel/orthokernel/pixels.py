"""The pixels of a block: every part through the loop, product after product, and what lies beside them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from orthokernel.blocks import Walk, Window, parts_of, run_part
from orthokernel.extras import OF_SIGHT, Block
from orthokernel.flattening import LAYOVER, SHADOW
from orthokernel.layers import WHOLE, Layer
from orthokernel.marks import mark_valid
from orthokernel.options import Options
from orthokernel.prepare import Prepared
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.sight import incidence_of, sight_of
from orthokernel.tally import Tally

Float32Array = NDArray[np.float32]
Classes = dict[str, Float32Array]
"""By name of an extra ``(1, rows, cols)`` of a block: NaN where there is none."""

_SCRATCH = 512 * 512
_SIGHT_TO_MASK = 2  # bits of the layover and shadow raster, shifted, are those of the mask


class PixelMaker:
    """Makes the pixels of a block, its parts on the threads of a pool."""

    def __init__(self, pool: ThreadPoolExecutor, options: Options, walk: Walk, layers: list[Layer]) -> None:
        self._pool, self._options, self._walk, self._layers = pool, options, walk, layers
        self._of_sight = [name for name in options.extras if name in OF_SIGHT]
        self._several = len({layer.product for layer in layers}) > 1 or any(layer.part for layer in layers)
        self._scratch = [np.empty(_SCRATCH, np.float32) for _ in range(options.threads)]

    def __call__(self, prepared: Prepared, tally: Tally) -> Block:
        row0, row1, col0, col1 = prepared.window
        block = Block.without_data(len(self._options.bands), (row1 - row0, col1 - col0), self._options.extras)
        if prepared.ground is None or not any(source is not None for source in prepared.sources):
            block.data[:] = np.nan
            return block
        classes = {layer.extra: np.empty((1, *block.mask.shape), np.float32) for layer in self._layers if layer.extra}
        parts, threads = parts_of(prepared.ground.grid, self._walk), self._options.threads
        jobs = [
            self._pool.submit(self._run_parts, prepared, parts[n::threads], block, classes, self._scratch[n])
            for n in range(min(threads, len(parts)))
        ]
        for job in jobs:
            valid, from_dem, seen = job.result()
            tally.valid += valid
            tally.covered += from_dem
            tally.seen += seen
        tally.note_outline(block.mask, row0, col0)
        return block

    def _run_parts(
        self, prepared: Prepared, parts: list[Window], block: Block, classes: Classes, scratch: Float32Array
    ) -> tuple[int, int, int]:
        valid, from_dem, seen = 0, 0, 0
        for part in parts:
            found = self._run_products(prepared, part, block, classes, scratch)
            from_dem, seen = from_dem + found[0], seen + found[1]
            rows, cols = slice(part[0], part[1]), slice(part[2], part[3])
            mask = block.mask[rows, cols]  # until here the terrain's flags
            valid += mark_valid(block.data[:, rows, cols], mask, self._layers[0].power, mask)
            if "layover_shadow" in block.extras:
                mask |= (block.extras["layover_shadow"][rows, cols] & (SHADOW | LAYOVER)) << _SIGHT_TO_MASK
        return valid, from_dem, seen

    def _run_products(
        self, prepared: Prepared, part: Window, block: Block, classes: Classes, scratch: Float32Array
    ) -> tuple[int, int]:
        """All bands of a pixel come from one product, and one part of it: the first, in the order of the layers, with
        data in any.

        Parts are asked twice: up to the cut between them, which their first band decides, and then for what is left.
        """
        found = np.zeros(2, np.int64)
        given: NDArray[np.bool_] | None = None  # pixels that have data already
        for _, of_product in groupby(range(len(self._layers)), lambda k: self._layers[k].product):
            every = list(of_product)
            parts = [list(own) for _, own in groupby(every, lambda k: self._layers[k].part)]
            several = self._layers[every[0]].part > 0
            for cut in (True, False) if several else (False,):
                for own in parts:
                    given = self._run_one(prepared, part, own, cut, given, found, block, classes, scratch)
        return int(found[0]), int(found[1])

    def _run_one(
        self,
        prepared: Prepared,
        part: Window,
        every: list[int],
        cut: bool,
        given: NDArray[np.bool_] | None,
        found: NDArray[np.int64],
        block: Block,
        classes: Classes,
        scratch: Float32Array,
    ) -> NDArray[np.bool_] | None:
        """The layers of one product, or of one part of it; returns which pixels have data then."""
        rows, cols = slice(part[0], part[1]), slice(part[2], part[3])
        view = block.data[:, rows, cols]
        acquisition, number = block.extras.get("acquisition"), self._layers[every[0]].part
        own = [k for k in every if self._layers[k].extra is None]
        if all(prepared.sources[k] is None for k in own) or (given is not None and given.all()):
            return given
        before = None if given is None else view.copy()
        for k in own:
            found += self._run_layer(prepared, part, k, block, block.data, scratch, cut)
        if self._of_sight:
            self._look(prepared, part, own[0], block, given)
        if before is not None:
            np.copyto(view, before, where=given)
        if acquisition is None and not self._several and len(every) == len(own):
            return given
        without = np.isnan(view[0]) if cut else np.isnan(view).all(axis=0)
        new = np.asarray(~without if given is None else ~(without | given))
        has_data = new if given is None else new | given
        if cut:
            view[:, ~has_data] = np.nan
        if acquisition is not None:
            acquisition[rows, cols][new] = self._layers[every[0]].product + 1
        if number and "detector" in block.extras:
            block.extras["detector"][rows, cols][new] = number
        for k in every[len(own) :]:
            self._classify(prepared, part, k, block, classes, new, scratch)
        return has_data

    def _look(self, prepared: Prepared, part: Window, k: int, block: Block, given: NDArray[np.bool_] | None) -> None:
        """What the radar of one product sees of a part; its values that it sees hidden or doubled are no data."""
        geometry, source, ground, layer = prepared.geometries[k], prepared.sources[k], prepared.ground, self._layers[k]
        if geometry is None or source is None or ground is None or not geometry.reaches_image:
            return
        assert isinstance(layer.model, RangeDopplerModel)
        rows, cols = slice(part[0], part[1]), slice(part[2], part[3])
        view = block.data[:, rows, cols]
        areas = prepared.areas[k]
        if areas is None:
            known = ~np.isnan(view).all(axis=0)
        else:
            sight = sight_of(part, ground, geometry, layer.table, source, areas, self._walk, layer.model)
            known = sight.visibility != 0
            if self._options.radiometry == "gamma0_rtc":
                view[:, (sight.visibility & (SHADOW | LAYOVER)) != 0] = np.nan
        if given is not None:
            known &= ~given
        for name in self._of_sight:
            raster = block.extras[name][rows, cols]
            first = known & (raster == 0 if raster.dtype == np.uint8 else np.isnan(raster))
            if not first.any():
                continue
            if name == "local_incidence":
                raster[first] = incidence_of(part, ground, self._walk, layer.model)[first]
            else:
                raster[first] = (sight.visibility if name == "layover_shadow" else sight.area)[first]

    def _classify(
        self,
        prepared: Prepared,
        part: Window,
        k: int,
        block: Block,
        classes: Classes,
        new: NDArray[np.bool_],
        scratch: Float32Array,
    ) -> None:
        """Classes of the pixels that a product has given."""
        name, rows, cols = self._layers[k].extra, slice(part[0], part[1]), slice(part[2], part[3])
        assert name is not None
        self._run_layer(prepared, part, k, block, classes[name], scratch, False)
        found = classes[name][0, rows, cols]
        known = new & ~np.isnan(found)
        block.extras[name][rows, cols][known] = found[known].astype(np.uint8)

    def _run_layer(
        self,
        prepared: Prepared,
        part: Window,
        k: int,
        block: Block,
        values: Float32Array,
        scratch: Float32Array,
        cut: bool,
    ) -> tuple[int, int]:
        """Fill a part of the layer's bands of ``values`` (bands, rows, cols), which is as large as the block; up to
        the layer's ``samples`` only if ``cut``."""
        geometry, source, ground, layer = prepared.geometries[k], prepared.sources[k], prepared.ground, self._layers[k]
        out = values[layer.bands]
        if geometry is None or source is None or ground is None:
            out[:, part[0] : part[1], part[2] : part[3]] = np.nan
            return 0, 0
        if not cut:
            source = source._replace(first_sample=WHOLE[0], last_sample=WHOLE[1])
        how = self._walk, layer.method, layer.power
        return run_part(part, ground, geometry, layer.table, source, *how, scratch, out, block.mask)
