"""What leaves the functions for a collector and for Azure Monitor, and what never may: work, memory, time, secrets."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.memory_ports import memory_ports
from fakes.otlp import Collector, collecting
from fakes.world import World, run_to_the_end
from orthocontracts import names
from orthocontracts.batches import BatchOrder
from orthocontracts.messages import Release, Report
from orthocontracts.requests import Request, RequestEnvelope
from orthocontracts.states import JobState, TaskState
from orthocontracts.tracing import trace_id_of
from orthofunctions.adapters.telemetry import CLOSE_S, OtelTelemetry
from orthofunctions.adapters.telemetry_figures import MOST_SERIES
from orthofunctions.bootstrap import build, open_telemetry
from orthofunctions.domain.exporting import SIGNALS, wanted_exporters
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.rules import Rules
from orthofunctions.settings import Settings
from orthofunctions.telemetry import NoTracer, Reading, current_traceparent, going_on
from orthofunctions.usecases.batches import submit_batch
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.rows import swap
from orthofunctions.usecases.settle import settle_job, settle_left
from orthofunctions.usecases.submit import submit

pytestmark = pytest.mark.alone

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
KEY = "00000000-0000-0000-0000-0000feedbeef"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


@pytest.fixture
def otlp(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtelTelemetry]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    telemetry = started()
    yield telemetry
    telemetry.close()


def started() -> OtelTelemetry:
    return OtelTelemetry(wanted_exporters(os.environ))


def traced(telemetry: OtelTelemetry) -> World:
    world = World()
    world.ports = replace(world.ports, tracer=telemetry.tracer, meter=telemetry.meter)
    return world


def test_a_job_is_one_trace_from_the_door_to_its_end(otlp: OtelTelemetry, collector: Collector) -> None:
    world = traced(otlp)
    task_id = world.job("one", traceparent=CALLER)
    world.clock.advance(30)

    def work(delivery: Any) -> None:
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(100)
        delivery.succeed()

    run_to_the_end(world, work)
    assert world.task(task_id).state is TaskState.SUCCEEDED
    assert otlp.flush(10)
    (accept,), (wait,), (release,) = map(collector.named, ("accept", "wait", "release"))
    collects = collector.named("collect")
    assert [one.about["orthoburst.report"] for one in collects] == ["started", "finished"]
    assert {span.trace for span in (wait, release, *collects)} == {CALLER.split("-")[1]}
    assert wait.parent == release.parent == CALLER.split("-")[2]
    assert wait.took_s == pytest.approx(30, abs=1)
    assert release.about["orthoburst.task"] == task_id
    assert accept.service == "orthoburst-functions"
    assert not [span for span in collector.spans if span.failed]
    # the release hands on its span, not its parent
    sent = Release.model_validate_json(world.releases[0]).traceparent
    assert sent == f"00-{release.trace}-{release.id}-01"
    (rounds,) = collector.named("round")
    assert rounds.trace != release.trace  # a round is everybody's
    assert rounds.about["orthoburst.released"] == 1
    told = " ".join(str(one) for one in collector.spans)
    assert "orthoburst.user" not in told


def test_figures_of_a_delivery_come_to_the_collector(otlp: OtelTelemetry, collector: Collector) -> None:
    world = traced(otlp)
    world.job("one", "ABC", megapixels=30.0)

    def work(delivery: Any) -> None:
        delivery.report("started")
        world.deliver_results()
        world.clock.advance(60)
        report = Report(
            kind="finished",
            task_id=delivery.ticket.spec.task_id,
            release=delivery.ticket.release,
            delivery=delivery.number,
            agent="node-1",
            pool="hpc",
            token=delivery.ticket.token,
            at=world.clock.now(),
            verdicts=tuple(delivery.upload(digest) for digest in delivery.ticket.wanted),
            figures={"fetched_bytes": 5e6, "local_bytes": 1e300},
        )
        world.ports.queues.send(names.QUEUE_RESULTS, report.to_json())
        delivery.delete_message()

    run_to_the_end(world, work)
    assert otlp.flush(10)
    pool = ("pool", "hpc")
    assert collector.values("orthoburst.images") == {(pool,): 3}
    assert collector.values("orthoburst.task.ends") == {(("outcome", "succeeded"), pool): 1}
    assert collector.values("orthoburst.task.run") == {(pool, ("process", "default")): pytest.approx(60)}
    assert collector.values("orthoburst.task.rate") == {
        (("machine", "hpc"), pool, ("process", "default")): pytest.approx(0.5)
    }
    transferred = collector.values("orthoburst.task.bytes")
    assert transferred[(("kind", "fetched"), pool)] == 5e6
    assert transferred[(("kind", "local"), pool)] == 1e15  # more than any worker reads: nothing else is spoilt by it
    assert transferred[(("kind", "delivered"), pool)] > 0


def test_a_job_that_cannot_be_planned_is_counted_once(otlp: OtelTelemetry, collector: Collector) -> None:
    ports = replace(memory_ports(), tracer=otlp.tracer, meter=otlp.meter)
    request = Request(request_id="r", products=("products/not-there.tif",))
    for _ in range(2):  # a message may come twice
        with going_on(CALLER):
            plan_request(ports, request, Limits(), Rules())
    assert otlp.flush(10)
    assert collector.values("orthoburst.jobs.ended") == {(("state", "failed"),): 1}
    (accept,), (plan,) = collector.named("accept"), collector.named("plan")
    assert (accept.trace, accept.parent) == tuple(CALLER.split("-")[1:3])
    assert (plan.trace, plan.parent) == (accept.trace, accept.id)


def test_a_job_that_two_settle_at_once_is_counted_once(
    otlp: OtelTelemetry, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """A report of its last output and the tour read its row while it was not over yet; one of them writes its end."""
    world = traced(otlp)
    world.job("one")
    (job,) = world.jobs()
    running = swap(world.ports.tables, job.changed(planned=True))
    with caplog.at_level(logging.INFO, "orthofunctions.usecases.settle"):
        run_to_the_end(world, lambda delivery: (delivery.report("started"), delivery.succeed()))
        assert settle_job(world.ports, running).final is JobState.SUCCESSFUL
    assert otlp.flush(10)
    assert collector.values("orthoburst.jobs.ended") == {(("state", "successful"),): 1}
    assert len([one for one in caplog.records if getattr(one, "action", "") == "settled"]) == 1


@pytest.mark.parametrize("here", ["", f"00-{'ab' * 16}-{'cd' * 8}-01"])
def test_a_jobs_end_is_logged_in_its_own_trace_whoever_writes_it(
    otlp: OtelTelemetry, collector: Collector, here: str
) -> None:
    """The tour is of no trace, and the report on another's task that it had joined is of that one's."""
    world = traced(otlp)
    world.job("one")
    run_to_the_end(world, lambda delivery: (delivery.report("started"), delivery.succeed()))
    (job,) = world.jobs()
    swap(world.ports.tables, job.changed(planned=True))
    with going_on(here):
        settle_left(world.ports, (None, None))
    assert otlp.flush(10)
    (said,) = [one for one in collector.logs if one.about.get("action") == "settled"]
    assert said.trace == trace_id_of(job.traceparent) != ""


def test_a_second_try_waits_from_when_it_may_run_again(otlp: OtelTelemetry, collector: Collector) -> None:
    world = traced(otlp)
    world.job("one", traceparent=CALLER)

    def work(delivery: Any) -> None:
        delivery.report("started")
        world.deliver_results()
        delivery.fail() if delivery.ticket.release == 1 else delivery.succeed()

    run_to_the_end(world, work)
    assert otlp.flush(10)
    first, second = collector.named("wait")
    assert first.about["orthoburst.release"], second.about["orthoburst.release"] == (1, 2)
    assert second.took_s < 25, "the back-off and the first run are no wait"
    assert collector.values("orthoburst.task.retries") == {(("pool", "hpc"), ("reason", "Broken")): 1}


@pytest.mark.parametrize("caller", ["", CALLER, UNSAMPLED])
def test_a_batch_goes_on_with_its_callers_trace_or_gives_each_job_its_own(
    otlp: OtelTelemetry, collector: Collector, caller: str
) -> None:
    ports = replace(memory_ports(), tracer=otlp.tracer)
    requests = tuple(Request(request_id=f"r{n}", products=(f"products/{n}.tif",)) for n in range(150))
    with going_on(caller):
        submit_batch(ports, BatchOrder(batch="b", user="local", requests=requests))
    jobs = [str(row.values["traceparent"]) for row in ports.tables.query(names.TABLE_JOBS)]
    assert len(jobs) == 150
    traces = {one.split("-")[1] for one in jobs}
    assert otlp.flush(10)
    if caller:
        assert traces == {caller.split("-")[1]}
        assert {one[-2:] for one in jobs} == {caller[-2:]}
        assert len(collector.named("accept")) == (150 if caller == CALLER else 0)
    else:
        assert len(traces) == len({span.trace for span in collector.named("accept")}) == 150


def test_a_request_that_comes_twice_stays_in_its_first_trace(otlp: OtelTelemetry) -> None:
    ports = replace(memory_ports(), tracer=otlp.tracer)
    request = Request(request_id="r", products=("products/a.tif",))
    first = submit(ports, request, "http")
    with going_on(CALLER):
        assert submit(ports, request, "http").traceparent == first.traceparent != ""
    sent = [RequestEnvelope.model_validate_json(body).traceparent for body in ports.queues.drain("requests", 9)]
    assert sent == [first.traceparent] * 2


def test_what_is_logged_comes_with_its_fields_and_its_trace(otlp: OtelTelemetry, collector: Collector) -> None:
    log = logging.getLogger("orthofunctions.usecases.something")
    with otlp.tracer.span("plan", CALLER):
        log.info("%d outputs", 3, extra={"action": "planned", "job": "j1", "n": 3, "user": "somebody@example.org"})
    log.debug("not for a collector")
    log.error("failed", extra={"action": "api_error"}, exc_info=ValueError("broken: /results/a?sv=1&sig=aB%2F3&se=2"))
    assert otlp.flush(10)
    planned, failed = collector.logs
    assert (planned.text, planned.severity, planned.trace) == ("3 outputs", "INFO", CALLER.split("-")[1])
    assert planned.about == {"action": "planned", "job": "j1", "n": 3}
    assert (failed.severity, failed.about["exception.type"], failed.trace) == ("ERROR", "ValueError", "")
    assert failed.about["exception.message"] == "broken: /results/a?sv=1&sig=…&se=2"
    assert "aB%2F3" not in failed.about["exception.stacktrace"]


def test_an_error_marks_its_span_and_says_no_more_than_its_kind(otlp: OtelTelemetry, collector: Collector) -> None:
    with pytest.raises(ValueError, match="secret"), otlp.tracer.span("plan", job="j1"):
        raise ValueError("secret")
    assert current_traceparent() == ""
    assert otlp.flush(10)
    (span,) = collector.spans
    assert span.failed
    assert span.about == {"orthoburst.job": "j1", "error.type": "ValueError"}


def test_without_exporters_a_traceparent_is_passed_on_and_no_span_made() -> None:
    tracer = NoTracer()
    with tracer.span("plan") as nothing:
        assert nothing == current_traceparent() == ""
    with tracer.span("plan", CALLER, job="j") as passed:
        assert passed == current_traceparent() == CALLER
        with tracer.span("inner") as inner:
            assert inner == CALLER
    assert current_traceparent() == ""


def test_labels_that_others_choose_do_not_grow_without_end(otlp: OtelTelemetry, collector: Collector) -> None:
    for n in range(3 * MOST_SERIES):
        otlp.meter.count("orthoburst.task.retries", pool="hpc", reason=f"Fault{n}")
    assert otlp.flush(10)
    series = collector.values("orthoburst.task.retries")
    assert len(series) == MOST_SERIES + 1
    assert series[(("overflow", "true"),)] == 2 * MOST_SERIES


def test_a_gauge_shows_what_it_was_last_told(otlp: OtelTelemetry, collector: Collector) -> None:
    otlp.meter.show([Reading("orthoburst.queue.age", 7.5, "s", {"queue": "requests"})])
    assert otlp.flush(10)
    assert collector.values("orthoburst.queue.age") == {(("queue", "requests"),): 7.5}


def test_the_names_of_the_environment_go_before_ours(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    telemetry = started()
    with telemetry.tracer.span("plan"):
        pass
    telemetry.close()
    assert collector.spans[0].service == "theirs"
    assert collector.headers[0]["authorization"] == "Bearer abc"


class TestTrouble:
    """An exporter that is away, slow or broken: functions go on, in bounded time and memory."""

    @pytest.mark.parametrize("trouble", ["down", "slow", "500"])
    def test_work_goes_on(self, trouble: str, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        collector.delay_s = 60 if trouble == "slow" else 0
        collector.status = 500 if trouble == "500" else 200
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9" if trouble == "down" else collector.url)
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        telemetry = started()
        try:
            # more than the queues hold: from here on each that comes pushes out the oldest
            tracemalloc.start()
            self._make(telemetry, 3_000)
            if trouble == "500":  # which empties them
                telemetry.flush(10)
            before, _ = tracemalloc.get_traced_memory()
            began_s = time.process_time()
            self._make(telemetry, 6_000)
            took_s = time.process_time() - began_s
            if trouble == "500":
                telemetry.flush(10)
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            assert grown < 2_000_000, f"{grown / 1e6:.1f} MB more after 6,000 spans and lines"
            assert took_s < 30
            began_s = time.monotonic()
            if trouble == "slow":
                assert not telemetry.flush(0.2)
                there = threading.active_count()
                assert not telemetry.flush(0.2)
                assert threading.active_count() == there  # no second thread beside the one that hangs
                assert time.monotonic() - began_s < 1
        finally:
            began_s = time.monotonic()
            telemetry.close()
            assert time.monotonic() - began_s < CLOSE_S + 1
            logging.getLogger("opentelemetry").setLevel(logging.NOTSET)

    def test_a_collector_that_is_away_is_told_of_and_does_not_fill_the_log(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")  # it is tried again after 0.8 to 1.2 s
        monkeypatch.setattr("orthofunctions.adapters.telemetry_exporters._seldom._told", {})
        telemetry = started()
        for _ in range(5):
            with telemetry.tracer.span("plan"):
                pass
            telemetry.flush(5)
        telemetry.close()
        said = [record for record in caplog.records if record.name.startswith("opentelemetry.exporter")]
        assert 1 <= len(said) <= 6, [record.getMessage() for record in said]
        assert "traces" in caplog.text

    @staticmethod
    def _make(telemetry: OtelTelemetry, n: int) -> None:
        log = logging.getLogger("orthofunctions.trouble")
        log.propagate = False
        for number in range(n):
            with telemetry.tracer.span("collect", job=f"j{number}"):
                log.info("line %d", number, extra={"action": "trouble", "n": number})
        log.propagate = True


class TestAzureMonitor:
    @pytest.fixture
    def before(self) -> set[threading.Thread]:
        return set(threading.enumerate())

    @pytest.fixture
    def azure(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtelTelemetry]:
        string = f"InstrumentationKey={KEY};IngestionEndpoint={collector.url}/;LiveEndpoint={collector.url}/"
        monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", string)
        telemetry = started()
        yield telemetry
        telemetry.close()

    def test_lines_arrive_with_their_action(
        self, before: set[threading.Thread], azure: OtelTelemetry, collector: Collector
    ) -> None:
        log = logging.getLogger("orthofunctions.usecases.loads")
        with azure.tracer.span("collect", CALLER, task="t1"):
            log.info("waiting", extra={"action": "waiting", "waiting": 3, "oldest_s": 7200})
        azure.meter.record("orthoburst.task.run", 61.0, "s", pool="hpc", process="gamma0_rtc")
        assert azure.flush(20)
        by_type = {item["data"]["baseType"]: item for item in collector.items}
        line = by_type["MessageData"]["data"]["baseData"]
        assert line["message"] == "waiting"
        assert {"action": "waiting", "waiting": "3", "oldest_s": "7200"}.items() <= line["properties"].items()
        assert by_type["MessageData"]["tags"]["ai.operation.id"] == CALLER.split("-")[1]
        assert by_type["MessageData"]["tags"]["ai.cloud.role"] == "orthoburst-functions"
        span = by_type["RequestData"]
        assert span["data"]["baseData"]["properties"]["orthoburst.task"] == "t1"
        assert span["tags"]["ai.operation.parentId"] == CALLER.split("-")[2]
        figure = by_type["MetricData"]["data"]["baseData"]
        assert figure["metrics"][0]["name"] == "orthoburst.task.run"
        assert figure["properties"] == {"pool": "hpc", "process": "gamma0_rtc"}
        assert {item["iKey"] for item in collector.items} == {KEY}
        # no figures of the exporter's own, for which it would start readers beside ours
        readers = {thread for thread in threading.enumerate() if "MetricReader" in thread.name} - before
        assert len(readers) == 1

    def test_an_endpoint_that_fails_holds_nobody_up(self, azure: OtelTelemetry, collector: Collector) -> None:
        collector.status, collector.delay_s = 500, 1.0
        with azure.tracer.span("collect"):
            pass
        began_s = time.monotonic()
        azure.flush(0.3)
        azure.close()
        assert time.monotonic() - began_s < CLOSE_S + 1.5


class TestConfiguration:
    @pytest.mark.parametrize(
        ("environ", "otlp", "azure"),
        [
            ({}, (), ()),
            ({"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, (), ()),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, SIGNALS, ()),
            ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, ("traces",), ()),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_LOGS_EXPORTER": "none"}, ("traces", "metrics"), ()),
            ({"OTEL_TRACES_EXPORTER": "otlp"}, ("traces",), ()),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, (), ()),
            ({"APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={KEY}"}, (), SIGNALS),
            ({"APPLICATIONINSIGHTS_CONNECTION_STRING": ""}, (), ()),
        ],
    )
    def test_the_standard_variables_decide(
        self, environ: dict[str, str], otlp: tuple[str, ...], azure: tuple[str, ...]
    ) -> None:
        wanted = wanted_exporters(environ)
        assert (wanted.otlp, wanted.azure, wanted.wrong) == (set(otlp), set(azure), ())

    @pytest.mark.parametrize(
        ("environ", "says"),
        [
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "protocol is grpc"),
            ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER names zipkin"),
            ({"APPLICATIONINSIGHTS_CONNECTION_STRING": "IngestionEndpoint=x"}, "has no InstrumentationKey"),
        ],
    )
    def test_what_cannot_be_done_is_said_and_work_goes_on(
        self, environ: dict[str, str], says: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
        assert open_telemetry(settings, environ) is None
        assert says in caplog.text
        assert {getattr(record, "action", None) for record in caplog.records} == {"telemetry_off"}

    def test_an_extra_that_is_not_installed_is_named(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in [one for one in sys.modules if one.startswith("orthofunctions.adapters.telemetry")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk._logs", None)
        settings = Settings.model_validate({"ORTHOBURST_STORAGE": "unused"})
        assert open_telemetry(settings, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) is None
        assert "install orthoburst[functions,telemetry]" in caplog.text

    def test_without_configuration_the_sdk_is_not_even_imported(self) -> None:
        script = (
            "import sys\n"
            "from orthofunctions.bootstrap import system\n"
            "import function_app\n"
            "assert system().telemetry is None\n"
            "loaded = [name for name in sys.modules if name.startswith(('opentelemetry', 'azure.monitor'))]\n"
            "assert not loaded, loaded\n"
        )
        environ = {"PATH": "", "ORTHOBURST_STORAGE": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aaaa"}
        subprocess.run([sys.executable, "-c", script], check=True, cwd=FUNCTIONS, timeout=120, env=environ)

    def test_a_process_that_just_ends_has_sent_what_it_had(self, collector: Collector) -> None:
        script = "from orthofunctions.bootstrap import system\nwith system().ports.tracer.span('plan'): pass\n"
        environ = {
            "PATH": "",
            "ORTHOBURST_STORAGE": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aaaa",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, check=True, cwd=FUNCTIONS, timeout=120, env=environ
        )
        assert [span.name for span in collector.spans] == ["plan"]
        assert b"Traceback" not in done.stderr

    def test_a_system_sends_and_lets_go(self, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        string = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aaaa;EndpointSuffix=core.windows.net"
        here = build(Settings.model_validate({"ORTHOBURST_STORAGE": string}))
        with here.ports.tracer.span("plan"):
            pass
        here.close()
        assert here.telemetry is not None
        began_s = time.monotonic()
        here.telemetry.close()  # once more does nothing
        assert time.monotonic() - began_s < 1
        assert [span.name for span in collector.spans] == ["plan"]
