"""The site: its pools, what they cost, what was given up."""

from __future__ import annotations

import argparse

from rich.table import Table

from orthoburst.client import Client
from orthoburst.commands.output import OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.errors import UsageError

_A_CENT = 0.005


def add_to(commands: Subcommands) -> None:
    pools = commands.add(
        "pools", _pools, "the pools, their workers, how fast and how dear they are; pause and resume them"
    )
    pools.add_argument("action", nargs="?", choices=("pause", "resume"))
    pools.add_argument("pool", nargs="?")
    costs = commands.add("costs", _costs, "what a month has cost, by user")
    costs.add_argument("month", nargs="?", metavar="YYYY-MM", help="default: this one")
    commands.add("failed", _failed, "tasks that have been given up, and why")


def _pools(client: Client, arguments: argparse.Namespace) -> int:
    if arguments.action and not arguments.pool:
        raise UsageError(f"pools {arguments.action}: name the pool")
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
    show(arguments, pools, table)
    return OK


def _costs(client: Client, arguments: argparse.Namespace) -> int:
    costs = client.costs(arguments.month)
    table = Table("user", "EUR spent", "EUR reserved", "cloud slot-hours", "on-prem slot-hours", title=costs["month"])
    for one in (*costs["users"], {"user": "all", **costs}):
        hours = (f"{one[name] / 3600:.2f}" for name in ("cloud_slot_s", "on_prem_slot_s"))
        table.add_row(one["user"], f"{one['spent_eur']:.2f}", f"{one['reserved_eur']:.2f}", *hours)
    budget = "none" if costs["budget_eur"] is None else f"{costs['budget_eur']:.2f} EUR"
    forecast = "" if costs["forecast_eur"] is None else f"; at this rate {costs['forecast_eur']:.2f} EUR by its end"
    beyond_eur = costs.get("contingency_eur", 0.0)
    may_cost = (
        f"; runs under way may cost {beyond_eur:.2f} EUR beyond what is reserved" if beyond_eur >= _A_CENT else ""
    )
    table.caption = f"budget {budget}{may_cost}{forecast}"
    show(arguments, costs, table)
    return OK


def _failed(client: Client, arguments: argparse.Namespace) -> int:
    tasks = client.failed()
    table = Table("task", "user", "pool", "ended", "why")
    for task in tasks:
        why = f"{task['fault']['kind']}: {task['fault']['message']}"
        table.add_row(task["task_id"], task["user"], task["pool"] or "", task["ended"] or "", why)
    show(arguments, tasks, table if tasks else "nothing has been given up")
    return OK
