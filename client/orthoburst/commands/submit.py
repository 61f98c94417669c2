"""Asking for images of one pass, and what that would come to."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Table

from orthoburst.client import Client
from orthoburst.commands.output import FAILED, OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.commands.wishes import add_wishes, wishes_of
from orthoburst.errors import JobFailedError
from orthoburst.execution import execution

_PRODUCT = "products/NAME, an address on a server that the site reads from, or an official name, which is looked for"


def add_to(commands: Subcommands) -> None:
    submit = commands.add("submit", _submit, "ask for images of products")
    submit.add_argument("products", nargs="+", metavar="PRODUCT", help=_PRODUCT)
    submit.add_argument("--request-id", help="the same id is the same job, however often it is sent")
    submit.add_argument("--watch", action="store_true", help="wait until it is over")
    submit.add_argument("--dry-run", action="store_true", help="say what it would come to, and submit nothing")
    add_wishes(submit)
    estimate = commands.add("estimate", _estimate, "what images would come to, and where they would run now")
    estimate.add_argument("products", nargs="+", metavar="PRODUCT", help=_PRODUCT)
    add_wishes(estimate)


def _submit(client: Client, arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        return _estimate(client, arguments)
    job = client.submit(arguments.products, request_id=arguments.request_id, **wishes_of(arguments))
    if arguments.watch:
        try:
            job.watch()
        except JobFailedError:
            show(arguments, job.status, f"{job.id} {job.state}: {job.message}")
            return FAILED
    show(arguments, job.status, job.id)
    return OK


def _estimate(client: Client, arguments: argparse.Namespace) -> int:
    found = client.estimate([execution(arguments.products, **wishes_of(arguments))])
    return show_estimate(arguments, found, [""])


def show_estimate(arguments: argparse.Namespace, found: dict[str, Any], names: list[str]) -> int:
    """A row for each execution, under the name it has for people; 1 where one cannot be made."""
    table = Table("", "images", "there", "Mpx", "run s", "EUR", "pool", "why")
    for one in found["executions"]:
        name = names[one["index"]]
        if not one["valid"]:
            table.add_row(name, *[""] * 6, "; ".join(f"{fault['at']}: {fault['message']}" for fault in one["errors"]))
            continue
        figures = (f"{one['megapixels']:.1f}", f"{one['run_s']:.0f}", f"{one['eur']:.2f}")
        there = str(one["there"] + one["under_way"])
        table.add_row(name, str(one["images"]), there, *figures, one["pool"] or "waits", one["why"])
    total = found["total"]
    table.caption = (
        f"{total['valid']} of {total['executions']} can be made: {total['images']} images, "
        f"{total['megapixels']:.1f} Mpx, {total['run_s']:.0f} s, {total['eur']:.2f} EUR to be reserved"
    )
    show(arguments, found, table)
    return OK if total["valid"] == total["executions"] else FAILED
