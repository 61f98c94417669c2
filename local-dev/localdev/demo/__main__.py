"""``./local-dev/demo``: simulated products through three doors, computed on-prem and, when that is full, in the cloud.

Starts storage, broker, functions host, two one-slot agents and a cloud pool on this machine; shows what happens;
ends with where the images are. Without --exit the system stays up until Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from localdev.demo.table import render
from localdev.demo.watch import Seen, Watcher
from localdev.demo.work import Fed, Store, feed
from localdev.scene.presets import demo_scenes
from localdev.servers.process import ServerError
from localdev.stack import Stack, StackSpec
from localdev.up import STATE, held, wait_for_stop
from orthoburst import Client, OrthoburstError

PATIENCE_S = 2.0  # less than the agents need for all of it on any machine: the rest must burst
CLOUD_STARTUP_S = 1.0
LOOK_EVERY_S = 1.5  # each look is a dozen requests, answered by the same two cores that compute
GIVE_UP_S = 1200.0


def main() -> int:
    arguments = _arguments()
    say = Console(stderr=True)
    folder = arguments.folder.resolve()
    with held(folder):
        for old in ("azurite", "broker", "logs", "scratch", "images"):
            shutil.rmtree(folder / old, ignore_errors=True)
        spec = StackSpec(folder=folder, patience_s=PATIENCE_S, cloud_startup_s=CLOUD_STARTUP_S)
        try:
            say.print("making the scenes …")
            scenes = demo_scenes(folder / "scenes")
            say.print("starting storage, broker, functions host and two agents (the first time, the kernel compiles) …")
            with Stack(spec) as stack, Client(stack.api_url) as client:
                started = time.monotonic()
                store = Store(stack.azurite.connection_string)
                radar, optical = [scene.path for scene in scenes.sentinel1], [image.path for image in scenes.rpc]
                fed = feed(store, client, radar, optical, scenes.dem_path, PATIENCE_S)
                say.print(
                    f"put in: {fed.uploads} uploads, {fed.http} HTTP requests, {fed.queue} queue messages",
                    highlight=False,
                )
                seen = _watch(client, fed, started, say)
                seconds = time.monotonic() - started
                images = [path for job in seen.jobs for path in job.download(folder / "images")]
                outcome = _outcome(seen, fed, sorted(set(images)), seconds)
                _tell(outcome, stack, folder, say)
                if arguments.json:
                    print(json.dumps(outcome), flush=True)
                if not arguments.exit:
                    say.print(f"still up: {stack.api_url} (Ctrl-C stops it)", highlight=False)
                    wait_for_stop()
                say.print("stopping …")
        except (ServerError, OrthoburstError) as error:
            say.print(f"demo: {error}", markup=False, highlight=False, style="red")
            return 1
    everything_came = outcome["failed"] == 0 and outcome["succeeded"] == outcome["tasks"] and len(seen.jobs) >= fed.jobs
    return 0 if everything_came else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./local-dev/demo", description=__doc__)
    parser.add_argument("--exit", action="store_true", help="stop everything at the end instead of staying up")
    parser.add_argument("--json", action="store_true", help="last line of standard output: one JSON object")
    parser.add_argument("--folder", type=Path, default=STATE / "demo", help="scenes, images, data and logs")
    return parser.parse_args()


def _watch(client: Client, fed: Fed, started: float, say: Console) -> Seen:
    """Show the table until everything is over."""
    watcher = Watcher(client)
    seen = watcher.look()
    with Live(console=say, auto_refresh=False, transient=False) as live:
        while True:
            seconds = time.monotonic() - started
            if say.is_terminal:
                live.update(render(seen, seconds, say.width), refresh=True)
            if seen.is_over(fed.jobs) or seconds > GIVE_UP_S:
                break
            time.sleep(LOOK_EVERY_S)
            seen = watcher.look()
    if not say.is_terminal:
        say.print(render(seen, seconds, say.width))
    return seen


def _outcome(seen: Seen, fed: Fed, images: list[Path], seconds: float) -> dict[str, Any]:
    states = seen.states
    return {
        "tasks": sum(states.values()),
        "succeeded": states["succeeded"],
        "failed": sum(states.values()) - states["succeeded"] + max(0, fed.jobs - len(seen.jobs)),
        "pools": {pool["pool"]: seen.by_pool[pool["pool"]] for pool in seen.pools},
        "outputs": [str(path) for path in images],
        "seconds": round(seconds, 1),
    }


def _tell(outcome: dict[str, Any], stack: Stack, folder: Path, say: Console) -> None:
    pools = ", ".join(f"{count} in {pool}" for pool, count in outcome["pools"].items())
    say.print(
        f"{outcome['succeeded']} of {outcome['tasks']} tasks succeeded ({pools}) in {outcome['seconds']:.0f} s",
        style="bold green" if not outcome["failed"] else "bold red",
        highlight=False,
    )
    say.print(
        f"{len(outcome['outputs'])} images, with STAC Items and browse images: {folder / 'images'}", highlight=False
    )
    if outcome["failed"]:
        say.print(f"logs: {stack.logs}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
