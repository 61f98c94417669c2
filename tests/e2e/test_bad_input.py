"""Whatever comes in, a clear error comes out on the job, nothing hangs, and the rest of the work goes on."""

from __future__ import annotations

import base64
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from e2e.conftest import Site
from localdev.demo.work import DEM_REF
from orthocontracts import names

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><x>&c;</x>'
)


def _rezip(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of a zip with members changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            data = change(member, old.read(member))
            if data is not None:
                new.writestr(member, data)
    return target


@pytest.fixture
def broken(scenes: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Products damaged in one way each."""
    good = scenes["zip"]

    def named(crc: str) -> Path:
        return tmp_path / f"{good.stem[:-4]}{crc}.zip"

    cut_tiff = _rezip(
        good, named("0001"), lambda name, data: data[: len(data) // 2] if name.endswith(".tiff") else data
    )
    bomb = _rezip(good, named("0002"), lambda name, data: BOMB.encode() if name.endswith("manifest.safe") else data)
    bomb_inside = _rezip(
        good,
        named("0003"),
        lambda name, data: BOMB.encode() if "/annotation/s1" in name and name.endswith(".xml") else data,
    )
    climbing = named("0004")
    shutil.copy(good, climbing)
    with zipfile.ZipFile(climbing, "a") as archive:
        archive.writestr("../../evil.txt", "x")
    cut_zip = named("0005")
    cut_zip.write_bytes(good.read_bytes()[:20000])
    no_annotation = _rezip(
        good, named("0006"), lambda name, data: None if "/annotation/s1" in name and name.endswith(".xml") else data
    )
    return {
        "cut_tiff": cut_tiff,
        "bomb": bomb,
        "bomb_inside": bomb_inside,
        "climbing": climbing,
        "cut_zip": cut_zip,
        "no_annotation": no_annotation,
    }


def test_broken_products_and_impossible_requests_fail_alone(
    start_site: Callable[..., Site], scenes: dict[str, Path], broken: dict[str, Path]
) -> None:
    site = start_site(agents=1, cloud_limit=1)
    # A pool of raw messages that no request is in: they must not stop what follows.
    with QueueServiceClient.from_connection_string(site.store.connection) as service:
        queue = service.get_queue_client(names.QUEUE_REQUESTS)
        queue.send_message("this is not base64 !!")
        queue.send_message(base64.b64encode(b"\xff\xfe not json").decode())
        queue.send_message(base64.b64encode(b'{"v": 1, "request": {"products": []}}').decode())
        queue.send_message(base64.b64encode(json.dumps({"v": 1, "junk": "x" * 45_000}).encode()).decode())
    refs = {name: site.store.upload_product(path) for name, path in broken.items()}
    good = site.store.upload_product(scenes["zip"])
    with BlobServiceClient.from_connection_string(site.store.connection) as blobs:
        blobs.get_blob_client(names.CONTAINER_AUX, "not-a-dem.tif").upload_blob(b"II*\0 no tiff", overwrite=True)

    asked = {
        "no such product": site.client.submit(["products/nothing.zip"], request_id="no-product"),
        "no such dem": site.client.submit([good], request_id="no-dem", terrain={"dem": "aux/nothing.tif"}),
        "not a dem": site.client.submit(
            [good], request_id="not-a-dem", terrain={"dem": "aux/not-a-dem.tif"}, spacing_m=60
        ),
        "grid off the product": site.client.submit([good], request_id="off", tiles=["31TCJ"], spacing_m=60),
        "dem misses the grid": site.client.submit(
            [good],
            request_id="dem-misses",
            terrain={"dem": DEM_REF},
            grid={
                "kind": "bounds",
                **{"epsg": 32631, "left": 5e5, "right": 5.1e5, "bottom": 5e6, "top": 5.01e6, "spacing": 100},
            },
        ),
    }
    jobs = len(broken) + 1 + len(asked)
    seen = site.wait_until_over(jobs, timeout_s=300)
    by_product = {job.status["request_id"]: job for job in seen.jobs}
    assert len(by_product) == jobs

    for what, job in asked.items():
        job.refresh()
        assert job.state == "failed", (what, job.status)
        assert job.message, what
    uploads = [job for job in seen.jobs if job.status["source"] == "upload"]
    assert sorted(job.state for job in uploads) == ["failed"] * len(broken) + ["successful"]
    messages = " | ".join(job.message for job in uploads if job.state == "failed")
    for name, path in broken.items():
        assert path.stem in messages or refs[name] in messages, (name, messages)

    deadline = time.monotonic() + 60
    while True:
        rejected = site.client._session.call("GET", "/rejected")
        if rejected["total"] >= 4 or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert rejected["total"] == 4, rejected
