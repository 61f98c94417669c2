"""What a ticket means on the worker's disk: which of its files its images need, and where the kernel finds them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orthoagent.childwords import ComputeJob
from orthocontracts.inputs import InputFile
from orthocontracts.members import needed_members
from orthocontracts.outputs import OutputSpec
from orthocontracts.references import path_on_worker
from orthocontracts.tasks import TaskSpec
from orthocontracts.tickets import Ticket


def needed_inputs(ticket: Ticket) -> Sequence[InputFile]:
    """All but those members of folders that hold bands nobody asked for."""
    inputs = {file.path: file for file in ticket.inputs}
    for source in ticket.spec.products:
        if source.kind == "folder":
            start = f"{path_on_worker(source.ref)}/"
            members = [path for path in inputs if path.startswith(start)]
            for path in set(members) - needed_members(source.ref, members, ticket.spec.options.bands):
                del inputs[path]
    return tuple(inputs.values())


def job_of(spec: TaskSpec, folder: Path, outputs: tuple[OutputSpec, ...]) -> ComputeJob:
    """What a child is to make of a task whose inputs lie below ``folder/in``."""
    inputs = folder / "in"
    orbits = [inputs / path_on_worker(source.ref) for source in spec.orbits or ()]
    return ComputeJob(
        folder=folder,
        products=tuple(inputs / path_on_worker(source.ref) for source in spec.products),
        dem=inputs / path_on_worker(spec.terrain.dem.ref) if spec.terrain.dem else None,
        geoid=inputs / spec.terrain.geoid.ref if spec.terrain.geoid else None,
        height_m=spec.terrain.height_m,
        gipp=inputs / spec.instrument.gipp.ref if spec.instrument else None,
        iers=inputs / spec.instrument.iers.ref if spec.instrument and spec.instrument.iers else None,
        orbits=Path(os.path.commonpath(path.parent for path in orbits)) if orbits else None,
        options=spec.options,
        outputs=outputs,
    )
