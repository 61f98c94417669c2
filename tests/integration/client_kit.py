"""The real service for the client: the functions host over Azurite, with a hand that makes images."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fakes.products import put_safe
from integration.storage import azure_ports
from localdev.servers import Azurite, FunctionsHost
from orthoburst import Client
from orthocontracts import names
from orthocontracts.messages import Fault
from orthocontracts.outputs import FILE_SUFFIX, CatalogueEntry, FileFacts, FileKind, file_kinds
from orthofunctions.adapters.clock import SystemClock
from orthofunctions.domain.records import OutputRecord
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.usecases.digests import commit_digest, fail_digest
from orthofunctions.usecases.inspect import inspect_product
from orthofunctions.usecases.inventory import take_stock
from orthofunctions.usecases.plan import read_plan
from orthofunctions.usecases.rows import find

FUNCTIONS = Path(__file__).parents[2] / "functions"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
OUTLINE = {"type": "Polygon", "coordinates": [[[12, 41], [13, 41], [13, 42], [12, 42], [12, 41]]]}


@dataclass
class Service:
    """``url`` answers; nobody works on what is asked for but `make`."""

    url: str
    ports: Ports

    def make(self, job_id: str) -> None:
        """Commit every image of a planned job, with a few bytes for each file."""
        plan = read_plan(self.ports, job_id)
        assert plan is not None
        for output in list(find(self.ports.tables, OutputRecord, partition=job_id)):
            identity = next(one.identity for one in plan.outputs if one.digest == output.digest)
            files = {kind: self._deliver(output.digest, kind) for kind in file_kinds(identity.options)}
            entry = CatalogueEntry(
                digest=output.digest, identity=identity, files=files, task_id=output.task_id, release=1, delivery=1,
                pool="hpc", agent="a1", committed_at="2026-05-01T00:00:00Z",
            )  # fmt: skip
            blob = names.catalogue_blob(output.digest)
            self.ports.blobs.write(names.CONTAINER_CATALOGUE, blob, entry.to_json().encode())
            commit_digest(self.ports, output.digest)

    def fail(self, job_id: str) -> None:
        """End every image of a planned job without it."""
        for output in list(find(self.ports.tables, OutputRecord, partition=job_id)):
            fault = Fault(kind="Broken", message="it <broke>", permanent=True)
            fail_digest(self.ports, output.task_id, output.digest, fault)

    def take_stock(self, ref: str) -> None:
        """Note a product that was put into the store without anybody being told."""
        arrived = self.ports.blobs.facts("products", f"{ref.removeprefix('products/')}/manifest.safe")
        assert arrived is not None
        facts = inspect_product(self.ports.blobs, ref)
        take_stock(self.ports, facts, at=arrived.last_modified, completed_by=arrived.name)

    def _deliver(self, digest: str, kind: FileKind) -> FileFacts:
        data = PNG if kind == "browse" else f"{kind} of {digest}".encode()
        if kind == "item":
            assets = {one: {"href": f"./{digest}{suffix}"} for one, suffix in FILE_SUFFIX.items()}
            properties = {"datetime": "2021-12-23T05:11:34Z", "platform": "sentinel-1b"}
            item = {"type": "Feature", "id": digest, "geometry": OUTLINE, "properties": properties, "assets": assets}
            data = json.dumps(item).encode()
        blob = names.result_blob("j-0001", 1, 1, digest, kind)
        self.ports.blobs.write(names.CONTAINER_RESULTS, blob, data)
        md5 = hashlib.md5(data).hexdigest()
        return FileFacts(blob=f"{names.CONTAINER_RESULTS}/{blob}", size_bytes=len(data), md5=md5)

    def planned(self, client: Client, batch: str, timeout_s: float = 60.0) -> None:
        """Wait until no job of a batch waits for its plan."""
        wait_until(
            lambda: not client.batch(batch).filter(where=lambda job: job.message == "waits for its plan"), timeout_s
        )


def wait_until(is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@contextmanager
def real_service(folder: Path, **settings: str) -> Iterator[Service]:
    """The service with a product in its store."""
    with Azurite(folder / "azurite") as azurite:
        provision(azurite.connection_string)
        storage = {"AzureWebJobsStorage": azurite.connection_string}
        with (
            azure_ports(azurite.connection_string) as ports,
            FunctionsHost(FUNCTIONS, folder, {**storage, **settings}) as host,
        ):
            put_safe(ports.blobs)
            yield Service(host.url, replace(ports, clock=SystemClock()))  # the host's
