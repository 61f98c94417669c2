"""The archive of products: what lies where, how many, what waits to expire, what is kept."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Column, Table

from orthoburst.client import Client
from orthoburst.commands.output import OK, show
from orthoburst.commands.places import bbox_of
from orthoburst.commands.subparsers import Subcommands
from orthoburst.errors import UsageError

KINDS = ("state", "where", "mission", "product_type", "month")
DEFAULT_LIMIT = 20
_A_TB = 10**12
_WAITS = {
    "needed": "a job needs it",
    "kept": "an operator keeps it",
    "unasked": "no image was ever asked of it",
    "idle": "its last job was over too short a time ago",
    "next": "the next look",
}


def add_to(commands: Subcommands) -> None:
    archive = commands.add(
        "archive", _archive, "products: how many lie where; list them, keep and release one, check the inventory"
    )
    archive.add_argument("action", nargs="?", choices=("list", "keep", "release", "check"))
    archive.add_argument("ref", nargs="?", metavar="REF", help="keep, release: products/NAME")
    archive.add_argument("--by", metavar="NAMES", help=f"counted by, with commas between: {','.join(KINDS)}")
    archive.add_argument("--state", choices=("here", "elsewhere", "gone"), help="list: default what can be had")
    archive.add_argument("--where", metavar="PLACE", help="list: blobs, a store, s3://BUCKET, https://HOST")
    archive.add_argument("--waiting", action="store_true", help="list: what is so old that it may expire")
    archive.add_argument("--mission", metavar="NAME", help="list: sentinel-1, sentinel-2, sentinel-3 or rpc")
    archive.add_argument("--type", metavar="NAME", help="list: GRD, L1C, OL_1_EFR, …")
    archive.add_argument("--bbox", type=bbox_of, metavar="W,S,E,N", help="list: that touch a box of degrees")
    archive.add_argument("--time", metavar="TIME|FROM/TO", help="list: 2026-05-01T00:00:00Z/.. for all since then")
    archive.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="N", help="list: default 20")


def _archive(client: Client, arguments: argparse.Namespace) -> int:
    if (arguments.action in ("keep", "release")) != (arguments.ref is not None):
        raise UsageError(f"archive {arguments.action or ''}: name the product for keep and release, and only for them")
    match arguments.action:
        case "list":
            _list(client, arguments)
        case "keep":
            show(arguments, client.keep_product(arguments.ref), f"{arguments.ref} is kept until it is released")
        case "release":
            show(arguments, client.release_product(arguments.ref), f"{arguments.ref} goes by the site's rules again")
        case "check":
            _check(client, arguments)
        case _:
            _summary(client, arguments)
    return OK


def _summary(client: Client, arguments: argparse.Namespace) -> None:
    by = arguments.by.split(",") if arguments.by else ["state", "where", "mission", "product_type"]
    unknown = [name for name in by if name not in KINDS]
    if unknown:
        raise UsageError(f"--by {unknown[0]}: there are {', '.join(KINDS)}")
    found = client.product_summary(by)
    largest = max((one["bytes"] for one in found["counts"]), default=0)
    unit, unit_bytes = ("TB", 1e12) if largest >= _A_TB else ("GB", 1e9)
    table = Table(*(name.replace("_", " ") for name in by), "products", unit)
    for one in found["counts"]:
        table.add_row(*(one[name] for name in by), str(one["products"]), f"{one['bytes'] / unit_bytes:.3f}")
    table.caption = found.get("rules_error") or _rules(found["rules"])
    show(arguments, found, table)


def _rules(rules: list[dict[str, Any]]) -> str:
    if not any("days" in rule for rule in rules):
        return "all products are kept: settings/archive.yaml has no rule by which one expires"
    return "; ".join(map(_rule, rules))


def _rule(rule: dict[str, Any]) -> str:
    of = " ".join([rule["prefix"], *rule["missions"], *rule["product_types"]])
    return f"{of}: {rule['days']:g} days" if "days" in rule else f"{of}: kept"


def _list(client: Client, arguments: argparse.Namespace) -> None:
    features = list(
        client.products(
            bbox=arguments.bbox,
            datetime=arguments.time,
            mission=arguments.mission,
            product_type=arguments.type,
            state=arguments.state,
            where=arguments.where,
            waiting=arguments.waiting,
            limit=arguments.limit,
        )
    )
    # whoever wants to keep one needs the whole of its name
    name = Column("product", overflow="fold")
    table = Table(name, "type", "start", "GB", "where", "expires, went, or waits for")
    for feature in features:
        product = feature["properties"]
        waits = _WAITS.get(product.get("waits_for", ""))
        when = product.get("gone") or product.get("expires") or ""
        size = f"{product['size_bytes'] / 1e9:.2f}"
        where = "gone" if product["state"] == "gone" else product["where"]
        table.add_row(product["ref"], product["product_type"], product["start"], size, where, waits or when)
    show(arguments, features, table if features else "no such product")


def _check(client: Client, arguments: argparse.Namespace) -> None:
    whole: dict[str, Any] = {}
    for part in client.check_products():
        for name, value in part.items():
            whole[name] = whole[name] + value if name in whole else value
    lines = [f"{whole['n_rows']} listed and {whole['n_products']} stored products were looked at"]
    lines += [f"was not there, is listed no more: {ref}" for ref in whole["gone"]]
    lines += [f"was not listed, now is: {ref}" for ref in whole["listed"]]
    lines += [f"had gone, and is deleted now: {ref}" for ref in whole["deleted"]]
    lines += [f"cannot be read: {one['why']}" for one in whole["unreadable"]]
    lines += [f"lacks its manifest: {ref}" for ref in whole["incomplete"]]
    if whole["counted"]:
        lines.append(f"{whole['counted']} had not been counted")
    show(arguments, whole, "\n".join(lines))
