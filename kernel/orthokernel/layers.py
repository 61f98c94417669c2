"""Bands that are read and located together: one image, one ring of its lines, one geometry."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from orthokernel.cutlines import Turn, slice_of, turns
from orthokernel.flattening import RadarAreas
from orthokernel.lattice import break_table
from orthokernel.light import Light
from orthokernel.loop import BreakTable
from orthokernel.options import Options
from orthokernel.product import BandReader, Product, ProductPart
from orthokernel.radiometry import sample_values
from orthokernel.resampling import METHODS
from orthokernel.sensor import SensorModel
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.sentinel3.readers import on_grid
from orthokernel.source import SampleValues, SourceRing, alike
from orthokernel.tally import Tally
from orthokernel.terrain import Terrain

WHOLE: Final = (-0.5, float("nan"))
"""First and last sample of an image that is not cut."""


@dataclass
class Layer:
    """Bands of one product that share their geometry, as they are read.

    ``bands`` are theirs in the output, ``lines`` the first and last line of the image that may give pixels. A layer
    of classes has the name of the raster beside the image that they go to; it follows those of its product's image.
    ``part`` is the number of the product's part that it is of, 0 where there are none, and ``samples`` the first and
    last sample with which it may give pixels before others. ``light``: pixels are still to be divided by the sun's.
    """

    model: SensorModel
    table: BreakTable
    ring: SourceRing
    method: int
    power: bool
    product: int
    bands: slice
    lines: tuple[float, float]
    extra: str | None = None
    part: int = 0
    samples: tuple[float, float] = WHOLE
    light: Light | None = None
    held: tuple[int, int] = (0, 0)


def open_layers(
    products: Sequence[Product], terrain: Terrain, options: Options, stack: ExitStack, tally: Tally
) -> list[Layer]:
    """Products outermost, in the order they are asked, then their parts; neighbouring bands of one frame and kind make
    one layer."""
    layers: list[Layer] = []
    alone = len(products) == 1
    for turn in turns([None if alone else slice_of(product) for product in products]):
        product = products[turn.product]
        for part in product.parts or (None,):
            layers += _of_part(product, part, turn, terrain, options, stack, tally)
            for name in options.extras:
                if name in product.extras if part is None else part.has_extra(name):
                    layers.append(_classes(product, part, turn, name, options.bands[0], stack))
    return layers


def _of_part(
    product: Product,
    part: ProductPart | None,
    turn: Turn,
    terrain: Terrain,
    options: Options,
    stack: ExitStack,
    tally: Tally,
) -> list[Layer]:
    """The layers of a part, or of a product that has none."""
    layers: list[Layer] = []
    opened: list[_Opened] = []
    for band, method in zip(options.bands, options.methods, strict=True):
        reader = stack.enter_context((product if part is None else part).open_band(band))
        if method != "nearest":
            reader = on_grid(reader)
        light = None if part is None or options.radiometry != "reflectance" else _light(product, part, band, options)
        in_numbers = options.numbers and light is None
        values = sample_values(product, band, reader, options.radiometry, options.noise_removal, in_numbers)
        tally.noise_kept.append(values.noise_kept)
        tally.border_noise_masked |= values.border_level is not None
        opened.append(_Opened(band, product.frame(band), METHODS[method], reader, values, light))
    start = 0
    while start < len(opened):
        stop = start + 1
        while stop < len(opened) and opened[start].shares_ring(opened[stop]):
            stop += 1
        band = opened[start].band
        model = (
            product.sensor_model(band, slant_to_ground=options.slant_to_ground)
            if part is None
            else part.sensor_model(band)
        )
        flatten = options.radiometry == "gamma0_rtc"
        areas = _areas(model, terrain) if flatten or (start == 0 and _needs_areas(options)) else None
        ring = SourceRing(
            [one.reader for one in opened[start:stop]],
            [one.values for one in opened[start:stop]],
            areas,
            flatten,
        )
        power = len(opened[start].values.calibration_line) > 0
        lines, bands, method_of = turn.of_image(model.n_lines), slice(start, stop), opened[start].method
        layer = Layer(model, break_table(model.break_lines), ring, method_of, power, turn.product, bands, lines)
        if part is not None:
            layer.part, layer.light = part.number, opened[start].light
            # The first band decides which part gives a pixel: where others are cut could be a hair's breadth off.
            layer.samples = part.samples(band) if start == 0 else WHOLE
        layers.append(layer)
        start = stop
    return layers


def _light(product: Product, part: ProductPart, band: str, options: Options) -> Light:
    if not options.numbers:
        return Light(part.sun(band))
    measure = product.measure(band, options.radiometry)
    return Light(part.sun(band), measure.scale, measure.shift)


def _classes(product: Product, part: ProductPart | None, turn: Turn, name: str, band: str, stack: ExitStack) -> Layer:
    opened, model = (product if part is None else part).open_extra(name, band)
    reader = stack.enter_context(opened)
    ring = SourceRing([reader], [SampleValues.linear(float("nan"), reader.n_lines, reader.n_samples)])
    table, lines = break_table(model.break_lines), turn.of_image(model.n_lines)
    layer = Layer(model, table, ring, METHODS["nearest"], False, turn.product, slice(0, 1), lines, name)
    layer.part = 0 if part is None else part.number
    return layer


def _needs_areas(options: Options) -> bool:
    return not {"layover_shadow", "scattering_area"}.isdisjoint(options.extras)


def _areas(model: SensorModel, terrain: Terrain) -> RadarAreas:
    assert isinstance(model, RangeDopplerModel)
    return RadarAreas(model, terrain)


@dataclass(frozen=True)
class _Opened:
    """A band about to be read."""

    band: str
    frame: str
    method: int
    reader: BandReader
    values: SampleValues
    light: Light | None = None

    def shares_ring(self, other: _Opened) -> bool:
        same_light = self.light is None and other.light is None
        return (
            same_light and (self.frame, self.method) == (other.frame, other.method) and alike(self.values, other.values)
        )
