"""Sentinel-2 L1B over the plan to the worker's compute function: a granule of a real datastrip, with pixels put in."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio

from fakes.products import manifest_of
from integration.planned_kit import make, pixels
from orthokernel import open_product
from orthokernel.sentinel2.l1b import L1BProduct
from realdata import real_data

pytestmark = pytest.mark.parallel

NAME = "S2A_MSIL1B_20200816T120220_N0500_R023_20200816T130000.SAFE"


def of_ground(lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """Counts that tell where on the ground a pixel is, to about ten metres."""
    return np.asarray(30_000 + 10_000 * ((lon_deg + 18.0) + 0.5 * (lat_deg - 32.5)))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_granule_with_the_instruments_parameters_beside_it(tmp_path: Path) -> None:
    real = real_data("sentinel2", "l1b-madeira")
    product, gipp = tmp_path / NAME, real / "gipp"
    (bulletin,) = real.glob("S2__OPER_AUX_UT1UTC*.txt")
    shutil.copytree(real / "L1B" / "DATASTRIP", product / "DATASTRIP")
    (granule,) = (real / "L1B" / "GRANULE").glob("*_S20200816T120233_D03_*")
    shutil.copytree(granule, product / "GRANULE" / granule.name)
    for path in product.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    ring = _put_pixels(product, granule.name, gipp, bulletin)
    files = {path.relative_to(product).as_posix(): path.read_bytes() for path in product.rglob("*") if path.is_file()}
    (product / "manifest.safe").write_bytes(manifest_of(files, ring, "2"))
    ((order, made),) = make(
        [product],
        tmp_path,
        [("aux/gipp", gipp), ("aux/bulletin.txt", bulletin)],
        gipp="aux/gipp",
        iers="aux/bulletin.txt",
        terrain={"height_m": 0},
        grid={"kind": "footprint", "spacing_m": 60},
        options={"bands": ["b01"], "radiometry": "dn", "extras": ["detector"]},
    )
    assert (order.gipp, order.iers, order.height_m) == (gipp, bulletin, 0.0)
    values, x, y = pixels(made)
    lon, lat = pyproj.Transformer.from_crs(order.grid.epsg, "OGC:CRS84", always_xy=True).transform(x, y)
    assert values.count() > 100_000  # some 25 x 23 km
    error = np.abs(values - of_ground(lon, lat)).compressed()
    assert float(np.quantile(error, 0.98)) < 0.8  # half a count, and what bilinear rounds
    with rasterio.open(made.files["detector"]) as file:
        assert set(np.unique(file.read(1))) == {0, 3}


def _put_pixels(product: Path, granule: str, gipp: Path, bulletin: Path) -> list[tuple[float, float]]:
    """An image of B01 whose pixels are `of_ground`; the footprint."""
    with open_product(product, gipp=gipp, iers=bulletin) as opened:
        assert isinstance(opened, L1BProduct)
        model = opened.sensor_model(band="b01", detector="03", granule=granule)
        line = model.first_line + np.arange(model.n_lines)[:, None]
        lon, lat = model.image_to_ground(line, np.arange(model.n_samples)[None, :], 0.0)
        ring = [(float(one), float(other)) for one, other in opened.footprint[:-1]]
    image = product / "GRANULE" / granule / "IMG_DATA" / f"{granule.partition('_N05')[0]}_B01.jp2"
    image.parent.mkdir()
    profile = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "dtype": "uint16", "count": 1}
    with rasterio.open(image, "w", height=model.n_lines, width=model.n_samples, **profile) as file:
        file.write(np.rint(of_ground(lon, lat)).astype(np.uint16)[None])
    return ring
