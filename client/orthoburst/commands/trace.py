"""The timeline of a job, drawn: bars to scale, each task's attempts, where the time went."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from orthoburst.client import Client
from orthoburst.commands.output import OK, print_json
from orthoburst.commands.subparsers import Subcommands

MOST_TASKS = 10
NARROWEST_BAR, WIDEST_BAR = 8, 60
LABEL = 26
NARROW = 72
"""Columns under which bars have a line of their own."""


@dataclass(frozen=True)
class Look:
    """How a phase is called, and drawn: by its letter too, so that nothing is lost without colour."""

    word: str
    letter: str
    style: str


LOOKS = {
    "queue": Look("waiting for its plan", "q", "yellow"),
    "planning": Look("planning", "p", "cyan"),
    "earlier": Look("earlier, not kept", "?", "dim"),
    "slot": Look("waiting for a slot", ".", "yellow"),
    "back_off": Look("waiting before another attempt", "b", "red"),
    "start": Look("waiting for a worker", "s", "yellow"),
    "fetch": Look("fetch", "F", "blue"),
    "compute": Look("compute", "C", "green"),
    "deliver": Look("deliver", "D", "magenta"),
    "run": Look("at work", "R", "green"),
    "commit": Look("checked and entered", "c", "cyan"),
    "lost": Look("lost with its worker", "x", "red"),
    "settle": Look("its end being written", "e", "cyan"),
}
HOW = {
    "delivered": "delivered",
    "failed": "failed",
    "returned": "handed back",
    "lost": "lost: storage was silent",
    "silent": "nothing more was heard of it",
    "recalled": "recalled",
    "cancelled": "cancelled",
    "found": "not needed: its images were there",
}


def add_to(commands: Subcommands) -> None:
    trace = commands.add("trace", _trace, "a job's timeline: what happened when, and where the time went")
    trace.add_argument("job")
    trace.add_argument("--all", action="store_true", help=f"all its tasks; else the {MOST_TASKS} that took longest")


def _trace(client: Client, arguments: argparse.Namespace) -> int:
    document = client.job(arguments.job).trace()
    if arguments.json:
        print_json(document)
        return OK
    console = Console()
    for line in drawn(document, console.width, every_task=arguments.all):
        console.print(line, markup=False, highlight=False, no_wrap=True, crop=False, overflow="ignore")
    return OK


def drawn(document: dict[str, Any], width: int, *, every_task: bool = False) -> Iterator[Text]:
    """The lines of a timeline, for a terminal so wide. Times are those of this machine's zone."""
    start, end = _moment(document["created"]), _moment(document["as_of"])
    yield from _head(document, start, end, width)
    bar_width = max(NARROWEST_BAR, min(WIDEST_BAR, width - (2 if width < NARROW else LABEL + 12)))
    bars = _Bars(start, end, bar_width, narrow=width < NARROW)
    yield Text()
    yield bars.line("job", "", document["path"], document["total_s"])
    ordered = sorted(document["tasks"], key=lambda task: (not task["critical"], -task["seconds"]))
    shown = ordered if every_task else ordered[:MOST_TASKS]
    for task in shown:
        yield Text()
        yield from _task(task, bars, width)
    if len(shown) < len(ordered):
        yield Text()
        yield Text(f"and {len(ordered) - len(shown)} tasks that took less: --all shows them")
    yield Text()
    yield from _totals(document, narrow=width < NARROW)
    yield from _callbacks(document)


def _head(document: dict[str, Any], start: datetime, end: datetime, width: int) -> Iterator[Text]:
    over = "finished" in document
    took = f"{seconds_text(document['total_s'])}{'' if over else ' so far'}"
    zone = start.astimezone().strftime("%Z")
    yield Text.assemble((f"job {document['jobID']}", "bold"), f"  {document['status']}, {took}")
    yield Text(f"{_clock(start, date=True)} to {_clock(end, date=start.date() != end.date())} {zone}")
    if document.get("trace_id"):
        yield Text(f"trace {document['trace_id']}")
    longest = document.get("longest")
    if longest:
        yield Text.assemble((longest["summary"], "bold"), f" ({seconds_text(longest['seconds'])})")
        for sentence in longest["says"]:
            yield from _wrapped(f"  {sentence}", width)


@dataclass(frozen=True)
class _Bars:
    """Bars of one scale: the whole is from ``start`` to ``end``."""

    start: datetime
    end: datetime
    width: int
    narrow: bool

    def line(self, label: str, style: str, segments: Sequence[dict[str, Any]], took_s: float) -> Text:
        bar, took = self.of(segments), seconds_text(took_s).rjust(9)
        if self.narrow:
            return Text.assemble((_fitted(label, max(8, self.width - 12)), style), f"  {took.strip()}\n", bar)
        return Text.assemble((_fitted(label, LABEL).ljust(LABEL), style), " ", bar, " ", took)

    def of(self, segments: Sequence[dict[str, Any]]) -> Text:
        """What takes most of a cell has it; what is too short for any still has the one in which most of it lies."""
        whole_s = (self.end - self.start).total_seconds()
        spans = [
            ((_moment(one["start"]) - self.start).total_seconds(), (_moment(one["end"]) - self.start).total_seconds())
            for one in segments
        ]
        bar = Text()
        cell_s = whole_s / self.width if whole_s > 0 else 1.0
        for cell in range(self.width):
            begins_s, ends_s = cell * cell_s, (cell + 1) * cell_s
            parts = [max(0.0, min(ends_s, until_s) - max(begins_s, from_s)) for from_s, until_s in spans]
            most = max(range(len(parts)), key=parts.__getitem__, default=None)
            if most is None or parts[most] <= 0:
                bar.append(" ")
            else:
                look = _look(segments[most]["phase"])
                bar.append(look.letter, style=look.style)
        return bar


def _task(task: dict[str, Any], bars: _Bars, width: int) -> Iterator[Text]:
    name = task["title"] or task.get("task_id") or "a task"
    mark = "* " if task["critical"] else "  "
    yield bars.line(f"{mark}{name}", "bold" if task["critical"] else "", task["segments"], task["seconds"])
    said = [] if task.get("task_id") is None else [task["task_id"]]
    said.append(task["state"])
    if task["joined"]:
        said.append("another job's, which this one joined")
    if task.get("releases_unknown"):
        said.append(f"{task['releases_unknown']} earlier releases are not kept")
    yield from _wrapped(f"    {', '.join(said)}", width, style="dim")
    for attempt in _attempts(task["segments"]):
        yield from _wrapped(f"    {attempt}", width)
    if task.get("fault"):
        yield from _wrapped(f"    {task['fault']}", width, style="red")
    if task.get("run", {}).get("slow"):
        yield from _wrapped(f"    {task['run']['says']}", width, style="yellow")


def _attempts(segments: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each stretch of waiting, and for each delivery, with its phases."""
    groups: list[tuple[tuple[Any, ...], list[dict[str, Any]]]] = []
    for one in segments:
        key = (one.get("release"), one.get("delivery"))
        if groups and groups[-1][0] == key and key != (None, None):
            groups[-1][1].append(one)
        else:
            groups.append((key, [one]))
    for (release, delivery), group in groups:
        phases = ", ".join(f"{_look(one['phase']).word} {seconds_text(one['seconds'])}" for one in group)
        says = next((one["says"] for one in group if one.get("says")), "")
        where = f" in {group[0]['pool']}" if group[0].get("pool") else ""
        who = f" on {group[0]['agent']}" if group[0].get("agent") else ""
        which = f"release {release}{f', delivery {delivery}' if delivery else ''}{where}{who}: " if release else ""
        begins = _clock(_moment(group[0]["start"]))
        rest = "" if release else where
        yield f"{begins}  {which}{phases}{rest}{f' ({says})' if says else ''}"


def _totals(document: dict[str, Any], *, narrow: bool) -> Iterator[Text]:
    """Which letter is what, and the seconds of it: of the job, and of all its tasks, which ran side by side."""
    path: dict[str, float] = {}
    for one in document["path"]:
        path[one["phase"]] = path.get(one["phase"], 0.0) + one["seconds"]
    whole_s = document["total_s"] or 1.0
    if not narrow:
        yield Text(f"    {'phase':<30}{'share':>7}{'job':>14}{'all tasks':>14}", style="dim")
    for phase in {**LOOKS, **path, **document["phases"]}:
        if phase not in path and phase not in document["phases"]:
            continue
        look = _look(phase)
        of_job = path.get(phase, 0.0)
        share = f"{100 * of_job / whole_s:4.0f} %" if phase in path else ""
        mine = seconds_text(of_job) if phase in path else ""
        all_s = document["phases"].get(phase)
        of_all = "" if all_s is None else seconds_text(all_s)
        figures = f"{share} {mine or of_all}" if narrow else f"{share:>7}{mine:>14}{of_all:>14}"
        word = look.word if narrow else f"{look.word:<30}"
        yield Text.assemble("  ", (look.letter, look.style), f" {word}{figures}")


def _callbacks(document: dict[str, Any]) -> Iterator[Text]:
    for one in document["callbacks"]:
        tries = f"{one['attempts']} attempt{'' if one['attempts'] == 1 else 's'}"
        took = f" after {seconds_text(one['seconds'])}" if "seconds" in one else ""
        yield Text(f"callback {one['kind']}: {one['state']}{took}, {tries}")


def seconds_text(value_s: float) -> str:
    """As short as people read it: ``0.4 s``, ``42 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if value_s < 9.95:
        return f"{value_s:.1f} s"
    whole = round(value_s)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(value_s / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(value_s / 3600)
    return f"{hours // 24} d {hours % 24} h"


def _look(phase: str) -> Look:
    """A newer service may know phases that this client does not."""
    return LOOKS.get(phase, Look(phase.replace("_", " "), "-", ""))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _clock(moment: datetime, *, date: bool = False) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def _fitted(text: str, width: int) -> str:
    """The end of a title says more than its middle: that is where tiles are."""
    if len(text) <= width:
        return text
    head = width // 3
    return f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"


def _wrapped(text: str, width: int, style: str = "") -> Iterator[Text]:
    indent = len(text) - len(text.lstrip())
    line = ""
    for word in text.split():
        if line and indent + len(line) + 1 + len(word) > width:
            yield Text(" " * indent + line, style=style)
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    yield Text(" " * indent + line, style=style)
