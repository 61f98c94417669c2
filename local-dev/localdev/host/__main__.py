"""``python -m localdev.host``: the command line."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from localdev.host.errors import HostError
from localdev.host.logs import configure_logging, log
from localdev.host.queue_listener import LEASE_S
from localdev.host.runner import Host, HostOptions

EXIT_REFUSED = 2


def parse_arguments(arguments: list[str] | None = None) -> HostOptions:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m localdev.host",
        description="Run a function app on this machine. When ready it prints one JSON line that says where.",
    )
    parser.add_argument("--app", type=Path, required=True, help="folder with function_app.py and host.json")
    parser.add_argument("--port", type=int, default=0, help="loopback port of the HTTP functions (default: a free one)")
    parser.add_argument("--ready-file", type=Path, help="also write the JSON line here, at once and whole")
    parser.add_argument(
        "--queue-lease-s",
        type=float,
        default=LEASE_S,
        help="how long a killed host's messages stay hidden (default: %(default)g, as in Azure; renewed while running)",
    )
    parser.add_argument("--blob-poll-s", type=float, default=1.0, help="time between two listings of a container")
    parser.add_argument("--stop-grace-s", type=float, default=30.0, help="how long a stop waits for running functions")
    return HostOptions(**vars(parser.parse_args(arguments)))


def main() -> int:
    """Run a host until SIGTERM or SIGINT."""
    options = parse_arguments()
    configure_logging()
    try:
        host = Host(options)
        code = asyncio.run(host.run())
    except HostError as error:
        log("host_refused", level=logging.CRITICAL, reason=str(error))
        return EXIT_REFUSED
    if host.has_stuck_threads:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
