"""Waiting for what the service is at work on: when to look again, and bars to look at meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from orthoburst.terminal import Terminal

POLL_S = (0.5, 5.0)
"""First and slowest: work of seconds is seen at once, work of hours costs little."""

Show = Callable[[str, float], None]
"""Told what to say and how far it is, in percent."""


def wait_until(look: Callable[[], bool], what: Callable[[], str], timeout_s: float | None) -> None:
    """Look until it is over. Raises TimeoutError where that takes longer; the work goes on."""
    started = time.monotonic()
    pause_s, slowest_s = POLL_S
    while not look():
        if timeout_s is not None and time.monotonic() - started > timeout_s:
            raise TimeoutError(f"{what()} after {timeout_s:g} s; it goes on")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, slowest_s)


@contextmanager
def bar(progress: bool | None) -> Iterator[Show]:
    """A progress bar, in a terminal or a notebook. ``progress`` None: where there is one of both to show it in."""
    console = Terminal(stderr=True)
    shown = (console.is_terminal or console.is_jupyter) if progress is None else progress
    if not shown:
        yield lambda text, percent: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task("", total=100)
        yield lambda text, percent: bars.update(task, description=text, completed=percent)
