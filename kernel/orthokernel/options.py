"""What may be asked of `orthorectify`, and what is taken where nothing was asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from orthokernel.errors import OptionError
from orthokernel.extras import resolve_extras
from orthokernel.grid import Grid
from orthokernel.product import Product, SlantToGround
from orthokernel.radiometry import Radiometry, resolve_radiometry
from orthokernel.resampling import Resampling, resampling_of, source_px_per_pixel
from orthokernel.scale import Scale, resolve_scale
from orthokernel.terrain import Terrain


@dataclass(frozen=True)
class Options:
    """What was asked of `orthorectify`, every default resolved."""

    bands: tuple[str, ...]
    radiometry: Radiometry
    methods: tuple[Resampling, ...]
    """Of each band: bands of one product may have samples of several sizes."""
    geometry: Literal["lattice", "exact"]
    slant_to_ground: SlantToGround
    threads: int
    noise_removal: bool = True
    """Subtract the thermal noise where the radiometry is calibrated and the product has noise vectors."""
    extras: tuple[str, ...] = ()
    """Rasters beside the image, see `orthokernel.extras`."""
    scale: Scale = "linear"
    facility: str | None = None
    numbers: bool = False
    """Pixels are made as the numbers of a file, not as the values these stand for."""


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
    scale: str = "linear",
    facility: str | None = None,
    numbers: bool = False,
) -> tuple[Options, float]:
    """Every default filled in, and how many source samples an output pixel spans.

    Raises
    ------
    OptionError, UnknownBandError
    """
    chosen = tuple(bands) if bands else products[0].default_bands
    if geometry not in {"lattice", "exact"}:
        raise OptionError(f"geometry {geometry!r}: expected lattice or exact")
    if threads is not None and threads < 1:
        raise OptionError(f"threads {threads}: expected one or more")
    for product in products:
        for band in chosen:
            if band not in product.bands + product.extra_bands:
                product.sensor_model(band)  # which says so, before anything else is done
    resolved = resolve_radiometry(products, chosen, radiometry)
    # One height will do: a span hardly depends on it, and to look at all of them is to read all of the DEM.
    middle = float(terrain.heights(*grid.lonlat((grid.n_rows - 1) / 2, (grid.n_cols - 1) / 2))[0])
    spans_px = _spans_px(products[0], chosen, grid, middle if np.isfinite(middle) else 0.0, slant_to_ground)
    preferred = [resampling or products[0].preferred_resampling(band) for band in chosen]
    options = Options(
        bands=chosen,
        radiometry=resolved,
        methods=tuple(resampling_of(*each) for each in zip(preferred, spans_px, strict=True)),
        geometry=geometry,
        slant_to_ground=slant_to_ground,
        threads=threads or available_cores(),
        noise_removal=noise_removal is not False,
        extras=(),
        scale=resolve_scale(scale, resolved),
        facility=facility,
        numbers=numbers,
    )
    is_radar = all(product.mission == "sentinel-1" and set(chosen) <= set(product.bands) for product in products)
    of_classes = set.intersection(*(set(product.extras) for product in products))
    beside = resolve_extras(extras, len(products), options.radiometry, is_radar, of_classes)
    return replace(options, extras=beside), max(spans_px)


def _spans_px(
    product: Product, bands: Sequence[str], grid: Grid, height_m: float, slant_to_ground: SlantToGround
) -> list[float]:
    """Of each band, how many of its samples an output pixel spans."""
    by_frame: dict[str, float] = {}
    for band in bands:
        if product.frame(band) not in by_frame:
            models = [part.sensor_model(band) for part in product.parts] or [
                product.sensor_model(band, slant_to_ground=slant_to_ground)
            ]
            spans = (source_px_per_pixel(model, grid, height_m) for model in models)
            by_frame[product.frame(band)] = next((span for span in spans if np.isfinite(span)), 1.0)
    return [by_frame[product.frame(band)] for band in bands]


def available_cores() -> int:
    """Processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
