"""Run times: the latest runs of every kind of work on every machine, kept where a round reads them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.records import LearnedRecord, TaskRecord
from orthofunctions.domain.runtimes import MOST_RUNS, Run, RunTimes, learn
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.rows import find, load, store

START_UP = "start-up"
"""Kept beside the processes: how long workers took to come."""
_TRIES = 3


def machine_of(spec: PoolSpec) -> str:
    """What run times are kept under."""
    return spec.machine or spec.name


def note_run(ports: Ports, task: TaskRecord, spec: PoolSpec, ended_at: datetime, *, well: bool) -> None:
    """Keep how long a run took, or that it failed. Where others keep changing the row, this one is left out."""
    if task.started_at is None:
        return
    took_s = (ended_at - task.started_at).total_seconds()
    ran = [spec.nominal_s(task.megapixels), took_s, task.megapixels]
    _note(ports, task.process, spec, ran if well and took_s > 0 else None)


def _note(ports: Ports, process: str, spec: PoolSpec, ran: list[float] | None) -> None:
    for _ in range(_TRIES):
        known = load(ports.tables, LearnedRecord, process, machine_of(spec))
        known = known or LearnedRecord(process=process, machine=machine_of(spec))
        runs = json.loads(known.runs)
        runs.append(ran)
        after = known.changed(runs=json.dumps(runs[-MOST_RUNS:]))
        with contextlib.suppress(RowChangedError, RowExistsError):
            store(ports.tables, after)
            return


def note_startup(ports: Ports, spec: PoolSpec, took_s: float) -> None:
    """Keep how long a worker of a cloud pool took to come. One that did not come in time took at least as long."""
    if spec.startup_s > 0 and took_s > 0:
        _note(ports, START_UP, spec, [spec.startup_s, took_s, 0.0])


def startup(records: Sequence[LearnedRecord], spec: PoolSpec) -> RunTimes:
    """What the start-ups of a pool's workers have taught, against the pool's ``startup_s``."""
    mine = [one for one in records if one.process == START_UP and one.machine == machine_of(spec)]
    return _taught(mine[0].runs) if mine else RunTimes()


# Every round asks what every pool has been taught, and few runs end between two.
@lru_cache(maxsize=256)
def _taught(text: str) -> RunTimes:
    return learn(*_runs(text))


def _runs(text: str) -> tuple[list[Run], int]:
    """The runs that ended well, and how many did not."""
    kept = json.loads(text)
    return [Run(*run) for run in kept if run is not None], sum(run is None for run in kept)


def learned(records: Sequence[LearnedRecord], spec: PoolSpec) -> dict[str, RunTimes]:
    """What a pool's machine has taught, by process."""
    mine = (one for one in records if one.machine == machine_of(spec) and one.process != START_UP)
    return {one.process: _taught(one.runs) for one in mine}


def all_learned(ports: Ports) -> tuple[LearnedRecord, ...]:
    return tuple(find(ports.tables, LearnedRecord))
