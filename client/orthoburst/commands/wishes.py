"""Options that say how images should be, of ``submit`` and ``batch``."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any, get_args

from orthoburst.commands.places import area_of
from orthoburst.errors import UsageError
from orthocontracts.requests import Radiometry, Resampling, Scale


def add_wishes(command: argparse.ArgumentParser) -> None:
    """Everything that may be wished for besides products and ids."""
    place = command.add_argument_group("where")
    place.add_argument(
        "--tile", action="append", help="MGRS tile, for example 33TTG (repeatable; default: all touched)"
    )
    place.add_argument("--spacing", type=float, metavar="M", help="pixel size in metres")
    place.add_argument(
        "--area",
        metavar="FILE|WKT|BBOX",
        help="one image around an area: a GeoJSON file, a POLYGON or MULTIPOLYGON, or west,south,east,north in degrees",
    )
    place.add_argument(
        "--footprint",
        action="store_true",
        help="one image around the product instead of tiles (default for Sentinel-3 where neither is asked)",
    )
    how = command.add_argument_group("how")
    how.add_argument("--process", metavar="NAME", help="orthorectify (default) or radar-backscatter")
    how.add_argument("--bands", nargs="+", metavar="BAND", help="vv, b04, oa08, s8, …")
    how.add_argument(
        "--radiometry",
        metavar="NAME",
        help=f"{', '.join(get_args(Radiometry))}; gamma0_rtc is flattened, reflectance is of Sentinel-2, "
        "physical of Sentinel-3",
    )
    how.add_argument("--resampling", metavar="NAME", help=", ".join(get_args(Resampling)))
    how.add_argument(
        "--noise-removal",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="of thermal noise (default: where possible)",
    )
    how.add_argument("--scale", metavar="NAME", help=f"{' or '.join(get_args(Scale))}, db with beta0, sigma0 or gamma0")
    how.add_argument(
        "--extras",
        type=lambda text: [name for name in text.split(",") if name],
        metavar="NAME,…",
        help="further files: layover_shadow, local_incidence, scattering_area (radar), scene_classification, detector, "
        "quality (Sentinel-2 and 3), acquisition",
    )
    how.add_argument("--dem", metavar="aux/NAME", help="heights (default: the site's)")
    how.add_argument("--geoid", metavar="aux/NAME", help="what the DEM's heights stand on")
    how.add_argument("--height", type=float, metavar="M", help="one height above the ellipsoid instead of a DEM")
    how.add_argument("--gipp", metavar="aux/FOLDER", help="Sentinel-2 L1B: the instrument's parameters")
    how.add_argument("--iers", metavar="aux/NAME", help="Sentinel-2 L1B: an IERS Bulletin A")
    how.add_argument("--orbits", metavar="aux/FOLDER", help="Sentinel-1: orbit files, of which the best is taken")
    when = command.add_argument_group("when, and for whom")
    when.add_argument("--patience", type=float, metavar="S", help="seconds to wait for the HPC centre")
    when.add_argument("--deadline", type=moment, metavar="TIME", help="2026-05-01T12:00:00Z; go to the cloud in time")
    when.add_argument("--urgent", action="store_true", help="past the month's cloud budget, for users who may")
    when.add_argument("--share", action="append", metavar="GROUP", help="its members may see it (repeatable)")
    when.add_argument("--keep-days", type=float, metavar="DAYS", help="how long results are kept")
    when.add_argument("--notify", metavar="URL", help="to be called when it is over, however it ends")


def wishes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was typed, as `orthoburst.execution` takes it. What was not typed is left out.

    Raises
    ------
    UsageError
        Where options exclude each other, or an area cannot be read.
    """
    places = {"--tile": arguments.tile, "--area": arguments.area, "--footprint": arguments.footprint}
    named = [name for name, value in places.items() if value]
    if len(named) > 1:
        raise UsageError(f"{arguments.command}: give either {' or '.join(named)}")
    spacing = {} if arguments.spacing is None else {"spacing_m": arguments.spacing}
    found: dict[str, Any] = {
        "tiles": arguments.tile,
        "area": area_of(arguments.area) if arguments.area else None,
        "grid": {"kind": "footprint", **spacing} if arguments.footprint else None,
        **({} if arguments.footprint else spacing),
        "process": arguments.process,
        "bands": arguments.bands,
        "radiometry": arguments.radiometry,
        "resampling": arguments.resampling,
        "noise_removal": arguments.noise_removal,
        "scale": arguments.scale,
        "extras": arguments.extras,
        "terrain": _terrain(arguments),
        "gipp": arguments.gipp,
        "iers": arguments.iers,
        "orbits": arguments.orbits,
        "patience_s": arguments.patience,
        "deadline": arguments.deadline,
        "urgent": arguments.urgent or None,
        "shared_with": arguments.share,
        "keep_days": arguments.keep_days,
        "notify": arguments.notify,
    }
    return {name: value for name, value in found.items() if value is not None}


def _terrain(arguments: argparse.Namespace) -> dict[str, Any] | None:
    found = {"dem": arguments.dem, "geoid": arguments.geoid, "height_m": arguments.height}
    named = {name: value for name, value in found.items() if value is not None}
    if "height_m" in named and len(named) > 1:
        raise UsageError(f"{arguments.command}: give either --height, or --dem and --geoid")
    return named or None


def moment(text: str) -> datetime:
    """A moment with its zone, for an option."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: no time such as 2026-05-01T12:00:00Z") from None
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text}: say its zone, as in {text}Z")
    return found
