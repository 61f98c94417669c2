"""A full speckled tile through the writer: what it costs beside GDAL's COG driver, and what memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from figures import tell

MOST_BYTES = 200_000_000  # the image has 482

PROGRAM = """
import json, resource, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np, rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.windows import Window
from orthokernel.cogfile import CogFile
from orthokernel.grid import Grid
from orthokernel.warm import warm_writer

side, folder = int(sys.argv[1]), Path(sys.argv[2])
grid = Grid(32633, Affine(10, 0, 300_000, 0, -10, 4_700_000), side, side)
rows = np.random.default_rng(0).standard_gamma(4.4, (512, side), np.float32) / np.float32(44)
warm_writer(folder)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = peak(), time.process_time()
with ThreadPoolExecutor(2) as pool, CogFile(folder / "ours.tif", grid, "float32", np.nan, ["vv"], pool) as file:
    for row in range(0, side, 512):
        file.write(row, rows[None, : side - row])
    written = file.close()
ours_s, peak_bytes = time.process_time() - start, peak() - before

profile = dict(driver="GTiff", height=side, width=side, count=1, dtype="float32", nodata=float("nan"), crs=32633,
               transform=grid.transform, tiled=True, blockxsize=512, blockysize=512)
with rasterio.Env(GDAL_NUM_THREADS=2, GDAL_CACHEMAX=1024 * 2**20), MemoryFile() as memory:
    with memory.open(**profile) as image:
        for row in range(0, side, 512):
            image.write(rows[: side - row], 1, window=Window(0, row, side, min(512, side - row)))
    start = time.process_time()
    with rasterio.open(memory.name, "r+") as image:
        image.build_overviews([2, 4, 8, 16, 32][: max(0, (side - 1).bit_length() - 9)], Resampling.average)
    copy(memory.name, str(folder / "gdal.tif"), driver="COG", COMPRESS="ZSTD", LEVEL=1, PREDICTOR="FLOATING_POINT",
         BLOCKSIZE=512, OVERVIEWS="FORCE_USE_EXISTING", NUM_THREADS=2, BIGTIFF="IF_SAFER", STATISTICS="NO")
    gdal_s = time.process_time() - start
size = written.n_bytes / (folder / "gdal.tif").stat().st_size
print(json.dumps({"ours_s": ours_s, "gdal_s": gdal_s, "peak_bytes": peak_bytes, "size": size}))
"""


@pytest.mark.slow
def test_the_writer_costs_less_than_gdals_and_holds_no_image(tmp_path: Path) -> None:
    """Processor time, because that is what the machine's other users change least."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, "10980", str(tmp_path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    tell("COG writer, speckled MGRS tile: processor time over GDAL's", found["ours_s"] / found["gdal_s"], "1")
    tell("COG writer, speckled MGRS tile: peak memory, MB", found["peak_bytes"] / 1e6, "200")
    assert found["ours_s"] < found["gdal_s"]
    assert found["peak_bytes"] < MOST_BYTES
    assert found["size"] < 1.01
