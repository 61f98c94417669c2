"""``orthokernel``: orthorectify here and now, without a cloud.

Exit codes: 0 done; 2 what was asked for cannot be done with this input (one line on standard error says why);
1 anything else that stopped it, such as a full disk; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthokernel.grid import Grid
    from orthokernel.product import Product
    from orthokernel.result import OrthoResult
    from orthokernel.terrain import Terrain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    options = make_parser().parse_args(arguments)
    from orthokernel.errors import KernelError  # noqa: PLC0415 (`--help` loads nothing)

    try:
        return {"info": _info, "ortho": _ortho, "dem": _dem}[options.command](options)
    except KernelError as error:
        _say(f"orthokernel: {_one_line(error)}")
        return 2 if error.permanent else 1
    except MemoryError:
        _say("orthokernel: out of memory; ask for a coarser spacing or fewer bands")
        return 1
    except OSError as error:
        _say(f"orthokernel: {_one_line(error)}")
        return 1
    except KeyboardInterrupt:
        _say("orthokernel: interrupted")
        return 130


_ORBITS = "Sentinel-1: take the orbit from the best EOF file in here (or from this file), not from the annotation"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orthokernel",
        description="Satellite products into map-projected images: Sentinel-1, -2 and -3, and images with RPC.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = commands.add_parser(
        "info",
        help="say what a product is, and what can be made of it",
        description="Say what a product is, and what can be made of it.",
    )
    info.add_argument("product", type=Path, help=_PRODUCT)
    _add_auxiliary(info)
    info.add_argument("--json", action="store_true", help="as one JSON object")

    ortho = commands.add_parser(
        "ortho",
        help="orthorectify products onto a map grid",
        description="Orthorectify products of one pass onto a map grid: a COG, its mask, a browse image, a STAC Item.",
    )
    ortho.add_argument("products", type=Path, nargs="+", metavar="PRODUCT", help=_PRODUCT)
    ortho.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.tif", help="the image to write")
    grid = ortho.add_argument_group("grid (one of --tile, --bounds, --like)")
    which = grid.add_mutually_exclusive_group(required=True)
    which.add_argument("--tile", help="a Sentinel-2 tile, such as 33TTG")
    which.add_argument(
        "--bounds", type=float, nargs=4, metavar=("LEFT", "BOTTOM", "RIGHT", "TOP"), help="in the units of --crs"
    )
    which.add_argument("--like", type=Path, metavar="RASTER", help="the grid of another raster")
    grid.add_argument("--crs", help="coordinate system of --bounds, such as EPSG:32633")
    grid.add_argument("--spacing", type=float, help="pixel size in the units of the grid (tiles: 10)")
    ground = ortho.add_argument_group(
        "geometry (--dem with --geoid, or --height; neither for Sentinel-2 L1C and L2A, and Sentinel-3)"
    )
    ground.add_argument("--dem", type=Path, action="append", help="file, VRT or folder of tiles; may be repeated")
    ground.add_argument("--geoid", type=Path, help="geoid raster to add; leave out where the DEM is ellipsoidal")
    ground.add_argument("--height", type=float, metavar="METRES", help="one height above the ellipsoid everywhere")
    _add_auxiliary(ground)
    image = ortho.add_argument_group("image")
    image.add_argument("--bands", type=_names, metavar="vv,vh")
    image.add_argument(
        "--radiometry", choices=["sigma0", "beta0", "gamma0", "gamma0_rtc", "reflectance", "physical", "dn"]
    )
    image.add_argument("--resampling", choices=["nearest", "bilinear", "cubic", "average"])
    image.add_argument(
        "--noise-removal",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="subtract Sentinel-1's thermal noise from calibrated values (default: where the product has the vectors)",
    )
    image.add_argument(
        "--extras",
        type=_names,
        default=[],
        metavar="NAME,…",
        help="rasters beside the image: acquisition; of Sentinel-1 layover_shadow, local_incidence, scattering_area; "
        "of others scene_classification, detector, quality (`orthokernel info` says which)",
    )
    image.add_argument("--scale", choices=["linear", "db"], default="linear", help="of calibrated power")
    image.add_argument("--facility", metavar="TEXT", help="where this runs, for the STAC Item of gamma0_rtc")
    image.add_argument("--threads", type=int, help="default: all cores this process may use")
    ortho.add_argument("--json", action="store_true", help="a JSON object on what was made, on standard output")

    dem = commands.add_parser(
        "dem",
        help="fetch the tiles of the Copernicus DEM that an area needs",
        description="Fetch the tiles of the Copernicus DEM that an area, with half a degree around it, needs.",
    )
    dem.add_argument("area", help="a Sentinel-2 tile (33TTG), LEFT,BOTTOM,RIGHT,TOP in degrees, or a GeoJSON file")
    dem.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="where the tiles go")
    dem.add_argument("--glo90", action="store_true", help="90 m instead of 30 m")
    dem.add_argument("--source", metavar="URL", help="https address of other tiles than those of the public buckets")
    return parser


_PRODUCT = "folder (SAFE, SEN3), zip of one, or image with RPC"


def _add_auxiliary(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--orbits", type=Path, metavar="FOLDER", help=_ORBITS)
    parser.add_argument("--gipp", type=Path, metavar="FOLDER", help="Sentinel-2 L1B: the instrument's parameters")
    parser.add_argument("--iers", type=Path, metavar="FILE", help="Sentinel-2 L1B: an IERS Bulletin A")


def _names(text: str) -> list[str]:
    return [name.lower() for name in text.split(",") if name]


def _info(options: argparse.Namespace) -> int:
    from orthokernel.product import open_product  # noqa: PLC0415

    with open_product(options.product, options.orbits, options.gipp, options.iers) as product:
        facts = _facts(product)
    if options.json:
        _write(json.dumps(facts))
    else:
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            _write(f"{name:{width}}  {_text(value)}")
    return 0


def _text(value: Any) -> str:
    if isinstance(value, dict):
        nested = any(isinstance(part, (list, dict)) for part in value.values())
        if nested:
            return "; ".join(f"{name} {_text(part)}" for name, part in value.items())
        return " ".join(_text(part) for part in value.values() if part is not None)
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _facts(product: Product) -> dict[str, Any]:
    from orthocontracts.tiles import tiles_intersecting  # noqa: PLC0415

    ring = _continuous(product.footprint)
    makes: dict[str, list[str]] = {}
    for band in product.bands + product.extra_bands:
        for radiometry in product.radiometries(band):
            makes.setdefault(radiometry, []).append(band)
    return {
        "id": product.id,
        "bands": list(product.bands),
        "extra_bands": list(product.extra_bands),
        "bounds_lonlat": [round(float(v), 6) for v in (*ring.min(axis=0), *ring.max(axis=0))],
        "tiles": tiles_intersecting([(float(lon), float(lat)) for lon, lat in product.footprint]),
        "needs_terrain": product.needs_terrain,
        "makes": makes,
        "extras": list(product.extras),
        **product.properties(),
    }


def _continuous(ring: Any) -> Any:
    """A ring across the antimeridian with longitudes that run on beyond 180."""
    import numpy as np  # noqa: PLC0415

    return np.column_stack([np.unwrap(ring[:, 0], period=360.0), ring[:, 1]])


def _ortho(options: argparse.Namespace) -> int:
    from contextlib import ExitStack  # noqa: PLC0415

    from orthokernel.ortho import orthorectify  # noqa: PLC0415
    from orthokernel.product import open_product  # noqa: PLC0415

    grid, terrain = _grid(options), _terrain(options)
    with ExitStack() as stack:
        auxiliary = options.orbits, options.gipp, options.iers
        products = [stack.enter_context(open_product(path, *auxiliary)) for path in options.products]
        with _Bar() as bar:
            result = orthorectify(
                products,
                grid,
                terrain,
                bands=options.bands,
                radiometry=options.radiometry,
                resampling=options.resampling,
                out=options.out,
                progress=bar.show,
                threads=options.threads,
                noise_removal=options.noise_removal,
                extras=options.extras,
                facility=options.facility,
                scale=options.scale,
            )
    if options.json:
        _write(json.dumps(_summary(result)))
    return 0


def _dem(options: argparse.Namespace) -> int:
    from orthocontracts.demtiles import AREA_MARGIN_DEG, cells_under, points_of  # noqa: PLC0415
    from orthokernel.demfetch import fetch_tiles  # noqa: PLC0415
    from orthokernel.errors import OptionError  # noqa: PLC0415

    file = Path(options.area)
    try:
        points = points_of(file.read_text() if file.is_file() else options.area)
    except ValueError as error:
        raise OptionError(f"area {options.area}: {error}") from error
    with _Bar() as bar:
        found = fetch_tiles(
            cells_under(points, AREA_MARGIN_DEG),
            options.out,
            spacing="30" if options.glo90 else "10",
            source=options.source,
            progress=lambda part: bar.show(part, "fetch"),
        )
    _say(f"{options.out}: {found.came} tiles came, {found.there} were there, {found.sea} are sea")
    return 0


def _summary(result: OrthoResult) -> dict[str, Any]:
    from orthokernel.cog import output_names  # noqa: PLC0415

    assert result.path is not None
    return {
        **{key: str(path) for key, path in output_names(result.path, result.properties["extras"]).items()},
        "bands": list(result.bands),
        "radiometry": result.radiometry,
        "resampling": result.resampling,
        "scale": result.scale,
        "valid_fraction": round(result.valid_fraction, 6),
        "dem_coverage": round(result.dem_coverage, 6),
        "lattice_error_px": round(result.lattice_error_px, 6),
    }


def _grid(options: argparse.Namespace) -> Grid:
    from orthokernel.errors import OptionError  # noqa: PLC0415
    from orthokernel.grid import Grid  # noqa: PLC0415

    if options.bounds is not None:
        if options.crs is None or options.spacing is None:
            raise OptionError("--bounds without --crs and --spacing: expected all three")
        return Grid.from_bounds(options.crs, tuple(options.bounds), options.spacing)
    if options.crs is not None:
        raise OptionError("--crs belongs to --bounds; tiles and --like bring their own")
    if options.tile is not None:
        return Grid.mgrs(options.tile.upper(), 10.0 if options.spacing is None else options.spacing)
    if options.spacing is not None:
        raise OptionError("--spacing with --like: expected the spacing of that raster, leave it out")
    return Grid.like(options.like)


def _terrain(options: argparse.Namespace) -> Terrain | None:
    from orthokernel.errors import OptionError  # noqa: PLC0415
    from orthokernel.terrain import Terrain  # noqa: PLC0415

    if options.dem is not None and options.height is not None:
        raise OptionError("expected --dem (with --geoid), or --height, and not both")
    if options.dem is None and options.height is None:
        if options.geoid is not None:
            raise OptionError("--geoid without --dem: expected the DEM that it belongs to")
        return None
    if options.dem is None:
        if options.geoid is not None:
            raise OptionError("--geoid with --height: that height is above the ellipsoid, leave the geoid out")
        return Terrain.constant(options.height)
    return Terrain(options.dem, options.geoid)


class _Bar:
    """Progress on standard error: a line that moves on a terminal, a line every tenth elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = -1

    def show(self, part: float, doing: str) -> None:
        """See `orthokernel.progress.Progress`."""
        step = int(part * (100 if self._terminal else 10))
        if step == self._shown:
            return
        self._shown = step
        if self._terminal:
            sys.stderr.write(f"\r{100 * part:3.0f} % {doing:16}")
        else:
            sys.stderr.write(f"{100 * part:3.0f} % {doing}\n")
        sys.stderr.flush()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._terminal and self._shown >= 0:
            sys.stderr.write("\n")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
