"""Many requests out of a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table

from orthoburst.batch import Batch
from orthoburst.client import Client
from orthoburst.commands.output import FAILED, OK, show
from orthoburst.commands.submit import show_estimate
from orthoburst.commands.subparsers import Subcommands
from orthoburst.commands.tables import COLUMNS, Row, read_table
from orthoburst.commands.wishes import add_wishes, wishes_of
from orthoburst.errors import RefusedError, UsageError

MOST_ROWS = 1000


def add_to(commands: Subcommands) -> None:
    batch = commands.add(
        "batch",
        _batch,
        "submit all requests of a CSV or GeoJSON file, or none where one is not valid",
        epilog=f"columns, and properties of features: {', '.join(COLUMNS)}. "
        "A feature's polygon is its area, unless it names tiles.",
    )
    batch.add_argument("file", type=Path, help="a line or a feature for each request")
    batch.add_argument("--name", help="of the batch, for people")
    batch.add_argument("--id", help="the same id is the same batch, however often it is sent")
    batch.add_argument(
        "--product", action="append", metavar="products/NAME", help="for rows that name none (repeatable)"
    )
    batch.add_argument("--watch", action="store_true", help="wait until all are over")
    batch.add_argument("--dry-run", action="store_true", help="say what they would come to, and submit nothing")
    add_wishes(batch)
    listed = commands.add("batches", _batches, "your batches")
    listed.add_argument("--limit", type=int, default=20, metavar="N")


def _batch(client: Client, arguments: argparse.Namespace) -> int:
    shared = wishes_of(arguments)
    if arguments.product:
        shared["products"] = arguments.product
    rows = read_table(arguments.file, shared)
    if len(rows) > MOST_ROWS:
        raise UsageError(f"{arguments.file}: {len(rows)} requests; a batch has at most {MOST_ROWS}: split the file")
    if arguments.dry_run:
        return show_estimate(arguments, client.estimate([row.execution for row in rows]), [row.where for row in rows])
    try:
        batch = client.submit_batch([row.execution for row in rows], name=arguments.name, batch=arguments.id)
    except RefusedError as error:
        raise _with_places(error, rows) from error
    if arguments.watch:
        return watch(arguments, batch)
    show(arguments, batch.document, batch.id)
    return OK


def _with_places(error: RefusedError, rows: list[Row]) -> RefusedError | UsageError:
    """What the service said of an execution, said of its line."""
    faults = [one for one in error.problem.get("errors", ()) if isinstance(one.get("index"), int)]
    if not faults:
        return error
    lines = [f"{rows[one['index']].where}: {one['at'].removeprefix('inputs.')}: {one['message']}" for one in faults]
    return UsageError("\n".join(["nothing was submitted", *lines]))


def watch(arguments: argparse.Namespace, batch: Batch) -> int:
    """Wait for all of a batch; 1 where not every job succeeded."""
    batch.watch()
    summary = ", ".join(f"{n} {state}" for state, n in batch.states.items())
    failed = "".join(f"\n  {job.id} {job.title}: {job.message}" for job in batch.filter(state="failed"))
    show(arguments, batch.document, f"{batch.id}: {summary}{failed}")
    return OK if batch.states.keys() <= {"successful", "gone"} else FAILED


def _batches(client: Client, arguments: argparse.Namespace) -> int:
    batches = list(client.batches(arguments.limit))
    table = Table("batch", "name", "jobs", "states", "progress", "created")
    for one in batches:
        states = ", ".join(f"{n} {state}" for state, n in one.states.items())
        progress = f"{one.progress_percent:.0f} %"
        table.add_row(one.id, one.name, str(one.total), states, progress, str(one.document.get("created", "")))
    show(arguments, [one.document for one in batches], table)
    return OK
