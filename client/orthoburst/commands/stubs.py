"""Products that stay in the site's archive."""

from __future__ import annotations

import argparse
from pathlib import Path

from orthoburst.client import Client
from orthoburst.commands.output import OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.stub import make_stub


def add_to(commands: Subcommands) -> None:
    stub = commands.add("stub", _stub, "of a product that stays in the site's archive: the part to upload")
    stub.add_argument("product", type=Path, help="its folder or zip, below the root")
    stub.add_argument("into", type=Path, help="folder to make it in")
    stub.add_argument("--store", required=True, help="name of the archive in pools.yaml")
    stub.add_argument("--root", type=Path, required=True, help="the archive's folder as it is mounted here")


def _stub(_: Client, arguments: argparse.Namespace) -> int:
    made = make_stub(arguments.product, arguments.into, store=arguments.store, root=arguments.root)
    show(arguments, str(made), f"{made}: upload it like any product, its manifest last")
    return OK
