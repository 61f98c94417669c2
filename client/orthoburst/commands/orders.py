"""Standing orders: seen, made, taken back, followed over what came before them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.table import Table

from orthoburst.client import Client
from orthoburst.commands.documents import object_in
from orthoburst.commands.output import OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.errors import UsageError


def add_to(commands: Subcommands) -> None:
    orders = commands.add("orders", _orders, "what is made of every product that comes; add, delete, backfill one")
    orders.add_argument("action", nargs="?", choices=("add", "delete", "backfill"))
    orders.add_argument("order", nargs="?", metavar="FILE|ID", help="a file of JSON to add, else the order's id")
    orders.add_argument("--since", metavar="TIME", help="backfill: products sensed since then")
    orders.add_argument("--until", metavar="TIME", help="backfill: products sensed until then")


def _orders(client: Client, arguments: argparse.Namespace) -> int:
    if (arguments.action is None) != (arguments.order is None):
        raise UsageError(f"orders {arguments.action}: name the file or the order")
    match arguments.action:
        case "add":
            kept = client.add_order(object_in(Path(arguments.order), "an order is an object, see docs/orders.md"))
            show(arguments, kept, kept["id"])
        case "delete":
            client.delete_order(arguments.order)
            show(arguments, arguments.order, f"{arguments.order} is taken back; what it has asked for goes on")
        case "backfill":
            given = arguments.since or arguments.until
            interval = (arguments.since, arguments.until) if given else None
            jobs = [job.status for job in client.back_fill(arguments.order, interval)]
            show(arguments, jobs, "\n".join(f"{job['jobID']} {job['status']}" for job in jobs) or "no product fits")
        case _:
            _list(client, arguments)
    return OK


def _list(client: Client, arguments: argparse.Namespace) -> None:
    orders = client.orders()
    table = Table("order", "for", "of", "what")
    for order in orders:
        said = {name: value for name, value in order.items() if name not in ("id", "user", "missions")}
        for mission, template in order.get("missions", {"": said}).items():
            table.add_row(order["id"], order.get("user", ""), mission, json.dumps(template))
    show(arguments, orders, table if orders else "nothing is made of uploads")
