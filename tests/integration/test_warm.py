"""After warming up, nothing that orthorectifies Sentinel-1 or an RPC image is compiled again."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from localdev.scene import SceneSpec, make_sentinel1


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
    assert {"warp_part", "ground_to_image", "image_to_ground"} <= warm
    files = set(cache.rglob("*.nbc"))

    spec = SceneSpec(tmp_path, size_lines_samples=(200, 200), fractal_seed=1, zip_it=True)
    for resampling, ipf_version in (("bilinear", "003.40"), ("average", "002.72")):
        scene = make_sentinel1(replace(spec, ipf_version=ipf_version))
        arguments = ["ortho", str(scene.path), "-o", str(tmp_path / f"{resampling}.tif"), "--tile", "33TTG"]
        for radiometry in ("sigma0", "gamma0_rtc"):
            how = ["--dem", str(scene.dem_path), "--resampling", resampling, "--radiometry", radiometry]
            run("-m", "orthokernel.cli", *arguments, *how)
    new = {path.name.split("-")[0].split(".")[-1] for path in set(cache.rglob("*.nbc")) - files}
    assert new == set()
