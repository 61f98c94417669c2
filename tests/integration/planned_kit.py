"""Uploads products into memory, plans a request, and makes its outputs as a worker's child would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from fakes.memory_ports import memory_ports
from orthoagent.childwords import OutputMade, OutputOrder
from orthoagent.compute import finish, orthorectify_output
from orthocontracts.outputs import file_kinds
from orthocontracts.requests import Request
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.rules import Rules
from orthofunctions.usecases.plan import plan_request, read_plan


def make(
    products: Sequence[Path], out: Path, beside: Sequence[tuple[str, Path]] = (), **request: Any
) -> list[tuple[OutputOrder, OutputMade]]:
    """Upload, plan, and make every output; ``beside``: files of container ``aux``, by reference."""
    ports = memory_ports()
    for product in products:
        files = [product] if product.is_file() else [path for path in product.rglob("*") if path.is_file()]
        for path in files:
            ports.blobs.write("products", path.relative_to(product.parent).as_posix(), path.read_bytes())
    here = {f"products/{product.name}": product for product in products}
    for ref, path in beside:
        for file in [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file()):
            name = ref if path.is_file() else f"{ref}/{file.relative_to(path).as_posix()}"
            ports.blobs.write("aux", name.removeprefix("aux/"), file.read_bytes())
        here[ref] = path
    asked = Request.model_validate(
        {"request_id": "r1", "products": [f"products/{one.name}" for one in products], **request}
    )
    job = plan_request(ports, asked, Limits(), Rules())
    assert job.fault_message is None
    plan = read_plan(ports, job.job_id)
    assert plan is not None
    return make_planned(plan, here, out)


def make_planned(plan: Plan, here: Mapping[str, Path], out: Path) -> list[tuple[OutputOrder, OutputMade]]:
    """Make every output of a plan. ``here``: where products and auxiliary files lie, by reference."""
    made = []
    for task in plan.tasks:
        for number, output in enumerate(task.outputs):
            terrain, instrument = task.terrain, task.instrument
            order = OutputOrder(
                products=tuple(here[source.ref] for source in task.products),
                dem=here[terrain.dem.ref] if terrain.dem else None,
                geoid=None,
                height_m=terrain.height_m,
                gipp=here[instrument.gipp.ref] if instrument else None,
                iers=here[instrument.iers.ref] if instrument and instrument.iers else None,
                grid=output.grid,
                options=task.options,
                out=out / f"{task.task_id}-{number}.tif",
            )
            done = orthorectify_output(order, lambda _: None)
            finish()
            assert set(done.files) == set(file_kinds(task.options))
            made.append((order, done))
    return made


def pixels(made: OutputMade, band: int = 1) -> tuple[np.ma.MaskedArray, np.ndarray, np.ndarray]:
    """A band's values, and the map coordinates of their pixels."""
    with rasterio.open(made.files["image"]) as file:
        rows, cols = np.mgrid[0 : file.height, 0 : file.width]
        x, y = file.transform @ (cols + 0.5, rows + 0.5)
        return (
            file.read(band, masked=True) * file.scales[band - 1] + file.offsets[band - 1],
            np.asarray(x),
            np.asarray(y),
        )
