"""Nothing connects at import, and the serverless half starts without the science."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("orthocontracts", "orthokernel", "orthoagent", "orthofunctions", "orthoburst")

NO_SOCKETS = """
import importlib, pkgutil, socket, sys
def refuse(*_, **__):
    raise AssertionError("a socket was connected at import")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_everything_connects_to_nothing(package: str) -> None:
    subprocess.run([sys.executable, "-c", NO_SOCKETS, package], check=True, cwd=ROOT, timeout=120)


def test_the_function_app_loads_neither_science_nor_api_and_needs_no_setting() -> None:
    script = (
        "import sys, function_app\n"
        "loaded = {'numba', 'rasterio', 'numpy', 'pyproj', 'orthokernel', 'fastapi'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "assert len(function_app.app.get_functions()) >= 8\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT / "functions", timeout=120, env={"PATH": ""})
