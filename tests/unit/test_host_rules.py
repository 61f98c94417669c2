"""The pure parts of the functions host: host.json, routes, messages, back-off, what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.storage.blob import BlobClient as SdkBlobClient
from azurefunctions.extensions.bindings.blob import BlobClient

from localdev.host.bindings import read_function
from localdev.host.connections import Connections
from localdev.host.errors import AppError, SettingsError, UnreadableMessageError
from localdev.host.host_json import HostJson, QueueOptions, parse_timespan, read_host_json
from localdev.host.loader import load_app
from localdev.host.outputs import message_texts
from localdev.host.queue_trigger import decode
from localdev.host.routes import Route
from localdev.host.specs import BlobTrigger, FunctionSpec, HttpTrigger, QueueTrigger, path_pattern
from localdev.host.waiting import Backoff


def host_json(folder: Path, content: object, **environ: str) -> HostJson:
    path = folder / "host.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_host_json(path, environ)


def test_host_json_defaults_are_azures(tmp_path: Path) -> None:
    found = host_json(tmp_path, {"version": "2.0"})
    assert found.queues == QueueOptions(16, 8, 0.0, 5, 60.0, "base64")
    assert (found.route_prefix, found.function_timeout_s, found.blobs.poison_blob_threshold) == ("api", None, 5)


def test_host_json_is_read_and_app_settings_override_it(tmp_path: Path) -> None:
    queues = {"batchSize": 10, "visibilityTimeout": "00:00:30", "messageEncoding": "none", "maxPollingInterval": 2000}
    found = host_json(
        tmp_path,
        {
            "version": "2.0",
            "functionTimeout": "01:30:00",
            "logging": {"anything": 1},
            "extensions": {"queues": queues, "http": {"routePrefix": ""}},
        },
        AzureFunctionsJobHost__extensions__queues__maxDequeueCount="7",
        AzureFunctionsJobHost__extensions__queues__maxPollingInterval="00:00:00.5",
    )
    assert found.queues == QueueOptions(10, 5, 30.0, 7, 0.5, "none")
    assert (found.route_prefix, found.function_timeout_s) == ("", 5400.0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ({"extensions": {}}, "version"),
        ({"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}, "batchSize is 33.*1 to 32"),
        ({"version": "2.0", "extensions": {"queues": {"batchSize": True}}}, "batchSize is True"),
        ({"version": "2.0", "extensions": {"queues": {"batchsize": 3}}}, "no entry batchsize"),
        ({"version": "2.0", "extensions": {"queues": {"messageEncoding": "hex"}}}, "hex"),
        ({"version": "2.0", "extensions": {"queues": []}}, "queues is not an object"),
        ({"version": "2.0", "functionTimeout": "5 minutes"}, "not a time span"),
        ({"version": "2.0", "functionTimeout": "24:00:00"}, "hours go to 23"),
    ],
)
def test_host_json_that_makes_no_sense_is_refused(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        host_json(tmp_path, content)


def test_missing_host_json(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="missing"):
        read_host_json(tmp_path / "host.json", {})


def test_time_spans() -> None:
    assert parse_timespan("1.02:03:04.5") == 86400 + 2 * 3600 + 3 * 60 + 4.5


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("jobs/{id}", "/jobs/a%2Fb", {"id": "a/b"}),
        ("jobs/{id}", "/JOBS/7/", {"id": "7"}),
        ("jobs/{id}", "/jobs", None),
        ("jobs/{id}", "/jobs/7/8", None),
        ("jobs/{id:int}", "/jobs/seven", None),
        ("jobs/{id:int}/{name?}", "/jobs/7", {"id": "7"}),
        ("jobs/{id:int}/{name?}", "/jobs/7/x", {"id": "7", "name": "x"}),
        ("/{*route}", "/a/b%20c", {"route": "a/b c"}),
        ("/{*route}", "/", {}),
        ("/{*route}", "", {}),
        ("v1.0/x", "/v1x0/x", None),
    ],
)
def test_routes(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert Route.parse(template).match(path) == expected


def test_the_more_definite_route_comes_first() -> None:
    templates = ["{*rest}", "jobs/{id}", "jobs/{id:int}", "jobs/mine", "{a}/{b}"]
    ranked = sorted(map(Route.parse, templates), key=lambda route: route.rank)
    assert [route.template for route in ranked] == ["jobs/mine", "jobs/{id:int}", "jobs/{id}", "{a}/{b}", "{*rest}"]


@pytest.mark.parametrize("template", ["{a}-{b}", "{a:regex(x)}", "{a=1}", "{*a}/b", "{a?}/b", "x{a}"])
def test_unknown_route_templates_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match="route"):
        Route.parse(template)


def test_blob_paths() -> None:
    container, names, prefix = path_pattern("products/in.put/{mission}-{name}.zip")
    assert (container, prefix) == ("products", "in.put/")
    assert names.fullmatch("in.put/S1-a/b.zip")
    assert not names.fullmatch("in_put/S1-a.zip")
    assert path_pattern("products/{name}")[1].fullmatch("x.SAFE/measurement/y\n.tiff")


def test_decoding_messages() -> None:
    assert decode("aGk=", "base64") == b"hi"
    assert decode(" aG\r\nk= ", "base64") == b"hi"
    assert decode("aGk=", "none") == b"aGk="
    for text in ("{}", "aGk", "aGk=aGk=", "aG-_", "é"):
        with pytest.raises(UnreadableMessageError):
            decode(text, "base64")


def test_output_values_become_messages() -> None:
    assert message_texts(None) == []
    assert message_texts("a") == [b"a"]
    assert message_texts([b"a", "b", func.QueueMessage(body=b"c")]) == [b"a", b"b", b"c"]
    with pytest.raises(TypeError, match="float"):
        message_texts(1.5)


def test_backoff_doubles_up_to_its_limit_and_begins_again() -> None:
    backoff = Backoff(1.0)
    delays = [backoff.next_s() for _ in range(6)]
    for delay, nominal in zip(delays, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], strict=True):
        assert 0.8 * nominal <= delay <= min(1.2 * nominal, 1.0)
    backoff.reset()
    assert backoff.next_s() <= 0.12


def test_connections_are_found_and_their_secrets_are_not_shown() -> None:
    connections = Connections({"AzureWebJobsData": "one", "Other__queueServiceUri": "https://x", "Bad": "hunter2"})
    assert connections.string("Data") == "one"
    with pytest.raises(SettingsError, match="identity-based"):
        connections.string("Other")
    with pytest.raises(SettingsError, match="no app setting Missing"):
        connections.string("Missing")
    with pytest.raises(SettingsError) as caught:
        connections.queues("Bad")
    assert "hunter2" not in str(caught.value)


Define = Callable[[func.FunctionApp], Any]


def read(define: Define, **environ: str) -> FunctionSpec:
    app = func.FunctionApp()
    define(app)
    (function,) = app.get_functions()
    return read_function(function, environ)


@pytest.mark.filterwarnings("ignore")
def test_functions_are_read() -> None:
    def queue(app: func.FunctionApp) -> None:
        @app.queue_trigger(arg_name="m", queue_name="%NAME%-in", connection="C")
        @app.queue_output(arg_name="$return", queue_name="out", connection="C")
        def f(m: func.QueueMessage, context: func.Context) -> str:
            return ""

    spec = read(queue, NAME="x")
    assert spec.trigger == QueueTrigger("x-in", "C")
    assert (spec.argument, spec.wants_context, spec.is_async) == ("m", True, False)
    assert [output.queue for output in spec.outputs] == ["out"]

    def http(app: func.FunctionApp) -> None:
        @app.route(route="a/{b}", methods=["GET", "POST"])
        async def f(req: func.HttpRequest) -> func.HttpResponse:
            return func.HttpResponse()

    spec = read(http)
    assert isinstance(spec.trigger, HttpTrigger)
    assert (spec.trigger.methods, spec.trigger.auth_level) == (frozenset({"GET", "POST"}), "function")
    assert spec.is_async

    for hint, kind in ((BlobClient, "client"), (func.InputStream, "stream"), (bytes, "bytes"), (str, "str")):

        def blob(app: func.FunctionApp, hint: type = hint) -> None:
            def f(b: Any) -> None:
                pass

            f.__annotations__["b"] = hint
            app.blob_trigger(arg_name="b", path="c/{n}", connection="C", source="EventGrid")(f)

        trigger = read(blob).trigger
        assert isinstance(trigger, BlobTrigger)
        assert trigger.kind == kind


def wrong_hint(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    def f(m: str) -> None: ...


def sdk_client(app: func.FunctionApp) -> None:
    @app.blob_trigger(arg_name="b", path="c/{n}", connection="C", source="EventGrid")
    def f(b: SdkBlobClient) -> None: ...


def missing_parameter(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    def f() -> None: ...


def unbound_parameter(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    def f(m: func.QueueMessage, other: int) -> None: ...


def unset_setting(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="%NOPE%", connection="C")
    def f(m: func.QueueMessage) -> None: ...


def unknown_trigger(app: func.FunctionApp) -> None:
    @app.cosmos_db_trigger(arg_name="d", container_name="c", database_name="d", connection="C")
    def f(d: Any) -> None: ...


def unknown_output(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    @app.blob_output(arg_name="o", path="c/x", connection="C")
    def f(m: func.QueueMessage, o: func.Out[str]) -> None: ...


def unknown_input(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    @app.blob_input(arg_name="i", path="c/x", connection="C")
    def f(m: func.QueueMessage, i: bytes) -> None: ...


def retry_policy(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    @app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:01")
    def f(m: func.QueueMessage) -> None: ...


def builtin_list(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    @app.queue_output(arg_name="o", queue_name="p", connection="C")
    def f(m: func.QueueMessage, o: func.Out[list[str]]) -> None: ...


def no_out(app: func.FunctionApp) -> None:
    @app.queue_trigger(arg_name="m", queue_name="q", connection="C")
    @app.queue_output(arg_name="o", queue_name="p", connection="C")
    def f(m: func.QueueMessage, o: str) -> None: ...


def no_answer(app: func.FunctionApp) -> None:
    @app.route(route="x")
    def f(req: func.HttpRequest) -> None: ...


def bad_schedule(app: func.FunctionApp) -> None:
    @app.timer_trigger(arg_name="t", schedule="00:00:05")
    def f(t: func.TimerRequest) -> None: ...


def bad_route(app: func.FunctionApp) -> None:
    @app.route(route="{a}-{b}")
    def f(req: func.HttpRequest) -> str: ...


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("define", "says"),
    [
        (wrong_hint, "parameter m is given a QueueMessage"),
        (sdk_client, "parameter b is given a InputStream"),
        (missing_parameter, "has no parameter m"),
        (unbound_parameter, "gives parameter other"),
        (unset_setting, "app setting NOPE"),
        (unknown_trigger, "trigger 'cosmosDBTrigger'"),
        (unknown_output, "binding 'o' of type 'blob'"),
        (unknown_input, "binding 'i' of type 'blob'"),
        (retry_policy, "retry"),
        (builtin_list, "output o cannot be annotated"),
        (no_out, "no azure.functions.Out"),
        (no_answer, "output $return cannot be annotated"),
        (bad_schedule, "fields"),
        (bad_route, "not a parameter"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_this_host_does_not_serve_is_refused(define: Define, says: str) -> None:
    with pytest.raises(AppError, match=re.escape(says)):
        read(define)


def test_a_folder_without_one_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="missing"):
        load_app(tmp_path)
