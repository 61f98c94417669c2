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
from orthokernel.radiometry import RADIOMETRIES, Radiometry, default_radiometry
from orthokernel.resampling import Resampling, resampling_of, source_px_per_pixel
from orthokernel.scale import Scale, resolve_scale
from orthokernel.terrain import Terrain


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
    scale: Scale = "linear"
    facility: str | None = None


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
    resolved = radiometry or default_radiometry(products[0], chosen)
    model = products[0].sensor_model(chosen[0], slant_to_ground=slant_to_ground)
    # One height will do: a span hardly depends on it, and to look at all of them is to read all of the DEM.
    middle = float(terrain.heights(*grid.lonlat((grid.n_rows - 1) / 2, (grid.n_cols - 1) / 2))[0])
    span_px = source_px_per_pixel(model, grid, middle if np.isfinite(middle) else 0.0)
    options = Options(
        bands=chosen,
        radiometry=resolved,  # type: ignore[arg-type]
        resampling=resampling_of(resampling, span_px),
        geometry=geometry,
        slant_to_ground=slant_to_ground,
        threads=threads or available_cores(),
        noise_removal=noise_removal is not False,
        extras=(),
        scale=resolve_scale(scale, resolved),
        facility=facility,
    )
    is_radar = all(product.mission == "sentinel-1" and set(chosen) <= set(product.bands) for product in products)
    if options.radiometry == "gamma0_rtc" and not is_radar:
        raise OptionError("radiometry 'gamma0_rtc': expected polarisations of Sentinel-1 products")
    beside = resolve_extras(extras, len(products), options.radiometry, is_radar)
    return replace(options, extras=beside), span_px


def available_cores() -> int:
    """Processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
