"""`orthoburst trace`: what it prints, for any terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orthoburst.commands.trace import LOOKS, drawn, seconds_text
from orthofunctions.domain.phases import Phase

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def stretch(phase: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    def moment(seconds: float) -> str:
        return (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")

    return {"phase": phase, "start": moment(start), "end": moment(end), "seconds": end - start, **more}


def document(*tasks: dict[str, Any], total_s: float = 100.0, **more: Any) -> dict[str, Any]:
    end = (NOON + timedelta(seconds=total_s)).isoformat()
    return {
        "jobID": "j1", "status": "successful", "created": NOON.isoformat(), "as_of": end, "finished": end,
        "total_s": total_s, "path": [], "phases": {}, "tasks": list(tasks), "events": [], "callbacks": [], **more,
    }  # fmt: skip


def task(title: str, *segments: dict[str, Any], critical: bool = False, **more: Any) -> dict[str, Any]:
    seconds = sum(one["seconds"] for one in segments)
    return {
        "title": title, "task_id": "j1-0001", "state": "succeeded", "joined": False, "critical": critical,
        "seconds": seconds, "segments": list(segments), **more,
    }  # fmt: skip


def lines(found: dict[str, Any], width: int = 100, **options: bool) -> list[str]:
    return "\n".join(line.plain for line in drawn(found, width, **options)).splitlines()


def test_every_phase_of_the_service_has_a_look_of_its_own() -> None:
    assert set(LOOKS) == {phase.value for phase in Phase}
    letters = [look.letter for look in LOOKS.values()]
    assert len(set(letters)) == len(letters), "without colour letters are all there is"


def test_bars_are_to_scale() -> None:
    half = task("T", stretch("slot", 0, 50, pool="hpc"), stretch("compute", 50, 75), stretch("commit", 75, 100))
    bar = next(line for line in lines(document(half)) if ".." in line)
    assert (bar.count("."), bar.count("C"), bar.count("c")) == (30, 15, 15)


def test_attempts_are_lines_with_who_where_and_why() -> None:
    run = {"release": 1, "delivery": 2, "pool": "hpc", "agent": "node-2"}
    found = document(
        task(
            "S1A 33TTG",
            stretch("slot", 0, 20, pool="hpc", says="hpc: an on-prem slot was free"),
            stretch("lost", 20, 80, release=1, delivery=1, pool="hpc", agent="node-1"),
            stretch("fetch", 80, 84, **run),
            stretch("compute", 84, 100, **run),
            critical=True,
        )
    )
    text = [line.strip() for line in lines(found, 140)]
    local = (NOON + timedelta(seconds=20)).astimezone().strftime("%H:%M:%S")
    assert any("waiting for a slot 20 s in hpc (hpc: an on-prem slot was free)" in line for line in text)
    assert f"{local} release 1, delivery 1 in hpc on node-1: lost with its worker 1 min 00 s" in text
    assert any("release 1, delivery 2 in hpc on node-2: fetch 4.0 s, compute 16 s" in line for line in text)


def test_of_many_tasks_those_that_took_longest_are_shown_and_the_critical_one_first() -> None:
    many = [task(f"T{n}", stretch("compute", 0, n + 1), critical=n == 3) for n in range(30)]
    text = lines(document(*many))
    assert next(line for line in text if " T" in line and "CCC" in line).startswith("* T3 ")
    assert "and 20 tasks that took less: --all shows them" in text
    assert sum("succeeded" in line for line in lines(document(*many), every_task=True)) == 30


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_it_fits_into_the_terminal(width: int) -> None:
    found = document(
        task("S1A_IW_GRDH_1SDV_20260101T000000_20260101T000025 33TTG, 33TUG", stretch("compute", 0, 100)),
        path=[stretch("compute", 0, 100)],
        phases={"compute": 100.0},
        longest={"summary": "100 % computing", "seconds": 100.0, "says": ["word " * 40], "phase": "compute"},
    )
    assert max(len(line) for line in lines(found, width)) <= max(width, 50)


def test_what_a_newer_service_knows_is_shown_by_its_name() -> None:
    assert any("warming_up" in line or "warming up" in line for line in lines(document(
        task("T", stretch("warming_up", 0, 100)), path=[stretch("warming_up", 0, 100)]
    )))  # fmt: skip


def test_without_colour_in_a_pipe_and_with_it_in_a_terminal() -> None:
    found = document(task("T[bold]", stretch("compute", 0, 100)))
    for terminal in (False, True):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, color_system="standard" if terminal else None, width=80)
        for line in drawn(found, 80):
            console.print(line, markup=False, highlight=False)
        assert ("\x1b[" in out.getvalue()) is terminal
        assert "T[bold]" in out.getvalue(), "a title is no markup"


@given(st.floats(0, 1e8))
def test_seconds_are_never_sixty(value_s: float) -> None:
    text = seconds_text(value_s)
    assert "60 s" not in text
    assert " 60 min" not in text
    assert len(text) <= 12


@given(st.lists(st.tuples(st.sampled_from(list(LOOKS)), st.floats(0, 50)), max_size=8), st.integers(10, 200))
def test_any_timeline_is_drawn(pieces: list[tuple[str, float]], width: int) -> None:
    segments, at = [], 0.0
    for phase, seconds in pieces:
        segments.append(stretch(phase, at, at + seconds))
        at += seconds
    assert lines(document(task("T", *segments), path=segments, total_s=at), width)
