"""Three slices of one pass are uploaded one by one, in several orders: an image on their seams is the one of a request
that names all of them, bit for bit. Over the functions' own triggers, the emulator's queues and the kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from azure.functions.queue import QueueMessage
from azure.storage.blob import BlobServiceClient

from integration.planned_kit import make_planned
from localdev.scene import Scene, SceneSpec, make_sentinel1
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthocontracts.outputs import GridSpec
from orthocontracts.requests import Request
from orthofunctions import bootstrap
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.records import JobRecord
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.orders import add_order
from orthofunctions.usecases.plan import plan_request, read_plan
from orthofunctions.usecases.rows import find

WAIT_S = 6.0
CENTRE = (12.5, 42.0)
N_LINES, SHIFT, N_SAMPLES = 260, 240, 240
"""Slices share 20 lines of 10 m."""


class Message(QueueMessage):  # type: ignore[misc]
    def get_body(self) -> bytes:
        return bytes(self._body)

    def __init__(self, body: str) -> None:
        super().__init__(body=body)
        self._body = body.encode()


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    return [
        make_sentinel1(
            SceneSpec(
                tmp_path_factory.mktemp(f"slice{number}"),
                centre_lonlat_deg=CENTRE,
                size_lines_samples=(N_LINES, N_SAMPLES),
                slice_offset_lines=(number - 1) * SHIFT,
                fractal_seed=None,
                targets=3,
            )
        )
        for number in range(3)
    ]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[bootstrap.System]:
    """A system on storage of its own; ``bootstrap.system()`` gives it to every trigger."""
    with Azurite(tmp_path / "azurite") as azurite:
        provision(azurite.connection_string)
        settings = {"AzureWebJobsStorage": azurite.connection_string, "neighbour_wait_s": WAIT_S}
        built = bootstrap.build(Settings.model_validate(settings))
        bootstrap._built[:] = [built]
        yield built
        bootstrap._built.clear()
        built.close()


def area(south: float, north: float) -> dict[str, Any]:
    """Over the middle of the swath."""
    ring = [[12.495, south], [12.505, south], [12.505, north], [12.495, north], [12.495, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def grid_key(grid: GridSpec) -> tuple[float, ...]:
    return grid.epsg, grid.left, grid.top, grid.spacing, grid.n_rows


@pytest.mark.parametrize(
    "uploads",
    ["012", "201", "120", "0.21", "2..0.1"],
    ids=lambda uploads: uploads.replace(".", "-wait-"),
)
def test_an_image_on_the_seam_is_that_of_a_request_for_all_slices(
    system: bootstrap.System,
    slices: list[Scene],
    functions: dict[str, Callable[[Any], None]],
    uploads: str,
    tmp_path: Path,
) -> None:
    ports, here = system.ports, {f"products/{scene.path.name}": scene.path for scene in slices}
    seam_01, seam_12 = area(42.0092, 42.0128), area(41.9872, 41.9908)
    middle = area(41.9965, 42.0035)
    common = {"user": "ana", "created_at": "2026-05-01T00:00:00Z", "terrain": {"height_m": 0}}
    wanted = {
        "seam-01": {"kind": "area", "area": seam_01, "spacing_m": 10},
        "seam-12": {"kind": "area", "area": seam_12, "spacing_m": 10},
        "middle": {"kind": "area", "area": middle, "spacing_m": 10},
        "tile": {"kind": "mgrs", "spacing_m": 183, "tiles": ["33TTG"]},
    }
    for order_id, grid in wanted.items():
        filters = {"area": grid["area"]} if "area" in grid else {}
        document = {**common, "order_id": order_id, "grid": grid, "products": filters}
        add_order(ports, StandingOrder.model_validate(document))

    def work() -> None:
        for body in ports.queues.drain(names.QUEUE_UPLOADS, 100):
            functions["uploads-again"](Message(body))
        for body in ports.queues.drain(names.QUEUE_REQUESTS, 100):
            functions["requests"](Message(body))

    def wait() -> None:
        """Until nothing is in the queues any longer, hidden messages included."""
        deadline = time.monotonic() + 10 * WAIT_S
        while ports.queues.length(names.QUEUE_UPLOADS) + ports.queues.length(names.QUEUE_REQUESTS):
            assert time.monotonic() < deadline
            work()
            time.sleep(0.2)

    with BlobServiceClient.from_connection_string(system.settings.storage.get_secret_value()) as service:
        for step in uploads:
            if step == ".":
                wait()
                continue
            folder = slices[int(step)].path
            for file in sorted(folder.rglob("*"), key=lambda path: path.name == "manifest.safe"):
                if file.is_file():
                    client = service.get_blob_client("products", file.relative_to(folder.parent).as_posix())
                    client.upload_blob(file.read_bytes())
            functions["uploads"](client)
            functions["uploads"](client)  # Event Grid delivers at least once
            work()
    wait()

    plans = [read_plan(ports, job.job_id) for job in find(ports.tables, JobRecord)]
    assert {job.fault_message for job in find(ports.tables, JobRecord)} == {None}
    last: dict[tuple[float, ...], Plan] = {}
    for plan in filter(None, plans):
        (output,) = plan.outputs
        key = grid_key(output.identity.grid)
        if key not in last or len(last[key].request.products) < len(plan.request.products):
            last[key] = plan
    assert len(last) == len(wanted)
    for order_id, grid in wanted.items():
        asked = Request.model_validate(
            {"request_id": f"all-{order_id}", "products": list(here), "grid": grid, "terrain": {"height_m": 0}}
        )
        job = plan_request(ports, asked, system.limits, system.rules)
        of_all = read_plan(ports, job.job_id)
        assert of_all is not None
        plan = last[grid_key(of_all.outputs[0].identity.grid)]
        n_slices = {"seam-01": 2, "seam-12": 2, "middle": 1, "tile": 3}[order_id]
        assert len(plan.request.products) == n_slices, order_id
        out = tmp_path / order_id
        for name in ("arrived", "asked"):
            (out / name).mkdir(parents=True)
        ((_, arrived),) = make_planned(plan, here, out / "arrived")
        ((_, named),) = make_planned(of_all, here, out / "asked")
        for kind in ("image", "mask"):
            with rasterio.open(arrived.files[kind]) as one, rasterio.open(named.files[kind]) as other:
                assert (one.crs, one.transform, one.shape) == (other.crs, other.transform, other.shape)
                np.testing.assert_array_equal(one.read(), other.read())
                if kind == "image" and order_id != "tile":
                    assert np.isfinite(one.read(1)).all(), order_id
    # One job for each seam; where a slice was waited for in vain, one more that the last says it replaces.
    if "." in uploads:
        assert any(plan.request.replaces for plan in filter(None, plans))
    else:
        assert len(list(find(ports.tables, JobRecord, partition="ana"))) == len(wanted)
