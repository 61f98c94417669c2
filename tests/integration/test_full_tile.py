"""A full MGRS tile from a full IW frame, as a user makes it: bounded memory, a valid COG."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rio_cogeo.cogeo import cog_validate

from figures import tell
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
    command = [sys.executable, "-m", "orthokernel.cli", "ortho", str(scene.path), "-o", str(out), "--json"]
    process = subprocess.Popen(
        [*command, "--tile", "33TTG", "--height", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    summary = json.loads(process.stdout.read())
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    peak_bytes = usage.ru_maxrss * 1024
    tell("MGRS tile from a full IW frame: peak memory, GB", peak_bytes / 1e9, "2")
    assert peak_bytes < MOST_BYTES
    assert summary["lattice_error_px"] < 0.01
    is_valid, errors, _ = cog_validate(out, strict=True)
    assert is_valid, errors
