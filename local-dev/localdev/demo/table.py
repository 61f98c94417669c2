"""The live table."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from localdev.demo.watch import FINAL, Seen

STATE_STYLE = {
    "pending": "dim",
    "released": "cyan",
    "running": "bold cyan",
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "yellow",
}
POOL_STYLE = {"hpc": "blue", "cloud": "magenta"}


def render(seen: Seen, seconds: float, most_rows: int = 30) -> RenderableType:
    """Tasks with their pool and progress; below them the pools; below those the totals."""
    return Group(_tasks(seen, most_rows), _pools(seen), _totals(seen, seconds))


def _tasks(seen: Seen, most_rows: int) -> Table:
    table = Table(title="tasks", title_justify="left", expand=True)
    for name, ratio in (("product", 5), ("output", 2), ("pool", 1), ("state", 2), ("progress", 2), ("why there", 6)):
        table.add_column(name, ratio=ratio, no_wrap=True, overflow="ellipsis")
    # What moves is worth the room: finished tasks leave the table first.
    rows = [task for task in seen.tasks if task["state"] not in FINAL]
    rows = [task for task in seen.tasks if task["state"] in FINAL][-max(0, most_rows - len(rows)) :] + rows
    for task in rows[:most_rows]:
        table.add_row(*_row(task))
    return table


def _row(task: dict[str, Any]) -> list[RenderableType]:
    state, pool = task["state"], task.get("pool") or ""
    product, _, output = str(task.get("title") or task["task_id"]).partition(" ")
    decision = task.get("decision") or {}
    return [
        Text(product),
        Text(output),
        Text(pool, POOL_STYLE.get(pool, "")),
        Text(state, STATE_STYLE.get(state, "")),
        ProgressBar(total=1.0, completed=1.0 if state == "succeeded" else float(task.get("progress") or 0.0)),
        Text(str(decision.get("sentence") or task.get("waits_for") or ""), "dim"),
    ]


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
