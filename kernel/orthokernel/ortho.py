"""`orthorectify`: products and terrain in, orthoimage out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from orthokernel.blocks import Walk
from orthokernel.errors import OptionError
from orthokernel.grid import Grid
from orthokernel.options import resolve_options
from orthokernel.product import Product, SlantToGround
from orthokernel.progress import Progress, no_progress, part_of
from orthokernel.radiometry import Radiometry
from orthokernel.resampling import Resampling
from orthokernel.result import ArraySink, OrthoResult, make_result
from orthokernel.run import run
from orthokernel.scale import Scale
from orthokernel.terrain import Terrain

_LOOP_SHARE = 0.9  # of the progress bar, where a file is written afterwards


def orthorectify(
    products: Product | Sequence[Product],
    grid: Grid,
    terrain: Terrain | None = None,
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
    scale: Scale = "linear",
    facility: str | None = None,
) -> OrthoResult:
    """Map-project products.

    Parameters
    ----------
    products : Product or sequence of Product
        Slices of one pass are joined by cut lines, see `orthokernel.cutlines`. Of others that cover a pixel, the
        first with data there gives it.
    grid : Grid
        The output's pixels.
    terrain : Terrain, optional
        The ground under them. Products whose pixels lie on the map already, or have their place on the ground
        written beside them, need none and use none.
    bands : sequence of str, optional
        Default: the default bands of the first product.
    radiometry : {"sigma0", "beta0", "gamma0", "gamma0_rtc", "reflectance", "physical", "dn"}, optional
        Calibrated power; reflectance; the quantity that the pixels stand for, in its unit; pixels as they are.
        Default: the first of the first band's `Product.radiometries`. "gamma0_rtc" is
        terrain-flattened gamma0 (Small 2011): each sample of beta0 over the ground area that it sees, projected
        across the line of sight; what lies in shadow or layover is no data, and the mask says which.
    resampling : {"nearest", "bilinear", "cubic", "average"}, optional
        Default, band by band: average where a pixel spans clearly more than 1.5 of its samples, else bilinear.
        Classes are always those of the nearest sample.
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
        Rasters beside the image: "acquisition" numbers, from 1, the product that each pixel comes from; of Sentinel-1
        also "layover_shadow", "local_incidence" (degrees) and "scattering_area" (projected over flat area), of others
        those in `Product.extras`. "gamma0_rtc" always has the first three.
    scale : {"linear", "db"}
        Calibrated power as it is, or in decibels, those below -50 dB (and zero) as -50. Overviews are means of power.
    facility : str, optional
        Where this runs ("Place, Country"): named in the Item of terrain-flattened gamma0, which CEOS-ARD asks for.

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

    several = [products] if not isinstance(products, Sequence) else list(products)
    if not several:
        raise OptionError("no product: expected at least one")
    terrain = _ground(several, terrain)
    terrain.require_overlap(grid)
    options, span_px = resolve_options(
        several, grid, terrain, bands, radiometry, resampling, threads, geometry, slant_to_ground, noise_removal,
        extras, scale, facility, numbers=out is not None,
    )  # fmt: skip
    walk = Walk.over(span_px, grid.n_cols)
    report = progress or no_progress
    if out is None:
        arrays = ArraySink(grid, options)
        tally = run(several, grid, terrain, options, walk, arrays, report)
        return make_result(several, grid, terrain, options, tally, arrays=arrays)
    with CogSink(Path(out), grid, several, options) as sink:
        tally = run(several, grid, terrain, options, walk, sink, part_of(report, 0.0, _LOOP_SHARE))
        result = make_result(several, grid, terrain, options, tally, path=Path(out))
        sink.finish(result, part_of(report, _LOOP_SHARE, 1.0))
    return result


def _ground(products: Sequence[Product], terrain: Terrain | None) -> Terrain:
    """The terrain of products that need one; for all others none, so that it cannot decide anything."""
    needing = [product for product in products if product.needs_terrain]
    if not needing:
        return Terrain.none()
    if terrain is None:
        where = needing[0].path
        raise OptionError(f"{where}: no terrain; expected a DEM (--dem, with --geoid), or one height (--height)")
    return terrain
