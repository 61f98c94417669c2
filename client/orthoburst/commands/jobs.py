"""Jobs and batches: seen, waited for, fetched, cancelled, tried again, kept."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orthoburst.batch import Batch
from orthoburst.client import Client
from orthoburst.commands.batches import watch
from orthoburst.commands.output import FAILED, OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.commands.wishes import moment
from orthoburst.errors import JobFailedError, RefusedError, UsageError
from orthoburst.job import Job

STATES = ("accepted", "running", "successful", "failed", "dismissed")
NOT_FOUND = 404


def add_to(commands: Subcommands) -> None:
    jobs = commands.add("jobs", _jobs, "your jobs, newest first")
    jobs.add_argument("--status", action="append", choices=STATES, help="only these (repeatable)")
    jobs.add_argument("--since", type=moment, metavar="TIME", help="created at or after, for example 2026-05-01T00:00Z")
    jobs.add_argument("--until", type=moment, metavar="TIME", help="created at or before")
    jobs.add_argument("--process", metavar="NAME")
    jobs.add_argument("--batch", metavar="ID", help="only those of a batch")
    jobs.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (default: 100)")
    for name, run, text in (
        ("watch", _watch, "wait until a job or a batch is over"),
        ("retry", _retry, "the same request again, as a new job, where one failed; of a batch, all that failed"),
    ):
        commands.add(name, run, text).add_argument("job", metavar="JOB|BATCH")
    for name, run, text in (
        ("results", _results, "links to a job's images"),
        ("explain", _explain, "where a job's tasks ran, and why"),
        ("pin", _pin, "keep a job's results past the day on which they would expire"),
        ("unpin", _unpin, "let a job's results expire as any others"),
    ):
        commands.add(name, run, text).add_argument("job")
    cancel = commands.add("cancel", _cancel, "stop a job or a batch, or all of yours")
    cancel.add_argument("job", nargs="?", metavar="JOB|BATCH")
    cancel.add_argument("--all", action="store_true", help="all your jobs that are not over yet")
    fetch = commands.add("fetch", _fetch, "download the images of a job or a batch")
    fetch.add_argument("job", metavar="JOB|BATCH")
    fetch.add_argument("folder")
    fetch.add_argument("--parallel", type=int, default=4, metavar="N", help="files at a time (default: 4)")


def _named(client: Client, name: str) -> Job | Batch:
    """A job, or a batch, by its id."""
    try:
        return client.job(name)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
    try:
        return client.batch(name)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        raise RefusedError(NOT_FOUND, {"title": "No such job", "detail": f"you have no job or batch {name}"}) from error


def _jobs(client: Client, arguments: argparse.Namespace) -> int:
    found = client.jobs(
        arguments.limit,
        status=arguments.status,
        since=arguments.since,
        until=arguments.until,
        process=arguments.process,
        batch=arguments.batch,
    )
    jobs = list(found)
    table = Table("job", "state", "progress", "created", "message")
    for job in jobs:
        table.add_row(
            job.id, job.state, f"{job.progress_percent:.0f} %", str(job.status.get("created", "")), job.message
        )
    show(arguments, [job.status for job in jobs], table)
    return OK


def _watch(client: Client, arguments: argparse.Namespace) -> int:
    named = _named(client, arguments.job)
    if isinstance(named, Batch):
        return watch(arguments, named)
    try:
        named.watch()
    except JobFailedError:
        show(arguments, named.status, f"{named.id} {named.state}: {named.message}")
        return FAILED
    show(arguments, named.status, f"{named.id} {named.state}")
    return OK


def _results(client: Client, arguments: argparse.Namespace) -> int:
    results = client.job(arguments.job).results()
    lines = "\n".join(
        f"{result.title}  {result.size_bytes / 1e6:.1f} MB\n  {result.image_url or 'on site: fetch copies it'}"
        for result in results
    )
    show(arguments, [asdict(result) for result in results], lines or "no image yet")
    return OK


def _explain(client: Client, arguments: argparse.Namespace) -> int:
    job = client.job(arguments.job)
    tasks, products = job.explain(), job.whereabouts()
    lines = [f"{one['asked']}: {one['how']}" + (f", {one['ref']}" if one["ref"] else "") for one in products]
    table = Table("task", "state", "pool", "why")
    for task in tasks:
        decision = task.get("decision") or {}
        why = task.get("waits") or decision.get("sentence") or ""
        table.add_row(task["task_id"], task["state"], task.get("pool") or "", why)
    show(arguments, tasks, Group(*map(Text, lines), table))
    return OK


def _retry(client: Client, arguments: argparse.Namespace) -> int:
    named = _named(client, arguments.job)
    if isinstance(named, Batch):
        n_failed = len(named.filter(state="failed"))
        named.retry_failed()
        show(arguments, named.document, f"{named.id}: {n_failed} jobs are tried again")
        return OK
    job = named.retry()
    show(arguments, job.status, f"{job.id} {job.state}")
    return OK


def _cancel(client: Client, arguments: argparse.Namespace) -> int:
    if arguments.all == bool(arguments.job):
        raise UsageError("cancel: name a job or a batch, or say --all")
    if arguments.all:
        dismissed = client.cancel_all()
        show(arguments, dismissed, "\n".join(dismissed) or "nothing was at work")
        return OK
    named = _named(client, arguments.job).cancel()
    if isinstance(named, Batch):
        states = ", ".join(f"{n} {state}" for state, n in named.states.items())
        show(arguments, named.document, f"{named.id}: {states}")
    else:
        show(arguments, named.status, f"{named.id} {named.state}")
    return OK


def _fetch(client: Client, arguments: argparse.Namespace) -> int:
    named = _named(client, arguments.job)
    paths = [str(path) for path in named.download(arguments.folder, parallel=arguments.parallel)]
    show(arguments, paths, "\n".join(paths) or "no image yet")
    return OK


def _pin(client: Client, arguments: argparse.Namespace) -> int:
    job = client.job(arguments.job).pin()
    show(arguments, job.status, f"{job.id}: its results are kept until it is let go")
    return OK


def _unpin(client: Client, arguments: argparse.Namespace) -> int:
    job = client.job(arguments.job).unpin()
    expires = job.status.get("expires")
    show(arguments, job.status, f"{job.id}: its results expire {f'on {expires}' if expires else 'as any others'}")
    return OK
