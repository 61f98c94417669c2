"""`orthorectify`: products and terrain in, orthoimage out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray

from orthokernel.blocks import (
    Geometry,
    Ground,
    Walk,
    Window,
    exact_geometry,
    ground_under,
    lattice_geometry,
    limit_numba_threads,
    may_reach,
    parts_of,
    run_part,
)
from orthokernel.errors import EmptyIntersectionError, OptionError
from orthokernel.extras import Block, resolve_extras
from orthokernel.grid import Grid
from orthokernel.lattice import break_table
from orthokernel.loop import BreakTable, SourceArrays
from orthokernel.marks import mark_valid
from orthokernel.product import BandReader, Product, SlantToGround
from orthokernel.progress import Progress, no_progress, part_of
from orthokernel.radiometry import RADIOMETRIES, Radiometry, default_radiometry, sample_values
from orthokernel.resampling import METHODS, Resampling, resampling_of, source_px_per_pixel
from orthokernel.sensor import SensorModel
from orthokernel.source import SampleValues, SourceRing, alike
from orthokernel.terrain import Terrain

if TYPE_CHECKING:
    from orthokernel.result import OrthoResult

Float32Array = NDArray[np.float32]
_SCRATCH = 512 * 512
_READ_CACHE_BYTES = 64 * 2**20  # GDAL would take a twentieth of the machine's memory for lines that are read once
_LOOP_SHARE = 0.9  # of the progress bar, where a file is written afterwards


@dataclass(frozen=True)
class Options:
    """What was asked of `orthorectify`, every default resolved."""

    bands: tuple[str, ...]
    radiometry: Radiometry
    resampling: Resampling
    geometry: Literal["lattice", "exact"]
    slant_to_ground: SlantToGround
    threads: int
    noise_removal: bool = True
    """Subtract the thermal noise where the radiometry is calibrated and the product has noise vectors."""
    extras: tuple[str, ...] = ()
    """Rasters beside the image, see `orthokernel.extras`."""


@dataclass
class Tally:
    """What a run learns on its way."""

    lattice_error_px: float = 0.0
    pixels: int = 0
    valid: int = 0
    covered: float = 0.0
    seen: int = 0
    outline: list[tuple[int, int]] = field(default_factory=list)
    """``(row, col)`` of the first and last valid pixel of some rows."""
    noise_kept: list[str] = field(default_factory=list)
    """Why noise was not subtracted, for each band of each product; empty where it was."""
    border_noise_masked: bool = False

    @property
    def dem_coverage(self) -> float:
        """Share of the pixels of blocks that the image reaches whose height comes from the DEM."""
        return self.covered / self.seen if self.seen else 0.0


class Sink(Protocol):
    """Takes finished blocks, from one thread, in order."""

    def write(self, window: Window, block: Block) -> None:
        """The block is the sink's from here on."""
        ...


@dataclass
class _Layer:
    """Bands of one product that share their geometry, as they are read; ``bands`` are theirs in the output."""

    model: SensorModel
    table: BreakTable
    ring: SourceRing
    power: bool
    product: int
    bands: slice
    held: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class _Prepared:
    window: Window
    ground: Ground | None
    geometries: Sequence[Geometry | None]
    sources: list[SourceArrays | None]


def orthorectify(
    products: Product | Sequence[Product],
    grid: Grid,
    terrain: Terrain,
    bands: Sequence[str] | None = None,
    radiometry: Radiometry | None = None,
    resampling: Resampling | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    geometry: Literal["lattice", "exact"] = "lattice",
    slant_to_ground: SlantToGround = "linear",
    noise_removal: bool | None = None,
    extras: Sequence[str] = (),
) -> OrthoResult:
    """Map-project products.

    Parameters
    ----------
    products : Product or sequence of Product
        Of one pass. Where several cover a pixel, the first with data there gives it.
    grid : Grid
        The output's pixels.
    terrain : Terrain
        The ground under them.
    bands : sequence of str, optional
        Default: all bands of the first product.
    radiometry : {"sigma0", "beta0", "gamma0", "dn"}, optional
        Calibrated power, or pixels as they are. Default: sigma0 where the bands have a calibration.
    resampling : {"nearest", "bilinear", "cubic", "average"}, optional
        Default: average where a pixel spans clearly more than 1.5 source samples, else bilinear.
    out : path, optional
        A COG to write; its mask, browse image and STAC Item go beside it. None returns arrays.
    progress : callable, optional
        Called with the part done and a word.
    threads : int, optional
        Default: the processor cores this process may use.
    geometry : {"lattice", "exact"}
        "exact" evaluates the sensor model at every pixel: slow, for proofs.
    slant_to_ground : {"linear", "nearest"}
        How Sentinel-1's slant-to-ground records are interpolated in time.
    noise_removal : bool, optional
        Subtract Sentinel-1's thermal noise from calibrated values. Default: wherever the product has noise vectors.
        Where nothing is left above the noise the value is 0 and the mask says NOISE_FLOOR.
    extras : sequence of str
        Rasters beside the image: "acquisition" numbers, from 1, the product that each pixel comes from.

    Returns
    -------
    OrthoResult

    Raises
    ------
    EmptyIntersectionError
        No pixel of the grid has a source sample.
    OutsideDemError
        The DEM does not touch the grid.
    OptionError, RadiometryError
        An option that is unknown, or that the products cannot give.
    ProductError, TerrainError, LatticeError
        See there.
    """
    from orthokernel.cog import CogSink  # noqa: PLC0415 (arrays need no writer)
    from orthokernel.result import ArraySink, make_result  # noqa: PLC0415 (results name this module's types)

    several = [products] if not isinstance(products, Sequence) else list(products)
    if not several:
        raise OptionError("no product: expected at least one")
    terrain.require_overlap(grid)
    options, span_px = resolve_options(
        several, grid, terrain, bands, radiometry, resampling, threads, geometry, slant_to_ground, noise_removal, extras
    )
    walk = Walk.over(span_px, METHODS[options.resampling], grid.n_cols)
    report = progress or no_progress
    if out is None:
        arrays = ArraySink(grid, options)
        tally = _run(several, grid, terrain, options, walk, arrays, report)
        return make_result(several, grid, terrain, options, tally, arrays=arrays)
    with CogSink(Path(out), grid, several, options) as sink:
        tally = _run(several, grid, terrain, options, walk, sink, part_of(report, 0.0, _LOOP_SHARE))
        result = make_result(several, grid, terrain, options, tally, path=Path(out))
        sink.finish(result, part_of(report, _LOOP_SHARE, 1.0))
    return result


def resolve_options(
    products: Sequence[Product],
    grid: Grid,
    terrain: Terrain,
    bands: Sequence[str] | None,
    radiometry: str | None,
    resampling: str | None,
    threads: int | None,
    geometry: Literal["lattice", "exact"],
    slant_to_ground: SlantToGround,
    noise_removal: bool | None = None,
    extras: Sequence[str] = (),
) -> tuple[Options, float]:
    """Every default filled in, and how many source samples an output pixel spans.

    Raises
    ------
    OptionError, UnknownBandError
    """
    chosen = tuple(bands) if bands else products[0].bands
    if radiometry is not None and radiometry not in RADIOMETRIES:
        raise OptionError(f"radiometry {radiometry!r}: expected one of {', '.join(RADIOMETRIES)}")
    if geometry not in {"lattice", "exact"}:
        raise OptionError(f"geometry {geometry!r}: expected lattice or exact")
    if threads is not None and threads < 1:
        raise OptionError(f"threads {threads}: expected one or more")
    model = products[0].sensor_model(chosen[0], slant_to_ground=slant_to_ground)
    # One height will do: a span hardly depends on it, and to look at all of them is to read all of the DEM.
    middle = float(terrain.heights(*grid.lonlat((grid.n_rows - 1) / 2, (grid.n_cols - 1) / 2))[0])
    span_px = source_px_per_pixel(model, grid, middle if np.isfinite(middle) else 0.0)
    options = Options(
        bands=chosen,
        radiometry=radiometry or default_radiometry(products[0], chosen),  # type: ignore[arg-type]
        resampling=resampling_of(resampling, span_px),
        geometry=geometry,
        slant_to_ground=slant_to_ground,
        threads=threads or available_cores(),
        noise_removal=noise_removal is not False,
        extras=resolve_extras(extras, len(products)),
    )
    return options, span_px


def available_cores() -> int:
    """Processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _run(
    products: Sequence[Product],
    grid: Grid,
    terrain: Terrain,
    options: Options,
    walk: Walk,
    sink: Sink,
    progress: Progress,
) -> Tally:
    tally = Tally(pixels=grid.n_rows * grid.n_cols)
    windows = list(walk.windows(grid))
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_READ_CACHE_BYTES))
        layers = _open_layers(products, options, stack, tally)
        ahead = stack.enter_context(ThreadPoolExecutor(1, "orthokernel-ahead"))
        writer = stack.enter_context(ThreadPoolExecutor(1, "orthokernel-write"))
        pool = stack.enter_context(ThreadPoolExecutor(options.threads, "orthokernel-loop"))
        loop = _Loop(pool, options, walk, layers)
        prepare = _Prepare(grid, terrain, options, walk, layers)
        coming = ahead.submit(prepare, windows[0])
        written: Future[None] | None = None
        for k, window in enumerate(windows):
            prepared = coming.result()
            if k + 1 < len(windows):
                coming = ahead.submit(prepare, windows[k + 1])
            block = loop(prepared, tally)
            if written is not None:
                written.result()  # one block waits at most: memory stays bounded when the disk is slow
            written = writer.submit(sink.write, window, block)
            if tally.seen:  # silent until a block reaches an image: a grid off the product is one error and no progress
                progress((k + 1) / len(windows), "orthorectifying")
        if written is not None:
            written.result()
        tally.lattice_error_px = prepare.lattice_error_px
    if tally.valid == 0:
        names = ", ".join(product.id for product in products)
        raise EmptyIntersectionError(names, f"the grid {grid.crs.name} {tuple(round(v, 3) for v in grid.bounds)}")
    return tally


def _open_layers(products: Sequence[Product], options: Options, stack: ExitStack, tally: Tally) -> list[_Layer]:
    """Products outermost; neighbouring bands of one frame and kind make one layer."""
    layers: list[_Layer] = []
    for number, product in enumerate(products):
        opened = []
        for band in options.bands:
            reader = stack.enter_context(product.open_band(band))
            values = sample_values(product, band, reader, options.radiometry, options.noise_removal)
            tally.noise_kept.append(values.noise_kept)
            tally.border_noise_masked |= values.border_level is not None
            opened.append((band, reader, values))
        start = 0
        while start < len(opened):
            stop = start + 1
            while stop < len(opened) and _share_ring(product, opened[start], opened[stop]):
                stop += 1
            model = product.sensor_model(opened[start][0], slant_to_ground=options.slant_to_ground)
            ring = SourceRing([reader for _, reader, _ in opened[start:stop]], [v for _, _, v in opened[start:stop]])
            power = len(opened[start][2].calibration_line) > 0
            layers.append(_Layer(model, break_table(model.break_lines), ring, power, number, slice(start, stop)))
            start = stop
    return layers


_Opened = tuple[str, BandReader, SampleValues]


def _share_ring(product: Product, one: _Opened, other: _Opened) -> bool:
    """Bands of a product are registered to each other; a quick-look is an image of its own."""
    return one[0] in product.bands and other[0] in product.bands and alike(one[2], other[2])


class _Prepare:
    """Terrain, geometry and source lines of the next block, on one thread of its own."""

    def __init__(self, grid: Grid, terrain: Terrain, options: Options, walk: Walk, layers: list[_Layer]) -> None:
        self._grid, self._terrain, self._options, self._walk, self._layers = grid, terrain, options, walk, layers
        self._steps_px: dict[int, int] = {}  # by model: what sufficed for its block before
        self.lattice_error_px = 0.0

    def __call__(self, window: Window) -> _Prepared:
        limit_numba_threads(self._options.threads)
        block = self._grid.window(*window)
        if not any(may_reach(layer.model, block) for layer in self._layers):
            return _Prepared(window, None, [None] * len(self._layers), [None] * len(self._layers))
        ground = ground_under(self._terrain, block, self._walk)
        geometries: list[Geometry] = []
        sources: list[SourceArrays | None] = []
        for layer in self._layers:
            geometry = self._geometry(layer.model, ground)
            geometries.append(geometry)
            if not geometry.reaches_image:
                sources.append(None)
                continue
            sources.append(layer.ring.prepare(geometry.lines, geometry.samples, layer.held))
            layer.held = geometry.lines
        return _Prepared(window, ground, geometries, sources)

    def _geometry(self, model: SensorModel, ground: Ground) -> Geometry:
        if self._options.geometry == "exact":
            return exact_geometry(model, ground, self._walk)
        geometry = lattice_geometry(model, ground, self._walk.method, self._steps_px.get(id(model)))
        if geometry.lattice is not None and geometry.reaches_image:
            self._steps_px[id(model)] = geometry.lattice.arrays.step_px
            self.lattice_error_px = max(self.lattice_error_px, geometry.lattice.error_px)
        return geometry


class _Loop:
    """Runs the parts of a block on the threads of a pool."""

    def __init__(self, pool: ThreadPoolExecutor, options: Options, walk: Walk, layers: list[_Layer]) -> None:
        self._pool, self._options, self._walk, self._layers = pool, options, walk, layers
        self._several = len({layer.product for layer in layers}) > 1
        self._scratch = [np.empty(_SCRATCH, np.float32) for _ in range(options.threads)]

    def __call__(self, prepared: _Prepared, tally: Tally) -> Block:
        row0, row1, col0, col1 = prepared.window
        block = Block.without_data(len(self._options.bands), (row1 - row0, col1 - col0), self._options.extras)
        if prepared.ground is None or not any(source is not None for source in prepared.sources):
            block.data[:] = np.nan
            return block
        parts, threads = parts_of(prepared.ground.grid, self._walk), self._options.threads
        jobs = [
            self._pool.submit(self._run_parts, prepared, parts[n::threads], block, self._scratch[n])
            for n in range(min(threads, len(parts)))
        ]
        for job in jobs:
            valid, from_dem, seen = job.result()
            tally.valid += valid
            tally.covered += from_dem
            tally.seen += seen
        _note_outline(tally, block.mask, row0, col0)
        return block

    def _run_parts(
        self, prepared: _Prepared, parts: list[Window], block: Block, scratch: Float32Array
    ) -> tuple[int, int, int]:
        valid, from_dem, seen = 0, 0, 0
        for part in parts:
            found = self._run_products(prepared, part, block, scratch)
            from_dem, seen = from_dem + found[0], seen + found[1]
            rows, cols = slice(part[0], part[1]), slice(part[2], part[3])
            mask = block.mask[rows, cols]  # until here the terrain's flags
            valid += mark_valid(block.data[:, rows, cols], mask, self._layers[0].power, mask)
        return valid, from_dem, seen

    def _run_products(self, prepared: _Prepared, part: Window, block: Block, scratch: Float32Array) -> tuple[int, int]:
        """All bands of a pixel come from one product: the first, in the order of the layers, with data in any."""
        rows, cols = slice(part[0], part[1]), slice(part[2], part[3])
        view = block.data[:, rows, cols]
        acquisition = block.extras.get("acquisition")
        from_dem, seen = 0, 0
        given: NDArray[np.bool_] | None = None  # pixels that have data already
        for product, layers in groupby(range(len(self._layers)), lambda k: self._layers[k].product):
            own = list(layers)
            if all(prepared.sources[k] is None for k in own) or (given is not None and given.all()):
                continue
            before = None if given is None else view.copy()
            for k in own:
                found = self._run_layer(prepared, part, k, block, scratch)
                from_dem, seen = from_dem + found[0], seen + found[1]
            if before is not None:
                np.copyto(view, before, where=given)
            if acquisition is not None or self._several:
                has_data = np.any(~np.isnan(view), axis=0)
                if acquisition is not None:
                    acquisition[rows, cols][has_data if given is None else has_data & ~given] = product + 1
                given = has_data
        return from_dem, seen

    def _run_layer(
        self, prepared: _Prepared, part: Window, k: int, block: Block, scratch: Float32Array
    ) -> tuple[int, int]:
        geometry, source, ground, layer = prepared.geometries[k], prepared.sources[k], prepared.ground, self._layers[k]
        out = block.data[layer.bands]
        if geometry is None or source is None or ground is None:
            out[:, part[0] : part[1], part[2] : part[3]] = np.nan
            return 0, 0
        return run_part(part, ground, geometry, layer.table, source, self._walk, layer.power, scratch, out, block.mask)


def _note_outline(tally: Tally, mask: NDArray[np.uint8], row0: int, col0: int) -> None:
    for row in {*range(0, mask.shape[0], 64), mask.shape[0] - 1}:
        cols = np.flatnonzero(mask[row])
        if cols.size:
            tally.outline += [(row0 + row, col0 + int(cols[0])), (row0 + row, col0 + int(cols[-1]))]
