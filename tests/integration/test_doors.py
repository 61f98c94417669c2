"""The doors as the functions host opens them: ``function_app.py``'s own functions, called on the emulator."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest
from azure.functions.queue import QueueMessage as QueueMessageBase
from azure.storage.blob import BlobServiceClient
from azurefunctions.extensions.bindings.blob import BlobClient

from fakes.products import NEXT_RING, NEXT_SLICE, affine_rpc, manifest, members, rpc_tiff
from localdev.servers import Azurite
from orthocontracts import names
from orthofunctions import bootstrap
from orthofunctions.domain.records import JobRecord, TaskRecord
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.rows import find

ORDER = {
    "sentinel1": {"grid": {"kind": "mgrs", "spacing_m": 60}},
    "rpc": {"grid": {"kind": "footprint", "spacing_m": 1}, "patience_s": 5},
    "terrain": {"height_m": 100},
    "user": "archive",
}


class Message(QueueMessageBase):
    """A queue message as the worker process hands it to a function."""

    def get_body(self) -> bytes:
        return self._body

    def __init__(self, body: bytes) -> None:
        super().__init__(body=body)
        self._body = body


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bootstrap.System]:
    """A system on storage of its own; ``bootstrap.system()`` gives it to every trigger."""
    with Azurite(tmp_path_factory.mktemp("azurite-doors")) as azurite:
        provision(azurite.connection_string)
        provision(azurite.connection_string)  # any number of times
        built = bootstrap.build(Settings.model_validate({"AzureWebJobsStorage": azurite.connection_string}))
        bootstrap._built[:] = [built]
        yield built
        bootstrap._built.clear()
        built.close()


@pytest.fixture
def service(system: bootstrap.System) -> Iterator[BlobServiceClient]:
    assert system.settings.storage is not None
    with BlobServiceClient.from_connection_string(system.settings.storage.get_secret_value()) as service:
        yield service


def jobs(ports: Ports, user: str) -> list[JobRecord]:
    return list(find(ports.tables, JobRecord, partition=user))


def plan_all(functions: dict[str, Any], ports: Ports) -> int:
    bodies = ports.queues.drain(names.QUEUE_REQUESTS, 100)
    for body in bodies:
        functions["requests"](Message(body.encode()))
    return len(bodies)


def test_the_app_has_every_function_and_the_upload_door_never_asks_for_bytes(registered: dict[str, Any]) -> None:
    assert {"uploads", "requests", "http", "dispatch", "results", "capacity"} <= registered.keys()
    trigger = registered["uploads"].get_trigger().get_dict_repr()
    assert (trigger["type"], trigger["path"]) == ("blobTrigger", "products/{name}")
    assert trigger["source"] == "EventGrid"
    hints = typing.get_type_hints(registered["uploads"].get_user_function())
    assert hints["blob"] is BlobClient  # of the extension: Azure refuses the SDK's


def test_uploads_wait_for_their_last_part_and_repeated_events_are_one_job(
    functions: dict[str, Any], system: bootstrap.System, service: BlobServiceClient
) -> None:
    ports = system.ports
    system.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(ORDER).encode())
    files = members(NEXT_SLICE)
    for path, data in {**files, "manifest.safe": manifest(files, NEXT_RING)}.items():
        client = service.get_blob_client("products", f"{NEXT_SLICE}.SAFE/{path}")
        client.upload_blob(data)
        functions["uploads"](client)
        functions["uploads"](client)
    image = service.get_blob_client("products", "scenes/a.tif")
    image.upload_blob(rpc_tiff(affine_rpc()))
    functions["uploads"](image)
    ignored = service.get_blob_client("products", "readme.txt")
    ignored.upload_blob(b"x")
    functions["uploads"](ignored)
    assert plan_all(functions, ports) == 3  # the manifest's event came twice
    found = jobs(ports, "archive")
    assert len(found) == 2
    assert {(job.source, job.planned, job.fault_kind) for job in found} == {("upload", True, None)}
    tasks = [task for job in found for task in find(ports.tables, TaskRecord, partition=job.job_id)]
    assert {task.patience_s for task in tasks} == {None, 5.0}
    # the same name with other bytes is another product
    image.upload_blob(rpc_tiff(affine_rpc(lon=6.0)), overwrite=True)
    functions["uploads"](image)
    assert plan_all(functions, ports) == 1
    assert len(jobs(ports, "archive")) == 3


def test_a_message_that_is_no_request_is_kept_and_ends(functions: dict[str, Any], system: bootstrap.System) -> None:
    functions["requests"](Message(b'{"request": \xff'))
    kept = list(system.ports.blobs.list(names.CONTAINER_CONTROL, "poison/requests/"))
    assert len(kept) == 1
    assert b"NotJson" in system.ports.blobs.read(names.CONTAINER_CONTROL, kept[0].name)


async def call(functions: dict[str, Any], method: str, path: str, body: bytes = b"") -> func.HttpResponse:
    request = func.HttpRequest(
        method=method,
        url=f"http://127.0.0.1:7071{path}",
        headers={"host": "127.0.0.1:7071", "content-length": str(len(body))},
        body=body,
    )
    answer: func.HttpResponse = await functions["http"](request, None)
    return answer


def test_the_http_door_through_the_functions_own_asgi_bridge(
    functions: dict[str, Any], system: bootstrap.System
) -> None:
    import asyncio

    system.ports.blobs.write("products", "b.tif", rpc_tiff(affine_rpc()))
    inputs = {"products": ["products/b.tif"], "grid": {"kind": "footprint", "spacing_m": 2}, "terrain": {"height_m": 1}}

    async def session() -> tuple[func.HttpResponse, ...]:
        accepted = await call(
            functions, "POST", "/processes/orthorectify/execution", json.dumps({"inputs": inputs}).encode()
        )
        job = json.loads(accepted.get_body())["jobID"]
        await asyncio.to_thread(plan_all, functions, system.ports)
        return accepted, await call(functions, "GET", f"/jobs/{job}"), await call(functions, "GET", "/jobs/none")

    accepted, planned, missing = asyncio.run(session())
    assert accepted.status_code == 201
    assert accepted.headers["location"].startswith("http://127.0.0.1:7071/jobs/j")
    assert json.loads(planned.get_body())["message"] == "0 of 1 images are there"
    assert missing.status_code == 404
    assert missing.mimetype == "application/problem+json"
