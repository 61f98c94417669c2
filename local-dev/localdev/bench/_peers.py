"""Where peers are on this machine, and the command that gets one that is not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OTB_COMMAND = "otbcli_OrthoRectification"
SARSEN_VARIABLE = "ORTHOBURST_SARSEN_PYTHON"
GET_OTB = "Orfeo ToolBox is not installed: apt-get install otb-bin"
GET_SARSEN = (
    "sarsen is not installed: python3 -m venv FOLDER && FOLDER/bin/pip install sarsen==0.9.6, "
    f"then {SARSEN_VARIABLE}=FOLDER/bin/python"
)
GET_PYRESAMPLE = "pyresample is not installed: pip install pyresample"


@dataclass(frozen=True)
class Peer:
    """A peer that is there: the program that runs it, and its name with its version."""

    program: str
    name: str


def find_otb() -> Peer | None:
    """Orfeo ToolBox's command, if it is on the path."""
    program = shutil.which(OTB_COMMAND)
    if program is None:
        return None
    said = subprocess.run([program, "-help"], capture_output=True, text=True, check=False)
    version = re.search(r"version ([\d.]+)", said.stdout + said.stderr)
    return Peer(program, f"OTB {version[1] if version else '(unknown version)'}")


def find_sarsen() -> Peer | None:
    """The interpreter that has sarsen: its dependencies must not enter ours."""
    named = os.environ.get(SARSEN_VARIABLE)
    if named is None and importlib.util.find_spec("sarsen") is None:
        return None
    program = named or sys.executable
    ask = [program, "-c", "import importlib.metadata as m; print(m.version('sarsen'))"]
    if not Path(program).exists():
        return None
    said = subprocess.run(ask, capture_output=True, text=True, check=False)
    return Peer(program, f"sarsen {said.stdout.strip()}") if said.returncode == 0 else None


def find_pyresample() -> Peer | None:
    """pyresample, where it is in this interpreter: it is a dependency of the tests."""
    if importlib.util.find_spec("pyresample") is None:
        return None
    return Peer(sys.executable, f"pyresample {importlib.metadata.version('pyresample')}")


def otb_command(
    otb: Peer, measurement: Path, dem: Path, out: Path, grid: tuple[int, float, float, int, int], spacing_m: float
) -> list[str]:
    """Nearest neighbour, digital numbers, the fastest it can.

    ``grid``: UTM zone (north), left, top, columns, rows of 10 m; ``spacing_m`` of its deformation grid.
    """
    zone, left, top, n_cols, n_rows = grid
    return [
        otb.program, "-io.in", str(measurement), "-io.out", str(out), "uint16",
        "-map", "utm", "-map.utm.zone", str(zone), "-map.utm.northhem", "true",
        "-outputs.mode", "auto", "-outputs.ulx", f"{left}", "-outputs.uly", f"{top}",
        "-outputs.sizex", str(n_cols), "-outputs.sizey", str(n_rows),
        "-outputs.spacingx", "10", "-outputs.spacingy", "-10",
        "-elev.dem", str(dem), "-interpolator", "nn", "-opt.gridspacing", f"{spacing_m:g}", "-opt.ram", "2048",
    ]  # fmt: skip
