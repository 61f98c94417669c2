"""GDAL's side of L1B: it has no sensor model, so it is told where pixels lie, and warps through that into one COG."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.warp import reproject
from rasterio.windows import Window

from localdev.bench._serve import serve
from localdev.bench._sides import remove

_CACHE_BYTES = 512 * 2**20


def request(
    images: list[list[Path]], places: list[Path], step_px: int, out: Path, epsg: int, transform: Affine,
    shape: tuple[int, int],
) -> dict[str, Any]:  # fmt: skip
    """What the process is asked: ``images`` by detector and band; ``places`` of each detector, a raster of longitudes
    and latitudes at every ``step_px``-th line and sample, all on the terrain."""
    return {
        "images": [[str(image) for image in of_detector] for of_detector in images],
        "places": [str(place) for place in places],
        "step_px": step_px,
        "out": str(out),
        "epsg": epsg,
        "transform": list(transform)[:6],
        "shape": list(shape),
    }


def _prepare(asked: dict[str, Any]) -> dict[str, Any]:
    remove([Path(asked["out"])])
    return {}


def _work(asked: dict[str, Any]) -> dict[str, Any]:
    """All bands of a detector at once, onto those before it; then overviews and the COG, all by two threads."""
    shape = len(asked["images"][0]), *asked["shape"]
    profile = {
        "driver": "GTiff", "count": shape[0], "height": shape[1], "width": shape[2], "dtype": "uint16", "nodata": 0,
        "crs": asked["epsg"], "transform": Affine(*asked["transform"]),
    }  # fmt: skip
    options = {"GDAL_CACHEMAX": _CACHE_BYTES, "GDAL_NUM_THREADS": "ALL_CPUS", "GDAL_PAM_ENABLED": False}
    with tempfile.TemporaryDirectory() as folder, rasterio.Env(**options):
        pixels = np.zeros(shape, np.uint16)
        for k, (images, place) in enumerate(zip(asked["images"], asked["places"], strict=True)):
            stack = Path(folder) / f"{k}.vrt"
            stack.write_text(_stack(images, place, asked["step_px"]))
            with rasterio.open(stack) as source:
                reproject(
                    rasterio.band(source, list(range(1, shape[0] + 1))),
                    pixels,
                    src_crs="EPSG:4326",
                    dst_crs=asked["epsg"],
                    dst_transform=Affine(*asked["transform"]),
                    src_nodata=0,
                    dst_nodata=0,
                    init_dest_nodata=False,
                    resampling=Resampling.bilinear,
                    num_threads=2,
                    warp_mem_limit=256,
                    SRC_METHOD="GEOLOC_ARRAY",
                )
        with rasterio.open("/vsimem/l1b.tif", "w", **profile) as joined:
            joined.write(pixels, window=Window(0, 0, shape[2], shape[1]))
        copy_raster(
            "/vsimem/l1b.tif", asked["out"], driver="COG", COMPRESS="ZSTD", LEVEL=1, PREDICTOR="STANDARD",
            BLOCKSIZE=512, OVERVIEW_RESAMPLING="AVERAGE", NUM_THREADS="ALL_CPUS", INTERLEAVE="BAND",
        )  # fmt: skip
        rasterio.shutil.delete("/vsimem/l1b.tif")
    return {"bytes": Path(asked["out"]).stat().st_size}


def _stack(images: list[str], place: str, step_px: int) -> str:
    with rasterio.open(images[0]) as first:
        n_lines, n_samples = first.shape
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{k}"><NoDataValue>0</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{image}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for k, image in enumerate(images, 1)
    )
    # The middle of pixel 0 is at 0.5; with a step, GDAL's "pixel centre" is that of a square of so many pixels.
    about = {
        "X_DATASET": place, "X_BAND": 1, "Y_DATASET": place, "Y_BAND": 2, "PIXEL_OFFSET": 0.5, "LINE_OFFSET": 0.5,
        "PIXEL_STEP": step_px, "LINE_STEP": step_px, "SRS": "EPSG:4326", "GEOREFERENCING_CONVENTION": "TOP_LEFT_CORNER",
    }  # fmt: skip
    items = "".join(f'<MDI key="{key}">{value}</MDI>' for key, value in about.items())
    return (
        f'<VRTDataset rasterXSize="{n_samples}" rasterYSize="{n_lines}">'
        f'<Metadata domain="GEOLOCATION">{items}</Metadata>{bands}</VRTDataset>'
    )


if __name__ == "__main__":
    serve(_prepare, _work)
