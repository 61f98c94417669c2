"""Products in through every door; checked images out of both pools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from azure.storage.queue import QueueServiceClient
from rio_cogeo.cogeo import cog_validate

from e2e.conftest import Site
from localdev.demo.work import DEM_REF
from orthoburst.cli import main
from orthocontracts import names
from orthocontracts.requests import Request


def test_upload_request_and_message_become_images_on_both_pools(
    start_site: Callable[..., Site], scenes: dict[str, Path], tmp_path: Path
) -> None:
    site = start_site(agents=1)
    zipped = site.store.upload_product(scenes["zip"])
    folder = site.store.upload_product(scenes["folder"])
    terrain = {"dem": DEM_REF}
    asked = site.client.submit([folder], spacing_m=60, terrain=terrain, patience_s=0, request_id="http-1")
    again = site.client.submit([folder], spacing_m=60, terrain=terrain, patience_s=0, request_id="http-1")
    assert again.id == asked.id
    for number, spacing_m in enumerate((30, 90, 100)):
        site.store.send_request(
            Request.model_validate(
                {
                    "request_id": f"queue-{number}",
                    "products": [zipped],
                    "grid": {"kind": "mgrs", "spacing_m": spacing_m},
                    "terrain": terrain,
                    "patience_s": 0,
                }
            )
        )
    seen = site.wait_until_over(6)

    assert len(seen.jobs) == 6
    assert {job.state for job in seen.jobs} == {"successful"}
    assert {job.status["source"] for job in seen.jobs} == {"upload", "http", "queue"}
    assert {task["state"] for task in seen.tasks} == {"succeeded"}
    assert set(seen.by_pool) == {"hpc", "cloud"}
    for task in seen.tasks:
        assert task["decision"]["pool"] == task["pool"]
        assert task["decision"]["sentence"]

    digests = [output["digest"] for job in seen.jobs for output in _outputs(site, job.id)]
    assert sorted(site.committed_digests()) == sorted(set(digests))
    images = [path for job in seen.jobs for path in job.download(tmp_path / "images")]
    assert len(images) == len(digests)
    for image in images:
        _check_image(image)

    _nothing_waits_any_more(site)
    _no_secret_in_the_logs(site)


def test_what_is_in_the_catalogue_is_answered_without_work(
    start_site: Callable[..., Site], scenes: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = start_site(agents=1, cloud_limit=0)
    product = site.store.upload_product(scenes["zip"])
    site.wait_until_over(1)
    first = site.client.submit([product], spacing_m=60, request_id="one", terrain={"dem": DEM_REF})
    first.watch(timeout_s=120)
    second = site.client.submit([product], spacing_m=60, request_id="two", terrain={"dem": DEM_REF})
    second.watch(timeout_s=30)
    assert second.explain() == []
    assert [result.digest for result in second.results()] == [result.digest for result in first.results()]
    _the_command_tells_the_same(site, first.id, tmp_path, capsys)


def _the_command_tells_the_same(site: Site, job_id: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> Any:
        assert main(["--url", site.stack.api_url, *arguments, "--json"]) == 0, arguments
        return json.loads(capsys.readouterr().out)

    capsys.readouterr()
    assert job_id in {job["jobID"] for job in said("jobs")}
    assert said("watch", job_id)["status"] == "successful"
    assert [task["pool"] for task in said("explain", job_id)] == ["hpc"]
    assert {pool["pool"] for pool in said("pools")} == {"hpc"}
    images = said("fetch", job_id, str(folder))
    assert {tile for tile in ("32TQM", "33TTG") if any(tile in image for image in images)} == {"32TQM", "33TTG"}
    assert all(Path(image).is_file() for image in images)
    assert main(["--url", site.stack.api_url, "watch", "jnothing"]) == 1
    assert "jnothing" in capsys.readouterr().err
    assert main(["--url", "http://127.0.0.1:9", "jobs"]) == 3
    assert "does not answer" in capsys.readouterr().err


def _outputs(site: Site, job_id: str) -> list[dict[str, str]]:
    outputs: list[dict[str, str]] = site.client._session.call("GET", f"/jobs/{job_id}/explain")["outputs"]
    return outputs


def _check_image(image: Path) -> None:
    """A valid COG with radar backscatter in it, and a STAC Item that tells the same."""
    is_valid, errors, _ = cog_validate(image, strict=True)
    assert is_valid, errors
    item = pystac.Item.from_dict(json.loads(image.with_suffix(".json").read_text()))
    with rasterio.open(image) as file:
        values = file.read(1, masked=True)
        assert item.properties["proj:code"] == f"EPSG:{file.crs.to_epsg()}"
        assert item.properties["proj:shape"] == [file.height, file.width]
    assert 0.0005 < values.count() / values.size < 0.9
    assert 0.02 < float(np.ma.median(values)) < 1.0
    for asset in item.assets.values():
        assert (image.parent / asset.href).is_file(), asset.href
    assert image.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def _nothing_waits_any_more(site: Site) -> None:
    with QueueServiceClient.from_connection_string(site.store.connection) as service:
        for queue in service.list_queues():
            waiting = service.get_queue_client(queue.name).get_queue_properties().approximate_message_count
            assert not waiting or queue.name in (names.QUEUE_CAPACITY, names.QUEUE_DISPATCH), queue.name


def _no_secret_in_the_logs(site: Site) -> None:
    """Neither the account's key nor a signed link; percent-encoded signatures begin the same."""
    logs = sorted(site.stack.logs.glob("*.log"))
    assert len(logs) >= 4
    for log in logs:
        text = log.read_text(errors="replace")
        assert "Eby8vdM02" not in text, log
        assert "sig=" not in text.replace("sig=***", "").replace("sig=REDACTED", ""), log
