"""What the demo puts in, and through which door."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from localdev.stack.settings import write_setting
from orthoburst import Client
from orthocontracts import names
from orthocontracts.requests import Request, RequestEnvelope

DEM_REF = "aux/demo-dem.tif"

TAKEN_S = 30.0
"""After which an upload counts as lost, and the demo says so at its end."""


@dataclass(frozen=True)
class Store:
    """The demo's hands on the blob store and the queue: what a user of Azure has in the portal or a script."""

    connection: str

    def upload_product(self, path: Path) -> str:
        """Upload a file, or a SAFE or SEN3 folder with its manifest last; its reference."""
        with BlobServiceClient.from_connection_string(self.connection) as service:
            container = service.get_container_client(names.CONTAINER_PRODUCTS)
            for file in _in_order(path):
                with file.open("rb") as data:
                    container.upload_blob(str(file.relative_to(path.parent)), data, overwrite=True)
        return f"products/{path.name}"

    def upload_aux(self, path: Path, ref: str) -> None:
        container, _, name = ref.partition("/")
        with BlobServiceClient.from_connection_string(self.connection) as service, path.open("rb") as data:
            service.get_container_client(container).upload_blob(name, data, overwrite=True)

    def send_request(self, request: Request) -> None:
        """Put a request on queue ``requests``."""
        body = RequestEnvelope(request=request).to_json().encode()
        # by itself the client waits fifteen seconds before it tries a second time
        with QueueServiceClient.from_connection_string(self.connection, initial_backoff=1, increment_base=2) as service:
            service.get_queue_client(names.QUEUE_REQUESTS).send_message(base64.b64encode(body).decode())


def _in_order(path: Path) -> Iterable[Path]:
    """A product's files in the order that completes it last: RPC beside an image first, a folder's manifest last."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return sorted(files, key=lambda file: file in (path / "manifest.safe", path / "xfdumanifest.xml"))
    beside = path.with_name(f"{path.stem}_RPC.TXT")
    return [beside, path] if beside.exists() else [path]


def default_order(patience_s: float) -> dict[str, Any]:
    """What is made of uploads: Sentinel-1 and 2 on tiles, detailed images and Sentinel-3 on their own footprint."""
    return {
        "version": 1,
        "sentinel1": {"grid": {"kind": "mgrs", "spacing_m": 20}, "patience_s": patience_s},
        "sentinel2": {"grid": {"kind": "mgrs", "spacing_m": 20}, "patience_s": patience_s},
        "sentinel3": {"grid": {"kind": "footprint"}, "patience_s": patience_s},
        "rpc": {"grid": {"kind": "footprint", "spacing_m": 2}, "patience_s": patience_s},
        "terrain": {"dem": DEM_REF},
    }


@dataclass(frozen=True)
class Fed:
    """What went in: how many jobs to expect."""

    uploads: int
    http: int
    queue: int

    @property
    def jobs(self) -> int:
        return self.uploads + self.http + self.queue


def feed(store: Store, client: Client, sentinel1: list[Path], rpc: list[Path], dem: Path, patience_s: float) -> Fed:
    """Everything through all three doors: uploads, HTTP requests, queue messages."""
    store.upload_aux(dem, DEM_REF)
    write_setting(store.connection, names.BLOB_DEFAULT_ORDER, default_order(patience_s))
    refs = []
    for number, path in enumerate([*sentinel1, *rpc], start=1):
        refs.append(store.upload_product(path))
        # slices of a pass that come at once are one job: here each is to be seen
        _wait_for_jobs(client, number)
    radar = refs[: len(sentinel1)]
    terrain = {"dem": DEM_REF}
    for number, ref in enumerate(radar):
        # the last, alone in its look direction, as Normalised Radar Backscatter with all that can come beside it
        is_nrb = number == len(radar) - 1
        client.submit(
            [ref],
            grid={"kind": "footprint", "spacing_m": 10},
            radiometry="gamma0_rtc" if is_nrb else None,
            extras=["scattering_area"] if is_nrb else None,
            terrain=terrain,
            patience_s=patience_s,
            request_id=f"demo-http-{number}",
        )
    for number, ref in enumerate(radar):
        store.send_request(
            Request.model_validate(
                {
                    "request_id": f"demo-queue-{number}",
                    "products": [ref],
                    "grid": {"kind": "footprint", "spacing_m": 40},
                    "options": {"resampling": "average"},
                    "terrain": terrain,
                    "patience_s": patience_s,
                }
            )
        )
    return Fed(uploads=len(refs), http=len(radar), queue=len(radar))


def _wait_for_jobs(client: Client, count: int) -> None:
    ends_s = time.monotonic() + TAKEN_S
    while len(list(client.jobs(limit=1000))) < count and time.monotonic() < ends_s:
        time.sleep(0.2)
