"""``./local-dev/up``: the whole system on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from localdev.servers.process import ServerError
from localdev.stack import Stack, StackSpec

STATE = Path(__file__).resolve().parents[1] / ".state"
ADDRESSES = "addresses.json"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a second start out of a folder in use."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"something already runs in {folder}: stop it, or give another --folder") from None
        yield


@contextlib.contextmanager
def written(path: Path, addresses: dict[str, str]) -> Iterator[None]:
    """As long as the system is up, tell other commands of this folder where it listens."""
    path.touch(mode=0o600)  # the storage's key is in it
    path.write_text(json.dumps(addresses))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def wait_for_stop() -> None:
    """Until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="./local-dev/up", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object with the addresses when ready")
    parser.add_argument(
        "--folder", type=Path, default=STATE / "up", help="where data and logs lie (kept over restarts)"
    )
    parser.add_argument("--port", type=int, default=7071, help="of the HTTP door")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--slots", type=int, default=1, help="tasks an agent runs at a time")
    parser.add_argument("--cloud", type=int, default=2, metavar="N", help="most cloud workers")
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="seconds until a task may burst")
    arguments = parser.parse_args()
    say = Console(stderr=True)
    spec = StackSpec(
        folder=arguments.folder.resolve(),
        agents=arguments.agents,
        slots=arguments.slots,
        cloud_limit=arguments.cloud,
        patience_s=arguments.patience,
        api_port=arguments.port,
    )
    with held(spec.folder):
        say.print("starting storage, broker, functions host and agents …")
        try:
            with Stack(spec) as stack, written(spec.folder / ADDRESSES, stack.addresses()):
                if arguments.json:
                    print(json.dumps(stack.addresses()), flush=True)
                else:
                    for name, address in stack.addresses().items():
                        say.print(f"{name:8} {address}", markup=False, highlight=False, soft_wrap=True)
                say.print(f"ready; logs in {stack.logs}; Ctrl-C stops it", highlight=False)
                wait_for_stop()
                say.print("stopping …")
        except ServerError as error:
            say.print(f"up: {error}", markup=False, highlight=False, style="red")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
