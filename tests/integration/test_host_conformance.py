"""The same functions through Microsoft's runtime: indexed alike, given alike, answering alike.

``azure-functions-runtime`` needs Python 3.13: where another one runs this, both are looked for and made an environment
of, or these tests skip.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.products import affine_rpc, rpc_tiff
from integration.host_stack import APP, Stage, encoded, texts, wait_for
from localdev.servers import Azurite
from orthocontracts import names
from orthofunctions import bootstrap
from orthofunctions.domain.records import JobRecord
from orthofunctions.provision import provision
from orthofunctions.settings import Settings
from orthofunctions.usecases.rows import find

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = "azure-functions-runtime>=1.1"
TRIGGERS = {
    "QueueTrigger": "queueTrigger",
    "BlobTrigger": "blobTrigger",
    "TimerTrigger": "timerTrigger",
    "HttpTrigger": "httpTrigger",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with Microsoft's runtime, and what the app needs."""
    if importlib.util.find_spec("azure_functions_runtime") is not None:
        return Path(sys.executable)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    beside = Path(sys.base_prefix).parent.glob("3.13*/bin/python3.13")  # as pyenv keeps them
    base = next((one for one in (*beside, Path("/usr/bin/python3.13")) if one.exists()), None)
    if uv is None or base is None:
        pytest.skip("azure-functions-runtime needs Python 3.13, and uv to install it")
    folder = tmp_path_factory.mktemp("runtime") / "venv"
    for arguments in (
        ["venv", "--quiet", "--python", str(base), str(folder)],
        ["pip", "install", "--quiet", "--python", str(folder / "bin/python"), f"{ROOT}[functions]", RUNTIME],
    ):
        made = subprocess.run([uv, *arguments], check=False, capture_output=True, text=True, timeout=180)
        if made.returncode:
            pytest.skip(f"Microsoft's runtime cannot be had here: {made.stderr.strip()[-300:]}")
    return folder / "bin/python"


def through_runtime(
    python: Path, app: Path, invocations: list[dict[str, Any]], settings: dict[str, str]
) -> dict[str, Any]:
    roots = [ROOT / "local-dev", ROOT / "functions", ROOT / "contracts"]
    env = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join(map(str, roots))}
    ran = subprocess.run(
        [str(python), str(Path(__file__).with_name("runtime_worker.py")), str(app)],
        input=json.dumps(invocations),
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert "error" not in answer, answer["error"]
    return answer


def check_indexed_alike(answer: dict[str, Any]) -> None:
    assert set(answer["runtime"]) == set(answer["localdev"])
    for name, kind in answer["localdev"].items():
        assert TRIGGERS[kind] in [binding[0] for binding in answer["runtime"][name]], name


def test_the_test_app_does_the_same_in_both(azurite: Azurite, python: Path, tmp_path: Path) -> None:
    stage = Stage(azurite, tmp_path)
    work, relay, relayed = stage.queue("work"), stage.queue("relay"), stage.queue("relayed")
    products = stage.container("products")
    work.send_message(encoded("hé"))
    relay.send_message(encoded("m"))
    products.upload_blob("in/x", "pixels")
    with stage.host() as host:
        wait_for(lambda: stage.story("work", "end") and stage.story("product") and texts(relayed))
        wait_for(lambda: len(texts(relayed)) == 2)
        echoed = httpx.post(f"{host.url}/api/echo/4/a/b?x=1", content=b"12345", headers={"x-some": "h"})
        url = str(echoed.request.url)
    ours = stage.story()
    stage.story_file.write_text("")

    message = {"Id": ["string", ours[-1].get("id", "")], "DequeueCount": ["json", "1"], "PopReceipt": ["string", "r"]}
    http = {"method": "POST", "url": url, "headers": {"x-some": "h"}, "query": {"x": "1"}}
    http |= {"params": {"number": "4", "rest": "a/b"}, "body": "12345"}
    blob = {"Connection": "Data", "ContainerName": f"{stage.prefix}-products", "BlobName": "in/x"}
    orders: list[dict[str, Any]] = [
        {"function": "work", "type": "bytes", "value": "hé", "metadata": message},
        {"function": "work", "type": "bytes", "value": '{"failures": 3}', "metadata": message},
        {"function": "relay", "type": "bytes", "value": "m", "metadata": message},
        {"function": "echo", "type": "http", "value": http},
        {"function": "product", "type": "model_binding_data", "value": blob},
    ]
    settings = {"PREFIX": stage.prefix, "STORY": str(stage.story_file), "TICKS": "0 0 0 1 1 *"}
    settings |= {"AzureWebJobsStorage": azurite.connection_string, "Data": azurite.connection_string}
    answer = through_runtime(python, APP, orders, settings)
    theirs = stage.story()

    check_indexed_alike(answer)
    good, bad, relays, echo, *_ = answer["results"]
    assert [each["result"]["status"] for each in answer["results"]].count("failure") == 1
    assert good["result"]["status"] == "success"
    assert bad["result"]["exception"]["message"] == "RuntimeError: as ordered"
    assert json.loads(relays["output_data"][0]["data"]["json"]) == ["ma", "mb"]
    answered = echo["return_value"]["http"]
    assert (int(answered["status_code"]), json.loads(answered["body"]["bytes"])) == (201, echoed.json())

    def given(story: list[dict[str, Any]], function: str) -> list[dict[str, Any]]:
        keep = ("event", "body", "tries", "blob", "content")
        told = [each for each in story if each["function"] == function and "failures" not in each.get("body", "")]
        return [{key: each[key] for key in keep if key in each} for each in told]

    assert given(theirs, "work") == given(ours, "work")
    assert given(theirs, "product") == given(ours, "product")


def test_the_projects_app_is_indexed_alike_and_takes_orders_at_its_three_doors(python: Path, tmp_path: Path) -> None:
    order = {"grid": {"kind": "footprint", "spacing_m": 2}, "terrain": {"height_m": 1}}
    posted = json.dumps({"inputs": {"products": ["products/http.tif"], **order}})
    http: dict[str, Any] = {"method": "POST", "url": "http://127.0.0.1:7071/processes/orthorectify/execution"}
    http |= {"headers": {"host": "127.0.0.1:7071", "content-length": str(len(posted))}, "query": {}, "body": posted}
    http |= {"params": {"path": "processes/orthorectify/execution"}}
    blob = {"Connection": "AzureWebJobsStorage", "ContainerName": names.CONTAINER_PRODUCTS, "BlobName": "blob.tif"}
    queued = {"request_id": "r1", "user": "queue", "products": ["products/queue.tif"], **order}
    orders: list[dict[str, Any]] = [
        {"function": "uploads", "type": "model_binding_data", "value": blob},
        {"function": "http", "type": "http", "value": http},
        {"function": "requests", "type": "bytes", "value": json.dumps(queued)},
    ]
    with Azurite(tmp_path) as own:
        provision(own.connection_string)
        here = bootstrap.build(Settings.model_validate({"AzureWebJobsStorage": own.connection_string}))
        standing = {"rpc": {"grid": order["grid"]}, "terrain": order["terrain"], "user": "archive"}
        here.ports.blobs.write(names.CONTAINER_SETTINGS, names.BLOB_DEFAULT_ORDER, json.dumps(standing).encode())
        for door in ("blob", "http", "queue"):
            here.ports.blobs.write(names.CONTAINER_PRODUCTS, f"{door}.tif", rpc_tiff(affine_rpc()))
        answer = through_runtime(python, ROOT / "functions", orders, {"AzureWebJobsStorage": own.connection_string})
        check_indexed_alike(answer)
        assert [each["result"] for each in answer["results"]] == [{"status": "success"}] * 3
        accepted = answer["results"][1]["return_value"]["http"]
        waiting = [json.loads(body)["request"] for body in here.ports.queues.drain(names.QUEUE_REQUESTS, 10)]
        (planned,) = find(here.ports.tables, JobRecord, partition="queue")
        here.close()
    assert accepted["status_code"] == "201", accepted
    assert [each["products"] for each in waiting] == [["products/blob.tif"], ["products/http.tif"]]
    assert (planned.planned, planned.fault_kind) == (True, None)
