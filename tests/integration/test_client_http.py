"""The client and a server that is busy, gone, slow or wrong: what is asked again, what is not, and what people read.

Routes that other parts of the service answer (keys, search, orders, …) are spoken to here in their documented shape.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from orthoburst import Client, RefusedError, UnreachableError, http
from orthoburst.cli import main

Answer = tuple[int, Any, dict[str, str]]


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]


@dataclass
class Server:
    """Answers with what it was told to, in order, then by path; keeps what it was asked."""

    url: str = ""
    queue: list[Answer | None] = field(default_factory=list)  # None: hangs up
    paths: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answers(self, *answers: int | Answer | None) -> None:
        self.queue = [(one, {"title": "so"}, {}) if isinstance(one, int) else one for one in answers]


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            asked = Asked(self.command, parts.path, parse_qs(parts.query), body, dict(self.headers))
            told.asked.append(asked)
            answer: Answer | None
            if told.queue:
                answer = told.queue.pop(0)
            else:
                found = told.paths.get((self.command, parts.path), {"title": "nothing here"})
                answer = (200, found(asked) if callable(found) else found, {})
            if answer is None:
                self.close_connection = True
                return
            status, document, headers = answer
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 (the server's words)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
    thread.start()
    yield told
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as found:
        yield found


JOB = {"jobID": "j1", "status": "accepted", "progress": 0}
DONE = (200, {"jobs": [JOB]}, {})


@pytest.mark.parametrize("trouble", [502, 503, 504, 429, None])
def test_reads_are_asked_again_until_there_is_an_answer(server: Server, client: Client, trouble: int | None) -> None:
    server.answers(trouble, trouble, DONE)
    assert [job.id for job in client.jobs()] == ["j1"]
    assert len(server.asked) == 3


@pytest.mark.parametrize("trouble", [502, 503, 504, 429, None])
def test_a_submission_is_sent_again_under_the_same_id(server: Server, client: Client, trouble: int | None) -> None:
    server.answers(trouble, (201, JOB, {}))
    assert client.submit("products/a.tif").id == "j1"
    first, second = server.asked
    assert first.body == second.body
    assert first.body["inputs"]["request_id"]
    server.asked.clear()
    batch = {"batchID": "b", "total": 1, "states": {"accepted": 1}, "progress": 0, "jobs": [JOB]}
    server.answers(trouble, (201, batch, {}))
    assert len(client.submit_batch([{"products": ["products/a.tif"]}])) == 1
    first, second = server.asked
    assert first.body == second.body
    assert first.body["batch"]


def test_a_key_is_made_once_whatever_becomes_of_the_answer(server: Server, client: Client) -> None:
    server.answers(None)
    with pytest.raises(UnreachableError):
        client.make_key("ci")
    server.answers(503)
    with pytest.raises(RefusedError):
        client.make_key("ci")
    assert len(server.asked) == 2
    server.answers(429, (201, {"id": "k1", "key": "secret"}, {}))
    assert client.make_key("ci", expires_in_days=30)["key"] == "secret", "what was turned away was not made"
    assert server.asked[-1].body == {"name": "ci", "scopes": ["read", "submit"], "expires_in_days": 30}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_an_answer_is_an_answer(server: Server, client: Client, status: int) -> None:
    server.answers((status, {"title": "No", "detail": "because"}, {}))
    with pytest.raises(RefusedError, match="No: because") as refused:
        client.pools()
    assert (refused.value.status, len(server.asked)) == (status, 1)


@pytest.mark.parametrize("said", ["seconds", "date"])
def test_the_time_the_service_asks_for_is_waited(server: Server, client: Client, said: str) -> None:
    after = "1" if said == "seconds" else formatdate(time.time() + 2, usegmt=True)
    server.answers((429, {}, {"Retry-After": after}), DONE)
    began = time.monotonic()
    list(client.jobs())
    assert time.monotonic() - began >= 0.9


def test_hours_are_not_waited(server: Server, client: Client) -> None:
    server.answers((429, {"title": "Too many requests"}, {"Retry-After": "7200"}))
    with pytest.raises(RefusedError, match="Too many"):
        list(client.jobs())


def test_who_never_answers_is_told_of_after_some_tries(server: Server, client: Client) -> None:
    server.answers(*[None] * 9)
    with pytest.raises(UnreachableError, match="does not answer"):
        client.pools()
    assert len(server.asked) == http.TRIES
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(UnreachableError):
        nobody.submit("products/a.tif")


def test_what_is_no_service_of_ours_is_told_of(server: Server, client: Client) -> None:
    server.answers((200, b"<html>welcome</html>", {}))
    with pytest.raises(UnreachableError, match="no orthoburst service"):
        client.pools()


def test_keys_and_tokens_are_sent_and_never_shown(server: Server) -> None:
    tokens = iter(["one", "two"])
    with Client(server.url, token=lambda: next(tokens)) as client:
        server.answers(503, DONE)
        list(client.jobs())
        assert "one" not in repr(client) + repr(vars(client))
    assert [one.headers["Authorization"] for one in server.asked] == ["Bearer one", "Bearer two"]
    with Client(server.url, api_key="very-secret") as client:
        server.answers(DONE)
        list(client.jobs())
        assert "very-secret" not in repr(client) + repr(vars(client))
    assert server.asked[-1].headers["Authorization"] == "Bearer very-secret"
    with pytest.raises(TypeError, match="either"):
        Client(server.url, "key", token=lambda: "token")


def test_pages_follow_one_another_and_the_key_goes_nowhere_else(server: Server) -> None:
    def page(asked: Asked) -> dict[str, Any]:
        token = int(asked.query.get("token", ["0"])[0])
        # behind a proxy, or ill-meant: the link names another host
        link = {"rel": "next", "href": f"http://elsewhere.example/jobs?limit=2&token={token + 1}"}
        jobs = [{**JOB, "jobID": f"j{2 * token + n}"} for n in range(2)]
        return {"jobs": jobs, "links": [link] if token < 3 else []}

    server.paths["GET", "/jobs"] = page
    with Client(server.url, api_key="k") as client:
        assert [job.id for job in client.jobs()] == [f"j{n}" for n in range(8)]
        server.asked.clear()
        assert [job.id for job in client.jobs(3)] == ["j0", "j1", "j2"]
        assert len(server.asked) == 2, "no page more than is wanted"


def test_filters_of_jobs_are_the_standard_s(server: Server, client: Client) -> None:
    server.paths["GET", "/jobs"] = {"jobs": []}
    since = datetime(2026, 5, 1, tzinfo=UTC)
    list(client.jobs(status=["failed", "dismissed"], since=since, process="orthorectify", batch="b", min_duration_s=9))
    (asked,) = server.asked
    assert asked.query == {
        "status": ["failed,dismissed"],
        "datetime": ["2026-05-01T00:00:00+00:00/.."],
        "processID": ["orthorectify"],
        "batch": ["b"],
        "minDuration": ["9"],
        "limit": ["100"],
    }
    with pytest.raises(TypeError, match="zone"):
        list(client.jobs(since=datetime(2026, 5, 1)))


def item(number: int, url: str) -> dict[str, Any]:
    assets = {
        "image": {"href": f"{url}/files/{number}.tif?sig=secret", "roles": ["data"]},
        "browse": {"href": f"{url}/files/{number}.png?sig=secret", "roles": ["thumbnail"]},
    }
    return {
        "type": "Feature",
        "id": f"{number:064x}",
        "collection": "sentinel-1<b>",
        "geometry": None,
        "properties": {"datetime": "2026-05-01T00:00:00Z", "title": "Rome"},
        "assets": assets,
    }


def test_a_search_pages_by_post_and_its_files_come_down(server: Server, client: Client, tmp_path: Path) -> None:
    def page(asked: Asked) -> dict[str, Any]:
        first = asked.body.get("token", 0)
        link = {
            "rel": "next", "href": f"{server.url}/stac/search", "method": "POST", "body": {"token": first + 2},
            "merge": True,
        }  # fmt: skip
        features = [item(first + n, server.url) for n in range(2)]
        return {"type": "FeatureCollection", "features": features, "links": [link] if first < 4 else []}

    server.paths["POST", "/stac/search"] = page
    for number in range(6):
        server.paths["GET", f"/files/{number}.tif"] = {"pixels": number}
        server.paths["GET", f"/files/{number}.png"] = {}
    found = list(client.search(bbox=(12, 41, 13, 42), datetime=("2026-05-01T00:00:00Z", None), collections=["a"]))
    assert [int(one.id, 16) for one in found] == list(range(6))
    assert [one.body for one in server.asked] == [
        {"bbox": [12, 41, 13, 42], "datetime": "2026-05-01T00:00:00Z/..", "collections": ["a"]} | token
        for token in ({}, {"token": 2}, {"token": 4})
    ]
    paths = found[3].download(tmp_path)
    assert [path.name for path in paths] == [f"{'0' * 16}_image.tif", f"{'0' * 16}_browse.png"]
    assert paths[0].read_text() == '{"pixels": 3}'
    html = found[0]._repr_html_()
    assert "sentinel-1&lt;b&gt;" in html
    assert "secret" not in html
    assert len(list(client.search(limit=1))) == 1


KEPT = {
    "type": "Feature",
    "properties": {
        "ref": "products/a.zip",
        "product_type": "GRD",
        "start": "2026-05-01T00:00:00Z",
        "size_bytes": 1,
        "state": "here",
        "where": "blobs",
        "expires": "2026-05-04T00:00:00Z",
        "waits_for": "kept",
    },
}


def test_the_archive_by_the_command(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("keep", "release"):
        server.paths["POST", f"/products/{action}"] = {"ref": "products/a.zip", "state": "here"}
        assert main(["--url", server.url, "archive", action, "products/a.zip"]) == 0
        assert "products/a.zip" in capsys.readouterr().out
        assert server.asked[-1].body == {"ref": "products/a.zip"}
    nothing: dict[str, Any] = {"n_rows": 2, "n_products": 1, "counted": 0}
    nothing |= {name: [] for name in ("gone", "listed", "deleted", "unreadable", "incomplete")}

    def part(asked: Asked) -> dict[str, Any]:
        first = asked.body == {}
        found = (
            {"gone": ["products/b.zip"], "counted": 3, "token": "t"} if first else {"incomplete": ["products/c.SAFE"]}
        )
        return {**nothing, **found}

    server.paths["POST", "/products/check"] = part
    assert main(["--url", server.url, "archive", "check"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "4 listed and 2 stored products were looked at",
        "was not there, is listed no more: products/b.zip",
        "lacks its manifest: products/c.SAFE",
        "3 had not been counted",
    ]


@pytest.mark.parametrize("words", ["archive keep", "archive list products/a.zip", "archive --by colour"])
def test_an_archive_command_that_is_wrong_says_so(
    server: Server, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", server.url, *words.split()]) == 2
    assert "archive" in (told := capsys.readouterr().err) or "--by colour" in told


def test_what_others_answer_is_passed_on(server: Server, client: Client) -> None:
    feature = {"type": "Feature", "properties": {"ref": "products/a.zip"}}
    server.paths |= {
        ("GET", "/whoami"): {"user": "ana", "scopes": ["read"], "groups": ["gis"], "via": "key"},
        ("GET", "/keys"): {"keys": [{"id": "k1"}]},
        ("GET", "/orders"): {"orders": [{"id": "default", "user": "archive", "missions": {}}]},
        ("GET", "/products"): {"type": "FeatureCollection", "features": [feature], "links": []},
        ("GET", "/jobs/j1"): JOB,
        ("POST", "/jobs/j1/pin"): {**JOB, "pinned": True},
        ("DELETE", "/jobs/j1/pin"): {**JOB, "pinned": False},
        ("GET", "/jobs/j1/callbacks"): {"callbacks": [{"state": "delivered"}]},
    }
    assert client.whoami()["user"] == "ana"
    assert client.keys() == [{"id": "k1"}]
    client.revoke_key("k1/../x")
    assert server.asked[-1].path == "/keys/k1%2F..%2Fx"
    assert client.orders()[0]["id"] == "default"
    assert [one["properties"]["ref"] for one in client.products(bbox=(1, 2, 3, 4), mission="sentinel-1")] == [
        "products/a.zip"
    ]
    assert server.asked[-1].query == {"bbox": ["1,2,3,4"], "mission": ["sentinel-1"]}
    job = client.job("j1")
    assert job.pin().is_pinned
    assert not job.unpin().is_pinned
    assert job.callbacks() == [{"state": "delivered"}]


def test_a_batch_of_more_than_a_page_is_one_batch(server: Server, client: Client) -> None:
    def page(asked: Asked) -> dict[str, Any]:
        start = int(asked.query.get("token", ["0"])[0])
        link = {"rel": "next", "href": f"/batches/b?token={start + 1}"}
        summary = {"batchID": "b", "total": 3, "states": {"successful": 3}, "progress": 100}
        return {**summary, "jobs": [{**JOB, "jobID": f"j{start}"}], "links": [link] if start < 2 else []}

    server.paths["GET", "/batches/b"] = page
    assert [job.id for job in client.batch("b").refresh()] == ["j0", "j1", "j2"]


@pytest.mark.parametrize(
    ("words", "path", "document", "says"),
    [
        ("whoami", "/whoami", {"user": "ana", "scopes": ["read"], "groups": [], "via": "key",
          "limits": {"open_jobs": 5, "cloud_eur_per_month": 9, "calls_per_minute": None, "open_images": 3},
          "usage": {"open_jobs": 2, "cloud_eur": 1.5}},
         "ana, known by key\nmay read\nopen_jobs: 2 of 5\ncloud_eur_per_month: 1.5 of 9\nopen_images: up to all of 3"),
        ("keys", "/keys", {"keys": []}, "no keys\n"),
        ("keys list", "/keys", {"keys": [{"id": "k1", "name": "ci", "scopes": ["read"]}]}, "k1"),
        ("orders", "/orders", {"orders": [{"id": "default", "user": "u", "missions": {"sentinel1": {}}}]}, "sentinel1"),
        ("orders", "/orders", {"orders": [{"id": "mine", "user": "ana", "tiles": ["33TUG"]}]}, "33TUG"),
        ("orders", "/orders", {"orders": []}, "nothing is made of uploads\n"),
        ("products --bbox 12,41,13,42", "/products", {"features": []}, "product"),
        ("archive list --state gone", "/products", {"features": []}, "no such product\n"),
        ("archive list --waiting", "/products", {"features": [KEPT]}, "operator"),
        ("archive", "/products/summary", {"counts": [{"state": "here", "where": "blobs", "mission": "rpc",
          "product_type": "rpc", "products": 3, "bytes": 2_000_000_000_000}], "rules": []}, "all products are kept"),
        ("archive --by month", "/products/summary", {"counts": [], "rules": [{"prefix": "products/", "missions":
          ["rpc"], "product_types": [], "days": 3.0}]}, "products/ rpc: 3 days"),
        ("failed", "/failed", {"tasks": []}, "nothing has been given up\n"),
        ("batches", "/batches", {"batches": []}, "batch"),
        ("jobs --status failed --since 2026-05-01T00:00Z", "/jobs", {"jobs": []}, "job"),
    ],
)  # fmt: skip
def test_commands_print_for_people_and_as_json(
    server: Server, words: str, path: str, document: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.paths["GET", path] = document
    assert main(["--url", server.url, *words.split()]) == 0
    assert says in capsys.readouterr().out
    assert main(["--url", server.url, *words.split(), "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_keys_by_the_command(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.paths["POST", "/keys"] = {"id": "k1", "key": "ob_secret"}
    assert main(["--url", server.url, "keys", "make", "ci", "--scope", "read", "--expires-in-days", "7"]) == 0
    assert capsys.readouterr().out.startswith("ob_secret\n")
    assert server.asked[-1].body == {"name": "ci", "scopes": ["read"], "expires_in_days": 7}
    assert main(["--url", server.url, "keys", "revoke", "k1"]) == 0
    assert (server.asked[-1].method, server.asked[-1].path) == ("DELETE", "/keys/k1")
    assert main(["--url", server.url, "keys", "make"]) == 2
    assert "name the new key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ((404, {"title": "No such thing", "detail": "there is none"}, {}), 1, "No such thing: there is none"),
        ((500, b"oops", {}), 1, "HTTP 500: oops"),
        ((200, b"<html>", {}), 3, "no orthoburst service"),
        ((200, {"pools": [{"surprise": 1}]}, {}), 1, "unexpected KeyError"),
        ((200, [], {}), 2, "orthoburst: "),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    server: Server, answer: Answer, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers(answer)
    assert main(["--url", server.url, "pools"]) == code
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err
    assert told.err.count("\n") == 1


def test_nobody_there_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:9", "pools"]) == 3
    assert "is it running" in capsys.readouterr().err


def test_an_interrupt_is_130(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "pools", interrupted)
    assert main(["--url", server.url, "pools"]) == 130
    assert capsys.readouterr().err == "orthoburst: interrupted; jobs go on\n"


def test_a_bar_is_shown_where_it_is_asked_for(
    server: Server, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    states: Iterator[str] = iter(["accepted", "running", "successful"])
    server.paths["GET", "/jobs/j1"] = lambda _: {**JOB, "status": next(states), "progress": 40}
    seen: list[str] = []
    on_change: Callable[[Any], None] = lambda job: seen.append(job.state)  # noqa: E731
    client.job("j1").watch(on_change, progress=True, timeout_s=30)
    assert seen == ["running", "successful"]
    assert "j1 successful" in capsys.readouterr().err
