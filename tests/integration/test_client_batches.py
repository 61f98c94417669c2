"""The client and the command against the real functions host over Azurite: batches from submission to files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.products import ROME
from integration.client_kit import PNG, Service, real_service, wait_until
from orthoburst import Client, RefusedError, execution
from orthoburst.cli import main

REF = f"products/{ROME}.SAFE"
TILES = ("33TUG", "33TUH", "33TVG")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with real_service(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as found:
        yield found


def wishes(tile: str, spacing_m: float = 60) -> dict[str, object]:
    return {"products": [REF], "tiles": [tile], "spacing_m": spacing_m, "terrain": {"height_m": 0}}


def test_a_batch_from_submission_to_files(service: Service, client: Client, tmp_path: Path) -> None:
    asked = [wishes(tile) for tile in TILES] + [{**wishes("33TUG"), "products": ["products/none.tif"]}]
    batch = client.submit_batch(asked, name="Spring <b>over</b> Rome", batch="spring")
    assert (batch.id, batch.total, len(batch), batch.is_over) == ("spring", 4, 4, False)
    service.planned(client, "spring")
    first, second = batch[0], batch[1]
    service.make(first.id)
    service.fail(second.id)
    seen = batch.refresh().states
    assert seen == {"successful": 1, "failed": 2, "accepted": 1}
    assert [job.id for job in batch.filter(state="successful")] == [first.id]
    assert len(batch.filter(state=["failed", "accepted"], title=ROME)) == 2
    assert batch.filter(where=lambda job: "ProductMissing" in job.message) == [batch[3]]

    images = batch.download(tmp_path)
    assert [image.name for image in images] == [f"{ROME}_33TUG_{images[0].stem[-8:]}.tif"]
    beside = {path.name.removeprefix(images[0].stem) for path in tmp_path.iterdir()}
    assert beside == {".tif", ".mask.tif", ".png", ".json"} or {".tif", ".json"} < beside
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.suffix != ".json"}
    assert batch.download(tmp_path) == images
    assert {path: path.stat().st_mtime_ns for path in before} == before, "whole files are not fetched again"

    html = batch._repr_html_()
    assert "&lt;b&gt;over&lt;/b&gt;" in html
    assert "it &lt;broke&gt;" in html
    assert "<b>" not in html
    (result,) = first.refresh().results()
    assert "data:image/png;base64,iVBOR" in result._repr_html_()
    assert result.files["browse"].size_bytes == len(PNG)
    assert "sig=" not in result._repr_html_(), "a signed link would be saved with the notebook"

    frame = batch.to_geodataframe()
    assert list(frame["job"]) == [first.id]
    assert (frame.crs.to_epsg(), frame.geometry[0].bounds) == (4326, (12, 41, 13, 42))
    assert list(frame["platform"]) == ["sentinel-1b"]

    failed = {job.id for job in batch.filter(state="failed")}
    again = batch.retry_failed()
    # the one without a product fails as before, and may have done so by now
    assert again.states in ({"successful": 1, "accepted": 3}, {"successful": 1, "accepted": 2, "failed": 1})
    assert len(failed) == 2
    assert not failed & {job.id for job in again}
    service.planned(client, "spring")
    changes: list[str] = []
    batch.cancel()
    done = batch.watch(lambda one: changes.append(repr(one)), timeout_s=30)
    assert done.states.keys() <= {"successful", "dismissed", "failed"}
    assert done.states["successful"] == 1
    assert client.batch("spring").states == done.states
    assert [one.id for one in client.batches()] == ["spring"]
    assert [one.states for one in client.batches(1)] == [done.states]


def test_the_same_batch_is_submitted_once(client: Client) -> None:
    asked = [execution(REF, tiles=["33TUG"], terrain={"height_m": 0})]
    one, other = (client.submit_batch(asked, batch="once") for _ in range(2))
    assert [job.id for job in one] == [job.id for job in other]
    client.batch("once").cancel()


def test_one_bad_request_names_itself(client: Client) -> None:
    with pytest.raises(RefusedError, match=r"execution 1: inputs\.grid") as refused:
        client.submit_batch([wishes("33TUG"), wishes("99XXX")])
    assert [fault["index"] for fault in refused.value.problem["errors"]] == [1]
    with pytest.raises(TypeError, match="tile: no such wish"):
        client.submit_batch([{"products": [REF], "tile": "33TUG"}])


def test_an_estimate_submits_nothing(client: Client) -> None:
    n_jobs = len(list(client.jobs()))
    found = client.estimate([wishes("33TTG", 10), wishes("11SKA"), wishes("33TUG")])
    sized, wrong, there = found["executions"]
    assert (sized["valid"], sized["images"], sized["megapixels"]) == (True, 1, pytest.approx(120.56, rel=1e-3))
    assert wrong["errors"][0]["kind"] == "OffProduct"
    assert (there["there"], there["eur"]) == (1, 0)
    assert found["total"]["valid"] == 2
    assert len(list(client.jobs())) == n_jobs


def test_other_processes_are_asked_for_in_the_same_way(client: Client) -> None:
    job = client.submit(REF, process="radar-backscatter", tiles=["33TUG"], terrain={"height_m": 0})
    assert job.status["processID"] == "radar-backscatter"
    (one,) = client.submit_batch([{**wishes("33TUG"), "process": "radar-backscatter"}])
    assert one.status["processID"] == "radar-backscatter"
    (wrong,) = client.estimate([{**wishes("33TUG"), "process": "none"}])["executions"]
    assert (wrong["valid"], wrong["errors"][0]["at"]) == (False, "process")
    with pytest.raises(RefusedError, match="there is no process 'none'"):
        client.submit(REF, process="none")


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    lines = ["products;tiles;spacing_m;height_m", *(f"{REF};{tile};60;0" for tile in ("33TUG", "33TVH"))]
    path.write_text("\n".join(lines))
    return path


def run(service: Service, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["--url", service.url, *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_file_of_requests_by_the_command(
    service: Service, client: Client, orders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(service, capsys, "batch", str(orders), "--dry-run", "--json")
    assert (code, json.loads(out)["total"]["images"]) == (0, 2)
    code, out, _ = run(service, capsys, "batch", str(orders), "--name", "by file", "--id", "by-file")
    assert (code, out) == (0, "by-file\n")
    service.planned(client, "by-file")
    there, wanted = client.batch("by-file")
    assert there.state == "successful", "an earlier job made it"
    service.make(wanted.id)
    code, out, _ = run(service, capsys, "watch", "by-file")
    assert (code, out) == (0, "by-file: 2 successful\n")
    code, out, _ = run(service, capsys, "fetch", "by-file", str(tmp_path / "images"))
    assert code == 0
    assert len(out.split()) == 2
    assert all(Path(name).is_file() for name in out.split())
    code, out, _ = run(service, capsys, "fetch", wanted.id, str(tmp_path / "images"), "--json")
    assert (code, len(json.loads(out))) == (0, 1)
    code, out, _ = run(service, capsys, "batches", "--json")
    assert json.loads(out)[0]["batchID"] == "by-file"
    code, out, _ = run(service, capsys, "results", wanted.id)
    assert "sig=" in out
    code, out, _ = run(service, capsys, "explain", wanted.id)
    assert code == 0


def test_what_failed_is_tried_again_by_the_command(
    service: Service, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("products,tiles,height_m\nproducts/none.tif,33TUG,0\n")
    assert run(service, capsys, "batch", str(path), "--id", "bad")[0] == 0
    code, out, _ = run(service, capsys, "watch", "bad")
    assert code == 1
    assert re.search(r"bad: 1 failed\n  j\w+ none.tif: ProductMissing", out)
    code, out, _ = run(service, capsys, "retry", "bad")
    assert (code, out) == (0, "bad: 1 jobs are tried again\n")
    wait_until(lambda: client.batch("bad").is_over)
    code, out, _ = run(service, capsys, "cancel", "bad")
    assert (code, out) == (0, "bad: 1 failed\n")


def test_bad_lines_are_told_where_they_are(service: Service, orders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders.write_text(orders.read_text() + f"\n{REF};99XXX;60;0\n{REF};33TUG;7;0\n")
    code, _, err = run(service, capsys, "batch", str(orders))
    assert code == 2
    assert "nothing was submitted" in err
    assert f"{orders}:4: grid" in err
    assert f"{orders}:5: grid" in err


@pytest.mark.parametrize("words", [("watch", "none"), ("fetch", "none", "x"), ("cancel", "none"), ("retry", "none")])
def test_what_is_not_there_is_one_line(
    service: Service, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(service, capsys, *words)
    assert (code, out, err) == (1, "", "orthoburst: No such job: you have no job or batch none\n")


def test_a_key_opens_what_it_may_until_it_is_revoked(
    service: Service, client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.make_key("ci", ["read"], expires_in_days=1)
    with Client(service.url, made["key"]) as reader:
        who = reader.whoami()
        assert (who["user"], who["via"], who["scopes"]) == ("local", "key", ["read"])
        list(reader.jobs())
        with pytest.raises(RefusedError, match="submit"):
            reader.submit_batch([wishes("33TUG")])
    monkeypatch.setenv("ORTHOBURST_API_KEY", made["key"])
    code, out, _ = run(service, capsys, "whoami")
    assert (code, out.splitlines()[0]) == (0, "local, known by key")
    monkeypatch.delenv("ORTHOBURST_API_KEY")
    code, out, _ = run(service, capsys, "keys")
    assert (code, made["id"] in out, made["key"] in out) == (0, True, False)
    assert run(service, capsys, "keys", "revoke", made["id"])[0] == 0
    keys = client.keys()
    assert all(key.get("revoked") for key in keys)


def test_a_standing_order_by_the_command(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = {"id": "far", "title": "Far away", "products": {"missions": ["sentinel-3"]}}
    file = tmp_path / "order.json"
    file.write_text(json.dumps(order))
    for _ in range(2):
        code, out, _ = run(service, capsys, "orders", "add", str(file))
        assert (code, out.strip()) == (0, "far")
    code, out, _ = run(service, capsys, "orders", "--json")
    assert [one["title"] for one in json.loads(out) if one["id"] == "far"] == ["Far away"]
    code, out, _ = run(service, capsys, "orders", "backfill", "far", "--since", "2020-01-01T00:00:00Z")
    assert (code, out.strip()) == (0, "no product fits")
    assert run(service, capsys, "orders", "delete", "far")[0] == 0
    code, _, err = run(service, capsys, "orders", "delete", "far")
    assert code == 1
    assert "you have no standing order far" in err
    file.write_text("[")
    code, _, err = run(service, capsys, "orders", "add", str(file))
    assert code == 2
    assert "order.json: not JSON" in err
    assert run(service, capsys, "orders", "add")[0] == 2


def test_products_of_the_store_are_found_by_the_command(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.take_stock(REF)
    code, out, _ = run(service, capsys, "products", "--bbox", "12,41,13,42", "--mission", "sentinel-1", "--json")
    assert (code, [one["properties"]["ref"] for one in json.loads(out)]) == (0, [REF])
    code, out, _ = run(service, capsys, "products", "--bbox", "100,41,101,42", "--json")
    assert (code, json.loads(out)) == (0, [])
