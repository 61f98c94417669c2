"""The live table."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from localdev.demo.watch import FINAL, Seen
from orthocontracts.products import ProductNameError, Sentinel2Name, Sentinel3Name, parse_product

STATE_STYLE = {
    "pending": "dim",
    "released": "cyan",
    "running": "bold cyan",
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "yellow",
}
POOL_STYLE = {"hpc": "blue", "cloud": "magenta"}


WIDE_ENOUGH_FOR_REASONS = 110


def render(seen: Seen, seconds: float, width: int, most_rows: int = 30) -> RenderableType:
    """Tasks with their pool and progress; below them the pools; below those the totals."""
    return Group(_tasks(seen, width, most_rows), _pools(seen), _totals(seen, seconds))


def _tasks(seen: Seen, width: int, most_rows: int) -> Table:
    table = Table(title="tasks", title_justify="left", expand=True)
    table.add_column("product", width=23, no_wrap=True)
    table.add_column("output", width=12, no_wrap=True, overflow="ellipsis")
    table.add_column("pool", width=5, no_wrap=True)
    table.add_column("state", width=9, no_wrap=True)
    table.add_column("progress", min_width=8, max_width=16)
    with_reasons = width >= WIDE_ENOUGH_FOR_REASONS
    if with_reasons:
        table.add_column("why there", ratio=1, no_wrap=True, overflow="ellipsis")
    # What moves is worth the room: finished tasks leave the table first.
    open_tasks = [task for task in seen.tasks if task["state"] not in FINAL]
    ended = [task for task in seen.tasks if task["state"] in FINAL]
    rows = ended[len(ended) - max(0, min(len(ended), most_rows - len(open_tasks))) :] + open_tasks
    for task in rows[:most_rows]:
        table.add_row(*_row(task)[: None if with_reasons else -1])
    return table


def _row(task: dict[str, Any]) -> list[RenderableType]:
    state, pool = task["state"], task.get("pool") or ""
    product, _, output = str(task.get("title") or task["task_id"]).partition(" ")
    decision = task.get("decision") or {}
    return [
        Text(short_name(product)),
        Text(output),
        Text(pool, POOL_STYLE.get(pool, "")),
        Text(state, STATE_STYLE.get(state, "")),
        ProgressBar(total=1.0, completed=1.0 if state == "succeeded" else float(task.get("progress") or 0.0)),
        Text(str(decision.get("sentence") or ""), "dim"),
    ]


def short_name(product: str) -> str:
    """Platform, mode or level, and time of a Sentinel product; any other name as it is."""
    try:
        name = parse_product(product)
    except ProductNameError:
        return product
    if isinstance(name, Sentinel2Name):
        kind = f"{name.level} {name.tile or ''}".rstrip()
    else:
        kind = name.product_type if isinstance(name, Sentinel3Name) else name.mode
    return f"{name.platform} {kind} {name.start:%m-%d %H:%M:%S}"


def _pools(seen: Seen) -> Table:
    table = Table(title="pools", title_justify="left")
    for name in ("pool", "agents", "slots", "running", "queued", "done"):
        table.add_column(name, justify="left" if name == "pool" else "right")
    for pool in seen.pools:
        name = str(pool["pool"])
        table.add_row(
            Text(name, POOL_STYLE.get(name, "")),
            *(str(pool.get(figure, "")) for figure in ("agents", "slots", "running", "queued")),
            str(seen.by_pool[name]),
        )
    return table


def _totals(seen: Seen, seconds: float) -> Text:
    parts = [f"{count} {state}" for state, count in sorted(seen.states.items())]
    return Text(f"{seconds:5.0f} s   {len(seen.jobs)} jobs   " + "   ".join(parts))
