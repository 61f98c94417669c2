"""Functions and a real agent, both with a collector: a job is one trace from its caller to the commit of its image."""

from __future__ import annotations

from pathlib import Path

import httpx
from azure.storage.blob import BlobClient

from fakes.otlp import collecting
from fakes.products import affine_rpc, rpc_tiff
from localdev.stack import Stack, StackSpec
from orthocontracts import names

TESTS = Path(__file__).resolve().parents[1]
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE, CALLERS_SPAN = CALLER.split("-")[1:3]


def test_a_job_is_one_trace_over_functions_and_agent(tmp_path: Path) -> None:
    with collecting() as collector:
        to_it = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        worker = {
            "PYTHONPATH": str(TESTS),
            "ORTHOAGENT_COMPUTE": "integration.sleeping_compute:act",
            "ORTHOAGENT_POLL_UP_S": "5",
            **to_it,
        }
        with Stack(StackSpec(tmp_path, agents=1, cloud_limit=0, functions=to_it, worker=worker)) as stack:
            image = BlobClient.from_connection_string(
                stack.azurite.connection_string, names.CONTAINER_PRODUCTS, "b.tif"
            )
            image.upload_blob(rpc_tiff(affine_rpc()))
            inputs = {
                "products": ["products/b.tif"],
                "grid": {"kind": "footprint", "spacing_m": 2},
                "terrain": {"height_m": 1},
            }
            with httpx.Client(base_url=stack.api_url, timeout=60, headers={"traceparent": CALLER}) as http:
                answer = http.post("/processes/orthorectify/execution", json={"inputs": inputs})
                assert answer.status_code == 201, answer.text
                job = answer.json()["jobID"]
                collector.wait_for(
                    lambda: http.get(f"/jobs/{job}").json()["status"] in ("successful", "failed"), timeout_s=120
                )
                assert http.get(f"/jobs/{job}").json()["status"] == "successful"
                assert http.get(f"/jobs/{job}/trace").json()["trace_id"] == TRACE
            collector.wait_for(lambda: len(collector.named("collect")) == 2 and collector.named("delivery"))
    spans = [span for span in collector.spans if span.name != "round"]
    assert {span.trace for span in spans} == {TRACE}
    by_id = {span.id: span for span in spans}
    line = {(span.name, by_id[span.parent].name if span.parent in by_id else span.parent) for span in spans}
    assert line == {
        ("accept", CALLERS_SPAN),
        ("plan", "accept"),
        ("wait", "plan"),
        ("release", "plan"),
        ("delivery", "release"),
        ("fetch", "delivery"),
        ("compute", "delivery"),
        ("deliver", "delivery"),
        ("collect", "delivery"),
    }
    assert {span.service for span in spans} == {"orthoburst-functions", "orthoagent"}
    assert {span.about["orthoburst.job"] for span in spans if "orthoburst.job" in span.about} == {job}
