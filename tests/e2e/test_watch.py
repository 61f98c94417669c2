"""A zip comes into the site's archive: it is announced, made an image of where it lies, and never uploaded."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rasterio
from azure.storage.blob import BlobServiceClient

from e2e.conftest import Site
from localdev.scene import SceneSpec, make_sentinel1
from orthocontracts import names
from orthocontracts.stores import split_site_url


@pytest.fixture
def product(scenes: dict[str, Path], tmp_path: Path) -> Path:
    """A zip with images above the megabyte from which they stay in the archive."""
    spec = SceneSpec(tmp_path / "scene", size_lines_samples=(900, 1000), dem_file=scenes["dem"], seed=5, zip_it=True)
    return make_sentinel1(spec).path


@contextlib.contextmanager
def watching(archive: Path, site: Site) -> Iterator[None]:
    arguments = [str(archive), "--store", "site", "--state", str(archive.parent / "state"), "--settle", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orthoagent", "watch", *arguments],
        env={**os.environ, "ORTHOAGENT_STORAGE": site.store.connection},
    )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_zip_of_the_archive_becomes_an_image_where_it_lies(
    start_site: Callable[..., Site], product: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    site = start_site(agents=1, cloud_limit=1, site_store=archive, patience_s=0.0)
    with watching(archive, site):
        (archive / "2026" / "05").mkdir(parents=True)
        shutil.copyfile(product, archive / "2026" / "05" / product.name)
        (job,) = site.wait_until_over(1).jobs
    assert job.state == "successful", job.message
    (task,) = job.explain()
    assert task["pool"] == "hpc"
    with BlobServiceClient.from_connection_string(site.store.connection) as service:
        uploaded = service.get_container_client(names.CONTAINER_PRODUCTS).list_blobs()
        assert all(blob.size < 1 << 20 for blob in uploaded)
    output, *_ = site.client._session.call("GET", f"/jobs/{job.id}/results")["outputs"]
    place = split_site_url(output["image"]["blob"])
    assert place is not None
    with rasterio.open(archive / place[1]) as image:
        assert image.read(1, masked=True).count() > 1000
