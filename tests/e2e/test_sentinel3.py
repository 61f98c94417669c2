"""Sentinel-3 through the whole system: uploaded, ordered, made, delivered, found; no DEM at the site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio

from e2e.cogs import check_cog
from e2e.conftest import Site
from localdev.scene.sentinel3 import OlciSpec, make_olci
from localdev.scene.sentinel3_slstr import SlstrSpec, make_slstr
from localdev.stack.settings import write_setting
from orthocontracts import names

ORDER = {"version": 1, "sentinel3": {"patience_s": 2}}


def test_olci_and_slstr_from_upload_to_catalogue(start_site: Callable[..., Site], tmp_path: Path) -> None:
    olci = make_olci(OlciSpec(tmp_path, size_lines_samples=(120, 160), cameras=False, duplicates=False))
    slstr = make_slstr(SlstrSpec(tmp_path, zip_it="deflated"))
    site = start_site(agents=1, cloud_limit=0)
    write_setting(site.store.connection, names.BLOB_DEFAULT_ORDER, ORDER)
    for product in (olci.path, slstr.path):
        site.store.upload_product(product)
    seen = site.wait_until_over(2)
    assert [(job.state, job.message) for job in seen.jobs if job.state != "successful"] == []
    results = [job.results() for job in seen.jobs]
    assert sorted(site.committed_digests()) == sorted(result.digest for (result,) in results)
    images = {image.name[:12]: image for job in seen.jobs for image in job.download(tmp_path / "images")}

    item = check_cog(images["S3A_OL_1_EFR"])
    assert item.properties["constellation"] == "sentinel-3"
    with rasterio.open(images["S3A_OL_1_EFR"]) as file:
        assert (file.crs.to_epsg(), file.descriptions) == (4326, ("oa08", "oa06", "oa04"))
        radiance = file.read(masked=True)
        lon, lat = _places(file)
    for values, band in zip(radiance, (8, 6, 4), strict=True):
        assert values.count() > 15_000
        assert float(np.median(np.abs(values - olci.radiance(band, lon, lat)).compressed())) < 0.005

    check_cog(images["S3B_SL_1_RBT"])
    with rasterio.open(images["S3B_SL_1_RBT"]) as file:
        assert (file.crs.to_epsg(), file.descriptions) == (4326, ("s2",))
        values = file.read(1, masked=True)
        lon, lat = _places(file)
    assert values.count() > 25_000
    assert float(np.median(np.abs(values - slstr.value("S2", lon, lat)).compressed())) < 0.3


def _places(file: rasterio.DatasetReader) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.mgrid[0 : file.height, 0 : file.width]
    lon, lat = file.transform @ (cols + 0.5, rows + 0.5)
    return np.asarray(lon), np.asarray(lat)
