"""Plans a request for products that lie anywhere, fetches as a worker does, and makes its images as its child would."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from fakes.memory_ports import MemoryBlobs
from orthoagent.adapters.fetch import Fetched, Fetcher
from orthoagent.adapters.origins import Abroad, Origins
from orthoagent.adapters.sites import Sites
from orthoagent.adapters.transfer import Transfer
from orthoagent.childwords import OutputMade, OutputOrder
from orthoagent.compute import finish, orthorectify_output
from orthoagent.needs import job_of, needed_inputs
from orthocontracts.inputs import InputFile
from orthocontracts.requests import Request
from orthocontracts.tasks import TaskSpec
from orthocontracts.tickets import Ticket
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.usecases.inputs import input_files
from orthofunctions.usecases.plan import plan_request, read_plan


def upload(ports: Ports, ref: str, path: Path) -> None:
    """A file or a folder, under a reference in blob storage."""
    container, _, name = ref.partition("/")
    for file in [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file()):
        blob = name if path.is_file() else f"{name}/{file.relative_to(path).as_posix()}"
        ports.blobs.write(container, blob, file.read_bytes())


def planned(ports: Ports, **request: Any) -> Plan:
    asked = Request.model_validate({"request_id": "r1", **request})
    job = plan_request(ports, asked, Limits(), Rules())
    assert job.fault_message is None, job.fault_message
    plan = read_plan(ports, job.job_id)
    assert plan is not None
    return plan


@dataclass(frozen=True)
class Made:
    """What became of a task's first output, and what it took to fetch its inputs."""

    order: OutputOrder
    made: OutputMade
    fetched: Fetched


def make(
    ports: Ports,
    spec: TaskSpec,
    folder: Path,
    *,
    stores: Mapping[str, Path] | None = None,
    part_bytes: int = 1 << 20,
    **abroad: Any,
) -> Made:
    """Fetch a task's inputs and make its first output."""
    files = input_files(ports, spec, ports.clock.now() + timedelta(hours=1), {})
    ticket = Ticket.model_construct(spec=spec, inputs=files, wanted=spec.digests)
    into = folder / "in"
    far: list[InputFile] = []
    for file in needed_inputs(ticket):
        if file.url.startswith("memory://"):
            put_near(ports, file, into)
        else:
            far.append(file)
    fetched = asyncio.run(_fetch(far, into, stores or {}, spec.options.bands, part_bytes, abroad))
    job = job_of(spec, folder, spec.outputs)
    order = OutputOrder(
        **job.model_dump(exclude={"folder", "outputs", "options"}),
        grid=spec.outputs[0].grid,
        options=spec.options,
        out=folder / "out.tif",
    )
    try:
        return Made(order, orthorectify_output(order, lambda _: None), fetched)
    finally:
        finish()


def put_near(ports: Ports, file: InputFile, into: Path) -> None:
    """What lies in blob storage, under the place its link names."""
    assert isinstance(ports.blobs, MemoryBlobs)
    container, _, name = file.url.removeprefix("memory://").partition("?")[0].partition("/")
    path = into / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ports.blobs.read(container, name))


async def _fetch(
    files: Sequence[InputFile],
    into: Path,
    stores: Mapping[str, Path],
    bands: Sequence[str] | None,
    part_bytes: int,
    abroad: Mapping[str, Any],
) -> Fetched:
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        transfer = Transfer(Origins(http, Abroad(http, **abroad)), part_bytes=part_bytes)
        fetcher = Fetcher(transfer, Sites(stores), None, parallel=4, gap_bytes=1000)
        return await fetcher.fetch(files, into, lambda _: None, bands=bands)
