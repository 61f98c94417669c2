"""In place of the kernel: sleeps as it would work, then writes small images that say which output they are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import rasterio
from rasterio.crs import CRS

from orthoagent.childwords import OutputMade, OutputOrder
from orthocontracts.outputs import FILE_SUFFIX, file_kinds

STEPS = 4


def act(order: OutputOrder, progress: Callable[[float], None]) -> OutputMade:
    for step in range(STEPS):
        time.sleep(float(os.environ.get("SLEEP_S", "0.8")) / STEPS)
        progress((step + 1) / STEPS)
    files = {kind: order.out.with_name(order.out.stem + FILE_SUFFIX[kind]) for kind in file_kinds(order.options)}
    digest = order.out.stem
    for kind, path in files.items():
        path.write_bytes(f"{kind} of {digest}".encode())
    pixels = np.full((16, 16), int(digest[:4], 16), np.float32)
    grid = order.grid
    transform = rasterio.Affine(grid.spacing, 0.0, grid.left, 0.0, -grid.spacing, grid.top)
    with rasterio.open(
        files["image"], "w", driver="COG", width=16, height=16, count=1, dtype="float32",
        crs=CRS.from_epsg(grid.epsg), transform=transform,
    ) as image:  # fmt: skip
        image.write(pixels, 1)
    return OutputMade(files=files, figures={"dem_coverage": 1.0})
