"""Sentinel-2 through the whole system: uploaded, ordered, made, delivered, found; no DEM at the site."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from e2e.cogs import check_cog
from e2e.conftest import Site
from localdev.scene import Sentinel2Product, Sentinel2Spec, make_sentinel2
from localdev.scene.sentinel2 import detector, scene_class
from localdev.stack.settings import write_setting
from orthoburst.cli import main
from orthocontracts import names
from orthocontracts.tiles import tile_bounds

ORDER = {
    "version": 1,
    "sentinel3": {"patience_s": 2},
    "sentinel2": {"grid": {"kind": "mgrs", "spacing_m": 60}, "options": {"bands": ["b04", "b11"]}, "patience_s": 2},
}
SIZE_60M_PX = 50
LAND_COLOUR = "S3A_OL_2_LFR____20230605T103015_20230605T103315_20230605T123456_0179_099_279_2160_PS1_O_NR_003"


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sentinel2Product, Sentinel2Product]:
    """A corner of an L1C tile as a folder, of an L2A as a zip."""
    folder = tmp_path_factory.mktemp("tiles")
    common: dict[str, Any] = {"size_60m_px": SIZE_60M_PX, "swath_edge_m": 600.0}
    return (
        make_sentinel2(Sentinel2Spec(folder, bands=("B02", "B04", "B11"), **common)),
        make_sentinel2(Sentinel2Spec(folder, level="L2A", bands=("B04", "B11"), zip_it=True, **common)),
    )


def test_sentinel2_from_upload_and_request_to_catalogue(
    start_site: Callable[..., Site],
    tiles: tuple[Sentinel2Product, Sentinel2Product],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site = start_site(agents=1, cloud_limit=0)
    write_setting(site.store.connection, names.BLOB_DEFAULT_ORDER, ORDER)
    l1c, l2a = tiles
    site.store.upload_product(l1c.path)
    (tmp_path / f"{LAND_COLOUR}.zip").write_bytes(b"PK")
    site.store.upload_product(tmp_path / f"{LAND_COLOUR}.zip")
    site.wait_until_over(2)
    site.store.upload_product(l2a.path)
    capsys.readouterr()
    asked = ["submit", f"products/{l2a.path.name}", "--footprint", "--bands", "b04", "b11", "--spacing", "10"]
    asked += ["--radiometry", "reflectance", "--extras", "scene_classification,detector,quality", "--request-id", "l2a"]
    assert main(["--url", site.stack.api_url, *asked, "--watch", "--json"]) == 0
    by_request = json.loads(capsys.readouterr().out)["jobID"]
    seen = site.wait_until_over(4)

    jobs = {job.id: job for job in seen.jobs}
    assert [LAND_COLOUR in job.message for job in jobs.values() if job.state == "failed"] == [True]
    done = [job for job in jobs.values() if job.state == "successful"]
    assert len(done) == 3
    results = {job.id: job.results() for job in done}
    assert all(len(found) == 1 for found in results.values())
    assert sorted(site.committed_digests()) == sorted(found[0].digest for found in results.values())

    _check_surroundings(jobs[by_request].download(tmp_path / "l2a")[0], l2a)
    (of_upload,) = [job for job in done if job.id != by_request and "MSIL1C" in results[job.id][0].title]
    _check_tile(of_upload.download(tmp_path / "l1c")[0], l1c)


def _check_tile(image: Path, product: Sentinel2Product) -> None:
    """Reflectance at 60 m on the product's own tile."""
    item = check_cog(image)
    bounds = tile_bounds(product.spec.tile)
    with rasterio.open(image) as file:
        assert (file.width, file.transform.c, file.transform.f) == (1830, bounds.left, bounds.top)
        stored = file.read(1, masked=True)[:SIZE_60M_PX, :SIZE_60M_PX]
        values = stored * file.scales[0] + file.offsets[0]
        assert file.descriptions == ("b04", "b11")
    middles = (np.arange(SIZE_60M_PX) + 0.5) * 60.0
    truth = product.fields["B04"].on_grid(bounds.left + middles, bounds.top - middles)
    assert values.count() > 0.8 * values.size
    assert float(np.abs(values - truth).max()) < 0.01  # means over 60 m of waves of 600 m and more
    assert item.properties["constellation"] == "sentinel-2"


def _check_surroundings(image: Path, product: Sentinel2Product) -> None:
    """Reflectance at 10 m, its own pixels, with the classes beside it."""
    check_cog(image)
    with rasterio.open(image) as file:
        assert (file.crs.to_epsg(), file.transform.a, file.dtypes[0]) == (product.epsg, 10.0, "uint16")
        rows, cols = np.mgrid[0 : file.height, 0 : file.width]
        x, y = file.transform.c + 10 * (cols + 0.5), file.transform.f - 10 * (rows + 0.5)
        stored = file.read(1, masked=True)
        values = stored * file.scales[0] + file.offsets[0]
    size_px = SIZE_60M_PX * 6
    assert values.shape[0] >= size_px
    seen = product.imaged(x, y) & (x < product.left_m + size_px * 10) & (y > product.top_m - size_px * 10)
    assert np.array_equal(~np.ma.getmaskarray(values), seen)
    assert float(np.abs(values - product.fields["B04"].reflectance(x, y)).max()) < 1.1e-4
    x20, y20 = np.floor(x / 20) * 20 + 10, np.floor(y / 20) * 20 + 10  # classes have pixels of 20 m
    classes = np.where(product.imaged(x20, y20), scene_class(x20, y20), 0)
    for kind, truth in (("scene_classification", classes), ("detector", detector(x, y))):
        with rasterio.open(image.with_name(f"{image.stem}_{kind}.tif")) as file:
            assert np.array_equal(file.read(1)[seen], truth[seen]), kind
    with rasterio.open(image.with_name(f"{image.stem}_quality.tif")) as file:
        assert set(np.unique(file.read(1) & 1)) == {0, 1}
