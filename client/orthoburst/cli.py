"""The ``orthoburst`` command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from orthoburst.client import Client
from orthoburst.errors import OrthoburstError
from orthoburst.job import Job
from orthoburst.stub import make_stub

EXIT_FAILED = 1
EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 when the service or a job failed, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    out, messages = Console(), Console(stderr=True)
    run: Callable[[Client, argparse.Namespace, Console], int] = arguments.run
    try:
        with Client(arguments.url) as client:
            return run(client, arguments, out)
    except (OrthoburstError, TimeoutError) as error:
        messages.print(f"orthoburst: {error}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_FAILED
    except KeyboardInterrupt:
        messages.print("orthoburst: interrupted; jobs go on", markup=False)
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orthoburst", description="Ask for orthoimages, watch them come, fetch them.")
    parser.add_argument("--url", help="the service (default: ORTHOBURST_URL, else this machine)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print JSON")
        return command

    submit = add("submit", _submit, "ask for images of products in the service's store")
    submit.add_argument("products", nargs="+", metavar="products/NAME")
    submit.add_argument(
        "--tile", action="append", help="MGRS tile, for example 33TTG (repeatable; default: all touched)"
    )
    submit.add_argument("--spacing", type=float, metavar="M", help="pixel size in metres")
    submit.add_argument(
        "--footprint",
        action="store_true",
        help="one image around the product instead of tiles (default for Sentinel-3 where neither is asked)",
    )
    submit.add_argument("--bands", nargs="+", metavar="BAND", help="vv, b04, oa08, s8, …")
    submit.add_argument(
        "--radiometry",
        metavar="NAME",
        help="dn; radar: beta0, sigma0, gamma0, or gamma0_rtc (flattened); Sentinel-2: reflectance; "
        "Sentinel-3: physical",
    )
    submit.add_argument("--resampling", metavar="NAME", help="nearest, bilinear, cubic or average")
    submit.add_argument(
        "--noise-removal", action=argparse.BooleanOptionalAction, help="of thermal noise (default: where possible)"
    )
    submit.add_argument("--scale", metavar="NAME", help="linear, or db with beta0, sigma0 or gamma0")
    submit.add_argument(
        "--extras",
        type=lambda text: [name for name in text.split(",") if name],
        metavar="NAME,…",
        help="further files: layover_shadow, local_incidence, scattering_area (radar), scene_classification, detector, "
        "quality (Sentinel-2 and 3), acquisition",
    )
    submit.add_argument("--gipp", metavar="aux/FOLDER", help="Sentinel-2 L1B: the instrument's parameters")
    submit.add_argument("--iers", metavar="aux/NAME", help="Sentinel-2 L1B: an IERS Bulletin A")
    submit.add_argument("--patience", type=float, metavar="S", help="seconds to wait for the HPC centre")
    submit.add_argument(
        "--deadline", type=_moment, metavar="TIME", help="2026-05-01T12:00:00Z; go to the cloud in time"
    )
    submit.add_argument("--urgent", action="store_true", help="past the month's cloud budget, for users who may")
    submit.add_argument("--request-id", help="the same id is the same job, however often it is sent")
    submit.add_argument("--watch", action="store_true", help="wait until it is over")
    add("jobs", _jobs, "your jobs")
    for name, run, text in (
        ("watch", _watch, "wait until a job is over"),
        ("results", _results, "links to a job's images"),
        ("explain", _explain, "where a job's tasks ran, and why"),
        ("retry", _retry, "the same request again, as a new job, where one failed"),
    ):
        add(name, run, text).add_argument("job")
    cancel = add("cancel", _cancel, "stop a job, or all of yours")
    cancel.add_argument("job", nargs="?")
    cancel.add_argument("--all", action="store_true", help="all your jobs that are not over yet")
    add("failed", _failed, "tasks that have been given up, and why")
    fetch = add("fetch", _fetch, "download a job's images")
    fetch.add_argument("job")
    fetch.add_argument("folder")
    stub = add("stub", _stub, "of a product that stays in the site's archive: the part to upload")
    stub.add_argument("product", type=Path, help="its folder, below the root")
    stub.add_argument("into", type=Path, help="folder to make it in")
    stub.add_argument("--store", required=True, help="name of the archive in pools.yaml")
    stub.add_argument("--root", type=Path, required=True, help="the archive's folder as it is mounted here")
    pools = add("pools", _pools, "the pools, their workers, how fast and how dear they are; pause and resume them")
    pools.add_argument("action", nargs="?", choices=("pause", "resume"))
    pools.add_argument("pool", nargs="?")
    costs = add("costs", _costs, "what a month has cost, by user")
    costs.add_argument("month", nargs="?", metavar="YYYY-MM", help="default: this one")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text}: say its zone, as in {text}Z")
    return moment


def _submit(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    if arguments.footprint and arguments.tile:
        raise OrthoburstError("submit: give either --tile or --footprint")
    job = client.submit(
        arguments.products,
        tiles=arguments.tile,
        spacing_m=None if arguments.footprint else arguments.spacing,
        grid=_footprint(arguments.spacing) if arguments.footprint else None,
        bands=arguments.bands,
        radiometry=arguments.radiometry,
        resampling=arguments.resampling,
        noise_removal=arguments.noise_removal,
        scale=arguments.scale,
        extras=arguments.extras,
        gipp=arguments.gipp,
        iers=arguments.iers,
        patience_s=arguments.patience,
        deadline=arguments.deadline,
        urgent=arguments.urgent,
        request_id=arguments.request_id,
    )
    if arguments.watch:
        _show_progress(job)
    _print(out, arguments, job.status, job.id)
    return 0


def _footprint(spacing_m: float | None) -> dict[str, Any]:
    return {"kind": "footprint"} | ({} if spacing_m is None else {"spacing_m": spacing_m})


def _watch(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    job = client.job(arguments.job)
    _show_progress(job)
    _print(out, arguments, job.status, f"{job.id} {job.state}")
    return 0


def _show_progress(job: Job) -> None:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as bars:
        bar = bars.add_task(job.id, total=100)
        job.watch(lambda seen: bars.update(bar, completed=seen.progress_percent, description=f"{seen.id} {seen.state}"))
        bars.update(bar, completed=100)


def _jobs(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    jobs = client.jobs()
    table = Table("job", "state", "progress", "created", "message")
    for job in jobs:
        table.add_row(
            job.id, job.state, f"{job.progress_percent:.0f} %", str(job.status.get("created", "")), job.message
        )
    _print(out, arguments, [job.status for job in jobs], table)
    return 0


def _results(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    results = client.job(arguments.job).results()
    lines = "\n".join(
        f"{result.title}  {result.size_bytes / 1e6:.1f} MB\n  {result.image_url or 'on site: fetch copies it'}"
        for result in results
    )
    _print(out, arguments, [asdict(result) for result in results], lines or "no image yet")
    return 0


def _explain(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    tasks = client.job(arguments.job).explain()
    table = Table("task", "state", "pool", "why")
    for task in tasks:
        decision = task.get("decision") or {}
        why = task.get("waits") or decision.get("sentence") or ""
        table.add_row(task["task_id"], task["state"], task.get("pool") or "", why)
    _print(out, arguments, tasks, table)
    return 0


def _retry(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    job = client.job(arguments.job).retry()
    _print(out, arguments, job.status, f"{job.id} {job.state}")
    return 0


def _failed(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    tasks = client.failed()
    table = Table("task", "user", "pool", "ended", "why")
    for task in tasks:
        why = f"{task['fault']['kind']}: {task['fault']['message']}"
        table.add_row(task["task_id"], task["user"], task["pool"] or "", task["ended"] or "", why)
    _print(out, arguments, tasks, table if tasks else "nothing has been given up")
    return 0


def _cancel(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    if arguments.all == bool(arguments.job):
        raise OrthoburstError("cancel: name a job, or say --all")
    if arguments.all:
        dismissed = client.cancel_all()
        _print(out, arguments, dismissed, "\n".join(dismissed) or "nothing was at work")
        return 0
    job = client.job(arguments.job).cancel()
    _print(out, arguments, job.status, f"{job.id} {job.state}")
    return 0


def _fetch(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    paths = [str(path) for path in client.job(arguments.job).download(arguments.folder)]
    _print(out, arguments, paths, "\n".join(paths) or "no image yet")
    return 0


def _stub(_: Client, arguments: argparse.Namespace, out: Console) -> int:
    made = make_stub(arguments.product, arguments.into, store=arguments.store, root=arguments.root)
    _print(out, arguments, str(made), f"{made}: upload it like any product, its manifest last")
    return 0


def _pools(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    if arguments.action and not arguments.pool:
        raise OrthoburstError(f"pools {arguments.action}: name the pool")
    if arguments.action == "pause":
        client.pause_pool(arguments.pool)
    elif arguments.action == "resume":
        client.resume_pool(arguments.pool)
    pools = client.pools()
    table = Table("pool", "kind", "agents", "slots", "running", "queued", "work", "Mpx/s", "EUR per tile")
    for pool in pools:
        kind = f"{pool['kind']}, paused" if pool.get("paused") else pool["kind"]
        figures = [pool["pool"], kind, *(str(pool.get(name, "")) for name in ("agents", "slots", "running", "queued"))]
        times = pool.get("run_times") or []
        table.add_row(
            *figures,
            "\n".join(one["process"] for one in times),
            "\n".join(f"{one['mpx_per_s']:.3g}" for one in times),
            "\n".join(f"{one['eur_per_tile']:.4f}" for one in times),
        )
    _print(out, arguments, pools, table)
    return 0


def _costs(client: Client, arguments: argparse.Namespace, out: Console) -> int:
    costs = client.costs(arguments.month)
    table = Table("user", "EUR spent", "EUR reserved", "cloud slot-hours", "on-prem slot-hours", title=costs["month"])
    for one in (*costs["users"], {"user": "all", **costs}):
        hours = (f"{one[name] / 3600:.2f}" for name in ("cloud_slot_s", "on_prem_slot_s"))
        table.add_row(one["user"], f"{one['spent_eur']:.2f}", f"{one['reserved_eur']:.2f}", *hours)
    budget = "none" if costs["budget_eur"] is None else f"{costs['budget_eur']:.2f} EUR"
    forecast = "" if costs["forecast_eur"] is None else f"; at this rate {costs['forecast_eur']:.2f} EUR by its end"
    table.caption = f"budget {budget}{forecast}"
    _print(out, arguments, costs, table)
    return 0


def _print(out: Console, arguments: argparse.Namespace, value: Any, for_people: Any) -> None:
    if arguments.json:
        sys.stdout.write(json.dumps(value) + "\n")
    else:
        out.print(for_people, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
