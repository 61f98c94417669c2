"""What is there: images in the catalogue, products in the store."""

from __future__ import annotations

import argparse

from rich.table import Table

from orthoburst.client import Client
from orthoburst.commands.output import OK, show
from orthoburst.commands.places import area_of, bbox_of
from orthoburst.commands.subparsers import Subcommands

DEFAULT_LIMIT = 20


def add_to(commands: Subcommands) -> None:
    search = commands.add("search", _search, "images in the catalogue, whoever asked for them")
    search.add_argument("--area", metavar="FILE|WKT|BBOX", help="that touch an area")
    search.add_argument("--collection", action="append", metavar="NAME", help="repeatable")
    search.add_argument("--filter", metavar="CQL2", help="for example \"platform = 'sentinel-1a'\"")
    search.add_argument("--fetch", metavar="FOLDER", help="download them")
    products = commands.add("products", _products, "products in the store that images can be made of")
    products.add_argument("--bbox", type=bbox_of, metavar="W,S,E,N", help="that touch a box of degrees")
    products.add_argument("--mission", metavar="NAME", help="sentinel-1, sentinel-2, sentinel-3 or rpc")
    for command in (search, products):
        command.add_argument("--time", metavar="TIME|FROM/TO", help="2026-05-01T00:00:00Z/.. for all since then")
        command.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="N", help="default: 20")


def _search(client: Client, arguments: argparse.Namespace) -> int:
    found = client.search(
        intersects=area_of(arguments.area) if arguments.area else None,
        datetime=arguments.time,
        collections=arguments.collection,
        filter=arguments.filter,
        limit=arguments.limit,
    )
    items = list(found)
    if arguments.fetch:
        paths = [str(path) for item in items for path in item.download(arguments.fetch)]
        show(arguments, paths, "\n".join(paths) or "no such image")
        return OK
    table = Table("image", "collection", "time", "title")
    for item in items:
        values = (item.properties.get(name) for name in ("datetime", "title"))
        table.add_row(item.id, item.collection, *(str(value or "") for value in values))
    show(arguments, [item.document for item in items], table)
    return OK


def _products(client: Client, arguments: argparse.Namespace) -> int:
    found = client.products(
        bbox=arguments.bbox, datetime=arguments.time, mission=arguments.mission, limit=arguments.limit
    )
    features = list(found)
    table = Table("product", "type", "start", "GB")
    for feature in features:
        product = feature["properties"]
        table.add_row(product["ref"], product["product_type"], product["start"], f"{product['size_bytes'] / 1e9:.2f}")
    show(arguments, features, table)
    return OK
