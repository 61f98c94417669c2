"""Compute functions for the worker's tests. The product is a JSON file that says what shall happen.

``steps``: seconds of sleep, one progress each; ``end``: how it ends, by the tile's name of the output or for all;
``forgets``: a kind of file that is not made.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable

from orthoagent.childwords import OutputMade, OutputOrder
from orthocontracts.outputs import FILE_SUFFIX, file_kinds


class BrokenProductError(Exception):
    """What the kernel's own errors look like to the worker, without the seconds it takes to import the kernel."""

    permanent = True


def act(order: OutputOrder, progress: Callable[[float], None]) -> OutputMade:
    script = json.loads(order.products[0].read_text())
    (order.out.parent / "pid").write_text(str(os.getpid()))
    if script.get("spawns"):
        # A process of the kernel's own, which must die with its group.
        subprocess.Popen(["sleep", "600"])
    steps = script.get("steps", [])
    for number, seconds in enumerate(steps):
        time.sleep(seconds)
        progress((number + 1) / len(steps))
    end = script.get("end", {})
    match end.get(order.grid.tile) if isinstance(end, dict) else end:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "bad product":
            raise BrokenProductError(f"{order.products[0]}: a truncated annotation")
        case "disk full":
            raise OSError(errno.ENOSPC, "No space left on device", str(order.out))
        case "hang":
            time.sleep(600)
        case "eat memory":
            eaten = bytearray(400_000_000)
            time.sleep(600)
            del eaten
        case "fill scratch":
            order.out.with_suffix(".big").write_bytes(b"x" * 60_000_000)
            time.sleep(600)
        case "secrets":
            raise RuntimeError(" ".join(name for name in os.environ if name.startswith("ORTHOAGENT_")) or "none")
    order.out.write_bytes(f"image of {order.grid.tile}".encode() * 1000)
    order.out.with_suffix(".png").write_bytes(b"browse")
    order.out.with_suffix(".json").write_text("{}")
    files = {kind: order.out.with_name(order.out.stem + FILE_SUFFIX[kind]) for kind in file_kinds(order.options)}
    for kind in ("mask", *order.options.extras):
        files[kind].write_bytes(kind.encode())
    if "forgets" in script:
        del files[script["forgets"]]
    return OutputMade.model_validate({"files": files, "figures": {"dem_coverage": 1.0}})
