"""Tiles of the Copernicus DEM, fetched to a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from orthoburst.client import Client
from orthoburst.commands.output import OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.dem import fetch_dem
from orthoburst.errors import UsageError


def add_to(commands: Subcommands) -> None:
    dem = commands.add("dem", _dem, "fetch the tiles of the Copernicus DEM that an area needs, to upload below aux/")
    dem.add_argument("area", help="a Sentinel-2 tile, left,bottom,right,top in degrees, or GeoJSON")
    dem.add_argument("into", type=Path, metavar="FOLDER")
    dem.add_argument("--glo90", action="store_true", help="the coarser model, of 90 m")
    dem.add_argument("--source", metavar="URL", help="where tiles lie as in the public buckets")


def _dem(_: Client, arguments: argparse.Namespace) -> int:
    try:
        tiles = fetch_dem(
            arguments.area, arguments.into, spacing="30" if arguments.glo90 else "10", source=arguments.source
        )
    except ValueError as error:
        raise UsageError(f"dem: {error}") from error
    said = {"paths": [str(path) for path in tiles.paths], "fetched": tiles.fetched, "sea": tiles.sea}
    show(arguments, said, f"{len(tiles.paths)} tiles in {arguments.into}, {tiles.fetched} fetched; {tiles.sea} are sea")
    return OK
