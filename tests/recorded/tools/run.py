"""A real stack at work, of the release that is recorded, for what its programs say: storage, broker, functions, agents.

``python run.py FOLDER``, with the modules of that release on ``PYTHONPATH``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from harvest import note_text

from fakes.products import affine_rpc, rpc_text, rpc_tiff
from localdev.demo.work import Store, default_order
from localdev.stack import Stack, StackSpec
from localdev.stack.settings import write_setting
from orthoburst import Client
from orthocontracts import names
from orthocontracts.requests import Request

GRID = {"kind": "footprint", "spacing_m": 2.0}


def main(folder: Path) -> None:
    spec = StackSpec(
        folder=folder,
        agents=2,
        slots=1,
        cloud_limit=1,
        cloud_startup_s=0.5,
        patience_s=1.0,
        worker={
            "PYTHONPATH": os.environ["PYTHONPATH"],
            "ORTHOAGENT_COMPUTE": "sleeping_compute:act",
            "ORTHOAGENT_GRACE_S": "1",
            "SLEEP_S": "2",
        },
        functions={"PYTHONPATH": os.environ["PYTHONPATH"], "HARVEST_IN": "everything"},
    )
    with Stack(spec) as stack, Client(stack.api_url, timeout_s=20) as client:
        _work(stack, client, folder)
        _grants(stack.azurite.connection_string)


def _work(stack: Stack, client: Client, folder: Path) -> None:
    store = Store(stack.azurite.connection_string)
    order = default_order(1.0)
    write_setting(store.connection, names.BLOB_DEFAULT_ORDER, order)
    note_text("StandingDefault", json.dumps(order))
    client.add_order({"id": "o1", "products": {"missions": ["rpc"]}, "grid": {**GRID, "spacing_m": 3.0}})
    product = store.upload_product(_image(folder))
    wishes = {"grid": GRID, "terrain": {"height_m": 0}}
    jobs = [client.submit([product], request_id="r-http", patience_s=60, **wishes)]
    jobs.append(client.submit([product], request_id="r-gone", **{**wishes, "grid": {**GRID, "spacing_m": 2.5}}))
    batch = [{"products": [product], **wishes, "grid": {**GRID, "spacing_m": 4.0 + n}} for n in range(4)]
    client.submit_batch(batch, name="four", batch="b1")
    request = {"request_id": "r-queue", "products": [product], **wishes, "options": {"resampling": "cubic"}}
    store.send_request(Request.model_validate(request))
    client.plan_campaign({"id": "c1", "products": {"missions": ["rpc"]}, "grid": {**GRID, "spacing_m": 9.0}})
    _until(lambda: any(job.state == "running" for job in client.jobs()))
    jobs[1].cancel()
    stack.agents[0].stop(30)  # what it runs is handed back
    stack.agents[0].start()
    _until(lambda: all(job.is_over for job in client.jobs()))


def _until(is_so: object, limit_s: float = 120) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():  # type: ignore[operator]
        if time.monotonic() > end_s:
            raise TimeoutError(f"not so within {limit_s:g} s")
        time.sleep(0.3)


def _image(folder: Path) -> Path:
    image = folder / "image.tif"
    image.with_name("image_RPC.TXT").write_bytes(rpc_text(affine_rpc()))
    image.write_bytes(rpc_tiff(None))
    return image


def _grants(connection: str) -> None:
    whose = {"PoolGrant": ("--pool", "hpc")} | {
        f"{name.title()}Grant": (f"--{name}",) for name in ("presence", "watch", "procure")
    }
    for kind, arguments in whose.items():
        done = subprocess.run(
            [sys.executable, "-m", "orthofunctions.grant", *arguments],
            env={**os.environ, "ORTHOBURST_STORAGE": connection, "AzureWebJobsStorage": connection},
            capture_output=True,
            text=True,
            check=True,
        )
        note_text(kind, done.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
