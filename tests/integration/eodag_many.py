"""Many orders through ``eodagrun`` in one process, whose start costs most: run by a Python that has EODAG."""

from __future__ import annotations

import functools
import json
import runpy
import sys
import time
from typing import Any

import eodag


def main() -> None:
    eodag.EODataAccessGateway = functools.cache(eodag.EODataAccessGateway)
    program = runpy.run_path(sys.argv[1])
    ends = []
    for order in json.load(sys.stdin):
        events: list[dict[str, Any]] = []
        try:
            program["fetch"](order, lambda event, events=events, **more: events.append(told(event, **more)))
        except program["FetchError"] as error:
            events.append({"event": "failed", "kind": error.kind, "message": str(error)})
        ends.append(events)
    sys.stdout.write(json.dumps(ends))


def told(event: str, **more: Any) -> dict[str, Any]:
    return {"event": event, "at_s": time.monotonic(), **more}


if __name__ == "__main__":
    main()
