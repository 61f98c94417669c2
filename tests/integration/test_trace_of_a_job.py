"""One trace from a caller's ``traceparent`` to the callback, over the functions host, storage and a collector."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobClient, ContainerClient
from azure.storage.queue import QueueClient

from fakes.otlp import Collector, GotSpan, collecting
from fakes.products import affine_rpc, rpc_tiff
from fakes.world import COG
from integration.host_stack import encoded, wait_for
from localdev.servers import Azurite, FunctionsHost
from orthocontracts import names
from orthocontracts.messages import AgentStatus, Release, Report, Verdict
from orthocontracts.outputs import FileFacts
from orthocontracts.tickets import Ticket
from orthocontracts.version import KERNEL_RESULT_VERSION
from orthofunctions.provision import provision

APP = Path(__file__).resolve().parents[2] / "functions"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, CALLERS_SPAN = CALLER.split("-")[1:3]


@dataclass
class Site:
    azurite: Azurite
    host: FunctionsHost
    collector: Collector

    def queue(self, name: str) -> QueueClient:
        return QueueClient.from_connection_string(self.azurite.connection_string, name)

    def deliver(self, traceparent: str | None = None) -> tuple[Release, Report]:
        """What a worker does with a release: it says that it begins, delivers files by the ticket's links, says so."""
        pool_queue = self.queue(names.pool_queue("hpc", KERNEL_RESULT_VERSION))
        found: list[Release] = []

        def released() -> bool:
            message = pool_queue.receive_message()
            if message is not None:
                pool_queue.delete_message(message)
                found.append(Release.model_validate_json(base64.b64decode(message.content)))
            return bool(found)

        wait_for(released)
        (release,) = found
        blob = names.ticket_blob(release.task_id, release.release)
        tickets = ContainerClient.from_connection_string(self.azurite.connection_string, names.ticket_container("hpc"))
        ticket = Ticket.model_validate_json(tickets.download_blob(blob).readall())
        report = Report(
            kind="started",
            task_id=release.task_id,
            release=release.release,
            delivery=1,
            agent="node-1",
            pool="hpc",
            token=ticket.token,
            at=datetime.now(UTC),
            traceparent=traceparent or release.traceparent,
        )
        self.queue(names.QUEUE_RESULTS).send_message(encoded(report.to_json()))
        verdicts = []
        for digest in ticket.wanted:
            files = {}
            for kind, link in ticket.deliveries[0].files[digest].items():
                data = COG if kind == "image" else b"{}"
                BlobClient.from_blob_url(link.url).upload_blob(data)
                files[kind] = FileFacts(
                    blob=link.blob, size_bytes=len(data), md5=hashlib.md5(data, usedforsecurity=False).hexdigest()
                )
            verdicts.append(Verdict(digest=digest, files=files))
        finished = report.model_copy(
            update={"kind": "finished", "verdicts": tuple(verdicts), "figures": {"fetched_bytes": 12345.0}}
        )
        wait_for(lambda: self.collector.named("collect") or not traceparent)
        self.queue(names.QUEUE_RESULTS).send_message(encoded(finished.to_json()))
        return release, finished


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("traced")
    with collecting() as collector, Azurite(folder / "azurite") as azurite:
        provision(azurite.connection_string)
        status = AgentStatus(
            agent="node-1",
            pool="hpc",
            session="s",
            sequence=1,
            state="online",
            at=datetime.now(UTC),
            slots=4,
            result_version=KERNEL_RESULT_VERSION,
        )
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "ORTHOBURST_CALLBACK_HOSTS": collector.url.removeprefix("http://"),
            "ORTHOBURST_CALLBACK_LOOPBACK": "true",
            "ORTHOBURST_MONTH_BUDGET_EUR": "500",
            "LOCALDEV_TIMERS_S": "2",
            # its tour may settle a job before whoever ended it does: the callback is not of the report then
            "AzureWebJobs.repair.Disabled": "true",
        }
        host = FunctionsHost(APP, folder, settings, arguments=["--stop-grace-s", "5"])
        with host:
            here = Site(azurite, host, collector)
            here.queue(names.QUEUE_CAPACITY).send_message(encoded(status.to_json()))
            image = BlobClient.from_connection_string(azurite.connection_string, names.CONTAINER_PRODUCTS, "b.tif")
            image.upload_blob(rpc_tiff(affine_rpc()))
            yield here


def execution(site: Site, *, told: bool, headers: dict[str, str] | None = None, spacing_m: float = 2) -> str:
    inputs = {
        "products": ["products/b.tif"],
        "grid": {"kind": "footprint", "spacing_m": spacing_m},
        "terrain": {"height_m": 1},
    }
    body: dict[str, object] = {"inputs": inputs}
    if told:
        body["subscriber"] = {"successUri": f"{site.collector.url}/told"}
    with httpx.Client(base_url=site.host.url, timeout=60) as http:
        answer = http.post("/processes/orthorectify/execution", json=body, headers=headers or {})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["jobID"])


def of_trace(collector: Collector, trace: str) -> dict[str, list[GotSpan]]:
    found: dict[str, list[GotSpan]] = {}
    for span in collector.spans:
        if span.trace == trace:
            found.setdefault(span.name, []).append(span)
    return found


def test_a_job_is_one_trace_with_the_right_parents(site: Site) -> None:
    collector = site.collector
    job = execution(site, told=True, headers={"traceparent": CALLER})
    workers = f"00-{TRACE}-00000000000000aa-01"
    release, _ = site.deliver(workers)
    # it is told of in the middle of what follows from the report
    collector.wait_for(
        lambda: (
            collector.told and "callback" in (found := of_trace(collector, TRACE)) and len(found.get("collect", ())) > 1
        )
    )
    spans = of_trace(collector, TRACE)
    assert set(spans) == {"accept", "plan", "wait", "release", "collect", "callback"}
    (accept,), (plan,), (wait,), (sent,), (callback,) = (
        spans[name] for name in ("accept", "plan", "wait", "release", "callback")
    )
    assert accept.parent == CALLERS_SPAN
    assert plan.parent == accept.id
    assert wait.parent == sent.parent == plan.id
    assert release.traceparent == f"00-{TRACE}-{sent.id}-01"
    assert {one.parent for one in spans["collect"]} == {"00000000000000aa"}
    started, finished = sorted(spans["collect"], key=lambda span: span.began_s)
    assert (started.about["orthoburst.report"], finished.about["orthoburst.report"]) == ("started", "finished")
    assert callback.parent == finished.id
    assert collector.told[0]["traceparent"] == f"00-{TRACE}-{callback.id}-01"
    assert {span.about["orthoburst.job"] for of_name in spans.values() for span in of_name} == {job}
    assert accept.began_s <= plan.began_s <= sent.began_s <= started.began_s <= finished.began_s <= callback.began_s
    assert wait.began_s + wait.took_s <= sent.began_s + 0.5
    assert not [span for of_name in spans.values() for span in of_name if span.failed]


def test_its_log_lines_are_of_the_same_trace_and_have_their_action(site: Site) -> None:
    collector = site.collector
    wanted = {"planned", "released", "started", "ended", "settled", "callback"}
    collector.wait_for(lambda: wanted <= {one.about["action"] for one in collector.logs if one.trace == TRACE})


def test_without_a_callers_trace_a_job_begins_its_own(site: Site) -> None:
    collector = site.collector
    job = execution(site, told=False, spacing_m=3)
    site.deliver()
    collector.wait_for(
        lambda: len([one for one in collector.named("collect") if one.about["orthoburst.job"] == job]) == 2
    )
    spans = [one for one in collector.spans if one.about.get("orthoburst.job") == job]
    (accept,) = [one for one in spans if one.name == "accept"]
    assert accept.parent == ""
    assert {one.trace for one in spans} == {accept.trace} != {TRACE}


def test_the_minutes_gauges_and_the_figures_of_deliveries_arrive(site: Site) -> None:
    """The timer, here every 2 s, sends what is there."""
    collector = site.collector
    # an earlier tick may have met the request of a job while it was planned; the ticks after it have not
    requests = (("queue", "requests"),)
    collector.wait_for(lambda: collector.values("orthoburst.queue.messages").get(requests) == 0, timeout_s=90)
    assert collector.values("orthoburst.slots")[(("pool", "hpc"), ("state", "free"))] == 4
    assert collector.values("orthoburst.agents")[(("pool", "hpc"), ("state", "online"))] == 1
    assert collector.values("orthoburst.budget") == {(): 500}
    # the end of a task is the last that is counted of it, and may come with a later tick than the first gauges
    ends = (("outcome", "succeeded"), ("pool", "hpc"))
    collector.wait_for(lambda: collector.values("orthoburst.task.ends").get(ends) == 2, timeout_s=90)
    assert collector.values("orthoburst.images") == {(("pool", "hpc"),): 2}
    assert collector.values("orthoburst.jobs.ended") == {(("state", "successful"),): 2}
    assert collector.values("orthoburst.task.bytes")[(("kind", "fetched"), ("pool", "hpc"))] == 2 * 12345


def test_prometheus_reads_the_same(site: Site) -> None:
    answer = httpx.get(f"{site.host.url}/metrics", timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'orthoburst_slots{pool="hpc",state="free"} 4' in lines
    assert 'orthoburst_queue_messages{queue="requests"} 0' in lines
    assert "# TYPE orthoburst_queue_age_seconds gauge" in lines
    assert "orthoburst_budget_EUR 500" in lines


def test_what_was_just_done_is_sent_before_the_host_ends(site: Site) -> None:
    """Last: it stops the host."""
    collector = site.collector
    job = execution(site, told=False, spacing_m=4)
    site.host.stop()
    accepted = [one for one in collector.named("accept") if one.about["orthoburst.job"] == job]
    assert len(accepted) == 1
