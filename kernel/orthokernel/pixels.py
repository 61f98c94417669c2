"""The pixels of a block: every part through the loop, product after product, and what lies beside them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from orthokernel.blocks import Walk, Window, part_may_reach, parts_of, run_part
from orthokernel.extras import OF_SIGHT, Block
from orthokernel.flattening import LAYOVER, SHADOW
from orthokernel.layers import WHOLE, Layer
from orthokernel.light import under_light
from orthokernel.marks import mark_valid
from orthokernel.options import Options
from orthokernel.prepare import Prepared
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.sight import incidence_of, sight_of
from orthokernel.spare import Spare
from orthokernel.tally import Tally

Float32Array = NDArray[np.float32]
Classes = dict[str, Float32Array]
"""By name of an extra ``(1, rows, cols)`` of a block: NaN where there is none."""

_SCRATCH = 512 * 512
_SIGHT_TO_MASK = 2  # bits of the layover and shadow raster, shifted, are those of the mask


@dataclass(frozen=True)
class _Turn:
    """An image's turn to give pixels: its layers of bands and of classes; ``cut``: only up to where it is cut;
    ``whole``: only pixels that it has in all bands."""

    product: int
    part: int
    bands: tuple[int, ...]
    classes: tuple[int, ...]
    cut: bool = False
    whole: bool = False


def _turns(layers: list[Layer]) -> list[_Turn]:
    """Products one after the other. Parts of one are asked for pixels that they have in all bands: up to the cut
    between them, which their first band decides, then beyond it; what no part has in all bands the first gives that has
    any."""
    turns: list[_Turn] = []
    for product, of_product in groupby(range(len(layers)), lambda k: layers[k].product):
        parts: list[_Turn] = []
        beyond: list[_Turn] = []
        for part, of_part in groupby(of_product, lambda k: layers[k].part):
            every = tuple(of_part)
            bands = tuple(k for k in every if layers[k].extra is None)
            turn = _Turn(product, part, bands, every[len(bands) :])
            parts.append(turn)
            if layers[every[0]].samples != WHOLE:
                beyond.append(replace(turn, whole=True))
        if parts[0].part:
            turns += [*(replace(turn, cut=True, whole=True) for turn in parts), *beyond]
        turns += parts
    return turns


class PixelMaker:
    """Makes the pixels of a block, its parts on the threads of a pool."""

    def __init__(self, pool: ThreadPoolExecutor, options: Options, walk: Walk, layers: list[Layer]) -> None:
        self._pool, self._options, self._walk, self._layers = pool, options, walk, layers
        self._of_sight = [name for name in options.extras if name in OF_SIGHT]
        self._turns = _turns(layers)
        self._several = len(self._turns) > 1
        self._scratch = [np.empty(_SCRATCH, np.float32) for _ in range(options.threads)]
        self._spare = Spare(np.float32)

    def __call__(self, prepared: Prepared, tally: Tally) -> Block:
        row0, row1, col0, col1 = prepared.window
        shape = len(self._options.bands), row1 - row0, col1 - col0
        block = Block.without_data(self._spare.take(shape), self._options.extras)
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

    def take_back(self, block: Block) -> None:
        """A later block may be made in the memory of this one."""
        self._spare.give(block.data)

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
        """All bands of a pixel come from one image: the first, in the order of turns, that has it."""
        rows, cols = slice(part[0], part[1]), slice(part[2], part[3])
        view = block.data[:, rows, cols]
        acquisition = block.extras.get("acquisition")
        from_dem, seen = 0, 0
        given: NDArray[np.bool_] | None = None  # pixels that have data already
        some: NDArray[np.bool_] | None = None  # pixels that a part has in some bands
        if self._turns[0].part:
            view[:] = np.nan
            given = np.zeros(view.shape[1:], np.bool_)
        for turn in self._turns:
            if all(prepared.sources[k] is None for k in turn.bands) or (given is not None and given.all()):
                continue
            if turn.part and not any(self._may_reach(prepared, part, k, turn.cut) for k in turn.bands):
                continue
            if turn.part and not turn.whole and (some is None or given is None or not (some & ~given).any()):
                continue
            before = None if given is None else view.copy()
            for k in turn.bands:
                found = self._run_layer(prepared, part, k, block, block.data, scratch, turn.cut)
                from_dem, seen = from_dem + found[0], seen + found[1]
            if self._of_sight:
                self._look(prepared, part, turn.bands[0], block, given)
            if acquisition is None and not self._several and not turn.classes:
                continue
            missing = np.isnan(view)
            new = np.asarray(~missing.any(axis=0) if turn.whole else ~missing.all(axis=0))
            if turn.whole and len(view) > 1:
                any_band = np.asarray(~missing.all(axis=0))
                some = any_band if some is None else some | any_band
            if given is not None:
                new &= ~given
            if before is not None:
                np.copyto(view, before, where=~new)
            if acquisition is not None:
                acquisition[rows, cols][new] = turn.product + 1
            if turn.part and "detector" in block.extras:
                block.extras["detector"][rows, cols][new] = turn.part
            for k in turn.classes:
                self._classify(prepared, part, k, block, classes, new, scratch)
            given = new if given is None else given | new
        return from_dem, seen

    def _may_reach(self, prepared: Prepared, part: Window, k: int, cut: bool) -> bool:
        """Whether a layer's image may lie under a part of a block; asked of images that lie side by side."""
        geometry, source, ground = prepared.geometries[k], prepared.sources[k], prepared.ground
        if geometry is None or source is None or ground is None:
            return False
        if not cut:
            source = source._replace(first_sample=WHOLE[0], last_sample=WHOLE[1])
        return part_may_reach(part, ground, geometry, source)

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
        found = run_part(part, ground, geometry, layer.table, source, *how, scratch, out, block.mask)
        nodes = prepared.lights[k]
        if layer.light is not None and nodes is not None:
            view = out[:, part[0] : part[1], part[2] : part[3]]
            under_light(view, part[0], part[2], nodes, layer.light.scale, layer.light.shift)
        return found
