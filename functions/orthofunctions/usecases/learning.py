"""Run times: the latest runs of every kind of work on every machine, kept where a round reads them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import datetime

from orthofunctions.domain.pools import PoolSpec
from orthofunctions.domain.records import LearnedRecord, TaskRecord
from orthofunctions.domain.runtimes import MOST_RUNS, Run, RunTimes, learn
from orthofunctions.ports import Ports, RowChangedError, RowExistsError
from orthofunctions.usecases.rows import find, load, store

_TRIES = 3


def machine_of(spec: PoolSpec) -> str:
    """What run times are kept under."""
    return spec.machine or spec.name


def note_run(ports: Ports, task: TaskRecord, spec: PoolSpec, ended_at: datetime, *, well: bool) -> None:
    """Keep how long a run took, or that it failed. Where others keep changing the row, this one is left out."""
    if task.started_at is None:
        return
    took_s = (ended_at - task.started_at).total_seconds()
    for _ in range(_TRIES):
        known = load(ports.tables, LearnedRecord, task.process, machine_of(spec))
        known = known or LearnedRecord(process=task.process, machine=machine_of(spec))
        runs = json.loads(known.runs)
        runs.append([spec.nominal_s(task.megapixels), took_s, task.megapixels] if well and took_s > 0 else None)
        after = known.changed(runs=json.dumps(runs[-MOST_RUNS:]))
        with contextlib.suppress(RowChangedError, RowExistsError):
            store(ports.tables, after)
            return


def runs_of(record: LearnedRecord) -> tuple[list[Run], int]:
    """The runs that ended well, and how many did not."""
    kept = json.loads(record.runs)
    return [Run(*run) for run in kept if run is not None], sum(run is None for run in kept)


def learned(records: Sequence[LearnedRecord], spec: PoolSpec) -> dict[str, RunTimes]:
    """What a pool's machine has taught, by process."""
    return {one.process: learn(*runs_of(one)) for one in records if one.machine == machine_of(spec)}


def all_learned(ports: Ports) -> tuple[LearnedRecord, ...]:
    return tuple(find(ports.tables, LearnedRecord))
