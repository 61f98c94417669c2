"""HTTP triggers: routes, answers, keys, an ASGI app, and no stack trace for strangers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from integration.host_stack import Stage
from localdev.servers import Azurite, FunctionsHost

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def stage(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """One set of names for all tests here."""
    return Stage(azurite, tmp_path_factory.mktemp("http"))


@pytest.fixture(scope="module")
def host(stage: Stage) -> Iterator[FunctionsHost]:
    """One host with a function key."""
    with stage.host(LOCALDEV_FUNCTION_KEY="sesame") as host:
        yield host


@pytest.fixture
def http(host: FunctionsHost) -> Iterator[httpx.Client]:
    """A client of its API."""
    with httpx.Client(base_url=f"{host.url}/api", timeout=30) as client:
        yield client


def test_a_function_sees_the_request(http: httpx.Client) -> None:
    url = "/echo/4/a/b%20c?x=1&x=2&y=%26"
    answer = http.post(url, content=b"12345", headers={"x-some": "header"})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "url": f"{http.base_url}".rstrip("/") + url,
        "params": {"x": "1,2", "y": "&"},
        "route": {"number": "4", "rest": "a/b c"},
        "header": "header",
        "length": 5,
    }


def test_a_failure_says_nothing_to_the_caller(http: httpx.Client, stage: Stage) -> None:
    answer = http.get("/boom")
    assert (answer.status_code, answer.content) == (500, b"")
    assert "hunter2" in stage.logged("function_failed")[-1]["error"]


def test_plain_answers_and_unknown_paths(http: httpx.Client, host: FunctionsHost) -> None:
    answer = http.get("/nothing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert httpx.get(f"{host.url}/nothing").status_code == 404
    assert httpx.get(f"{host.url}/apinothing").status_code == 404


def test_a_locked_function_wants_its_key(http: httpx.Client) -> None:
    assert http.get("/locked").status_code == 401
    assert http.get("/locked", params={"code": "guess"}).status_code == 401
    assert http.get("/locked", params={"code": "sesame"}).text == "open"
    answer = http.get("/locked", headers={"x-functions-key": "sesame"})
    assert (answer.text, answer.headers["content-type"]) == ("open", "text/plain; charset=utf-8")


def test_an_asgi_app_takes_what_no_other_route_does(http: httpx.Client) -> None:
    answer = http.put("/some/where%2F?q=1&r=%20", content=bytes(3 * MEGABYTE))
    assert answer.status_code == 207
    assert answer.text == f"/api/some/where/|q=1&r=%20|{3 * MEGABYTE}|end"
    assert answer.headers["content-type"] == "text/x-parts"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    # other methods than a function's own fall through to it too
    assert http.get("/echo/4/a").status_code == 207
    assert http.head("/x").content == b""


def test_a_body_beyond_the_limit_is_refused(http: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(101):
            yield bytes(MEGABYTE)

    assert http.post("/echo/1/x", content=body()).status_code == 413


def test_an_app_beyond_this_host_is_refused_as_a_whole(stage: Stage, azurite: Azurite) -> None:
    app = stage.folder / "beyond"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(
        "import azure.functions as func\napp = func.FunctionApp()\n"
        "@app.event_hub_message_trigger(arg_name='e', event_hub_name='h', connection='C')\n"
        "def f(e: func.EventHubEvent) -> None: ...\n"
    )
    host = stage.host("refused", app=app)
    with pytest.raises(RuntimeError, match="'eventHubTrigger' is not served here"):
        host.start()
    assert host.exit_status == 2
