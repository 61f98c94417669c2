"""From a request to the moment an agent begins on it, on a stack that has nothing else to do."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from localdev.bench.case import Case
from localdev.demo.work import Store
from localdev.scene import RpcSpec, make_rpc_image
from localdev.stack import Stack, StackSpec
from orthoburst import Client, Job

N_REQUESTS, WARM = 60, 3
LIMIT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=N_REQUESTS, help=f"how many (default {N_REQUESTS})")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Requests one after the other, each when the one before it is over: over HTTP, with everything real."""
    with tempfile.TemporaryDirectory(prefix="bench-latency-") as scratch:
        folder = Path(scratch)
        image = make_rpc_image(RpcSpec(folder / "image.tif", size_lines_samples=(300, 300)))
        with Stack(StackSpec(folder / "stack", agents=1, cloud_limit=0)) as stack, Client(stack.api_url) as client:
            product = Store(stack.azurite.connection_string).upload_product(image.path)
            log = stack.logs / "node-1.log"
            took = [_once(client, product, number, log) for number in range(options.requests + WARM)][WARM:]
            ranked = sorted(took)
            p99 = ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))]
            yield Case(
                "start", statistics.median(ranked), "s", f"p99 {p99:.2f} s; {len(ranked)} requests over HTTP",
                None, "", None, "nothing was promised", runs=f"{ranked[0]:.2f} to {ranked[-1]:.2f}",
            )  # fmt: skip


def _once(client: Client, product: str, number: int, log: Path) -> float:
    """Seconds from the call to the agent's report that it has begun, by its own log."""
    began_s = time.time()
    job = client.submit(
        [product], grid={"kind": "footprint", "spacing_m": 20 + number / 4}, terrain={"height_m": 0}, patience_s=3600
    )
    job.watch(timeout_s=LIMIT_S)
    time.sleep(0.3)
    return _started_s(log, job) - began_s


def _started_s(log: Path, job: Job) -> float:
    for line in log.read_text().splitlines():
        if '"reported_started"' in line and job.id in line:
            return datetime.fromisoformat(json.loads(line)["at"]).timestamp()
    raise LookupError(f"{log} does not say when {job.id} began")
