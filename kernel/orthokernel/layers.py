"""Bands that are read and located together: one image, one ring of its lines, one geometry."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from orthokernel.cutlines import slice_of, turns
from orthokernel.flattening import RadarAreas
from orthokernel.lattice import break_table
from orthokernel.loop import BreakTable
from orthokernel.options import Options
from orthokernel.product import BandReader, Product
from orthokernel.radiometry import sample_values
from orthokernel.sensor import SensorModel
from orthokernel.sentinel1.range_doppler import RangeDopplerModel
from orthokernel.source import SampleValues, SourceRing, alike
from orthokernel.tally import Tally
from orthokernel.terrain import Terrain


@dataclass
class Layer:
    """Bands of one product that share their geometry, as they are read.

    ``bands`` are theirs in the output, ``lines`` the first and last line of the image that may give pixels.
    """

    model: SensorModel
    table: BreakTable
    ring: SourceRing
    power: bool
    product: int
    bands: slice
    lines: tuple[float, float]
    held: tuple[int, int] = (0, 0)


def open_layers(
    products: Sequence[Product], terrain: Terrain, options: Options, stack: ExitStack, tally: Tally
) -> list[Layer]:
    """Products outermost, in the order they are asked; neighbouring bands of one frame and kind make one layer."""
    layers: list[Layer] = []
    alone = len(products) == 1
    for turn in turns([None if alone else slice_of(product) for product in products]):
        product = products[turn.product]
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
            flatten = options.radiometry == "gamma0_rtc"
            areas = _areas(model, terrain) if flatten or (start == 0 and _needs_areas(options)) else None
            ring = SourceRing(
                [reader for _, reader, _ in opened[start:stop]],
                [values for _, _, values in opened[start:stop]],
                areas,
                flatten,
            )
            power = len(opened[start][2].calibration_line) > 0
            lines, bands = turn.of_image(model.n_lines), slice(start, stop)
            layers.append(Layer(model, break_table(model.break_lines), ring, power, turn.product, bands, lines))
            start = stop
    return layers


def _needs_areas(options: Options) -> bool:
    return not {"layover_shadow", "scattering_area"}.isdisjoint(options.extras)


def _areas(model: SensorModel, terrain: Terrain) -> RadarAreas:
    assert isinstance(model, RangeDopplerModel)
    return RadarAreas(model, terrain)


_Opened = tuple[str, BandReader, SampleValues]


def _share_ring(product: Product, one: _Opened, other: _Opened) -> bool:
    """Bands of a product are registered to each other; a quick-look is an image of its own."""
    return one[0] in product.bands and other[0] in product.bands and alike(one[2], other[2])
