"""``./local-dev/upload``: products and auxiliary files into the system that `./local-dev/up` has started."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from localdev.demo.work import Store
from localdev.up import ADDRESSES, STATE


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./local-dev/upload",
        description="Upload products (zip, SAFE or SEN3 folder, TIFF with RPC) into the system that ./local-dev/up has "
        "started, the file last that completes each. Prints their references.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--as", dest="ref", metavar="aux/NAME", help="one auxiliary file, a DEM say, under this name")
    parser.add_argument("--folder", type=Path, default=STATE / "up", help="that of ./local-dev/up")
    arguments = parser.parse_args()
    paths: list[Path] = [path.resolve() for path in arguments.paths]
    if missing := [str(path) for path in paths if not path.exists()]:
        parser.error(f"not there: {', '.join(missing)}")
    if arguments.ref is not None and (len(paths) > 1 or not paths[0].is_file() or arguments.ref[:4] != "aux/"):
        parser.error("--as takes one file, and a name in aux/")
    try:
        addresses = json.loads((arguments.folder / ADDRESSES).read_text())
    except FileNotFoundError:
        parser.error(f"nothing runs in {arguments.folder}: start ./local-dev/up, and leave it running")
    store = Store(addresses["storage"])
    for path in paths:
        if arguments.ref is not None:
            store.upload_aux(path, arguments.ref)
        print(arguments.ref or store.upload_product(path), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
