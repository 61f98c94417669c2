"""Sentinel-2 L1B through the whole system: detectors' images, parameters and DEM uploaded, one image on the map."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio

from e2e.cogs import check_cog
from e2e.conftest import Site
from fakes.products import manifest_of
from localdev.demo.work import DEM_REF
from localdev.scene import Sentinel2L1BProduct, Sentinel2L1BSpec, make_sentinel2_l1b
from orthoburst.cli import main
from orthokernel import open_product

NAME = "S2A_MSIL1B_20240605T100031_N0510_R122_20240605T130031.SAFE"
REFLECTANCE_PER_DN = 1 / 3000
GIPP_REF = "aux/l1b/gipp"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sentinel2L1BProduct, Path]:
    """Two detectors over hills, and the folder as it is uploaded: named as ESA does, with a manifest."""
    made = make_sentinel2_l1b(
        Sentinel2L1BSpec(
            tmp_path_factory.mktemp("l1b"), bands=("B02", "B05"), granule_lines=240, samples=240, targets=0,
            common_targets=0, reflectance_per_dn=REFLECTANCE_PER_DN,
        )
    )  # fmt: skip
    folder = made.path.rename(made.path.with_name(NAME))
    with open_product(folder, gipp=made.gipp_path) as opened:
        ring = [(float(lon), float(lat)) for lon, lat in opened.footprint[:-1]]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "manifest.safe").write_bytes(manifest_of(files, ring, "2"))
    return made, folder


def test_l1b_from_request_to_catalogue(
    start_site: Callable[..., Site],
    product: tuple[Sentinel2L1BProduct, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made, folder = product
    site = start_site(agents=1, cloud_limit=0)
    assert made.dem_path is not None
    site.store.upload_aux(made.dem_path, DEM_REF)  # in place of the site's
    for path in made.gipp_path.iterdir():
        site.store.upload_aux(path, f"{GIPP_REF}/{path.name}")
    site.store.upload_product(folder)  # no default order for it: it waits to be asked for
    asked = ["submit", f"products/{NAME}", "--footprint", "--spacing", "10", "--bands", "b02", "b05"]
    asked += ["--extras", "detector,quality", "--gipp", GIPP_REF, "--request-id", "l1b"]
    assert main(["--url", site.stack.api_url, *asked, "--watch", "--json"]) == 0
    job_id = json.loads(capsys.readouterr().out)["jobID"]
    (job,) = [job for job in site.wait_until_over(1).jobs if job.id == job_id]
    (image,) = job.download(tmp_path / "images")

    item = check_cog(image)
    assert item.properties["constellation"] == "sentinel-2"
    with rasterio.open(image) as file:
        assert (file.scales[0], file.offsets[0]) == (1e-4, -0.1)
        values = file.read(masked=True) * 1e-4 - 0.1
        rows, cols = np.mgrid[0 : file.height, 0 : file.width]
        to_lonlat = pyproj.Transformer.from_crs(file.crs, "OGC:CRS84", always_xy=True)
        lon, lat = to_lonlat.transform(*(file.transform @ (cols + 0.5, rows + 0.5)))
    with rasterio.open(image.with_name(f"{image.stem}_detector.tif")) as file:
        detectors = file.read(1)
    with rasterio.open(image.with_name(f"{image.stem}_quality.tif")) as file:
        np.testing.assert_array_equal(file.read(1) > 0, ~np.ma.getmaskarray(values[0]))
    seen = ~np.ma.getmaskarray(values).any(axis=0)
    assert seen.sum() > 100_000  # two detectors of two granules of 240 x 240
    assert set(np.unique(detectors[seen])) == {6, 7}
    some = np.flatnonzero(seen)[::997]
    truth = REFLECTANCE_PER_DN * made.textures["B02"].value(lon.flat[some], lat.flat[some])
    error = np.abs(values[0].data.flat[some] - truth)
    # Bilinear smooths waves of five pixels by 0.001 of 0.06; half a pixel out of place would be 0.017.
    assert float(np.sqrt(np.mean(error**2))) < 5.0 * REFLECTANCE_PER_DN
