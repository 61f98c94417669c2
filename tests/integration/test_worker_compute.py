"""The real compute function in a real child process: kernel, files, faults, and nothing left open."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import psutil
import pyproj
import pytest
import rasterio

from localdev.scene import RpcSpec, Scene, SceneSpec, make_rpc_image, make_sentinel1
from orthoagent.adapters.process import ComputeChild
from orthoagent.adapters.watch import SlotLimits
from orthoagent.childwords import ComputeJob, Failed, Made, OutputOrder, Progress
from orthoagent.compute import finish, orthorectify_output
from orthocontracts.messages import Fault
from orthocontracts.outputs import GridSpec, OutputSpec, file_kinds
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

    async def run() -> Fault | None:
        # The compile cache of the other tests, beside the sources: compiling anew takes half a minute.
        environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
        child = ComputeChild(
            0,
            "orthoagent.compute:orthorectify_output",
            environment=environment,
            limits=SlotLimits(),
            warm=False,
            jobs_per_process=10,
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


RASTERS = {
    "image": "float32",
    "mask": "uint8",
    "layover_shadow": "uint8",
    "local_incidence": "float32",
    "scattering_area": "float32",
    "acquisition": "uint8",
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    return make_sentinel1(
        SceneSpec(
            folder,
            centre_lonlat_deg=(12.5, 42.0),
            size_lines_samples=(400, 400),
            fractal_seed=3,
            relief_m=900,
            threads=1,
        )
    )


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(radiometry="sigma0", scale="db", noise_removal=False),
        Options(radiometry="gamma0_rtc"),
        Options(radiometry="gamma0_rtc", extras=("scattering_area",)),
        Options(radiometry="gamma0", extras=("local_incidence",)),
    ],
    ids=["default", "decibels", "nrb", "nrb with area", "one extra"],
)
def test_the_kernel_makes_just_the_files_that_the_options_ask_for(
    scene: Scene, options: Options, tmp_path: Path
) -> None:
    x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(12.5, 42.0)
    grid = GridSpec(epsg=32633, left=round(x) - 900, top=round(y) + 800, spacing=20, n_rows=80, n_cols=90)
    order = OutputOrder(
        products=(scene.path,),
        dem=scene.dem_path,
        geoid=None,
        height_m=None,
        grid=grid,
        options=options,
        out=tmp_path / "out.tif",
    )
    try:
        made = orthorectify_output(order, lambda _: None)
    finally:
        finish()
    assert set(made.files) == set(file_kinds(options))
    assert set(tmp_path.iterdir()) == set(made.files.values())
    for kind in set(RASTERS) & set(made.files):
        with rasterio.open(made.files[kind]) as raster:
            assert (raster.height, raster.width) == (80, 90), kind
            assert raster.dtypes[0] == RASTERS[kind], kind
            assert (raster.transform.c, raster.transform.f) == (grid.left, grid.top), kind
