"""A full MGRS tile from a full IW frame, as a user makes it: bounded memory, a valid COG."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rio_cogeo.cogeo import cog_validate

from figures import tell
from localdev.bench._sides import run_process
from localdev.scene import SceneSpec, make_sentinel1

MOST_BYTES = 2_000_000_000


@pytest.mark.slow
def test_a_full_tile_from_a_full_frame_peaks_under_two_gigabytes(tmp_path: Path) -> None:
    """The frame's file is sparse but for a window: every line is read all the same, and the whole tile written."""
    scene = make_sentinel1(
        SceneSpec(
            tmp_path,
            centre_lonlat_deg=(12.4, 42.0),
            size_lines_samples=(16705, 26102),
            window=(8200, 12900, 300, 300),
        )
    )
    out = tmp_path / "tile.tif"
    command = [sys.executable, "-m", "orthokernel.cli", "ortho", str(scene.path), "-o", str(out)]
    # From a process that is small itself: a peak begins with what the parent had, and this one may hold images.
    peak_mb = run_process([*command, "--tile", "33TTG", "--height", "0"]).peak_mb
    assert peak_mb is not None
    tell("MGRS tile from a full IW frame: peak memory, GB", peak_mb * 2**20 / 1e9, "2")
    assert peak_mb * 2**20 < MOST_BYTES
    item = json.loads(out.with_suffix(".json").read_text())
    assert item["properties"]["orthoburst:lattice_error_px"] < 0.01
    is_valid, errors, _ = cog_validate(out, strict=True)
    assert is_valid, errors
