"""The real compute function in a real child process: kernel, files, faults, and nothing left open."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import psutil
import pyproj
import rasterio

from localdev.scene import RpcSpec, make_rpc_image
from orthoagent.adapters.process import ComputeChild
from orthoagent.childwords import ComputeJob, Failed, Made, Progress
from orthocontracts.outputs import GridSpec, OutputSpec
from orthocontracts.requests import Options


def output(title: str, left: float, top: float) -> OutputSpec:
    grid = GridSpec(epsg=32633, left=left, top=top, spacing=2, n_rows=150, n_cols=120)
    return OutputSpec(digest=hashlib.sha256(title.encode()).hexdigest(), grid=grid, title=title)


def test_the_kernel_makes_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    product = tmp_path / "in" / "products" / "scene.tif"
    product.parent.mkdir(parents=True)
    make_rpc_image(RpcSpec(out_file=product, centre_lonlat_deg=(12.5, 42.0), size_lines_samples=(700, 700), threads=1))
    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(12.5, 42.0)
    good, off = output("good", round(x) - 120, round(y) + 150), output("off the image", round(x) + 50_000, round(y))
    job = ComputeJob(
        folder=tmp_path,
        products=(product,),
        height_m=0.0,
        options=Options(resampling="bilinear"),
        outputs=(off, good),
    )
    lines: list[Progress | Made | Failed] = []
    open_files: list[str] = []

    async def run() -> str | None:
        # The compile cache of the other tests, beside the sources: compiling anew takes half a minute.
        environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
        child = ComputeChild(
            0, "orthoagent.compute:orthorectify_output", environment=environment, warm=False, jobs_per_process=10
        )
        try:
            death = await child.run(job, lines.append)
            assert child.pid is not None
            open_files.extend(file.path for file in psutil.Process(child.pid).open_files())
            return death
        finally:
            await child.kill()

    assert asyncio.run(run()) is None
    failed = [line for line in lines if isinstance(line, Failed)]
    made = [line for line in lines if isinstance(line, Made)]
    assert [(line.digest, line.fault.kind, line.fault.permanent) for line in failed] == [
        (off.digest, "EmptyIntersectionError", True)
    ]
    assert [line.digest for line in made] == [good.digest]
    files = made[0].made.files
    assert set(files) == {"image", "mask", "browse", "item"}
    assert all(path.stat().st_size > 0 for path in files.values())
    assert made[0].made.figures["valid_fraction"] == 1
    with rasterio.open(files["image"]) as image:
        assert (image.height, image.width) == (150, 120)
        assert image.crs.to_epsg() == 32633
        assert (image.transform.c, image.transform.f) == (good.grid.left, good.grid.top)
        assert image.read(1).std() > 0
    assert not [path for path in open_files if path.startswith(str(tmp_path))]
