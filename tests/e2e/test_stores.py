"""A product in the site's archive, images that stay there, and a copy when somebody wants one: with the real parts."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio

from e2e.conftest import Site
from localdev.demo.work import DEM_REF
from orthoburst.cli import main
from orthoburst.stub import make_stub
from orthocontracts.stores import SCHEME, split_site_url


def test_read_in_the_archive_kept_there_and_copied_on_demand(
    start_site: Callable[..., Site], scenes: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "archive"
    product = shutil.copytree(scenes["folder"], archive / "2026" / scenes["folder"].name)
    site = start_site(agents=1, cloud_limit=1, site_store=archive, patience_s=0.0)
    terrain = {"dem": DEM_REF}
    stub = make_stub(product, tmp_path / "stub", store="site", root=archive, least_bytes=100_000)
    assert sum(path.stat().st_size for path in stub.rglob("*.tiff")) == 0
    ref = site.store.upload_product(stub)  # without patience the cloud would take it, if it could read it
    (uploaded,) = site.wait_until_over(1).jobs
    assert uploaded.state == "successful", uploaded.message
    (task,) = uploaded.explain()
    assert task["pool"] == "hpc"
    assert task["decision"]["figures"]["cloud"]["free_slots"] == 0

    result = uploaded.results()[0]
    assert result.image_url == ""
    assert result.files["item"].url.startswith("http")
    kept = {kind: _blob(site, uploaded.id, kind) for kind in ("image", "mask", "browse")}
    assert kept["browse"].startswith("results/")
    for kind in ("image", "mask"):
        place = split_site_url(kept[kind])
        assert place is not None
        lies = archive / place[1]
        assert hashlib.md5(lies.read_bytes()).hexdigest() == result.files[kind].md5
    assert main(["--url", site.client.url, "results", uploaded.id]) == 0
    assert "on site: fetch copies it" in capsys.readouterr().out

    image = uploaded.download(tmp_path / "images")[0]
    assert hashlib.md5(image.read_bytes()).hexdigest() == result.files["image"].md5
    with rasterio.open(image) as opened:
        assert opened.read(1, masked=True).count() > 1000
    again = uploaded.results()[0]
    assert again.image_url.startswith("http")
    assert not _blob(site, uploaded.id, "image").startswith(SCHEME)
    assert uploaded.copy() == []

    # The same product uploaded whole is the same image: it is found, not made again.
    shutil.rmtree(tmp_path / "stub")
    site.store.upload_product(scenes["folder"])
    whole = site.client.submit([ref], request_id="whole", spacing_m=20, terrain=terrain)
    whole.watch(timeout_s=120)
    assert whole.results()[0].digest == result.digest
    assert whole.explain() == []


def _blob(site: Site, job_id: str, kind: str) -> str:
    output, *_ = site.client._session.call("GET", f"/jobs/{job_id}/results")["outputs"]
    blob: str = output[kind]["blob"]
    return blob
