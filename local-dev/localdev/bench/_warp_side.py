"""GDAL's side: bands of a product, each a JPEG 2000, onto another map and into one COG."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.vrt import WarpedVRT

from localdev.bench._serve import serve
from localdev.bench._sides import remove

_CACHE_BYTES = 512 * 2**20


def request(images: list[Path], out: Path, epsg: int, transform: Affine, shape: tuple[int, int]) -> dict[str, Any]:
    """What the process is asked."""
    return {
        "images": [str(image) for image in images],
        "out": str(out),
        "epsg": epsg,
        "transform": list(transform)[:6],
        "shape": list(shape),
    }


def _prepare(asked: dict[str, Any]) -> dict[str, Any]:
    remove([Path(asked["out"])])
    return {}


def _work(asked: dict[str, Any]) -> dict[str, Any]:
    """A virtual stack of the bands, warped as it is read, bilinear, by all threads; overviews by averaging."""
    n_rows, n_cols = asked["shape"]
    options = {"GDAL_CACHEMAX": _CACHE_BYTES, "GDAL_NUM_THREADS": "ALL_CPUS", "GDAL_PAM_ENABLED": False}
    with tempfile.TemporaryDirectory() as folder, rasterio.Env(**options):
        stack = Path(folder) / "stack.vrt"
        stack.write_text(_stack(asked["images"]))
        with (
            rasterio.open(stack) as source,
            WarpedVRT(
                source,
                crs=asked["epsg"],
                transform=Affine(*asked["transform"]),
                width=n_cols,
                height=n_rows,
                resampling=Resampling.bilinear,
                src_nodata=0,
                nodata=0,
                warp_mem_limit=256,
                num_threads=2,
            ) as warped,
        ):
            copy_raster(
                warped, asked["out"], driver="COG", COMPRESS="ZSTD", LEVEL=1, PREDICTOR="STANDARD", BLOCKSIZE=512,
                OVERVIEW_RESAMPLING="AVERAGE", NUM_THREADS="ALL_CPUS", BIGTIFF="IF_SAFER", INTERLEAVE="BAND",
            )  # fmt: skip
    return {"bytes": Path(asked["out"]).stat().st_size}


def _stack(images: list[str]) -> str:
    with rasterio.open(images[0]) as first:
        wkt, transform, n_rows, n_cols = first.crs.to_wkt(), first.transform.to_gdal(), first.height, first.width
        dtype = {"uint16": "UInt16"}[first.dtypes[0]]
    bands = "".join(
        f'<VRTRasterBand dataType="{dtype}" band="{k}"><NoDataValue>0</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{image}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for k, image in enumerate(images, 1)
    )
    place = f"<SRS>{wkt}</SRS><GeoTransform>{', '.join(map(repr, transform))}</GeoTransform>"
    return f'<VRTDataset rasterXSize="{n_cols}" rasterYSize="{n_rows}">{place}{bands}</VRTDataset>'


if __name__ == "__main__":
    serve(_prepare, _work)
