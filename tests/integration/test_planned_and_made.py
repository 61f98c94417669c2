"""From a product's files over the plan to the worker's compute function: what the planner chose, the kernel makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from fakes.memory_ports import memory_ports
from localdev.scene import Sentinel2Spec, make_sentinel2
from orthoagent.childwords import OutputMade, OutputOrder
from orthoagent.compute import finish, orthorectify_output
from orthocontracts.outputs import file_kinds
from orthocontracts.requests import Request
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.rules import Rules
from orthofunctions.usecases.plan import plan_request, read_plan


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    finish()


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
            assert set(done.files) == set(file_kinds(task.options))
            made.append((order, done))
    return made


def pixels(made: OutputMade) -> tuple[np.ma.MaskedArray, np.ndarray, np.ndarray]:
    """The first band's values, and the map coordinates of their pixels."""
    with rasterio.open(made.files["image"]) as file:
        rows, cols = np.mgrid[0 : file.height, 0 : file.width]
        x, y = file.transform @ (cols + 0.5, rows + 0.5)
        return file.read(1, masked=True) * file.scales[0] + file.offsets[0], np.asarray(x), np.asarray(y)


def test_tiles_of_a_datatake_are_put_together(tmp_path: Path) -> None:
    # The upper left corner of 33TUG lies within 33TTG, 9.8 km from its eastern edge.
    common: dict[str, Any] = {"bands": ("B04",), "baseline": "05.10"}
    west = make_sentinel2(Sentinel2Spec(tmp_path, tile="33TTG", size_60m_px=60, zip_it=True, **common))
    east = make_sentinel2(Sentinel2Spec(tmp_path, tile="33TUG", size_60m_px=60, **common))
    assert (west.epsg, west.top_m) == (east.epsg, east.top_m)
    bounds = {
        "kind": "bounds", "epsg": west.epsg, "left": west.left_m, "right": east.left_m + 3600,
        "bottom": west.top_m - 3600, "top": west.top_m, "spacing": 60,
    }  # fmt: skip
    ((order, made),) = make([west.path, east.path], tmp_path, grid=bounds, options={"extras": ["acquisition"]})
    assert len(order.products) == 2
    values, x, y = pixels(made)
    seen = (x < west.left_m + 3600) | (x > east.left_m)
    assert np.array_equal(~np.ma.getmaskarray(values), seen)
    assert float(np.abs(values - west.fields["B04"].reflectance(x, y)).max()) < 0.01
    with rasterio.open(made.files["acquisition"]) as file:
        assert set(np.unique(file.read(1)[seen])) == {1, 2}


def test_a_tile_is_made_on_its_neighbour_where_that_is_asked_for(tmp_path: Path) -> None:
    east = make_sentinel2(Sentinel2Spec(tmp_path, tile="33TUG", size_60m_px=60, bands=("B11",)))
    tiles = {"kind": "mgrs", "tiles": ["33TTG"], "spacing_m": 60}
    ((_, made),) = make([east.path], tmp_path, grid=tiles, options={"bands": ["b11"]})
    values, x, y = pixels(made)
    assert values.count() == 60 * 60
    assert float(np.abs(values - east.fields["B11"].reflectance(x, y)).max()) < 0.01
