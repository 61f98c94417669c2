"""What `orthorectify` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthokernel.blocks import Window
from orthokernel.extras import Block, empty_extras
from orthokernel.grid import Grid
from orthokernel.options import Options
from orthokernel.product import Product
from orthokernel.scale import Scale, to_decibels
from orthokernel.tally import Tally
from orthokernel.terrain import Terrain

RESULT_VERSION = 3
"""Raised whenever the same input gives other pixels: results of different versions are never mixed."""


class MaskBit(IntFlag):
    """Bits of the mask; 0 is no data."""

    VALID = 1
    SEA = 2  # no DEM there: the height is the geoid's
    FILLED = 4  # the DEM has a void there, filled from its surroundings
    SHADOW = 8  # behind a mountain: no echo
    LAYOVER = 16  # echoes of several places at once
    NOISE_FLOOR = 32  # nothing is left above the noise in some band: written as 0


@dataclass(frozen=True)
class OrthoResult:
    """An orthoimage, in memory or on disk.

    Attributes
    ----------
    grid : Grid
    bands : tuple of str
    data : (bands, rows, cols) float32 or None
        NaN where there is none; None where the image was written to a file.
    mask : (rows, cols) uint8 or None
        `MaskBit` bits; valid where any band is.
    path : Path or None
        The COG.
    lattice_error_px : float
        Largest distance of the interpolated geometry from the exact one at the points compared, over all blocks.
    dem_coverage : float
        Share of the heights, 0 to 1, that come from the DEM.
    valid_fraction : float
        Share of the grid's pixels with data.
    footprint : (K, 2) float64
        Closed ring of lon, lat in degrees around the pixels with data: their convex hull on the map.
    radiometry : str
    resampling : str
        Several, with commas, where bands of several sample sizes were each given what suits them.
    scale : {"linear", "db"}
    properties : dict
        Provenance, JSON types only.
    extras : dict
        The rasters asked for, ``(rows, cols)`` by name, see `orthokernel.extras`; empty where they are in files.
    """

    grid: Grid
    bands: tuple[str, ...]
    data: NDArray[np.float32] | None
    mask: NDArray[np.uint8] | None
    path: Path | None
    lattice_error_px: float
    dem_coverage: float
    valid_fraction: float
    footprint: NDArray[np.float64]
    radiometry: str
    resampling: str
    scale: Scale = "linear"
    properties: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, NDArray[Any]] = field(default_factory=dict)


class ArraySink:
    """Keeps the blocks in memory."""

    def __init__(self, grid: Grid, options: Options) -> None:
        self.data = np.empty((len(options.bands), *grid.shape), np.float32)
        self.mask = np.empty(grid.shape, np.uint8)
        self.extras = empty_extras(options.extras, grid.shape)
        self._scale = options.scale

    def write(self, window: Window, block: Block) -> None:
        """See `Sink.write`."""
        rows, cols = slice(*window[:2]), slice(*window[2:])
        if self._scale == "db":
            to_decibels(block.data)
        self.data[:, rows, cols] = block.data
        self.mask[rows, cols] = block.mask
        for name, raster in self.extras.items():
            raster[rows, cols] = block.extras[name]


def make_result(
    products: Sequence[Product],
    grid: Grid,
    terrain: Terrain,
    options: Options,
    tally: Tally,
    arrays: ArraySink | None = None,
    path: Path | None = None,
) -> OrthoResult:
    """The result of a run, with its provenance."""
    return OrthoResult(
        grid=grid,
        bands=options.bands,
        data=None if arrays is None else arrays.data,
        mask=None if arrays is None else arrays.mask,
        path=path,
        lattice_error_px=tally.lattice_error_px,
        dem_coverage=tally.dem_coverage,
        valid_fraction=tally.valid / tally.pixels,
        footprint=_footprint(grid, tally.outline),
        radiometry=options.radiometry,
        resampling=", ".join(dict.fromkeys(options.methods)),
        scale=options.scale,
        properties=_provenance(products, terrain, options, tally),
        extras={} if arrays is None else arrays.extras,
    )


def kernel_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("orthoburst")
    except PackageNotFoundError:  # run from a source tree
        return "0+unknown"


def _provenance(products: Sequence[Product], terrain: Terrain, options: Options, tally: Tally) -> dict[str, Any]:
    return {
        "products": [{"id": product.id, **product.properties()} for product in products],
        "terrain": terrain.describe(),
        "orbit_source": _orbit_source(products),
        "geometry": options.geometry,
        "slant_to_ground": options.slant_to_ground if products[0].mission == "sentinel-1" else None,
        **_noise(products, options, tally),
        "units": {band: products[0].measure(band, options.radiometry).unit for band in options.bands},
        "resampling_by_band": dict(zip(options.bands, options.methods, strict=True)),
        "extras_mean": {name: products[0].extras[name] for name in options.extras if name in products[0].extras},
        "extras": list(options.extras),
        "scale": options.scale,
        "processing_facility": options.facility,
        "lattice_error_px": round(tally.lattice_error_px, 6),
        "dem_coverage": None if terrain.is_none else round(tally.dem_coverage, 6),
        "kernel_version": kernel_version(),
        "result_version": RESULT_VERSION,
    }


def _noise(products: Sequence[Product], options: Options, tally: Tally) -> dict[str, Any]:
    """What was done about noise; ``noise_kept`` says why where it is still in a band."""
    if products[0].mission != "sentinel-1":
        return {"noise_removal": None}
    kept = sorted({reason for reason in tally.noise_kept if reason})
    return {
        "noise_removal": options.noise_removal and not kept,
        **({"noise_kept": "; ".join(kept)} if kept else {}),
        "border_noise_masked": tally.border_noise_masked,
    }


def _orbit_source(products: Sequence[Product]) -> dict[str, str | None] | None:
    """``kind`` and ``file`` of the orbit, those of several products joined by commas; None where none was needed."""
    sources = [source for product in products if (source := product.properties().get("orbit_source"))]
    if not sources:
        return None
    kinds = dict.fromkeys(source["kind"] for source in sources)
    files = dict.fromkeys(source["file"] for source in sources if source["file"])
    return {"kind": ", ".join(kinds), "file": ", ".join(files) or None}


def _footprint(grid: Grid, outline: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Convex hull, on the map, of the outer corners of the outline's pixels, as lon, lat."""
    corners = {(row + dr, col + dc) for row, col in outline for dr in (-0.5, 0.5) for dc in (-0.5, 0.5)}
    hull = np.array(convex_hull(sorted(corners)))
    if not hull.size:
        return np.empty((0, 2))
    ring = np.concatenate([hull, hull[:1]])
    lon, lat = grid.lonlat(ring[:, 0], ring[:, 1])
    lon = np.unwrap(lon, period=360.0)
    turned = np.sum(lon[:-1] * lat[1:] - lon[1:] * lat[:-1]) < 0
    points = np.stack([lon, lat], axis=1)
    return points[::-1].copy() if turned else points


def convex_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners of the convex hull of sorted points, in order. Source: Andrew 1979, monotone chain."""

    def chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
        kept: list[tuple[float, float]] = []
        for point in ordered:
            while len(kept) > 1 and (
                (kept[-1][0] - kept[-2][0]) * (point[1] - kept[-2][1])
                <= (kept[-1][1] - kept[-2][1]) * (point[0] - kept[-2][0])
            ):
                kept.pop()
            kept.append(point)
        return kept

    if len(points) < 3:
        return list(points)
    return chain(points)[:-1] + chain(points[::-1])[:-1]
