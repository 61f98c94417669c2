"""After warming up, nothing that orthorectifies Sentinel-1 or an RPC image is compiled again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localdev.scene import SceneSpec, make_sentinel1

# Two short functions that only radar images reach; a fraction of a second each.
LEFT_TO_THE_FIRST_PRODUCT = {"_valid_ends"}


@pytest.mark.slow
def test_a_warm_cache_serves_the_first_product(tmp_path: Path) -> None:
    cache = tmp_path / "numba"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}

    def run(*command: str) -> None:
        subprocess.run([sys.executable, *command], env=environment, check=True, capture_output=True)

    def compiled() -> set[str]:
        return {path.name.split("-")[0].split(".")[-1] for path in cache.rglob("*.nbc")}

    run("-c", "from orthokernel.warm import warm_up; warm_up()")
    warm = compiled()
    assert {"warp_strip", "ground_to_image", "image_to_ground", "fill_block"} <= warm
    files = set(cache.rglob("*.nbc"))

    scene = make_sentinel1(SceneSpec(tmp_path, size_lines_samples=(200, 200), fractal_seed=1, zip_it=True))
    for resampling in ("bilinear", "average"):
        arguments = ["ortho", str(scene.path), "-o", str(tmp_path / f"{resampling}.tif"), "--tile", "33TTG"]
        run("-m", "orthokernel.cli", *arguments, "--dem", str(scene.dem_path), "--resampling", resampling)
    new = {path.name.split("-")[0].split(".")[-1] for path in set(cache.rglob("*.nbc")) - files}
    assert new <= LEFT_TO_THE_FIRST_PRODUCT
