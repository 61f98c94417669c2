"""What is released is what was planned: products and auxiliary files that were replaced meanwhile are noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.products import ROME, affine_rpc, manifest, members, put_safe, rpc_tiff, safe_zip
from fakes.world import World
from orthocontracts.requests import Request
from orthocontracts.states import TaskState
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import TaskRecord
from orthofunctions.usecases.plan import plan_request

FOLDER, ZIP, IMAGE, DEM = f"products/{ROME}.SAFE", f"products/{ROME}.zip", "products/a.tif", "aux/dem.tif"


@pytest.fixture
def world() -> World:
    world = World()
    put_safe(world.blobs)
    world.blobs.write("products", f"{ROME}.zip", safe_zip())
    world.blobs.write("products", "a.tif", rpc_tiff(affine_rpc()))
    world.blobs.write("aux", "dem.tif", b"heights")
    world.clock.advance(10)
    return world


def plan(world: World, product: str) -> None:
    grid = {"grid": {"kind": "mgrs", "tiles": ["33TUG"]}} if ROME in product else {}
    request = Request.model_validate({"request_id": "r", "products": [product], "terrain": {"dem": DEM}, **grid})
    job = plan_request(world.ports, request, Limits(), world.rules)
    assert job.fault_kind is None, job.fault_message


def released(world: World, wait_s: float = 5) -> TaskRecord:
    world.clock.advance(wait_s)
    world.status("node-1")
    world.round()
    (task,) = world.tasks()
    return task


def reprocess(world: World) -> None:
    files = members(ROME)
    path = next(path for path in files if path.startswith("annotation/"))
    files[path] = b"<product>newer</product>"
    world.blobs.write("products", f"{ROME}.SAFE/{path}", files[path])
    world.blobs.write("products", f"{ROME}.SAFE/manifest.safe", manifest(files))


@pytest.mark.parametrize(
    ("product", "replace"),
    [
        (FOLDER, reprocess),
        (FOLDER, lambda world: world.blobs.write("products", f"{ROME}.SAFE/manifest.safe", b"<nonsense/>")),
        (ZIP, lambda world: world.blobs.write("products", f"{ROME}.zip", safe_zip(extra={"support/new": b"1"}))),
        (IMAGE, lambda world: world.blobs.write("products", "a.tif", rpc_tiff(affine_rpc()) + b" ")),
        (IMAGE, lambda world: world.blobs.write("products", "a_RPC.TXT", b"corrected")),
        (FOLDER, lambda world: world.blobs.write("aux", "dem.tif", b"other heights")),
    ],
)
@pytest.mark.parametrize("after_s", [0, 3])
def test_what_was_replaced_ends_the_task_and_names_it(
    world: World, product: str, replace: Callable[[World], object], after_s: float
) -> None:
    plan(world, product)
    world.clock.advance(after_s)
    replace(world)
    task = released(world)
    assert (task.state, task.fault_kind) == (TaskState.FAILED, "InputReplacedError")
    assert "was replaced after the request was planned" in str(task.fault_message)


@pytest.mark.parametrize(
    ("product", "again"),
    [
        (FOLDER, lambda world: put_safe(world.blobs)),
        (ZIP, lambda world: world.blobs.write("products", f"{ROME}.zip", safe_zip())),
        (IMAGE, lambda world: world.blobs.write("products", "a.tif", rpc_tiff(affine_rpc()))),
        (FOLDER, lambda world: world.blobs.write("aux", "dem.tif", b"heights")),
    ],
)
def test_the_same_bytes_uploaded_once_more_are_no_trouble(
    world: World, product: str, again: Callable[[World], object]
) -> None:
    plan(world, product)
    world.clock.advance(3)
    again(world)
    assert released(world).state is TaskState.RELEASED


def test_members_belong_to_one_version(world: World) -> None:
    plan(world, FOLDER)
    assert released(world).state is TaskState.RELEASED
    delivery = world.take()
    assert delivery is not None
    etags = {file.path: file.etag for file in delivery.ticket.inputs}
    assert all(etags.values())
    assert len(etags) == len(members(ROME)) + 2, "with manifest and DEM"
